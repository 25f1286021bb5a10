"""Pricing booked charges again after a price error: ``rerate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from apportion.faces.cli.options import PLACE, TABLE, Live, Place, TableAnswer, read
from apportion.faces.cli.reach import changing
from apportion.faces.progress import Progress
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.rerating.door import RerateAnswer

_COLUMNS = ("role", "who", "currency", "charges", "before", "after", "change")
_WHY = {
    "right": "stand right",
    "session": "are slices of sessions",
    "agreed": "have the price of an agreed plan",
    "period": "count in totals of a period",
    "given_back": "were given back already, beyond the corrected price",
    "dearer": "would cost a payer more",
    "refused": "have no price by the corrected terms",
}


def rerate(
    *,
    service: str,
    start: Annotated[str, Parameter(name="--from")] = "",
    until: str = "",
    payer: str = "",
    catalog: str = "",
    only_credits: bool = False,
    dry_run: bool = False,
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
    progress: Live = False,
) -> None:
    """Price booked charges again by a corrected catalog, and book what each differs by.

    Such as: apportion rerate --service ride --from 2026-10-01T00:00:00Z --dry-run

    What was booked stays; every difference is a charge of its own that names the one it corrects, and the next
    statement shows it. Once corrected a charge stands right: run it again and nothing is booked.

    Args:
        service: The service whose charges they are.
        start: Only what was used at this instant or later (RFC 3339).
        until: Only what was used before this instant.
        payer: Only charges of this payer.
        catalog: The corrected terms: a version (cat_…), or the file of one that was applied; that in force when not
            given.
        only_credits: Leave charges that a payer would pay more for. Otherwise those are charged, whatever is left on
            the account.
        dry_run: Book nothing; tell what would be.
    """
    from apportion.engine.rerating.door import RerateInput
    from apportion.faces.rerating import Reratings, summed

    words = {
        "service": service, "start": start, "end": until, "payer": payer, "catalog": _version(catalog),
        "only_credits": only_credits, "dry_run": dry_run,
    }  # fmt: skip
    given = read(words, RerateInput)
    with changing(place) as books, Progress("rerate", live=progress) as bar:
        pages: list[RerateAnswer] = []
        looked = 0
        for page in Reratings(books.ask).pages(given):
            pages = [summed([*pages, page])]
            looked += page.looked
            bar.update(looked)
    done = pages[0]
    rows = [(r.role, r.who, r.currency, f"{r.charges}", r.before, r.after, r.change) for r in done.rows]
    if answer.give(Table(_COLUMNS, rows), done):
        _tell(done)


def _version(name: str) -> str:
    """The version of a catalog, which may be given as its file."""
    if not name or name.startswith("cat_"):
        return name
    from apportion.adapters.catalog_file import load_catalog
    from apportion.engine.catalogs import canonical, catalog_id, without_people

    return catalog_id(canonical(without_people(load_catalog(name))))


def _tell(done: RerateAnswer) -> None:
    verb = "would be corrected" if done.dry else "were corrected"
    print(f"\n{done.looked:,} charges looked at by {done.catalog}: {done.corrected:,} {verb}.")
    for one in done.left:
        words = f" {one.words}" if one.words else ""
        first = "" if one.reason == "right" else f", such as {one.first}"
        print(f"  {one.count:,} {_WHY.get(one.reason, one.reason)}{first}.{words}")
