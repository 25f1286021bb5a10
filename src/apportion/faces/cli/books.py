"""What changes the books: ``run``, ``close``, ``topup``, ``forget``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from apportion.faces.cli.accounts import known
from apportion.faces.cli.options import ANSWER, PLACE, Answer, BadUsage, Live, Place, Words
from apportion.faces.cli.pricing import there
from apportion.faces.cli.reach import beginning, changing
from apportion.faces.invoked import program
from apportion.faces.progress import Progress
from apportion.faces.tables import write_table

if TYPE_CHECKING:
    from apportion.engine.close import Closed
    from apportion.engine.intake import RunSummary
    from apportion.faces.reading import Commands
    from apportion.faces.summary import Moved

_REASONS = 5
_ROLES = {"payers": "payer", "providers": "provider", "platform": "platform", "tax": "tax", "sponsors": "sponsor"}


def run(
    catalog: str,
    /,
    *usage: Words,
    close: bool = False,
    source: str = "",
    service: str = "",
    strict: bool = False,
    place: Place = PLACE,
    answer: Answer = ANSWER,
    progress: Live = False,
) -> int:
    """Rate, charge, apportion and book usage files.

    Such as: apportion run catalog.toml usage.csv --store rides.db --close

    The catalog is put into force first. Every record ends in one class: charged, zero-rated, duplicate, rejected or
    pending (it waits for value, and is tried again by the next run). Run the same file twice and nothing is charged
    again.

    Args:
        catalog: The catalog file (TOML or JSON).
        usage: Usage files (.csv, .jsonl, .csv.gz, .jsonl.gz, .parquet); - reads JSON Lines from standard input.
        close: Close the periods that the usage falls into: re-rate running totals, book what only a period has.
        source: The source of records that name none; (source, id) is unique for ever.
        service: The service of records that name none.
        strict: Exit code 1 when a record was rejected.
    """
    from apportion.adapters.catalog_file import load_catalog
    from apportion.faces.reading import read_usage
    from apportion.faces.summary import moved

    if not usage:
        raise BadUsage("Name a usage file after the catalog. See apportion run --help.")
    for file in usage:
        there(file)
    terms = load_catalog(catalog)
    batches = [read_usage(file, terms, source=source, service=service) for file in usage]
    with beginning(place) as books, Progress("run", live=progress) as bar:
        version = books.apply(terms)
        before = books.accounts()
        summary, charge = books.run(_chained(batches), lambda so_far: bar.update(so_far.received))
        seconds = bar.seconds
        closed = books.close_period("", force=True) if close else None
        rows = moved(before, books.accounts())
    if answer.json:
        answer.give(_run_data(version, summary, rows, closed) | {"seconds": round(seconds, 3)}, "")
    else:
        _tell_classes(summary)
        _tell_money(summary, rows, closed)
        speed = f", {summary.received / seconds:,.0f} records a second" if seconds > 0 else ""
        print(f"\n{seconds:.2f} s{speed}")
        _tell_next(summary, rows, charge, place)
    return 1 if strict and summary.rejected else 0


def _chained(batches: list[Iterator[Commands]]) -> Iterator[Commands]:
    for file in batches:
        yield from file


def _run_data(version: str, summary: RunSummary, rows: list[Moved], closed: Closed | None) -> dict[str, Any]:
    import msgspec

    from apportion.faces.cli.failure import refusal_data
    from apportion.faces.summary import TOP, totals

    found: dict[str, Any] = {"catalog": version} | msgspec.to_builtins(summary)
    found["declined"] = [
        {"source": one.source, "id": one.id, "state": one.state, "error": refusal_data(one.refusal)}
        for one in summary.declined
    ]
    for name, role in _ROLES.items():
        mine = [row for row in rows if row.role == role]
        found[name] = {"totals": totals(mine), "count": len(mine), "top": msgspec.to_builtins(mine[:TOP])}
    return found | {"closed": msgspec.to_builtins(closed)}


def _tell_classes(summary: RunSummary) -> None:
    counts = [
        f"{summary.charged:,} charged",
        f"{summary.zero_rated:,} zero-rated",
        f"{summary.duplicate:,} duplicate",
        f"{summary.rejected:,} rejected",
        f"{summary.pending:,} pending",
    ]
    print(f"{summary.received:,} records received: {', '.join(counts)}.")
    if summary.settled:
        print(f"{summary.settled:,} records that waited from earlier runs were settled.")
    for one in summary.declined[:_REASONS]:
        print(f"  {one.state}  {one.source} {one.id or '(no id)'}: {one.refusal.sentence()}")
    if summary.rejected + summary.pending > _REASONS:
        print(f"  and {summary.rejected + summary.pending - _REASONS:,} more; --json lists the first hundred.")


def _tell_money(summary: RunSummary, rows: list[Moved], closed: Closed | None) -> None:
    from apportion.faces.summary import earned, paid

    for table in (paid(rows), earned(rows)):
        if table.rows:
            print()
            write_table(table)
    if summary.alerts:
        print(f"\n{summary.alerts:,} charges were less than what their providers cost; a sponsor carried the rest.")
    if closed is not None:
        print("\n" + _closed_words(closed))


def _closed_words(closed: Closed) -> str:
    """What a close did, in a sentence."""
    periods = ", ".join(closed.periods)
    trued = ", ".join(f"{amount} {asset.partition('/')[0]}" for asset, amount in closed.trued_up.items())
    rest = f" Rounding was trued up by {trued}." if trued else ""
    if not periods:
        return f"No period had running totals or fees of its own to close.{rest}"
    return (
        f"Closed {periods}: {closed.accounts:,} accounts, {closed.records:,} records re-rated, "
        f"{closed.adjustments:,} adjustments.{rest}"
    )


def _tell_next(summary: RunSummary, rows: list[Moved], charge: str, place: Place) -> None:
    store = place.words()
    steps = [f"{program()} balance{store}"]
    if charge:
        steps.append(f"{program()} explain {charge}{store}")
    payer = next((row.id for row in rows if row.role == "payer"), "")
    if payer:
        steps.append(f"{program()} trace {payer}{store}")
    steps.append(f"{program()} verify{store}")
    print("\nNext:\n" + "\n".join(f"  {step}" for step in steps))
    if summary.pending:
        print(f"Pending usage waits for value: apportion topup PAYER AMOUNT CURRENCY{store}, then this run again.")


def close(period: str, /, *, force: bool = False, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Close a billing period for all payers.

    Such as: apportion close 2026-11

    Running totals are priced again in one order for ever and the differences booked; what only a period has (monthly
    fees, minimum, maximum, peaks) is booked; rounding is trued up. Closing again changes nothing.

    Args:
        period: A month (2026-11), a week (2026-W47), or the first day of a custom period.
        force: Close it before it has ended; usage of it that comes later will wait.
    """
    with changing(place) as books:
        closed = books.close_period(period, force=force)
    answer.give(closed, _closed_words(closed))


