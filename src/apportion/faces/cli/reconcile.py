"""A provider's own records held against ours: ``reconcile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from apportion.faces.cli.options import PLACE, TABLE, BadUsage, Place, TableAnswer, Words
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table, write_table

if TYPE_CHECKING:
    from apportion.faces.cli.reach import Reach
    from apportion.faces.reconciling import OpenedDispute, Reconciling
    from apportion.model.reconciliation import Reconciled, Reconciliation

_SHOWN, _DISPUTED = 40, 20
_ROW = ("verdict", "row", "why", "source", "id", "service", "part", "start", "period", "uses", "quantities", "claimed",
        "standing", "difference", "currency", "charge", "dispute")  # fmt: skip
_ALL = ("verdict", "why", "by", "row", "digest", "source", "id", "service", "part", "start", "period", "usage", "uses",
        "claimed_uses", "quantities", "currency", "claimed", "portion", "standing", "difference", "charge", "entry",
        "dispute", "note")  # fmt: skip


def _reconciling(books: Reach) -> Reconciling:
    from apportion.faces.reconciling import Reconciling

    return Reconciling(books.ask)


def reconcile(
    file: Words,
    /,
    *,
    provider: str = "",
    from_: Annotated[str, Parameter(name="--from")] = "",
    until: str = "",
    tolerance: str = "",
    quantity: str = "",
    amount: str = "",
    by: Literal["id", "time"] = "id",
    within: int = 60,
    zone: str = "",
    all: bool = False,
    dispute: bool = False,
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> int:
    """Hold a provider's own records, or its invoice, against our meter and the ledger.

    Such as: apportion reconcile november.csv --provider hosta --tolerance 0.5% --amount 0.005

    Each row is matched, different, missing (we have it, they do not) or extra (they have it, we do not). Nothing is
    booked. Exit code 1 when anything is not matched.

    Args:
        file: CSV or JSON Lines, also .gz: id, source, service, part, start, quantities by measure, amount, currency. A
            row with uses, or of a day or period, is a sum.
        provider: Whose records they are; a provider's key may leave it out.
        from_: Look for uses of ours that began from then on; since their first row when not given.
        until: And before then; up to their last row when not given.
        tolerance: How far quantities and amounts may be apart: 0.5% of ours, 0.01, or 0.5%+0.01; 0 when not given.
        quantity: The same for quantities alone.
        amount: The same for amounts alone.
        by: id, when not given, finds rows by the id of the use, and by time where we do not know it; time leaves ids
            aside.
        within: How many seconds starts may be apart where a row is found by time.
        zone: The time zone of times without an offset; the catalog's when not given.
        all: Also list what is matched, and everything that is not.
        dispute: Open a dispute for each row that asks for more than was credited, once however often it is run.
    """
    if within < 0:
        raise BadUsage("--within is a number of seconds, 0 or more.")
    how = {
        "start": from_, "until": until, "quantity": quantity or tolerance or "0", "amount": amount or tolerance or "0",
        "by": by, "apart": within, "zone": zone, "show": "all" if all else "open", "limit": 150_000,
    }  # fmt: skip
    with (changing if dispute else reading)(place) as books:
        reconciling = _reconciling(books)
        report = reconciling.file(file, provider, **how)
        opened = reconciling.dispute(report) if dispute else ()
    if answer.json or answer.csv:
        table = Table(_ALL, [_cells(row, _ALL) for row in report.rows])
        answer.give(table, {"report": report, "disputes": opened} if dispute else report)
    else:
        _tell(report, whole=all)
        _tell_disputes(report, opened, asked=dispute)
    return int(report.bad_rows > 0 or any(one.verdict != "matched" for one in report.tallies))


def _tell(report: Reconciliation, *, whole: bool) -> None:
    """The report as a person reads it: sums, drift, then the rows that are not matched."""
    time = f" from {report.start} until {report.until}" if report.start or report.until else ""
    print(f"Records of {report.provider}{time}, digest {report.records[:16]}\n")
    tallies = [(t.verdict, str(t.rows), t.claimed, t.standing, t.difference, t.currency) for t in report.tallies]
    write_table(Table(("verdict", "rows", "claimed", "credited", "difference", "currency"), tallies))
    if report.drift:
        drift = [(one.of, one.theirs, one.ours, one.difference, "" if one.within else "beyond") for one in report.drift]
        print("\nIn all")
        write_table(Table(("of", "theirs", "ours", "difference", "tolerance"), drift))
    for line in _notes(report):
        print(line)
    rows = report.rows if whole else report.rows[:_SHOWN]
    if rows:
        print()
        kept = [_cells(row, _ROW) for row in rows]
        used = [at for at in range(len(_ROW)) if any(cells[at] for cells in kept)]
        write_table(Table(tuple(_ROW[at] for at in used), [tuple(cells[at] for at in used) for cells in kept]))
    more = len(report.rows) - len(rows) + report.more
    if more:
        print(f"and {more:,} more; --all lists them, --csv and --json hold them.")
    for note in dict.fromkeys(row.note for row in report.rows if row.note):
        print(f"\n{note}")


def _notes(report: Reconciliation) -> list[str]:
    """What else there is to know, one line each."""
    lines = []
    if report.unknown:
        lines.append(f"Not compared, as no service measures it: {', '.join(report.unknown)}.")
    if report.outside:
        lines.append(f"Of their rows in another time: {report.outside:,}.")
    if report.uncharged:
        lines.append(f"Of our uses waiting to be charged: {report.uncharged:,}.")
    lines += [f"Besides, {amount} {code} was credited without a use." for code, amount in report.besides.items()]
    if report.bad_rows:
        lines.append(f"Rows that could not be read: {report.bad_rows:,}.")
        lines += [f"  line {one.row}: {one.refusal.sentence()}" for one in report.bad[:10]]
    return ["", *lines] if lines else []


def _cells(row: Reconciled, columns: tuple[str, ...]) -> tuple[str, ...]:
    """A row as text, column by column."""
    compared = [one for one in row.quantities if one.theirs] or row.quantities
    quantities = "; ".join(
        f"{one.measure} {one.theirs or '–'}/{one.ours or '–'}"
        + ("" if one.accepted == one.ours else f"/{one.accepted}")
        for one in compared
    )
    own = {
        "quantities": quantities, "row": str(row.row or ""), "uses": _uses(row),
        "dispute": row.dispute.amount if row.dispute is not None else "",
    }  # fmt: skip
    return tuple(own[name] if name in own else str(getattr(row, name)) for name in columns)


def _uses(row: Reconciled) -> str:
    if row.by != "sum":
        return ""
    return f"{row.claimed_uses or '–'}/{row.uses}"


def _tell_disputes(report: Reconciliation, opened: tuple[OpenedDispute, ...], *, asked: bool) -> None:
    ready = sum(row.dispute is not None for row in report.rows)
    if asked and not ready:
        print("\nNothing to dispute: no row asks for more than was credited.")
    elif not asked and ready:
        print(f"\nReady to be disputed: {ready:,}. Run it again with --dispute to open a case for each.")
    for one in opened[:_DISPUTED]:
        if one.case is not None:
            print(
                f"\nrow {one.row}: {one.case.id} disputes {one.case.amount} {one.case.currency} of {one.charge}", end=""
            )
        elif one.refusal is not None:
            print(f"\nrow {one.row}: {one.charge} is not disputed: {one.refusal.sentence()}", end="")
    if opened:
        print(f"\nand {len(opened) - _DISPUTED:,} more." if len(opened) > _DISPUTED else "")
