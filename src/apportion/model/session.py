"""Charging sessions: a service that runs against a balance, and what the books say of it after every change.

Words are those of online charging (RFC 8506): units are *requested*, *granted* and *used*; a grant lasts for a
*validity time*; the last one that the value pays for is *final* and says what the client must do then.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from apportion.model.journal import CourseLine
from apportion.money.exchange import Rate

FinalAction = Literal["terminate", "redirect", "restrict"]


class SessionState(enum.Enum):
    """How a session stands; it moves downward when value runs short, and back up when value comes."""

    ACTIVE = "active"
    LOW = "low"  # it goes on, but the value will not last: the payer was told
    GRACE = "grace"  # no value is left; it goes on for a while, because value may be on its way
    SUSPENDED = "suspended"  # the parts have stopped; value, or a report, lets the same session go on
    CLOSED = "closed"  # ended for ever; what was held and not charged is back


class SessionTerms(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a service runs as a session. Times are whole seconds, amounts decimal text of the retail currency.

    ``slice`` is how much of each measure is granted at a time when the client requests nothing; ``validity`` how long
    a grant lasts; a client should report when the fraction ``threshold`` of its grant is left. ``low`` is the value
    below which the payer is told. Once nothing is left, the session goes on for ``grace`` seconds while a payment is
    on its way, on at most ``grace_limit``; then it is suspended and waits for ``offer`` seconds. ``final`` and
    ``redirect`` say what the client does after its last units. ``receipt`` measures are time: a silent part may be
    charged one more interval if its receiver confirms it. ``overrun`` says who bears what is used beyond a grant.
    """

    slice: dict[str, str] = {}
    validity: int = 300
    threshold: str = "0.2"
    low: str = "0"
    grace: int = 0
    grace_limit: str = "0"
    offer: int = 600
    final: FinalAction = "terminate"
    redirect: str = ""
    restrict: tuple[str, ...] = ()
    receipt: tuple[str, ...] = ()
    overrun: Literal["provider", "platform"] = "provider"


class Meter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part as one provider delivers it: its counters and its grant, all since the meter began.

    ``used`` is what was reported in ``number`` reports, ``granted`` up to where it is paid for, ``lost`` what was used
    beyond a grant; the meter of the part "" counts for the whole service. ``until`` ends its validity time (empty: it
    does not report); ``silent`` ones let it pass, ``final`` ones have their last units, ``ended`` ones deliver no
    more.

    It ``began`` with the session or when it took over. It is priced by ``tariff`` from ``since`` on, for what came
    after ``base``; ``earned`` is the exact share of earlier terms, ``credited`` what was booked (both atoms);
    ``turned`` says that there were any, so that fees of a beginning are not due again. A price in another currency
    than the service's is converted by the ``rate`` of its beginning; ``paid`` is what was booked of it there (atoms).
    """

    part: str
    provider: str = ""
    account: str = ""
    tariff: str = ""
    used: dict[str, str] = {}
    granted: dict[str, str] = {}
    lost: dict[str, str] = {}
    base: dict[str, str] = {}
    began: str = ""
    since: str = ""
    turned: bool = False
    earned: str = "0"
    credited: int = 0
    number: int = 0
    until: str = ""
    final: bool = False
    silent: bool = False
    ended: bool = False
    rate: Rate | None = None
    paid: int = 0


class SessionPayer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One payer of a session: ``weight`` or own ``used`` quantities decide its share, unless it ``pays`` nothing.

    ``owed`` is its exact share under earlier terms (atoms, as text), ``charged`` what it paid (atoms), ``base`` its
    quantities when the terms last changed. ``holds`` are its open holds, oldest first; ``periods`` says for which
    period those on a capped source count. One whose account is in another currency than the service's pays by the
    ``rate`` of its beginning: ``paid`` is what was taken there (atoms), as its holds are.
    """

    account: str
    weight: str = ""
    pays: bool = True
    used: dict[str, str] = {}
    base: dict[str, str] = {}
    owed: str = "0"
    charged: int = 0
    holds: tuple[int, ...] = ()
    periods: dict[str, str] = {}
    left: bool = False
    rate: Rate | None = None
    paid: int = 0


class TaxSum(msgspec.Struct, frozen=True):
    """Tax of one category and rate so far, in atoms."""

    name: str
    rate: str
    base: int
    amount: int


class Cover(msgspec.Struct, frozen=True, omit_defaults=True):
    """Units of ``measure`` taken out of an ``allowance`` (its deferred ``account``) for a session, as exact text.

    ``reserved`` of them all together, of which so many were ``used``: those are not priced. ``booked`` is what slices
    took so far, in whole grains, and ``drawn`` the atoms of the allowance's price that they moved.
    """

    allowance: str
    account: str
    measure: str
    reserved: str = "0"
    used: str = "0"
    booked: str = "0"
    drawn: int = 0


class Offer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What lets a session go on: at least ``least``, better ``needed`` (decimal text), in by ``until``."""

    id: str
    currency: str
    least: str
    needed: str
    until: str


class SessionLine(CourseLine, frozen=True, tag="session", kw_only=True):
    """A session after a change; ``n`` counts them. Sums without a currency are atoms of ``asset``.

    ``event`` says what happened (opened, reported, low, grace, suspended, resumed, altered, confirmed, accepted,
    silent, flagged, closed) and ``reason`` why; the service was used up to ``through``. Retail is priced by ``tariff``
    of ``catalog`` from ``since`` on for what came after ``base`` and is not in ``covers``; earlier terms came to
    ``net_before`` and ``taxes_before``. ``net``, ``taxes``, ``platform`` and ``sponsored`` were booked so far, in
    ``slices`` charges, what was drawn from allowances included; ``postponed`` is what the holds did not cover yet.
    ``crew_net`` and ``shared`` are the net and the total when providers or payers last changed. A session that runs by
    an accepted ``plan`` has its tariffs from there.
    """

    n: int
    service: str
    state: SessionState
    event: str
    at: str
    start: str
    through: str
    asset: str
    catalog: str
    tariff: str
    since: str
    reason: str = ""
    attributes: dict[str, str] = {}
    macs: dict[str, str] = {}
    meters: tuple[Meter, ...] = ()
    payers: tuple[SessionPayer, ...] = ()
    base: dict[str, str] = {}
    net: int = 0
    taxes: tuple[TaxSum, ...] = ()
    net_before: int = 0
    taxes_before: tuple[TaxSum, ...] = ()
    turned: bool = False
    platform: int = 0
    sponsored: int = 0
    crew_net: int = 0
    shared: int = 0
    slices: int = 0
    postponed: int = 0
    until: str = ""
    offer: Offer | None = None
    covers: tuple[Cover, ...] = ()
    plan: str = ""


class WaitLine(CourseLine, frozen=True, tag="wait", kw_only=True):
    """Which ``sessions`` wait for value on an account (``id`` is ``wait_`` and its number); due once value came in."""

    at: str
    sessions: tuple[str, ...] = ()


class GraceLine(CourseLine, frozen=True, tag="grace", kw_only=True):
    """The credit line of an account was raised by ``limit`` atoms for a ``session`` whose payment is on its way.

    ``id`` is ``grace_`` and the account's number; without a session nothing is lent.
    """

    at: str
    account: str
    limit: int
    session: str = ""
