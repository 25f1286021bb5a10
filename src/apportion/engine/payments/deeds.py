"""Reads about cards and what they paid: one record as it stands, what a clearing account is made of, the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from apportion.engine.disputes.decision import CLEARING as DISPUTES
from apportion.engine.disputes.decision import OPEN
from apportion.engine.disputes.standing import all_disputes
from apportion.engine.engine import Engine
from apportion.engine.payments.cards import DETAILS
from apportion.engine.payments.chargebacks import WON
from apportion.engine.payments.clearing import CHARGEBACK, PAYOUT, RECEIPT, REFUND, Record, read_record
from apportion.engine.query import AccountView
from apportion.engine.settling.decision import CLEARING as PAYOUTS
from apportion.engine.settling.decision import OUTWARD
from apportion.engine.visible import nothing
from apportion.errors import StoreUnavailable
from apportion.model.account import Role
from apportion.model.card import CardLine, ChargebackLine, ProcessorPayoutLine, ReceiptLine
from apportion.model.ids import read_key, read_number
from apportion.model.payment import LIVE, PaymentState
from apportion.model.settlement import PayoutLine
from apportion.money import Asset, Money

_PAYOUT = msgspec.json.Decoder(PayoutLine)
PAID_OUT = "pyo_"
LOOKS = 50  # how often a clearing account is looked at until nothing moved meanwhile


def record(engine: Engine, id: str, *kinds: type[Record]) -> Any:
    """A record about cards as it stands, when it is of one of these kinds.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id)
    line = read_record(found.line) if found is not None and id[:4] in _KINDS else None
    if not isinstance(line, kinds):
        raise nothing()
    return line


_KINDS = (RECEIPT, REFUND, CHARGEBACK, PAYOUT, "crd_")


def every(engine: Engine, prefix: str) -> Iterator[Record]:
    """All records of a kind; reads them all."""
    for course in engine.store.all_courses(engine.tenant, prefix):
        if not course.id.startswith(prefix):
            return
        line = read_record(course.line)
        assert line is not None
        yield line


def details_of(engine: Engine, line: CardLine) -> dict[str, str]:
    """What of a card is personal: where it is asked for, or its brand and last four digits; nothing once forgotten."""
    number, key = read_number(line.account), read_key(line.id)
    account = engine.store.accounts(engine.tenant, [number])[number]
    for row in engine.store.people(engine.tenant, account.party):
        if row.field == DETAILS and row.record == key and row.value:
            return msgspec.json.decode(row.value, type=dict[str, str])
    return {}


class Remainder(msgspec.Struct, frozen=True):
    """A record that leaves ``amount`` on a clearing account (below zero: the processor still owes it), since ``at``."""

    id: str
    amount: str
    at: str
    why: str


class Clearing(msgspec.Struct, frozen=True):
    """A clearing account: its ``balance`` is the sum of its ``remainders``, or ``explained`` is false.

    ``processor`` is whose it is; ``payouts`` and ``disputes`` are the platform's own, where ordered payouts lie until
    their end is known, and what open disputes set aside.
    """

    processor: str
    account: str
    currency: str
    balance: str
    cost: str
    explained: bool
    remainders: tuple[Remainder, ...] = ()


def remains(line: Record, asset: Asset) -> int:
    """The atoms that a record has left on the clearing account: what was booked there less what payouts cleared."""

    def atoms(text: str) -> int:
        return Money.parse(text, asset).atoms

    if isinstance(line, ReceiptLine):
        return 0 if line.payout else -atoms(line.amount)
    if isinstance(line, ProcessorPayoutLine):
        return atoms(line.unmatched)
    if isinstance(line, CardLine):
        return 0
    amount, fee = atoms(line.amount), 0
    if isinstance(line, ChargebackLine):
        fee, back = atoms(line.fee), line.state == WON
    else:
        back = line.state == PaymentState.FAILED.value
    booked = fee + (0 if back else amount)
    return booked - (amount + fee if line.payout else 0) + (amount if line.returned else 0)


def clearing(engine: Engine) -> tuple[Clearing, ...]:
    """Every clearing account, and the records that its balance is made of, all of one moment.

    Raises:
        StoreUnavailable: the books move too fast for that; asking again is safe.
    """
    for _ in range(LOOKS):
        head = engine.store.head(engine.tenant, 0)
        found = _clearing(engine)
        if engine.store.head(engine.tenant, 0) == head:
            return found
    raise StoreUnavailable("The books move while they are looked at. Ask again, or ask an export.")


def _clearing(engine: Engine) -> tuple[Clearing, ...]:
    books = engine.books
    open_: dict[tuple[str, str], list[Remainder]] = {}
    sums: dict[tuple[str, str], int] = {}
    for prefix in (RECEIPT, REFUND, CHARGEBACK, PAYOUT):
        for line in every(engine, prefix):
            if isinstance(line, CardLine):
                continue
            asset = books.asset(line.asset.partition("/")[0])
            left = remains(line, asset)
            if left:
                place = line.processor, asset.code
                sums[place] = sums.get(place, 0) + left
                text = Money(left, asset).text()
                open_.setdefault(place, []).append(Remainder(line.id, text, line.at, _WHY[line.id[:4]]))
    for place, left, one in _set_aside(engine):
        sums[place] = sums.get(place, 0) + left
        open_.setdefault(place, []).append(one)
    costs = {(view.owner, view.currency): view.posted for view in _views(engine, Role.COST)}
    found = []
    for view in (*_views(engine, Role.TRANSIT), *_views(engine, Role.CLEARING)):
        place = view.owner, view.currency
        asset = books.asset(view.currency)
        explained = Money.parse(view.posted, asset).atoms == sums.get(place, 0)
        rest = tuple(sorted(open_.get(place, ()), key=lambda one: one.at))
        zero = Money(0, asset).text()
        found.append(Clearing(view.owner, view.id, view.currency, view.posted, costs.get(place, zero), explained, rest))
    return tuple(found)


def _set_aside(engine: Engine) -> Iterator[tuple[tuple[str, str], int, Remainder]]:
    """What lies in the platform's own clearing accounts: by owner and currency, in atoms, and as what."""
    for course in engine.store.all_courses(engine.tenant, PAID_OUT):
        if not course.id.startswith(PAID_OUT):
            break
        line = _PAYOUT.decode(course.line)
        if line.state in LIVE and line.by in OUTWARD:
            asset = engine.books.asset(line.asset.partition("/")[0])
            atoms = Money.parse(line.amount, asset).atoms
            yield (PAYOUTS, asset.code), atoms, Remainder(line.id, line.amount, line.at, "ordered, with no end yet")
    for case in all_disputes(engine):
        asset = engine.books.asset(case.asset.partition("/")[0])
        atoms = sum(Money.parse(leg.amount, asset).atoms for leg in case.held) if case.state == OPEN else 0
        if atoms:
            yield (DISPUTES, asset.code), atoms, Remainder(case.id, Money(atoms, asset).text(), case.at, "disputed")


def _views(engine: Engine, role: Role) -> list[AccountView]:
    """The accounts of a role."""
    found = engine.store.accounts_under(engine.tenant, f"{role.value}:")
    return [engine.books.view(account, key.split(":", 2)[1]) for key, account in found]


_WHY = {
    RECEIPT: "paid, and not paid out yet",
    REFUND: "a refund that no payout was reduced by yet, or that came back",
    CHARGEBACK: "a chargeback that no payout was reduced by yet, or that came back",
    PAYOUT: "items of a payout that are no records of ours, or of another amount",
}
