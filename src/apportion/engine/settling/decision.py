"""Payouts and obligations on the working set: what may be paid, that it is sent, how it ended; decided in the loop.

What goes out by a file or a transfer leaves the provider's account when it is ordered and lies in clearing until
somebody says how it ended, so that nothing can be paid out twice. Money that comes from a provider, or goes from one
to another without us, moves nothing before it is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from apportion.engine.settling.collecting import check_cap, collect, collection_key
from apportion.engine.settling.netted import grain_of, units_of
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.ledger.booking import Movement, book
from apportion.model.account import Account, Role
from apportion.model.command import Outcome
from apportion.model.ids import key_id, read_number
from apportion.model.payment import LIVE, PaymentState
from apportion.model.settlement import (
    Collect,
    EndPayout,
    Oblige,
    OrderPayouts,
    PayoutLine,
    SendPayout,
    SettlementLine,
    SettlingCommand,
    Transfer,
    Wanted,
)
from apportion.money import Asset, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key
from apportion.stages.settle import PLATFORM, Part, rest

FILE, TRANSFER, COLLECTION, DIRECT = "file", "transfer", "collection", "direct"
OUTWARD = (FILE, TRANSFER)
CLEARING = "payouts"
_PAYOUT, _SETTLEMENT = msgspec.json.Decoder(PayoutLine), msgspec.json.Decoder(SettlementLine)
_FAILED, _SUCCEEDED, _CREATED = (PaymentState.FAILED.value, PaymentState.SUCCEEDED.value, PaymentState.CREATED.value)


def payout_id(settlement: str, debtor: str, creditor: str, attempt: int) -> str:
    """``pyo_…`` of a payment of a settlement; what comes back or is paid in parts has several, numbered from 0."""
    return key_id("pyo", proof.record_key("payout", f"{settlement}\x00{debtor}\x00{creditor}\x00{attempt}"))


def payout_of(work: Work, id: str) -> PayoutLine | None:
    """A payout as it stands."""
    line = work.course(id)
    return _PAYOUT.decode(line) if line else None


class SettlingDecision(Unforeseen):
    """A SettlingCommand; ``decide`` answers with the id of the payout, settlement or obligation."""

    def __init__(self, command: SettlingCommand, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def keys(self) -> tuple[Key, ...]:
        """The key of an obligation; nothing else is foreseen."""
        if isinstance(self.command, Collect):
            return (collection_key(self.command.reference),)
        return (obligation_key(self.command.reference),) if isinstance(self.command, Oblige) else ()

    def people(self) -> list[str]:
        """Who paid by what a provider collected."""
        return [self.command.payer] if isinstance(self.command, Collect) else []

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command = self.command
        try:
            if isinstance(command, OrderPayouts):
                return _order(work, command)
            if isinstance(command, Oblige):
                return _oblige(work, self.terms, command)
            if isinstance(command, Collect):
                return collect(work, self.terms, command)
            line = payout_of(work, command.id)
            if line is None:
                raise refuse(RefusalCode.NOT_FOUND, f"there is no payout {command.id[:60]!r}.", field="id")
            return _send(work, command, line) if isinstance(command, SendPayout) else _end(work, command, line)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)


# ── ordering ──


def _order(work: Work, command: OrderPayouts) -> Outcome:
    """Order what is left of a settlement's payments; those that are named all together or none of them."""
    found = work.course(command.settlement) if command.settlement.startswith("stl_") else b""
    if not found:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no settlement {command.settlement[:60]!r}.", field="id")
    settlement = _SETTLEMENT.decode(found)
    asset = _asset(work, settlement.asset)
    made: list[tuple[PayoutLine, Account | None]] = []
    before = _ordered_before(work, settlement)
    batch = 1 + max((line.batch for lines in before.values() for line in lines), default=0)
    for payment, wanted in _chosen(settlement, command.wanted):
        lines = before[payment.debtor, payment.creditor]
        parts = [Part(_whole(asset, line.amount), failed=line.state == _FAILED) for line in lines]
        left = rest(units_of(payment.amount), parts, _named(asset, wanted))
        if not left:
            continue
        by = _way(payment, command.by)
        if by in OUTWARD and payment.creditor in command.unable:
            if wanted is None:
                continue
            raise refuse(
                RefusalCode.BAD_INPUT, f"nobody knows where {payment.creditor} has its money.", field="payments",
                fix="Say so first: PUT /v1/payees/PROVIDER.",
            )  # fmt: skip
        payer = work.numbered(read_number(payment.creditor)) if by in OUTWARD else None
        if payer is not None and 2 * (left * grain_of(asset) - payer.posted) > grain_of(asset):
            if wanted is None:
                continue  # what it owes since then is set off first
            raise refuse(
                RefusalCode.BAD_AMOUNT,
                f"is above the position of {payer.public}: it has {decimal_text(payer.posted, asset.scale)}.",
                field="amount",
                fix="Pay at most that, or settle again, so that what it owes since then is set off.",
            )
        made.append((_payout(work, settlement, payment, (by, left, len(parts), batch), asset), payer))
    for line, payer in made:
        _ordered(work, line, payer, asset)
    return Outcome(None, settlement.id, total=len(made))


