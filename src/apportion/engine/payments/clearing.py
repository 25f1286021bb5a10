"""The clearing account of a processor: what moves between it, a payer and the platform, one row each.

What a processor has taken for us lies there below zero until a payout brings it to the bank; what it gives back to a
card raises it again. So it is zero when nothing is in transit, and whatever remains is some record that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from apportion.engine.credit.line import received
from apportion.engine.sessions.waiters import wake
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, refuse
from apportion.ledger.booking import Movement, book, merge
from apportion.model.account import Account, Role
from apportion.model.card import CardLine, ChargebackLine, ProcessorPayoutLine, ReceiptLine, RefundLine
from apportion.model.ids import key_id, read_number
from apportion.money import Asset, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key

RECEIPT, REFUND, CHARGEBACK, PAYOUT, CARD = "rcp_", "rfd_", "chb_", "ppo_", "crd_"
Record = ReceiptLine | RefundLine | ChargebackLine | ProcessorPayoutLine | CardLine
_RECORD: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def record_of(work: Work, id: str) -> Record | None:
    """A receipt, refund, chargeback, payout or card as it stands; None when there is none of this id."""
    return read_record(work.course(id)) if id else None


def read_record(line: bytes) -> Record | None:
    """What a course's line says."""
    return _RECORD.decode(line) if line else None


def receipt_of(work: Work, payment: str) -> ReceiptLine:
    """The receipt of a payment.

    Raises:
        Refused: NOT_FOUND when nothing was paid by it, or to no processor that keeps receipts.
    """
    found = record_of(work, RECEIPT + payment.removeprefix("pay_")) if payment.startswith("pay_") else None
    if not isinstance(found, ReceiptLine):
        raise refuse(
            RefusalCode.NOT_FOUND,
            f"{payment[:60]!r} is no payment that a processor holds for us.",
            field="payment",
            fix="Only a payment that succeeded can go back.",
        )
    return found


class Sums:
    """The amounts of a record in atoms of its asset."""

    def __init__(self, work: Work, record: ReceiptLine | RefundLine | ChargebackLine) -> None:
        self.account = work.numbered(read_number(record.account))
        self.asset = work.asset_of(self.account)

    def atoms(self, text: str) -> int:
        return Money.parse(text, self.asset).atoms

    def text(self, atoms: int) -> str:
        return decimal_text(atoms, self.asset.scale)


def transit(work: Work, processor: str, asset: Asset) -> Account:
    """The clearing account of a processor."""
    return work.account(Role.TRANSIT, processor, asset)


def cost(work: Work, processor: str, asset: Asset) -> Account:
    """What a processor has cost the platform."""
    return work.account(Role.COST, processor, asset)


def shift(
    work: Work,
    key: Key,
    kind: str,
    cause: str,
    movements: Sequence[Movement],
    lines: Callable[[], Sequence[bytes]],
    *,
    payer: Account | None = None,
) -> None:
    """Book what moves, in the row of ``lines``; a payer's credit and whoever waits for its value hear of it.

    An entry that takes more of the payer than it has is marked as forced.

    Raises:
        Refused: OVERFLOW, before anything has changed.
    """
    moved = merge(movements)
    mine = next((atoms for account, atoms in moved if payer is not None and account.id == payer.id), 0)
    rows: list[bytes] = []
    if moved:
        asset = work.asset_of(moved[0][0])
        forced = payer is not None and mine < 0 and payer.available() < -mine
        entry = book(key_id("ent", key), cause, kind, work.at, (str(asset), asset.scale), moved, forced=forced)
        rows.append(encode(entry))
        work.touch_all(moved)
    credit = received(work, payer, mine, key) if payer is not None and mine else None
    credit_lines = credit.lines if credit is not None else ()
    woken = wake(work, payer) if payer is not None and mine > 0 else ()
    if moved:
        work.record(key, "done", b"", *lines(), *rows, *credit_lines, *woken)
    else:
        work.append(*lines())
    if credit is not None:
        credit.noted()
