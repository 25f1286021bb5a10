"""Charging sessions: a service that runs against a balance, and what the books say of it after every change.

Words are those of online charging (RFC 8506): units are *requested*, *granted* and *used*; a grant lasts for a
*validity time*; the last one that the value pays for is *final* and says what the client must do then.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from apportion.model.journal import CourseLine

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
    """One part as one provider delivers it: counters and the grant. All quantities count from the session's start.

    ``used`` is what was reported, ``granted`` up to where it is paid for; the part of the name "" reports for the whole
    service. ``until`` is when its validity time ends, ``number`` that of its newest report. The part is priced by
    ``tariff`` from ``since`` on, for what was used beyond ``base``; ``earned`` is what came of earlier terms (exact
    text, in the currency), ``credited`` what was booked (atoms). ``ended`` meters only count for the whole.
    """

    part: str
    provider: str = ""
    account: str = ""
    tariff: str = ""
    since: str = ""
    used: dict[str, str] = {}
    granted: dict[str, str] = {}
    base: dict[str, str] = {}
    whole: dict[str, str] = {}
    earned: str = "0"
    credited: int = 0
    number: int = 0
    until: str = ""
    reported: str = ""
    final: bool = False
    silent: bool = False
    ended: bool = False


class SessionPayer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One payer of a session: ``weight`` or own ``used`` quantities decide its share, unless it ``pays`` nothing.

    ``owed`` is its exact share of what was charged under earlier terms (exact text, atoms), ``charged`` what it paid
    (atoms), ``base`` its quantities when the terms last changed. ``holds`` are its open holds, oldest first.
    """

    account: str
    weight: str = ""
    pays: bool = True
    used: dict[str, str] = {}
    base: dict[str, str] = {}
    owed: str = "0"
    charged: int = 0
    holds: tuple[int, ...] = ()
    left: bool = False


class Offer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What lets a session go on: at least ``least``, better ``needed`` (decimal text), in by ``until``."""

    id: str
    currency: str
    least: str
    needed: str
    until: str


class SessionLine(CourseLine, frozen=True, tag="session", kw_only=True):
    """A session after a change; ``n`` counts them. Amounts named ``…_atoms`` are atoms of ``asset``.

    ``event`` says what happened (opened, reported, low, grace, suspended, resumed, altered, closed …) and ``reason``
    why. Retail is priced by ``tariff`` of ``catalog`` from ``since`` on for what was used beyond ``base``; ``before``
    are net, platform, sponsored … atoms that earlier terms came to. ``shared`` is the total at the payers' last change.
    """

    n: int
    service: str
    state: str
    event: str
    at: str
    start: str
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
    taxes: dict[str, int] = {}
    net_before: int = 0
    taxes_before: dict[str, int] = {}
    platform: int = 0
    sponsored: int = 0
    shared: int = 0
    slices: int = 0
    until: str = ""
    offer: Offer | None = None
