"""What-if: ``whatif``, a past period told again under other terms."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING

from apportion.faces.cli.options import PLACE, TABLE, BadUsage, Live, Place, TableAnswer
from apportion.faces.cli.reach import Here, reading
from apportion.faces.progress import Progress
from apportion.faces.tables import Table, write_table

if TYPE_CHECKING:
    from apportion.faces.cli.reach import Reach
    from apportion.model.whatif import Change, PartyCompared, WhatIf, WhatIfInput

_SHOWN = 20  # parties of a side on a terminal; a program gets all
_COLUMNS = ("side", "name", "currency", "booked", "replayed", "difference", "percent")


def whatif(
    catalog: str = "",
    /,
    *,
    period: str = "",
    service: str = "",
    provider: tuple[str, ...] = (),
    part: tuple[str, ...] = (),
    tariff: tuple[str, ...] = (),
    share: tuple[str, ...] = (),
    platform: tuple[str, ...] = (),
    rule: tuple[str, ...] = (),
    allocate: tuple[str, ...] = (),
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
    progress: Live = False,
) -> None:
    """Replay a past period under other terms, and compare who would have paid and earned what. Nothing is booked.

    Such as: apportion whatif --period 2026-10 --provider edge-north=budget-cdn --share calls.near=3

    Each record is rated again by the version of the catalog that it was charged by, with these changes; or by a whole
    other catalog. With neither it is a control: every difference must be zero. All options but the first two may stand
    several times.

    Args:
        catalog: A whole other catalog (TOML or JSON) to replay under.
        period: A period of the payers' calendars, such as 2026-10 or 2026-W40; all that was used when not given.
        service: This service alone.
        provider: OLD=NEW: what one provider delivered, another would have.
        part: SERVICE.PART=PROVIDER: one provider would have delivered all of this part.
        tariff: SERVICE=TARIFF, the retail price; or SERVICE.PART.PROVIDER=TARIFF, what that provider earns.
        share: SERVICE.PART=WEIGHT, under the rule shares.
        platform: SERVICE=WEIGHT: the platform's weight or fraction.
        rule: SERVICE=RULE: how providers share, by wholesale, shares, quantity or cost.
        allocate: SERVICE=RULE: how payers share, equal, shares, cost or least-cost.
    """
    named = {
        "tariff": tariff, "part": part, "provider": provider, "share": share, "platform": platform, "rule": rule,
        "allocate": allocate,
    }  # fmt: skip
    given = _given(catalog, period, service, [_change(kind, word) for kind, words in named.items() for word in words])
    with reading(place) as books:
        found = _replayed(books, given, live=progress)
    parties = found.parties if answer.json or answer.csv else _folded(found)
    rows = [
        (one.side, one.name, one.currency, one.booked, one.replayed, one.difference, one.percent) for one in parties
    ]
    if answer.give(Table(_COLUMNS, rows), found):
        _tell(found)


def _folded(found: WhatIf) -> list[PartyCompared]:
    """The parties for a person: those of a side with the largest differences, and the others as one row."""
    from apportion.model.whatif import PartyCompared

    rows: list[PartyCompared] = []
    for _, group in itertools.groupby(found.parties, key=lambda one: (one.side, one.currency)):
        side = list(group)
        shown = side if len(side) <= _SHOWN + 1 else side[:_SHOWN]
        rows += shown
        rest = side[len(shown) :]
        if rest:
            booked, replayed, more = (
                format(sum(Decimal(getattr(one, name)) for one in rest), "f") for name in _COLUMNS[3:6]
            )
            others = f"{len(rest)} others"
            rows.append(PartyCompared(side[0].side, others, side[0].currency, booked, replayed, more, ""))
    return rows


def _replayed(books: Reach, given: WhatIfInput, *, live: bool) -> WhatIf:
    if isinstance(books, Here):
        from apportion.engine.whatif.replay import replay

        with Progress("whatif", live=live) as bar:
            return replay(books.engine, given, lambda done, of: bar.update(done, f"rows of {of:,}"))
    found: WhatIf = books.ask("what_if", given=given)
    return found


def _given(catalog: str, period: str, service: str, changes: list[Change]) -> WhatIfInput:
    from apportion.model.whatif import WhatIfInput

    if not catalog:
        return WhatIfInput(period, service, None, tuple(changes))
    from apportion.adapters.catalog_file import load_catalog

    return WhatIfInput(period, service, load_catalog(catalog), tuple(changes))


def _change(kind: str, word: str) -> Change:
    from apportion.model.whatif import Change

    what, mark, to = word.partition("=")
    if not (mark and what and to):
        raise BadUsage(f"--{kind} {word[:60]}: write WHAT=TO, such as {_SUCH[kind]}.")
    return Change(kind, what.strip(), to.strip())  # type: ignore[arg-type]


_SUCH = {
    "tariff": "calls=evening", "part": "calls.near=oak", "provider": "oak=elm", "share": "calls.near=3",
    "platform": "calls=0.1", "rule": "calls=quantity", "allocate": "calls=equal",
}  # fmt: skip


def _tell(found: WhatIf) -> None:
    """The sums, the services, what stands apart, and what to know of it."""
    print()
    rows = [
        (f"all {one.side}s" if one.side in ("payer", "sponsor", "provider") else one.side, one.currency, one.booked,
         one.replayed, one.difference, one.percent)
        for one in found.totals
    ]  # fmt: skip
    write_table(Table(("together", "currency", "booked", "replayed", "difference", "percent"), rows))
    print()
    rows = [
        (one.service, one.currency, one.booked, one.replayed, one.difference, one.percent) for one in found.services
    ]
    write_table(Table(("service", "currency", "booked", "replayed", "difference", "percent"), rows))
    if found.apart:
        print("\nTold as they were booked, on both sides:")
        for one in found.apart:
            said = f"  {one.message}" if one.message else ""
            print(f"  {one.count:,} × {one.reason}: {one.booked} {one.currency}, such as {one.example}.{said}")
    terms = "; ".join(found.terms) or "none, a control: every difference must be zero"
    print(
        f"\nChanges: {terms}.\n{found.records:,} records: {found.replayed:,} replayed, {found.untouched:,} that the"
        f" changes do not touch, {found.records - found.replayed - found.untouched:,} told as booked."
    )
    for note in found.notes:
        print(note)
    print("Nothing was booked.")
    if len(found.parties) > len(_folded(found)):
        print("Everybody by name: the same with --csv or --json.")