def _asset(work: Work, text: str) -> Asset:
    return next(asset for _, asset in work.names.assets.values() if str(asset) == text)


def _chosen(settlement: SettlementLine, wanted: Sequence[Wanted]) -> list[tuple[Transfer, Wanted | None]]:
    """The payments to order, with what is wanted of each."""
    if not wanted:
        return [(payment, None) for payment in settlement.payments]
    by_pair = {(payment.debtor, payment.creditor): payment for payment in settlement.payments}
    if len({(one.debtor, one.creditor) for one in wanted}) < len(wanted):
        raise refuse(RefusalCode.BAD_INPUT, "names a payment twice.", field="payments")
    found: list[tuple[Transfer, Wanted | None]] = []
    for one in wanted:
        payment = by_pair.get((one.debtor, one.creditor))
        if payment is None:
            raise refuse(
                RefusalCode.NOT_FOUND, f"{settlement.number} has no such payment.", field="payments",
                fix="GET the settlement; its payments say who pays whom.",
            )  # fmt: skip
        found.append((payment, one))
    return found


def payouts_of(
    settlement: SettlementLine, read: Callable[[list[str]], Mapping[str, bytes]]
) -> dict[tuple[str, str], list[PayoutLine]]:
    """What was ordered of each payment of a settlement, oldest first; ``read`` gives the last lines of ids."""
    found: dict[tuple[str, str], list[PayoutLine]] = {(one.debtor, one.creditor): [] for one in settlement.payments}
    open_, attempt = list(found), 0
    while open_:
        ids = {payout_id(settlement.id, *pair, attempt): pair for pair in open_}
        known = read(list(ids))
        lines = {pair: known[id] for id, pair in ids.items() if known.get(id)}
        for pair, line in lines.items():
            found[pair].append(_PAYOUT.decode(line))
        open_, attempt = list(lines), attempt + 1
    return found


def _ordered_before(work: Work, settlement: SettlementLine) -> dict[tuple[str, str], list[PayoutLine]]:
    def read(ids: list[str]) -> Mapping[str, bytes]:
        work.foresee(ids)
        return {id: work.course(id) for id in ids}

    return payouts_of(settlement, read)


def _whole(asset: Asset, amount: str) -> int:
    return Money.parse(amount, asset).atoms // grain_of(asset)


def _named(asset: Asset, wanted: Wanted | None) -> int:
    """What is wanted of a payment in minor units; 0 for all of it.

    Raises:
        Refused: BAD_AMOUNT, when it is not above zero or no whole number of minor units.
    """
    if wanted is None or not wanted.amount:
        return 0
    return _units(asset, wanted.amount)


