"""What callers ask of settling: a run, payouts, how they ended, obligations, and where providers have their money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import Amount, Currency, Input, Name, Text
from apportion.engine.settling.decision import FILE
from apportion.engine.settling.payees import PLATFORM, payee_of, put_payee
from apportion.engine.settling.run import settle
from apportion.engine.settling.standing import find_payout, find_settlement
from apportion.engine.settling.views import (
    PayoutView,
    SettlementView,
    Showing,
    transfer_of,
)
from apportion.engine.verbs import Call
from apportion.engine.visible import nothing
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole
from apportion.model.command import Outcome
from apportion.model.ids import read_key
from apportion.model.journal import Entry
from apportion.model.payee import Payee
from apportion.model.settlement import Collect, EndPayout, Mode, Oblige, OrderPayouts, Wanted

_ENTRY = msgspec.json.Decoder(Entry)


class SettleInput(Input, frozen=True):
    """Settle everything that no settlement covers yet.

    ``gross`` makes a payment of every obligation, ``net`` one between each two parties, ``multilateral`` one per party.
    """

    mode: Literal["gross", "net", "multilateral"] = "net"


class SettleAnswer(msgspec.Struct, frozen=True):
    """The settlements of the run, one per currency; those of the last run, and not ``made``, when nothing was new."""

    settlements: tuple[SettlementView, ...]
    made: bool


class WantedInput(Input, frozen=True):
    """One payment of a settlement, by the names of the two; ``amount`` is what is left of it when empty."""

    debtor: Name
    creditor: Name
    amount: Text = ""


class PayoutInput(Input, frozen=True):
    """Order what a settlement leaves to be paid, or of it only these ``payments``.

    What the platform pays goes ``by`` a file for the bank, or by transfers that a processor makes.
    """

    by: Literal["file", "transfer"] = "file"
    payments: Annotated[tuple[WantedInput, ...], Meta(max_length=2000)] = ()


class PayoutsAnswer(msgspec.Struct, frozen=True):
    """What was ordered, and which payments could not be: ``waiting`` says of whom and why."""

    settlement: str
    payouts: tuple[PayoutView, ...]
    waiting: tuple[str, ...] = ()


class ConfirmInput(Input, frozen=True):
    """The money has come where it should; ``reference`` is what the bank calls it."""

    reference: Text = ""


class FailInput(Input, frozen=True):
    """The money has not gone, or has come back; ``reason`` says why."""

    reason: Text = ""


class ObligationInput(Input, frozen=True):
    """``debtor`` owes ``creditor``, both providers, ``amount`` in whole cents; once per ``reference``."""

    debtor: Name
    creditor: Name
    amount: Amount
    currency: Currency
    reference: Name


class CollectionInput(Input, frozen=True):
    """``provider`` took ``amount`` of what ``payer`` owes; once per ``reference``. A provider's key is itself."""

    payer: Name
    amount: Amount
    currency: Currency
    reference: Name
    provider: Text = ""


class CollectionAnswer(msgspec.Struct, frozen=True):
    """What was collected, as it was booked: the payer has paid it, and the provider owes it."""

    id: str
    provider: str
    account: str
    amount: str
    currency: str
    at: str


class ObligationAnswer(msgspec.Struct, frozen=True):
    """An obligation as it was booked."""

    id: str
    debtor: str
    creditor: str
    amount: str
    currency: str
    at: str


def run(engine: Engine, call: Call) -> SettleAnswer:
    """Settle what is not settled."""
    given: SettleInput = call.given
    done = settle(engine, Mode(given.mode), ahead=call.ahead)
    showing = Showing(engine, call)
    views = [showing.settlement(line, whole=True) for line in done.settlements]
    return SettleAnswer(tuple(view for view in views if view is not None), done.made)


