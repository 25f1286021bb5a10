"""What a caller may see of a session: an operator all, a user what it pays, a provider its own part."""

from __future__ import annotations

import msgspec

from apportion.engine.sessions.contract import written
from apportion.engine.sessions.covers import covered
from apportion.engine.terms import Terms
from apportion.errors import Refusal, RefusalCode, refuse
from apportion.model.access import AccessRole, Credential
from apportion.model.session import Meter, Offer, SessionLine, SessionPayer, SessionState, SessionTerms
from apportion.model.usage import UsageClass
from apportion.money import parse_asset
from apportion.money.exact import decimal_text
from apportion.ports import Store

_LINE = msgspec.json.Decoder(SessionLine)


class PartView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a session: what it ``used``, up to where it is ``granted`` and until when it must report.

    ``earned`` is what was credited so far, for those who may know. A ``final`` grant is the last that the value pays
    for; a ``silent`` part let its time pass; what was ``lost`` was used beyond a grant.
    """

    part: str
    provider: str = ""
    used: dict[str, str] = {}
    granted: dict[str, str] = {}
    lost: dict[str, str] = {}
    until: str = ""
    number: int = 0
    earned: str = ""
    final: bool = False
    silent: bool = False
    ended: bool = False


class ShareOfSession(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a payer was charged so far; another user's share has no account."""

    charged: str
    account: str = ""
    pays: bool = True
    left: bool = False


class Final(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the client does when its last units are used: ``terminate``, ``redirect`` or ``restrict`` (RFC 8506)."""

    action: str
    redirect: str = ""
    restrict: tuple[str, ...] = ()


class SessionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session as it stood after change ``n``: its ``state``, what happened last, what may be used, what it cost.

    ``threshold`` is the fraction of a grant at which to report; ``until`` when grace or suspension ends. ``covered``
    are the units so far that came out of allowances, for those who may know; ``plan`` is the one that it runs by.
    """

    id: str
    service: str
    state: SessionState
    event: str
    at: str
    start: str
    through: str
    currency: str
    n: int
    reason: str = ""
    charged: str = ""
    slices: int = 0
    parts: tuple[PartView, ...] = ()
    payers: tuple[ShareOfSession, ...] = ()
    threshold: str = ""
    until: str = ""
    final: Final | None = None
    offer: Offer | None = None
    covered: dict[str, str] = {}
    plan: str = ""


class SessionPage(msgspec.Struct, frozen=True):
    """Sessions by id; ``next`` leads to the following page and is empty on the last."""

    data: tuple[SessionView, ...]
    next: str = ""


class ReportAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one report: charged, zero-rated (taken, nothing was due), duplicate, or rejected and why."""

    state: UsageClass
    refusal: Refusal | None = None


class ReportsAnswer(msgspec.Struct, frozen=True):
    """One answer per report, in order, and the session after them all."""

    reports: tuple[ReportAnswer, ...]
    session: SessionView


def session_line(store: Store, tenant: int, id: str) -> SessionLine:
    """A session as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = store.courses(tenant, [id]).get(id) if id.startswith("ses_") else None
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    return _LINE.decode(found.line)


def may_see(line: SessionLine, caller: Credential, own: frozenset[str]) -> bool:
    """Whether a session is the caller's; ``own`` are its accounts."""
    if caller.role is AccessRole.PROVIDER:
        return any(meter.provider == caller.party for meter in line.meters)
    if caller.role is AccessRole.USER:
        return any(payer.account in own for payer in line.payers)
    return True


def view(line: SessionLine, terms: Terms, caller: Credential, own: frozenset[str]) -> SessionView:
    """A session for a caller who may see it."""
    scale = parse_asset(line.asset).scale
    provider = caller.party if caller.role is AccessRole.PROVIDER else ""
    user = caller.role is AccessRole.USER
    session = terms.service(line.service).service.session or (SessionTerms() if line.plan else None)
    running = line.state is not SessionState.CLOSED and session is not None
    last = running and (line.state in (SessionState.GRACE, SessionState.SUSPENDED) or any(m.final for m in line.meters))
    return SessionView(
        line.id, line.service, line.state, line.event, line.at, line.start, line.through, line.asset.partition("/")[0],
        line.n, line.reason,
        charged="" if provider else decimal_text(sum(p.charged for p in line.payers), scale),
        slices=line.slices,
        parts=tuple(
            _part(meter, scale, hidden=user)
            for meter in line.meters
            if provider in ("", meter.provider) and (meter.part or meter.until or meter.number)
        ),
        payers=() if provider else tuple(_share(p, scale, own if user else None) for p in line.payers),
        threshold=session.threshold if running and session is not None else "",
        until=line.until,
        final=Final(session.final, session.redirect, session.restrict) if last and session is not None else None,
        offer=None if provider else line.offer,
        covered={} if provider else written(covered(line)),
        plan=line.plan,
    )  # fmt: skip


def _part(meter: Meter, scale: int, *, hidden: bool) -> PartView:
    earned = "" if hidden or not meter.part else decimal_text(meter.credited, scale)
    return PartView(
        meter.part, meter.provider, meter.used, meter.granted, meter.lost, meter.until, meter.number, earned,
        meter.final, meter.silent, meter.ended,
    )  # fmt: skip


def _share(payer: SessionPayer, scale: int, own: frozenset[str] | None) -> ShareOfSession:
    known = own is None or payer.account in own
    return ShareOfSession(decimal_text(payer.charged, scale), payer.account if known else "", payer.pays, payer.left)