def _units(asset: Asset, amount: str) -> int:
    atoms, grain = Money.parse(amount, asset).atoms, grain_of(asset)
    if atoms <= 0 or atoms % grain:
        raise refuse(
            RefusalCode.BAD_AMOUNT, f"is above zero and a whole number of the smallest unit of {asset.code}.",
            field="amount",
        )  # fmt: skip
    return atoms // grain


def _way(payment: Transfer, by: str) -> str:
    if payment.debtor == PLATFORM:
        return by
    return COLLECTION if payment.creditor == PLATFORM else DIRECT


def _payout(
    work: Work, settlement: SettlementLine, payment: Transfer, how: tuple[str, int, int, int], asset: Asset
) -> PayoutLine:
    by, units, attempt, batch = how
    return PayoutLine(
        id=payout_id(settlement.id, payment.debtor, payment.creditor, attempt), n=1,
        due=work.at if by == TRANSFER else "", settlement=settlement.id, debtor=payment.debtor,
        creditor=payment.creditor, asset=settlement.asset, amount=decimal_text(units * grain_of(asset), asset.scale),
        by=by, state=_CREATED, at=work.at, requested=work.at, batch=batch,
    )  # fmt: skip


def _ordered(work: Work, line: PayoutLine, payer: Account | None, asset: Asset) -> None:
    if payer is None:
        work.append(work.move(line))
        return
    clearing = work.account(Role.CLEARING, CLEARING, asset)
    atoms = Money.parse(line.amount, asset).atoms
    _book(work, line, "payout", [(payer, -atoms), (clearing, atoms)])
    work.names.soon = work.names.soon or line.by == TRANSFER


def _book(work: Work, line: PayoutLine, kind: str, movements: list[Movement]) -> None:
    """The line of a payout and the entry that it makes, in one row."""
    asset = _asset(work, line.asset)
    key = proof.record_key("payout-entry", f"{line.id}\x00{kind}")
    entry = book(key_id("ent", key), line.id, kind, work.at, (str(asset), asset.scale), movements)
    work.touch_all(movements)
    work.record(key, "done", b"", work.move(line), encode(entry))


# ── how it goes on ──


def _send(work: Work, command: SendPayout, line: PayoutLine) -> Outcome:
    """Note one more try; of several nodes that mean to send the same, the first one does."""
    if line.n != command.n or line.state not in LIVE or line.by != TRANSFER:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
    state = PaymentState.SENT.value if line.state == _CREATED else line.state
    sent = msgspec.structs.replace(
        line, n=line.n + 1, state=state, at=work.at, tries=line.tries + 1, due=command.due, reason=""
    )
    work.append(work.move(sent))
    return Outcome(None, sent.id, n=sent.n)


def _end(work: Work, command: EndPayout, line: PayoutLine) -> Outcome:
    """Note what came of it. An outcome counts whoever brings it; no outcome, only while nothing else came."""
    operator = command.word == "operator"
    if operator and line.by == TRANSFER and (line.state, command.outcome) != (_CREATED, _FAILED):
        raise refuse(
            RefusalCode.CONFLICT, "only the processor of transfers can tell how it ended.", field="id",
            fix="Wait: it is asked until it says so.",
        )  # fmt: skip
    if line.state not in LIVE:
        if operator and line.state == command.outcome:
            return Outcome(None, line.id)
        raise refuse(RefusalCode.CONFLICT, f"{line.id} had ended: it has {line.state}.", field="id")
    if line.state == _CREATED and not operator and command.outcome != _FAILED:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} was never sent.", field="id")
    told = msgspec.structs.replace(
        line, n=line.n + 1, at=work.at, reference=command.reference or line.reference, reason=command.reason, due=""
    )
    wrong = ""
    if command.outcome == _SUCCEEDED:
        wrong = "" if operator else _unlike(work, command, line)
        if not wrong:
            _close(work, msgspec.structs.replace(told, state=_SUCCEEDED))
            return Outcome(None, line.id)
    if command.outcome == _FAILED:
        _close(work, msgspec.structs.replace(told, state=_FAILED))
        return Outcome(None, line.id)
    if line.n != command.n:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
    state = line.state if command.outcome == "pending" else PaymentState.UNKNOWN.value
    late = line.late or (work.at if command.late or wrong else "")
    still = msgspec.structs.replace(
        told, state=state, asked=line.asked + 1, due=command.due, late=late, reason=wrong or told.reason
    )
    work.append(work.move(still))
    return Outcome(None, line.id)


