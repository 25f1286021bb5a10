"""Documents as PDF: their text made ready here, laid out by typst, which comes with the extra ``pdf``."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apportion.errors import Misconfigured
from apportion.faces.pages.build import deliverers, remittance_flow, statement_flow
from apportion.faces.pages.flow import PAPER, PRINTED, Flow, flow_svg
from apportion.faces.pages.phrases import Phrases, phrases_of
from apportion.model.statement import Document, Due, Item, Remittance, Section, Statement
from apportion.stages.statement import amount_of, decimals, price_of, quantity

_TEMPLATE = Path(__file__).parent / "templates" / "document.typ"
_SHOWN = 8


def documents_pdf(documents: Sequence[Document]) -> bytes:
    """Documents as one PDF of A4 pages, one after another; each counts its own pages.

    Raises:
        Misconfigured: typst is not installed.
    """
    try:
        import typst  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise Misconfigured("A PDF needs one more package: pip install 'apportion[pdf]'") from error
    data = json.dumps([_printed(document) for document in documents], ensure_ascii=False)
    made: bytes = typst.compile(_source(), sys_inputs={"data": data}, format="pdf")
    return made


@functools.cache
def _source() -> bytes:
    return _TEMPLATE.read_bytes()


def _printed(d: Document) -> dict[str, Any]:
    """The text of a document, as the page has it."""
    say = phrases_of(d)
    about = _statement(d, say) if isinstance(d, Statement) else _remittance(d, say)
    number = d.number or say.preview
    kept = f" {say.kept.format(d.id)}" if d.id else ""
    return about | {
        "issuer": d.issuer[:1].upper() + d.issuer[1:],
        "number_line": f"{number} · {say.span(d)}",
        "currency": d.currency,
        "page": say.page,
        "of": say.of,
        "foot": f"{d.issuer[:1].upper() + d.issuer[1:]} · {number} · {d.account}",
        "invented": f"{say.example} {' '.join(d.invented.split())}" if d.invented else "",
        "small": [
            *about["small"],
            say.seal(d.seal) + kept,
            *([" ".join(d.attribution.split())] if d.attribution else []),
        ],
    }


def _statement(d: Statement, say: Phrases) -> dict[str, Any]:
    taxed = any(tax.name for tax in d.taxes)
    flow = statement_flow(d)
    ask, more, amount = say.asks(d)
    rows = [(say.brought, say.money(d.brought))]
    rows += [(say.received(r, d.zone), say.money(r.amount)) for r in d.received]
    rows += [(say.this_one(d), _flipped(d.total, say)), (say.balance, say.money(d.balance))]
    return {
        "title": say.title(d),
        "who": [
            (say.for_, d.name, f"{say.account} {d.account}"),
            (say.issued, say.day(d.at, d.zone), say.about(d)),
        ],
        "ask": ask,
        "ask_more": more,
        "ask_amount": say.money(amount),
        "rows": [] if len(d.beside) > 1 else rows,
        "columns": [say.what, say.quantity, say.price, say.net, *([say.tax, say.total] if taxed else [])],
        "sections": [_section(s, d, say) for s in d.sections],
        "taxes": [
            *([(say.net, say.money(d.net))] if taxed else []),
            *((say.taxed(tax), say.money(tax.amount)) for tax in d.taxes if tax.name),
        ],
        "total": (say.total, f"{say.money(d.total)} {d.currency}"),
        "figure": _figure(flow, d),
        "figure_title": say.where,
        "small": [say.books_of(d)],
    }


def _section(s: Section, d: Statement, say: Phrases) -> dict[str, Any]:
    several = len(d.taxes) > 1
    taxed = any(tax.name for tax in d.taxes)
    return {
        "payer": say.whose(s.payer or s.account) if s.account else "",
        "name": s.name,
        "uses": say.uses_of(s),
        "words": say.in_words(s, d),
        "rows": [_item(item, say, taxed=taxed, several=several) for item in s.items],
        "sum": say.money(s.total) if len(d.sections) > 1 else "",
        "by": [(f"{part}:", _names(s, part, say)) for part, _ in deliverers(s)],
    }


def _names(s: Section, part: str, say: Phrases) -> str:
    names = next(names for known, names in deliverers(s) if known == part)
    shown = [
        took.name + (f" ({took.network})" if took.network else "") + (" *" if took.invented else "")
        for took in names[:_SHOWN]
    ]
    more = f" {say.and_more(len(names) - _SHOWN)}" if len(names) > _SHOWN else ""
    return ", ".join(shown) + more


def _item(item: Item, say: Phrases, *, taxed: bool, several: bool) -> list[Any]:
    note = " · ".join(filter(None, (item.category.upper() if several else "", say.shared_of(item), item.exchanged)))
    money = [say.money(item.net), *([say.money(item.tax), say.money(item.total)] if taxed else [])]
    return [(item.label, note), say.figures(amount_of(item)), say.figures(price_of(item)), *money]


def _remittance(d: Remittance, say: Phrases) -> dict[str, Any]:
    return {
        "title": say.advice,
        "who": [
            (say.to, d.name + " *" * d.made_up, f"{say.account} {d.account}"),
            (say.issued, say.day(d.at, d.zone), say.local_time(d.zone)),
        ],
        "ask": say.payable,
        "ask_more": "",
        "ask_amount": say.money(d.total),
        "rows": [],
        "columns": [say.delivered, say.times, say.credited, say.payable],
        "sections": [
            {"payer": "", "name": say.deliveries, "uses": "", "words": "", "sum": "", "by": [],
             "rows": [_due(due, say) for due in d.dues]}
        ],
        "taxes": [],
        "total": (say.payable, f"{say.money(d.total)} {d.currency}"),
        "figure": _figure(remittance_flow(d), d),
        "figure_title": say.where,
        "small": [say.rounding_of(d, decimals(d.exact))],
    }  # fmt: skip


def _due(due: Due, say: Phrases) -> list[Any]:
    label = f"{due.label}, {due.part.lower()}" if due.service else due.part
    measured = ", ".join(say.figures(quantity(m.quantity, m.unit)) for m in due.measured)
    note = " · ".join(filter(None, (measured, f"{say.exact} {decimals(due.exact)}" if due.service else "")))
    return [(label, note), f"{due.uses:,}", say.money(due.credited), say.money(due.payable)]


def _figure(flow: Flow, d: Document) -> str:
    """The flow of the fee as SVG; empty when there is nothing to tell apart or to give back."""
    total = int(d.total.replace(".", ""))
    whole = sum(atoms for (source, _), atoms in flow.links.items() if flow.nodes[source].column == 0)
    if len(flow.links) < 3 or not 0 < total == whole:
        return ""
    return flow_svg(flow, name="flow", title=d.number, canvas=PAPER, style=PRINTED)


def _flipped(total: str, say: Phrases) -> str:
    return say.money(total[1:] if total.startswith("-") else f"-{total}" if total.strip("0.") else total)


__all__ = ["documents_pdf"]