def order(engine: Engine, call: Call) -> PayoutsAnswer:
    """Order payouts of a settlement.

    Raises:
        Refused: NOT_FOUND; BAD_AMOUNT above what is left or above the position; BAD_INPUT without an address.
    """
    given: PayoutInput = call.given
    line, showing = find_settlement(engine, call.id), Showing(engine, call)
    unable = tuple(
        one.creditor
        for one in line.payments
        if not one.debtor and not _reachable(engine, showing.name(one.creditor), given.by)
    )
    wanted = []
    for one in given.payments:
        found = transfer_of(showing, line.asset, one.debtor, one.creditor)
        wanted.append(Wanted(found.debtor, found.creditor, one.amount))
    before = _ids(showing, line)
    outcome = engine.writer.commit([OrderPayouts(line.id, given.by, tuple(wanted), unable)])[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    after = showing.payouts(line)
    made = [part for parts in after.values() for part in parts if part.id not in before]
    waiting = tuple(
        f"{showing.name(creditor)}: it is not known where it has its money"
        for creditor in unable
        if not after[("", creditor)]
    )
    settled = showing.settlement(line, whole=True)
    assert settled is not None
    if not wanted:
        able = {showing.name(creditor) for creditor in unable}
        waiting += tuple(
            f"{one.creditor}: {one.open} is above its position"
            for one in settled.payments
            if one.debtor == PLATFORM and one.open.strip("0.") and one.creditor not in able
        )
    return PayoutsAnswer(line.id, tuple(showing.payout(part) for part in made), waiting)


def _ids(showing: Showing, line: object) -> set[str]:
    return {part.id for parts in showing.payouts(line).values() for part in parts}  # type: ignore[arg-type]


def _reachable(engine: Engine, provider: str, by: str) -> bool:
    payee = payee_of(engine, provider)
    return payee is not None and bool(payee.iban if by == FILE else payee.destination)


def confirm(call: Call) -> list[object]:
    """Say that a payout has arrived."""
    given: ConfirmInput = call.given
    return [EndPayout(call.id, 0, "succeeded", reference=given.reference, word="operator")]


def fail(call: Call) -> list[object]:
    """Say that a payout has not arrived."""
    given: FailInput = call.given
    return [EndPayout(call.id, 0, "failed", reason=given.reason, word="operator")]


def payout_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> PayoutView:
    """The payout, which has ended for ever."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return Showing(engine, call).payout(find_payout(engine, outcome.id))


def oblige(call: Call) -> list[object]:
    """Let one provider owe another."""
    given: ObligationInput = call.given
    return [Oblige(given.debtor, given.creditor, given.amount, given.currency, given.reference)]


def oblige_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> ObligationAnswer:
    """The obligation as its entry says it."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    entry = _entry(engine, outcome.id)
    debtor, creditor = sorted(entry.legs, key=lambda leg: not leg.amount.startswith("-"))
    showing = Showing(engine, call)
    return ObligationAnswer(
        outcome.id, showing.name(debtor.account), showing.name(creditor.account), creditor.amount,
        entry.asset.partition("/")[0], entry.at,
    )  # fmt: skip


def collect(call: Call) -> list[object]:
    """A provider collected from a user; of itself it says so within its net debit cap only."""
    given: CollectionInput = call.given
    own = call.caller.role is AccessRole.PROVIDER
    if own and given.provider not in ("", call.caller.party):
        raise refuse(RefusalCode.BAD_INPUT, "is another provider.", field="provider", fix="Leave it out.")
    provider = call.caller.party if own else given.provider
    return [Collect(provider, given.payer, given.amount, given.currency, given.reference, own)]


def collect_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> CollectionAnswer:
    """What was collected, as its entry says it."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    entry = _entry(engine, outcome.id)
    provider, payer = sorted(entry.legs, key=lambda leg: not leg.amount.startswith("-"))
    showing = Showing(engine, call)
    return CollectionAnswer(
        outcome.id, showing.name(provider.account), payer.account, payer.amount, entry.asset.partition("/")[0],
        entry.at,
    )  # fmt: skip


def _entry(engine: Engine, id: str) -> Entry:
    key = read_key(id)
    seen = engine.store.seen(engine.tenant, [key])[key]
    rows = engine.store.row(engine.tenant, 0, seen.n).split(b"\n")
    return _ENTRY.decode(next(row for row in rows if row.startswith(b'{"type":"entry"')))


def put(engine: Engine, call: Call) -> Payee:
    """Keep where a provider has its money; a provider says so of itself.

    Raises:
        Refused: NOT_FOUND for another's; BAD_INPUT, UNKNOWN_PROVIDER.
    """
    _own(call)
    given: Payee = call.given
    return put_payee(engine, call.id, given)


def payee(engine: Engine, call: Call) -> Payee:
    """Where a provider has its money; a provider asks for itself.

    Raises:
        Refused: NOT_FOUND, also for another's.
    """
    _own(call)
    found = payee_of(engine, call.id)
    if found is None:
        raise nothing()
    return found


def _own(call: Call) -> None:
    if call.caller.role is AccessRole.PROVIDER and call.id != call.caller.party:
        raise nothing()