def _unlike(work: Work, command: EndPayout, line: PayoutLine) -> str:
    """Why a success is none of this payout: only a person can tell what was paid."""
    asset = _asset(work, line.asset)
    try:
        same = command.currency == asset.code and Money.parse(command.amount, asset).text() == line.amount
    except Refused:
        same = False
    return "" if same else "other_amount"


def _close(work: Work, line: PayoutLine) -> None:
    """Book the end of a payout: money that went out of clearing, came back to its provider, or came in."""
    asset = _asset(work, line.asset)
    atoms = Money.parse(line.amount, asset).atoms
    if line.by not in OUTWARD and line.state == _FAILED:
        work.append(work.move(line))
        return
    if line.by == DIRECT:
        debtor, creditor = (work.numbered(read_number(id)) for id in (line.debtor, line.creditor))
        _book(work, line, "direct", [(debtor, atoms), (creditor, -atoms)])
        return
    if line.by == COLLECTION:
        cash = work.account(Role.CASH, "outside", asset)
        _book(work, line, "collection", [(work.numbered(read_number(line.debtor)), atoms), (cash, -atoms)])
        return
    clearing = work.account(Role.CLEARING, CLEARING, asset)
    if line.state == _SUCCEEDED:
        _book(work, line, "payout-paid", [(clearing, -atoms), (work.account(Role.CASH, "outside", asset), atoms)])
    else:
        _book(work, line, "payout-failed", [(clearing, -atoms), (work.numbered(read_number(line.creditor)), atoms)])


# ── obligations ──


def obligation_key(reference: str) -> Key:
    """The key of an obligation: one per reference for ever."""
    return proof.record_key("obligation", reference)


def _oblige(work: Work, terms: Terms, command: Oblige) -> Outcome:
    """Book that one provider owes another, within its net debit cap; once per reference."""
    asset = terms.asset(command.currency)
    for field in ("debtor", "creditor"):
        name = getattr(command, field)
        if name not in terms.catalog.providers:
            raise refuse(RefusalCode.UNKNOWN_PROVIDER, f"the catalog has no provider {name[:60]!r}.", field=field)
    if command.debtor == command.creditor:
        raise refuse(RefusalCode.BAD_INPUT, "owes itself.", field="debtor", fix="Name two providers.")
    atoms = _units(asset, command.amount) * grain_of(asset)
    key = obligation_key(command.reference)
    digest = proof.record_key(f"{command.debtor}\x00{command.creditor}", f"{atoms} {asset}")[:8]
    known = work.made(key, digest, "obligation")
    if known is not None:
        return Outcome(None, key_id("obl", key), n=known.n)
    check_cap(work, terms, command.debtor, asset, atoms)
    debtor = work.account(Role.PROVIDER, command.debtor, asset)
    creditor = work.account(Role.PROVIDER, command.creditor, asset)
    movements = [(debtor, -atoms), (creditor, atoms)]
    entry = book(key_id("ent", key), key_id("obl", key), "obligation", work.at, (str(asset), asset.scale), movements)
    work.touch_all(movements)
    work.record(key, "done", digest, encode(entry))
    return Outcome(None, key_id("obl", key), n=work.head[0])