def topup(
    payer: str,
    amount: Words,
    currency: str,
    /,
    *,
    reference: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Add value to a payer's account.

    Such as: apportion topup ada 20.00 EUR --reference bank-4711

    Args:
        payer: The payer, by the name that usage calls them or by account id.
        amount: How much, above zero.
        currency: In which currency.
        reference: What makes this top-up unique for ever, such as the bank's id of the transfer: given twice, it is
            booked once. A fresh one when not given.
    """
    if not reference:
        import secrets

        reference = f"topup-{secrets.token_hex(8)}"
    with changing(place) as books:
        if payer.startswith("acct_"):
            payer = known(books, payer)[0].owner
        top = books.top_up(payer, amount, currency, reference)
    found = {"id": top, "payer": payer, "amount": amount, "currency": currency, "reference": reference}
    waiting = "Usage that waited for value is tried again by the next run."
    answer.give(found, f"{amount} {currency} added for {payer} as {top}, reference {reference}. {waiting}")


def forget(party: str, /, *, yes: bool = False, place: Place = PLACE, answer: Answer = ANSWER) -> int:
    """Delete everything personal of a party beyond recovery.

    The books stay whole and keep verifying: they hold opaque ids, quantities and amounts only.

    Args:
        party: The person, by the name that usage calls them.
        yes: Do not ask.
    """
    if not yes and not _confirmed(party):
        print("apportion: nothing was forgotten.", file=sys.stderr)
        return 1
    with place.change() as engine:
        rows = engine.forget(party)
    answer.give({"party": party, "rows": rows}, f"{party} is forgotten: {rows} rows deleted. The books still verify.")
    return 0


def _confirmed(party: str) -> bool:
    if not sys.stdin.isatty():
        raise BadUsage(f"Forgetting can not be undone. Say so: apportion forget {shlex.quote(party)} --yes.")
    print(f"Delete everything personal of {party!r} beyond recovery? Type the name again: ", end="", file=sys.stderr)
    return sys.stdin.readline().strip() == party
