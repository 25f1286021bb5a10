"""Settlements and payouts as each may see them: a provider its own positions and payments, no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import PageQuery
from apportion.engine.settling.decision import payouts_of
from apportion.engine.settling.netted import grain_of, units_of
from apportion.engine.settling.payees import PLATFORM
from apportion.engine.settling.standing import find_line, find_payout, find_settlement, last_settlement, positions_of
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.model.account import Role
from apportion.model.ids import read_number
from apportion.model.payment import LIVE, PaymentState
from apportion.model.settlement import PayoutLine, PositionLine, SettlementLine, Transfer
from apportion.money import Money
from apportion.money.exact import decimal_text
from apportion.stages.statement.downward import minor_of

Format = Literal["pain001", "csv"]


class PositionView(msgspec.Struct, frozen=True):
    """How a provider's account stands after a settlement.

    ``closing`` = ``opening`` + ``credits`` − ``debits`` + ``obliged`` − ``paid``; ``payable`` + ``residue_out`` −
    ``residue_in`` = what it was credited. ``advice`` is the remittance advice that says what for.
    """

    account: str
    provider: str
    opening: str
    credits: str
    debits: str
    obliged: str
    paid: str
    closing: str
    payable: str
    residue_in: str
    residue_out: str
    advice: str


class SettledPayment(msgspec.Struct, frozen=True):
    """Who pays whom, by name (``platform`` for the platform): of ``amount``, what was ``paid`` and what is on its way.

    ``open`` is what nobody ordered yet, or what came back. ``payouts`` are the ids of what was ordered.
    """

    debtor: str
    creditor: str
    amount: str
    paid: str
    under_way: str
    open: str
    payouts: tuple[str, ...] = ()


class SettlementView(msgspec.Struct, frozen=True):
    """A settlement: everything that was booked in the rows ``after`` < n ≤ ``upto``, in one ``currency``.

    ``credited`` and ``payable`` are the sums over its ``providers``. ``over`` are those that owe more than their net
    debit cap. Lists show neither positions nor payments.
    """

    id: str
    number: str
    at: str
    currency: str
    mode: str
    after: int
    upto: int
    providers: int
    credited: str
    payable: str
    over: tuple[str, ...] = ()
    positions: tuple[PositionView, ...] = ()
    payments: tuple[SettledPayment, ...] = ()


class SettlementPage(msgspec.Struct, frozen=True):
    """Settlements, newest first; ``next`` leads to the following page."""

    data: tuple[SettlementView, ...]
    next: str = ""


class PayoutView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payout as it stands since ``at``: created, sent, unknown, succeeded or failed.

    It goes ``by`` file, transfer, collection or direct. ``tries`` is how often it was sent, always as the same payout;
    ``reference`` is what the bank or processor calls it, ``reason`` why it failed or is not known, ``late`` when that
    had lasted too long.
    """

    id: str
    settlement: str
    debtor: str
    creditor: str
    amount: str
    currency: str
    by: str
    batch: int
    state: str
    at: str
    requested: str
    tries: int = 0
    reference: str = ""
    reason: str = ""
    late: str = ""


class PayoutQuery(PageQuery, frozen=True):
    """Only the payouts in one ``state``."""

    state: Literal["", "created", "sent", "unknown", "succeeded", "failed"] = ""


class PayoutPage(msgspec.Struct, frozen=True):
    """Payouts, those of the newest settlement first; ``next`` leads to the following page."""

    data: tuple[PayoutView, ...]
    next: str = ""


class FileQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of a ``batch`` of payouts (the last one, when 0), as pain.001 or CSV."""

    format: Format = "pain001"
    batch: Annotated[int, Meta(ge=0, le=100_000)] = 0


class PaymentFile(msgspec.Struct, frozen=True):
    """A file for the bank: its ``name``, its media type, and what stands in it. ``count`` payouts are in it."""

    name: str
    media: str
    batch: int
    count: int
    content: str


class Showing:
    """Makes views for one caller; names and payouts are read once."""

    def __init__(self, engine: Engine, call: Call) -> None:
        self._engine = engine
        self._sight = Sight(engine, call.caller)
        rows = engine.store.accounts_under(engine.tenant, f"{Role.PROVIDER.value}:")
        self._names = {account.public: key.split(":", 1)[1].rpartition(":")[0] for key, account in rows}

    def name(self, account: str) -> str:
        """Whose an account is; the platform has none."""
        return self._names.get(account, account) if account else PLATFORM

    def account(self, name: str, asset: str) -> str:
        """The account of a provider by its name or id; nothing for the platform."""
        if name in (PLATFORM, ""):
            return ""
        store, tenant = self._engine.store, self._engine.tenant
        known = store.account_keys(tenant, [f"{Role.PROVIDER.value}:{name}:{asset}"])
        numbers = list(known.values())
        return store.accounts(tenant, numbers)[numbers[0]].public if numbers else name

    def concerns(self, *accounts: str) -> bool:
        """Whether a record about these accounts is for this caller."""
        return self._sight.all or any(account in self._sight.own for account in accounts)

    def settlement(self, line: SettlementLine, *, whole: bool) -> SettlementView | None:
        """A settlement; None when the caller has no part in it."""
        positions: tuple[PositionView, ...] = ()
        payments: tuple[SettledPayment, ...] = ()
        credited, payable, count = line.credited, line.payable, line.providers
        if whole or not self._sight.all:
            lines = positions_of(self._engine.store, self._engine.tenant, line)
            mine = [one for one in lines if self.concerns(one.account)]
            if not mine:
                return None
            positions = tuple(self._position(one) for one in mine)
            if not self._sight.all:
                credited, payable, count = _sums(mine, line)
        if whole:
            payments = tuple(self._payments(line))
        else:
            positions = ()
        over = tuple(self.name(account) for account in line.over if self.concerns(account))
        return SettlementView(
            line.id, line.number, line.at, line.asset.partition("/")[0], line.mode, line.after, line.upto, count,
            credited, payable, over, positions, payments,
        )  # fmt: skip

    def _position(self, one: PositionLine) -> PositionView:
        return PositionView(
            one.account, self.name(one.account), one.opening, one.credits, one.debits, one.obliged, one.paid,
            one.closing, one.payable, one.residue_in, one.residue_out, one.advice,
        )  # fmt: skip

    def payouts(self, line: SettlementLine) -> dict[tuple[str, str], list[PayoutLine]]:
        """What was ordered of a settlement's payments."""
        store, tenant = self._engine.store, self._engine.tenant
        return payouts_of(line, lambda ids: {id: one.line for id, one in store.courses(tenant, ids).items()})

    def _payments(self, line: SettlementLine) -> Iterator[SettledPayment]:
        asset = self._engine.books.asset(line.asset.partition("/")[0])
        grain, digits = grain_of(asset), minor_of(asset)
        ordered = self.payouts(line)
        for one in line.payments:
            if not self.concerns(one.debtor, one.creditor):
                continue
            sums = {"paid": 0, "live": 0}
            parts = ordered[one.debtor, one.creditor]
            for part in parts:
                units = Money.parse(part.amount, asset).atoms // grain
                if part.state == PaymentState.SUCCEEDED.value:
                    sums["paid"] += units
                elif part.state in LIVE:
                    sums["live"] += units
            left = units_of(one.amount) - sums["paid"] - sums["live"]
            yield SettledPayment(
                self.name(one.debtor), self.name(one.creditor), one.amount, decimal_text(sums["paid"], digits),
                decimal_text(sums["live"], digits), decimal_text(left, digits), tuple(part.id for part in parts),
            )  # fmt: skip

    def payout(self, line: PayoutLine) -> PayoutView:
        """A payout; amounts in minor units.

        Raises:
            Refused: NOT_FOUND, when it is another's.
        """
        if not self.concerns(line.debtor, line.creditor):
            raise nothing()
        asset = self._engine.books.asset(line.asset.partition("/")[0])
        amount = decimal_text(Money.parse(line.amount, asset).atoms // grain_of(asset), minor_of(asset))
        return PayoutView(
            line.id, line.settlement, self.name(line.debtor), self.name(line.creditor), amount, asset.code, line.by,
            line.batch, line.state, line.at, line.requested, line.tries, line.reference, line.reason, line.late,
        )  # fmt: skip


def _sums(lines: list[PositionLine], line: SettlementLine) -> tuple[str, str, int]:
    """What of a settlement's sums is this provider's."""
    scale, digits = (len(text.partition(".")[2]) for text in (line.credited, line.payable))
    credited, payable = (sum(units_of(getattr(one, name)) for one in lines) for name in ("credited", "payable"))
    return decimal_text(credited, scale), decimal_text(payable, digits), len(lines)


def settlements(engine: Engine, call: Call) -> SettlementPage:
    """Settlements, newest first; a provider sees those that it has a part in."""
    query: PageQuery = call.query
    cursors, showing = Cursors(engine), Showing(engine, call)
    before = cursors.read(query.after, "settlements")
    line, shown = last_settlement(engine), list[SettlementView]()
    while line is not None:
        number = read_number(line.number.replace("SET-", "set_"))
        if not before or number < before:
            view = showing.settlement(line, whole=False)
            if view is not None:
                if len(shown) == query.limit:
                    last = read_number(shown[-1].number.replace("SET-", "set_"))
                    return SettlementPage(tuple(shown), cursors.write(last, "settlements"))
                shown.append(view)
        line = find_line(engine.store, engine.tenant, line.previous) if line.previous else None
    return SettlementPage(tuple(shown))


def settlement(engine: Engine, call: Call) -> SettlementView:
    """One settlement, by id or number, with its positions and payments.

    Raises:
        Refused: NOT_FOUND, also when the caller has no part in it.
    """
    found = Showing(engine, call).settlement(find_settlement(engine, call.id), whole=True)
    if found is None:
        raise nothing()
    return found


def payouts(engine: Engine, call: Call) -> PayoutPage:
    """Payouts, those of the newest settlement first; those under way explain what lies in clearing."""
    query: PayoutQuery = call.query
    cursors, showing = Cursors(engine), Showing(engine, call)
    skipped, at, shown = cursors.read(query.after, f"payouts {query.state}"), 0, list[PayoutView]()
    line = last_settlement(engine)
    while line is not None:
        for part in (part for parts in showing.payouts(line).values() for part in parts):
            at += 1  # places do not move when a payout ends
            wanted = query.state in ("", part.state) and showing.concerns(part.debtor, part.creditor)
            if at > skipped and wanted:
                if len(shown) == query.limit:
                    return PayoutPage(tuple(shown), cursors.write(at - 1, f"payouts {query.state}"))
                shown.append(showing.payout(part))
        line = find_line(engine.store, engine.tenant, line.previous) if line.previous else None
    return PayoutPage(tuple(shown))


def payout(engine: Engine, call: Call) -> PayoutView:
    """One payout.

    Raises:
        Refused: NOT_FOUND, also when it is another's.
    """
    return Showing(engine, call).payout(find_payout(engine, call.id))


def transfer_of(showing: Showing, asset: str, debtor: str, creditor: str) -> Transfer:
    """A payment as its settlement calls it, by the names of the two."""
    return Transfer(showing.account(debtor, asset), showing.account(creditor, asset), "")
