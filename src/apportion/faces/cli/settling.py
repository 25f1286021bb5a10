"""Settling with providers: ``settle``, ``settlements``, ``payout``, ``payee`` and ``oblige``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, BadUsage, Place, TableAnswer, read
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.settling.views import PayoutView, SettlementView
    from apportion.faces.cli.reach import Reach
    from apportion.faces.settling import Settling

Format = Literal["", "pain001", "csv"]
_COLUMNS = (
    "settlement", "provider", "currency", "opening", "credits", "debits", "obliged", "paid", "closing", "payable",
)  # fmt: skip


def _settling(books: Reach) -> Settling:
    from apportion.faces.settling import Settling

    return Settling(books.ask, books.pages)


def settle(
    *,
    mode: Literal["gross", "net", "multilateral"] = "net",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Settle with providers: everything that was booked and that no settlement covers yet.

    Such as: apportion settle --mode multilateral

    It is counted by the rows of the books, not by the clock, so each portion is in exactly one settlement. Every
    provider gets a remittance advice. When nothing is new the last settlement comes back, unchanged.

    Args:
        mode: gross pays every obligation; net, when not given, sets off what two owe each other; multilateral makes
            one payment per provider, from or to the platform.
    """
    with changing(place) as books:
        done = _settling(books).settle(mode)
    to_person = _give(answer, done.settlements, done)
    if to_person and not done.settlements:
        print("Nothing to settle: nobody earned anything yet.")
    elif to_person:
        said = "" if done.made else "Nothing is new since then. "
        print(f"\n{said}Pay it out: apportion payout {done.settlements[-1].number} --format pain001 --out payout.xml")


