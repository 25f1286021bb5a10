"""The demo's one page: every domain's flow, one charge explained, host prices, and the proof."""

from __future__ import annotations

import msgspec
from markupsafe import Markup

from apportion.faces.pages.bars import Bar, bars_svg
from apportion.faces.pages.build import figure, page
from apportion.faces.pages.flow import Flow, condense
from apportion.faces.takings import Takings
from apportion.faces.telling import COMPARED, DemoResult, Told
from apportion.model.statement import Seal, Statement
from apportion.stages.statement import grouped

_WIDE, _NARROW = (6, 9), (4, 7)


class Row(msgspec.Struct, frozen=True):
    """A line of a small table: a label and one amount a column."""

    label: str
    amounts: tuple[str, ...]


class Domain(msgspec.Struct):
    """One domain as the template shows it."""

    told: Told
    takings: Takings
    figure: tuple[Markup, Markup]
    classes: list[tuple[str, str]]
    sums: list[Row]
    bars: tuple[Markup, Markup] | None = None
    twin: Domain | None = None
    compared: list[Row] = []
    says: str = ""


def index_page(result: DemoResult, seal: Seal) -> str:
    """The page as one HTML file without any outside request."""
    domains = {one.telling.tenant: _domain(one) for one in result.told if one.takings}
    for one in result.told:
        twin, main = domains.get(one.telling.tenant), domains.get(one.telling.twin)
        if twin is not None and main is not None:
            main.twin, main.says = twin, COMPARED[one.telling.tenant]
            if one.telling.folder == "telephone":
                main.compared = _compare(main.takings, twin.takings, one)
    shown = [domain for domain in domains.values() if not domain.told.telling.twin]
    counts = {
        "records": sum(one.summary.received for one in result.told),
        "charges": sum(one.charges for one in result.proven),
        "entries": sum(one.entries for one in result.proven),
        "payers": sum(t.paying for one in result.told if not one.telling.twin for t in one.takings),
        "providers": sum(len(t.providers) for one in result.told if not one.telling.twin for t in one.takings),
        "documents": sum(one.issued for one in result.told),
    }
    return page(
        "index.html", result=result, domains=shown, counts=counts, seal=seal, is_statement=_is_statement,
        opened="telephone",
    )  # fmt: skip


def _is_statement(document: object) -> bool:
    return isinstance(document, Statement)


def _domain(one: Told) -> Domain:
    takings = one.takings[0]
    s = one.summary
    classes = [
        ("charged", f"{s.charged:,}"), ("free", f"{s.zero_rated:,}"), ("rejected", f"{s.rejected:,}"),
        ("pending", f"{s.pending:,}"),
    ]  # fmt: skip
    title = f"{one.telling.title}: from payers over services to those who earn"
    drawn = _figures(takings.flow(), one.telling.tenant, title)
    return Domain(one, takings, drawn, [c for c in classes if c[1] != "0"], _sums(takings), _bars(one.hosts))


def _figures(flow: Flow, name: str, title: str) -> tuple[Markup, Markup]:
    """The flow for wide screens, and with fewer names for narrow ones."""
    wide = figure(_few(flow, _WIDE), f"f-{name}", title)[0]
    return wide, figure(_few(flow, _NARROW), f"f-{name}", title)[1]


def _few(flow: Flow, keep: tuple[int, int]) -> Flow:
    return condense(condense(flow, 0, keep[0], "payers"), 2, keep[1], "providers")


def _sums(t: Takings) -> list[Row]:
    """The equation of a domain, side by side."""
    sponsor, tax = sum(t.sponsors.values()), sum(t.taxes.values())
    rows = [Row(f"{t.paying:,} payers paid", (_exact(t, t.paid),))]
    if sponsor:
        rows.append(Row(f"a sponsor added, for {t.sponsored:,} charges", (_exact(t, sponsor),)))
    rows += [
        Row(f"{len(t.providers)} providers earned", (_exact(t, t.earned),)),
        Row("the platform kept", (_exact(t, t.platform),)),
    ]
    if tax:
        rows.append(Row("tax", (_exact(t, tax),)))
    return rows


def _exact(t: Takings, atoms: int) -> str:
    return grouped(t.text(atoms, t.scale))


def _compare(main: Takings, twin: Takings, told: Told) -> list[Row]:
    """Who earned what in two tellings of the same records."""
    rows = [Row("payers paid", (grouped(main.text(main.paid)), grouped(twin.text(twin.paid))))]
    for provider in sorted({*main.providers, *twin.providers}, key=lambda p: -max(main.providers.get(p, 0), 0)):
        known = told.catalog.providers[provider]
        name = known.name + " *" * known.invented
        sides = [side.providers.get(provider) for side in (main, twin)]
        rows.append(Row(name, tuple("–" if atoms is None else grouped(main.text(atoms)) for atoms in sides)))
    rows.append(Row("platform", (grouped(main.text(main.platform)), grouped(twin.text(twin.platform)))))
    rows.append(Row("tax", tuple(grouped(side.text(sum(side.taxes.values()))) for side in (main, twin))))
    return rows


def _bars(hosts: list[Bar]) -> tuple[Markup, Markup] | None:
    if not hosts:
        return None
    title = "What all requests of the hour would have cost at each host's own price"
    unit = ("USD", 6)
    wide = bars_svg(hosts, unit, name="hosts", title=title)
    return Markup(wide), Markup(bars_svg(hosts, unit, name="hosts-n", title=title, width=380))
