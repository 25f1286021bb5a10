"""Documents as plain text of 80 columns, and as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator

from apportion.model.statement import CreditNote, Document, Due, Item, Remittance, Seal, Section, Statement
from apportion.stages.statement.figures import amount_of, day, decimals, grouped, price_of, quantity, span
from apportion.stages.statement.words import plain

WIDTH = 80
_MONEY = 14
_SHOWN_PROVIDERS = 6
_RECEIVED = {
    "opening": "Opening value", "bucket": "From a bucket", "refund": "Paid back to the card",
    "chargeback": "Charged back by the bank",
}  # fmt: skip


def as_text(document: Document) -> str:
    """The document as plain text, at most 80 columns wide."""
    lines = _statement(document) if isinstance(document, Statement) else _remittance(document)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _statement(s: Statement) -> Iterator[str]:
    title = "CREDIT NOTE" if isinstance(s, CreditNote) else "STATEMENT"
    yield from _head(title, s, f"for {s.name}")
    if len(s.beside) > 1:
        yield from _small(f"One of several statements of this period: {', '.join(s.beside)}.")
    else:
        yield from _account(s)
    yield ""
    yield _due(s)
    for section in s.sections:
        yield ""
        yield from _section(section)
    yield ""
    yield _rule()
    if len(s.taxes) > 1 or any(tax.name for tax in s.taxes):
        yield _row("Net", s.net)
        for tax in s.taxes:
            if tax.name:
                yield _row(f"{tax.name.upper()} {tax.rate} % on {grouped(tax.base)}", tax.amount)
    yield _row(f"TOTAL, {s.currency}", s.total)
    yield _rule()
    yield ""
    yield from _small(
        f"The books: {grouped(s.charges)} charged, {grouped(s.residue_in)} carried in from rounding, "
        f"{grouped(s.residue_out)} carried on: together {grouped(s.total)} {s.currency}. "
        "Charges are kept finer than cents; a statement rounds them once, and the rest goes on to the next."
    )
    yield from _foot(s.seal, s.invented, s.attribution)


def _account(s: Statement) -> Iterator[str]:
    """How the account came from the last document to this one."""
    yield _row("Brought forward", s.brought)
    for received in s.received:
        word = _RECEIVED.get(received.kind, "Value added")
        amount = received.amount.removeprefix("-")
        yield _row(f"{word}, {day(received.at, s.zone)}", amount, "+" if amount == received.amount else "−")
    if isinstance(s, CreditNote):
        yield _row(f"Given back of {s.corrects}", s.total.removeprefix("-"), "+")
    else:
        yield _row("Charges of this statement", s.total, "−")
    yield _rule("·")
    yield _row(f"Balance, {s.currency}", s.balance)


def _section(section: Section) -> Iterator[str]:
    uses = f"{section.uses:,} use{'s' * (section.uses != 1)}" if section.uses else ""
    free = f", {section.free:,} of them free" if section.free else ""
    if section.account:
        yield f"Used by {section.payer or section.account}"
    late = f", {section.late:,} used earlier" if section.late else ""
    yield _ends(section.name, uses + free + late)
    yield _rule()
    for item in section.items:
        yield from _item(item)
    if section.providers:
        parts: dict[str, list[str]] = {}
        for took in section.providers:
            over = f" ({took.network})" if took.network else ""
            parts.setdefault(plain(took.part), []).append(took.name + over + " *" * took.invented)
        for part, names in parts.items():
            more = len(names) - _SHOWN_PROVIDERS
            shown = ", ".join(names[:_SHOWN_PROVIDERS]) + (f" and {more} more" if more > 0 else "")
            yield from textwrap.wrap(f"{part}: {shown}", WIDTH - 2, initial_indent="  ", subsequent_indent="    ")
        if any(took.invented for took in section.providers):
            yield "  * invented for this example"


def _item(item: Item) -> Iterator[str]:
    used = amount_of(item)
    yield f"  {item.label[:26]:26} {used:>18} {_price(item):>16} {grouped(item.net):>{_MONEY}}"
    if item.shared:
        times = f"{item.shared:,} of {item.uses:,}" if item.shared < item.uses else "all"
        yield f"    ({times} shared with others; you bear your part)"
    if item.exchanged:
        yield from textwrap.wrap(item.exchanged, WIDTH - 8, initial_indent="    ", subsequent_indent="      ")


def _price(item: Item) -> str:
    price = price_of(item)
    return price if len(price) <= 16 else ""


def _due(s: Statement) -> str:
    if s.preview:
        return "A preview: nothing is asked for yet."
    if s.due.strip("0."):
        by = f" BY {s.pay_by[:10]}" if s.pay_by else ""
        return _row(f"PLEASE PAY{by}", f"{grouped(s.due)} {s.currency}")
    return "Nothing is to be paid: the balance covers it."


def _remittance(r: Remittance) -> Iterator[str]:
    yield from _head("REMITTANCE ADVICE", r, f"to {r.name}{' *' * r.made_up}")
    yield f"  {'Delivered':34} {'times':>8} {'credited':>18} {'payable':>{_MONEY}}"
    yield _rule()
    for due in r.dues:
        label = f"{due.label}, {due.part.lower()}" if due.service else due.part
        for place, line in enumerate(textwrap.wrap(label, 34)):
            figures = f"{due.uses:>8,} {grouped(due.credited):>18} {grouped(due.payable):>{_MONEY}}"
            yield f"  {line:34} {figures}" if not place else f"  {line}"
        if due.service:
            yield from _small_in(f"exact {decimals(due.exact)}" + _measured(due))
    yield _rule()
    yield _row(f"PAYABLE, {r.currency}", r.total)
    yield _rule()
    yield ""
    yield from _small(
        f"Credited {grouped(r.credited)}, {grouped(r.residue_in)} carried in from rounding, "
        f"{grouped(r.residue_out)} carried on: payable {grouped(r.total)} {r.currency}. "
        f"Exact dues: {decimals(r.exact)}; what rounding keeps of them is paid out when periods are closed."
    )
    if r.settlement:
        yield from _small(f"It goes with settlement {r.period}: everything that was booked until then is on it.")
    if r.paid:
        yield from _small(f"Paid out since the advice before: {grouped(r.paid)} {r.currency}.")
    if r.made_up:
        yield "* invented for this example"
    yield from _foot(r.seal, r.invented, r.attribution)


def _measured(due: Due) -> str:
    """What was measured, each component by name when there are several."""
    several = len(due.measured) > 1
    words = [f"{m.label.lower() + ' ' if several else ''}{quantity(m.quantity, m.unit)}" for m in due.measured]
    return "; " + ", ".join(words) if words else ""


def _small_in(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 18, initial_indent="    ", subsequent_indent="    ")


def _head(title: str, d: Document, whom: str) -> Iterator[str]:
    yield _rule("═")
    yield _ends(title, "preview" if d.preview else d.number)
    yield _ends(d.issuer, span(d.start, d.end, d.zone))
    yield _rule("═")
    yield ""
    yield _ends(whom, f"account {d.account}")
    about = f"session {d.session}" if isinstance(d, Statement) and d.session else ""
    yield _ends(about, f"{'as of' if d.preview else 'issued'} {day(d.at, d.zone)}")
    yield ""


def _foot(seal: Seal, invented: str, attribution: str) -> Iterator[str]:
    yield ""
    signed = f"signed {seal.at[:19]}Z" if seal.signature else "not signed"
    yield from _small(f"Seal: {seal.n:,} rows of the books under {seal.head[:32]}…, {signed}.")
    if invented:
        yield ""
        yield from _small("Invented in this example: " + " ".join(invented.split()))
    if attribution:
        yield from _small(" ".join(attribution.split()))


def _small(text: str) -> Iterator[str]:
    return iter(textwrap.wrap(text, WIDTH))


def _rule(mark: str = "─") -> str:
    return mark * WIDTH


def _ends(left: str, right: str) -> str:
    room = WIDTH - len(right) - 2
    return f"{left[:room]:{room}}  {right}"


def _row(label: str, amount: str, sign: str = "") -> str:
    shown = amount if amount[-1:].isalpha() else grouped(amount)
    return _ends(label, f"{sign} {shown}".strip())


COLUMNS = (
    "number", "kind", "account", "period", "service", "line", "category", "uses", "shared", "quantity", "unit",
    "price", "net", "tax", "total", "currency", "exact", "credited",
)  # fmt: skip


def as_csv(document: Document) -> str:
    """The lines of a document as CSV with a header; text that a spreadsheet would run gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    d = document
    if isinstance(d, Statement):
        kind = "credit-note" if isinstance(d, CreditNote) else "statement"
        for section in d.sections:
            for i in section.items:
                _write(writer, (
                    d.number, kind, _whose(section, d), d.period, section.service or section.name, i.label, i.category,
                    str(i.uses), str(i.shared), i.quantity, i.unit, i.price, i.net, i.tax, i.total, d.currency, "", "",
                ))  # fmt: skip
    else:
        for due in d.dues:
            measured = "; ".join(f"{m.label} {m.quantity} {m.unit}" for m in due.measured)
            _write(writer, (
                d.number, "remittance", d.account, d.period, due.service, due.part, "", str(due.uses), "", measured,
                "", "", "", "", due.payable, d.currency, due.exact, due.credited,
            ))  # fmt: skip
    return out.getvalue()


def _whose(section: Section, d: Statement) -> str:
    """Whose account a line is of."""
    return section.account or d.account


def _write(writer, cells: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    writer.writerow([tame(cell) for cell in cells])


def tame(cell: str) -> str:
    """Text that begins like a formula gets an apostrophe; numbers stay numbers."""
    if cell[:1] in ("=", "+", "@", "-", "\t", "\r") and not set(cell) <= set("-0123456789."):
        return "'" + cell
    return cell