def settlements(number: str = "", /, *, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """Settlements that were made, newest first; or one of them with its positions and payments.

    Args:
        number: A settlement by number (SET-000001) or id; all when not given.
    """
    with reading(place) as books:
        if number:
            found = _settling(books).one(number)
            _give(answer, (found,), found)
            return
        listed = list(_settling(books).all())
    columns = ("number", "at", "currency", "mode", "after", "upto", "providers", "credited", "payable")
    answer.give(Table.of(listed, columns), listed)


def _give(answer: TableAnswer, found: tuple[SettlementView, ...], value: object) -> bool:
    """Positions as a table, then for a person the payments; whether it went to one."""
    rows = [
        (one.number, p.provider, one.currency, p.opening, p.credits, p.debits, p.obliged, p.paid, p.closing, p.payable)
        for one in found
        for p in one.positions
    ]
    to_person = answer.give(Table(_COLUMNS, rows), value)
    for one in found if to_person else ():
        print(f"\n{one.number}: {one.mode}, rows {one.after + 1} to {one.upto}")
        for p in one.payments:
            rest = f", still open {p.open}" if p.open != p.amount else ""
            print(f"  {p.debtor} pays {p.creditor} {p.amount} {one.currency}{rest}")
        for name in one.over:
            print(f"  {name} owes more than its net debit cap allows")
    return to_person


def payout(
    id: str,
    /,
    *,
    format: Format = "",
    out: str = "",
    by: Literal["file", "transfer"] = "file",
    provider: str = "",
    amount: str = "",
    batch: int = 0,
    confirm: bool = False,
    fail: bool = False,
    note: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Pay out a settlement, and write the file for the bank; or say how a payout ended.

    Such as: apportion payout SET-000001 --format pain001 --out payout.xml, and later
    apportion payout pyo_… --confirm

    What is ordered leaves the provider's account and lies in clearing until its end is known. Run again it orders only
    what is left, and writes the file of the last batch again, byte for byte.

    Args:
        id: A settlement by number or id; or a payout (pyo_…).
        format: Write a file: pain001 (ISO 20022) or csv.
        out: The file to write.
        by: file, when not given, for the bank; transfer lets the processor of the node do it.
        provider: Pay this provider alone.
        amount: Pay it so much of what is left.
        batch: Write the file of this batch, and order nothing.
        confirm: The payout has arrived.
        fail: The payout has not arrived, or has come back.
        note: What the bank calls it, or why it failed.
    """
    if confirm and fail:
        raise BadUsage("--confirm and --fail are two ends. Choose one.")
    if bool(format) != bool(out):
        raise BadUsage("--format and --out go together: the format of the file, and where it is written.")
    if amount and not provider:
        raise BadUsage("--amount needs --provider: whom to pay so much.")
    if id.startswith("pyo_"):
        _one(id, (confirm, fail, note), place, answer)
        return
    if confirm or fail:
        raise BadUsage("--confirm and --fail are about a payout: name it, pyo_…")
    with changing(place) as books:
        settling = _settling(books)
        said, value = ("", {}) if batch else _ordered(settling, id, (by, provider, amount))
        if out:
            file = settling.payment_file(id, format, batch)
            Path(out).write_text(file.content, encoding="utf-8")
            said += f"Wrote {file.count} payouts, batch {file.batch}, to {out}."
            value |= {"file": out, "batch": file.batch, "count": file.count}
    answer.give(value, said.rstrip())


def payouts(
    *,
    state: Literal["", "created", "sent", "unknown", "succeeded", "failed"] = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Payouts as they stand, those of the newest settlement first. What is under way explains what lies in clearing.

    Args:
        state: Only those created, sent, unknown, succeeded or failed.
    """
    with reading(place) as books:
        found = list(_settling(books).payouts(state))
    columns = ("id", "debtor", "creditor", "amount", "currency", "by", "batch", "state", "requested", "reason")
    answer.give(Table.of(found, columns), found)


def _ordered(settling: Settling, id: str, how: tuple[str, str, str]) -> tuple[str, dict[str, object]]:
    """Order what is left; what to say of it."""
    from apportion.engine.settling.door import PayoutInput

    by, provider, amount = how
    words: dict[str, object] = {"by": by}
    if provider:
        words["payments"] = [{"debtor": "platform", "creditor": provider, "amount": amount}]
    done = settling.pay_out(id, read(words, PayoutInput))
    said = [f"{_line(one)}" for one in done.payouts] or ["Nothing is left to be ordered."]
    said += [f"waits: {one}" for one in done.waiting]
    return "\n".join(said) + "\n", {"settlement": done.settlement, "payouts": done.payouts, "waiting": done.waiting}


def _one(id: str, how: tuple[bool, bool, str], place: Place, answer: Answer) -> None:
    confirm, fail, note = how
    with changing(place) if confirm or fail else reading(place) as books:
        settling = _settling(books)
        if confirm:
            found = settling.confirm(id, note)
        else:
            found = settling.fail(id, note) if fail else settling.payout(id)
    answer.give(found, _line(found))


def _line(one: PayoutView) -> str:
    reason = f" ({one.reason})" if one.reason else ""
    return f"{one.id}  {one.debtor} pays {one.creditor} {one.amount} {one.currency} by {one.by}: {one.state}{reason}"


def payee(
    name: str,
    /,
    *,
    holder: str = "",
    iban: str = "",
    bic: str = "",
    destination: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Where a provider has its money, or `platform` for the platform; shown when nothing is given.

    Such as: apportion payee dora --holder "Dora Ltd" --iban DE89370400440532013000

    It is kept beside the books, never in them.

    Args:
        name: A provider of the catalog, or platform.
        holder: The holder of the account.
        iban: Its IBAN.
        bic: Its bank, where one must say.
        destination: What the processor of transfers calls it.
    """
    from apportion.model.payee import Payee

    given = Payee(holder, iban, bic, destination)
    with changing(place) if given != Payee() else reading(place) as books:
        settling = _settling(books)
        found = settling.put_payee(name, given) if given != Payee() else settling.payee(name)
    said = [f"{label} {text}" for label in Payee.__struct_fields__ if (text := getattr(found, label))]
    answer.give(found, f"{name}: {', '.join(said)}")


def oblige(
    debtor: str,
    creditor: str,
    amount: str,
    currency: str,
    /,
    *,
    reference: str,
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Let one provider owe another; the next settlement nets it.

    Such as: apportion oblige a b 10.00 EUR --reference interconnect-17

    Args:
        debtor: The provider that owes.
        creditor: The provider that is owed.
        amount: How much, in whole cents.
        currency: Of which currency.
        reference: What makes it unique for ever.
    """
    from apportion.engine.settling.door import ObligationInput

    words = {
        "debtor": debtor, "creditor": creditor, "amount": amount, "currency": currency, "reference": reference,
    }  # fmt: skip
    with changing(place) as books:
        made = _settling(books).oblige(read(words, ObligationInput))
    answer.give(made, f"{made.id}  {made.debtor} owes {made.creditor} {made.amount} {made.currency}")


def collected(
    provider: str,
    payer: str,
    amount: str,
    currency: str,
    /,
    *,
    reference: str,
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Note what a provider took from a user for all who delivered; the next settlement sets it off.

    Such as: apportion collected ash ada 12.50 EUR --reference S-000001

    Args:
        provider: Who took the money, such as the user's face.
        payer: Who has paid with it, by the name that usage calls them.
        amount: How much.
        currency: Of which currency.
        reference: What makes it unique for ever, such as the statement's number.
    """
    from apportion.engine.settling.door import CollectionInput

    words = {
        "provider": provider, "payer": payer, "amount": amount, "currency": currency, "reference": reference,
    }  # fmt: skip
    with changing(place) as books:
        made = _settling(books).collect(read(words, CollectionInput))
    answer.give(made, f"{made.id}  {made.provider} took {made.amount} {made.currency} from {payer} and owes it")
