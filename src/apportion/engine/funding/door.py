"""Buckets and allowances at the door: granting, buying, and what an account may draw on as it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import Amount, Currency, Input, Instant, Name, Text
from apportion.engine.funding.purse import cap_id, stock_of
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import Refused
from apportion.model.account import Account
from apportion.model.command import BuyAllowance, Grant, Outcome
from apportion.model.funding import AllowanceLine, BucketLine, CapLine, FundingLine
from apportion.model.ids import number_id, read_key, read_number
from apportion.money.exact import decimal_text
from apportion.stages.credit.funding import allowance_order, bucket_order, cap_period

Services = Annotated[tuple[Name, ...], Meta(max_length=100)]


class GrantInput(Input, frozen=True):
    """Value for ``payer`` in a bucket called ``name``, once per ``reference``; see ``BucketView`` for the rest.

    It is ``funded`` by cash that came in, or by the sponsor, to whom it goes back when it expires.
    """

    payer: Name
    amount: Amount
    currency: Currency
    reference: Name
    priority: Annotated[int, Meta(ge=0, le=999)] = 500
    expires: Instant = ""
    services: Services = ()
    funded: Literal["cash", "sponsor"] = "cash"
    name: Text = ""


class AllowanceInput(Input, frozen=True):
    """``units`` of ``measure`` for ``payer``, who pays ``price`` for them now, once per ``reference``."""

    payer: Name
    currency: Currency
    price: Amount
    measure: Name
    units: Amount
    reference: Name
    services: Services = ()
    expires: Instant = ""
    name: Text = ""


class GrantAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A grant as it was made: ``bucket`` is its id, ``account`` where its value lies, ``owner`` the payer's account."""

    id: str
    bucket: str
    account: str
    owner: str
    name: str
    amount: str
    currency: str
    at: str
    priority: int
    expires: str = ""
    services: tuple[str, ...] = ()
    funded: str = "cash"


class AllowanceAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An allowance as it was bought: ``account`` holds its price until the units are used."""

    id: str
    allowance: str
    account: str
    owner: str
    name: str
    measure: str
    units: str
    price: str
    currency: str
    at: str
    expires: str = ""
    services: tuple[str, ...] = ()


class BucketView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bucket as it stands: drawn before the payer's other value, the lowest ``priority`` first, then what expires
    first; only for ``services`` (all, when empty) and before ``expires`` (never, when empty).
    """

    id: str
    account: str
    name: str
    available: str
    priority: int
    expires: str = ""
    services: tuple[str, ...] = ()


class AllowanceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An allowance as it stands: ``left`` of its ``units``, drawn before money, and what sessions have ``reserved``.

    ``deferred`` was paid for both.
    """

    id: str
    account: str
    name: str
    measure: str
    units: str
    left: str
    deferred: str
    expires: str = ""
    services: tuple[str, ...] = ()
    reserved: str = "0"


class AlternateView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another account that is drawn on: up to ``cap`` ``per`` day or month or for ever, of which ``drawn`` is used up.

    A user does not learn whose it is.
    """

    account: str = ""
    cap: str = ""
    per: str = ""
    drawn: str = ""


class FundingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a payer's account may draw on, each list in the order in which it is drawn.

    Allowances go first, in units; then buckets, the account's own value, the alternates, and its ``credit`` line, for
    which the provider ``guarantor`` stands (the platform, when empty). ``topup`` is what a payment fetches at a time.
    """

    account: str
    currency: str
    posted: str
    held: str
    credit: str
    allowances: tuple[AllowanceView, ...] = ()
    buckets: tuple[BucketView, ...] = ()
    alternates: tuple[AlternateView, ...] = ()
    guarantor: str = ""
    topup: str = ""
    topup_limit: str = ""


def grant(call: Call) -> list[object]:
    """Put value into a bucket."""
    return [Grant(**msgspec.structs.asdict(call.given))]


def buy(call: Call) -> list[object]:
    """Buy units."""
    return [BuyAllowance(**msgspec.structs.asdict(call.given))]


def grant_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> GrantAnswer:
    """The grant that was made, now or before."""
    line = _made(engine, outcomes)
    assert isinstance(line, BucketLine)
    return GrantAnswer(
        line.cause, line.id, line.account, line.payer, line.name, line.amount, line.asset.partition("/")[0], line.at,
        line.priority, line.expires, line.services, "sponsor" if line.sponsor else "cash",
    )  # fmt: skip


def buy_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> AllowanceAnswer:
    """The allowance that was bought, now or before."""
    line = _made(engine, outcomes)
    assert isinstance(line, AllowanceLine)
    return AllowanceAnswer(
        line.cause, line.id, line.account, line.payer, line.name, line.measure, line.units, line.price,
        line.asset.partition("/")[0], line.at, line.expires, line.services,
    )  # fmt: skip


def _made(engine: Engine, outcomes: Sequence[Outcome]) -> BucketLine | AllowanceLine:
    """The line that stands in the row of a grant or purchase."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    key = read_key(outcome.id)
    row = engine.store.row(engine.tenant, 0, engine.store.seen(engine.tenant, [key])[key].n)
    mark = b'"cause":"' + outcome.id.encode() + b'"'
    starts = (b'{"type":"bucket"', b'{"type":"allowance"')
    return stock_of(next(line for line in row.split(b"\n") if line.startswith(starts) and mark in line))


def funding(engine: Engine, call: Call) -> FundingView:
    """What an account may draw on.

    Raises:
        Refused: NOT_FOUND, also when it is another's or no payer's.
    """
    sight = Sight(engine, call.caller)
    view = sight.account(call.id)
    if view.role != "payer":
        raise nothing()
    shown = FundingView(view.id, view.currency, view.posted, view.held, view.credit)
    id = number_id("fund", read_number(view.id))
    stored = engine.store.courses(engine.tenant, [id]).get(id)
    if stored is None:
        return shown
    line = msgspec.json.decode(stored.line, type=FundingLine)
    stocks = engine.store.courses(engine.tenant, [*line.buckets, *line.allowances])
    found = [stock_of(stocks[name].line) for name in (*line.buckets, *line.allowances)]
    now = engine.clock.now()
    live = [one for one in found if one.state == "open" and not (one.expires and one.expires <= now)]
    accounts = engine.store.accounts(engine.tenant, [read_number(one.account) for one in live])
    return msgspec.structs.replace(
        shown,
        allowances=tuple(_allowances(live)),
        buckets=tuple(_buckets(live, accounts, len(view.posted.partition(".")[2]))),
        alternates=tuple(_alternates(engine, sight, line)),
        guarantor=line.guarantor, topup=line.topup, topup_limit=line.topup_limit,
    )  # fmt: skip


def _buckets(
    lines: Sequence[BucketLine | AllowanceLine], accounts: dict[int, Account], scale: int
) -> Iterator[BucketView]:
    for one in sorted((one for one in lines if isinstance(one, BucketLine)), key=bucket_order):
        left = decimal_text(accounts[read_number(one.account)].available(), scale)
        yield BucketView(one.id, one.account, one.name, left, one.priority, one.expires, one.services)


def _allowances(lines: Sequence[BucketLine | AllowanceLine]) -> Iterator[AllowanceView]:
    for one in sorted((one for one in lines if isinstance(one, AllowanceLine)), key=allowance_order):
        yield AllowanceView(
            one.id, one.account, one.name, one.measure, one.units, one.left, one.deferred, one.expires, one.services,
            one.reserved,
        )  # fmt: skip


def _alternates(engine: Engine, sight: Sight, line: FundingLine) -> Iterator[AlternateView]:
    ids = {source.account: cap_id(source.account, line.account) for source in line.sources if source.cap}
    stored = engine.store.courses(engine.tenant, list(ids.values()))
    for source in line.sources:
        account = source.account if sight.may_see(source.account) else ""
        if not source.cap:
            yield AlternateView(account)
            continue
        known = stored.get(ids[source.account])
        cap = msgspec.json.decode(known.line, type=CapLine) if known is not None else None
        now = cap_period(source.per, engine.clock.now(), line.zone)
        drawn = cap.drawn if cap is not None and cap.period == now else "0"
        yield AlternateView(account, source.cap, source.per, drawn)
