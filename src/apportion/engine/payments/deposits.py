"""A processor's payouts on the working set: matched against what is in transit, their fees a leg of their own."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from apportion.engine.payments.chargebacks import WON, chargeback_id
from apportion.engine.payments.clearing import RECEIPT, Sums, cost, record_of, shift, transit
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.account import Role
from apportion.model.card import (
    ChargebackLine,
    HearPayout,
    PayoutItem,
    ProcessorPayoutLine,
    ReceiptLine,
    RefundLine,
)
from apportion.model.command import Outcome
from apportion.model.ids import key_id
from apportion.model.payment import PaymentState, spoken
from apportion.money import Asset, Money
from apportion.money.exact import decimal_text

Brought = ReceiptLine | RefundLine | ChargebackLine


class Matched(msgspec.Struct):
    """A record that an item of a payout brought: how it stands with that, and by how many atoms it clears."""

    record: Brought
    clears: int
    fee: int


def hear(work: Work, command: HearPayout, terms: Terms) -> Outcome:
    """Book a payout, once per reference: what it brought leaves transit, what the processor kept is a cost.

    Items that are no record of ours, or of another amount, are not cleared: they stay in transit until explained.

    Raises:
        Refused: UNKNOWN_ASSET, BAD_AMOUNT, BAD_INPUT.
    """
    asset = terms.asset(command.currency)
    if not spoken(command.reference):
        raise refuse(RefusalCode.BAD_INPUT, "is no name of a payout.", field="reference")
    key = proof.record_key("payout", f"{command.processor}\x00{command.reference}")
    id = key_id("ppo", key)
    if record_of(work, id) is not None:
        return Outcome(None, id)
    net = fees = clears = 0
    items: list[PayoutItem] = []
    moved: dict[str, Brought] = {}
    for item in command.items:
        gross, fee = (Money.parse(text, asset).atoms for text in (item.gross, item.fee))
        net += gross - fee
        found = _match(work, item, command.processor, (gross, fee), id, moved)
        texts = decimal_text(gross, asset.scale), decimal_text(fee, asset.scale)
        items.append(PayoutItem(spoken(item.reference), *texts, found.record.id if found is not None else ""))
        if found is not None:
            moved[found.record.id] = found.record
            fees, clears = fees + found.fee, clears + found.clears
    unmatched = net + fees - clears
    line = ProcessorPayoutLine(
        id=id, processor=command.processor, reference=command.reference, asset=str(asset),
        amount=decimal_text(net, asset.scale), at=work.at, fees=decimal_text(fees, asset.scale),
        unmatched=decimal_text(unmatched, asset.scale), items=tuple(items),
    )  # fmt: skip
    _book(work, key, line, (net, fees), asset, list(moved.values()))
    return Outcome(None, id)


def _book(
    work: Work, key: bytes, line: ProcessorPayoutLine, sums: tuple[int, int], asset: Asset, moved: list[Brought]
) -> None:
    net, fees = sums
    movements = [
        (work.account(Role.CASH, "outside", asset), -net), (cost(work, line.processor, asset), -fees),
        (transit(work, line.processor, asset), net + fees),
    ]  # fmt: skip
    shift(work, key, "deposit", line.id, movements, lambda: [work.move(line), *(work.move(record) for record in moved)])


def _match(
    work: Work, item: PayoutItem, processor: str, amounts: tuple[int, int], payout: str, moved: dict[str, Brought]
) -> Matched | None:
    """The record of ours behind an item, when it is in transit and of the same amount."""
    gross, fee = amounts
    id = item.id
    if id.startswith("pay_"):
        id = RECEIPT + id[4:]
    found = moved.get(id) or (record_of(work, id) if id else None)
    if found is None and item.reference:
        id = chargeback_id(processor, item.reference)
        found = moved.get(id) or record_of(work, id)
    if not isinstance(found, Brought) or found.processor != processor:
        return None
    sums = Sums(work, found)
    amount, same = sums.atoms(found.amount), str(sums.asset)
    if found.asset != same:
        return None
    if isinstance(found, ReceiptLine):
        fits = not found.payout and gross == amount
        return Matched(replace(found, at=work.at, payout=payout), gross, fee) if fits else None
    out = not found.payout and gross == -amount
    known = sums.atoms(found.fee) if isinstance(found, ChargebackLine) else 0
    n = found.n if id in moved else found.n + 1  # its line is written once, also when a payout took and brought it
    if out:
        taken = replace(found, n=n, at=work.at, payout=payout)
        return Matched(taken, gross - known, fee - known)
    ended = found.state == (WON if isinstance(found, ChargebackLine) else PaymentState.FAILED.value)
    if ended and not found.returned and gross == amount:
        return Matched(replace(found, n=n, at=work.at, returned=payout), gross, fee)
    return None
