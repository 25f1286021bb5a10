"""A provider lost while a session runs: the next best plan for what is still to come, which then takes over (S2)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.broker.confirming import confirmed
from apportion.engine.broker.planning import found_plan
from apportion.engine.broker.running import Running, running
from apportion.engine.broker.views import candidates_of, plan_line
from apportion.engine.engine import Engine
from apportion.engine.sessions.views import session_line
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.account import Account
from apportion.model.ids import read_key, read_number
from apportion.model.plan import CrewFound, PlanLine, PlanMade
from apportion.model.request import Request
from apportion.model.session import SessionLine, SessionState
from apportion.model.session_asked import Asked, Change, Name, SessionCommand
from apportion.model.usage import PayerUse
from apportion.money import Exact

replace = msgspec.structs.replace


class Replace(Asked, frozen=True):
    """Find a running session another crew, without the providers that are ``lost``; the next best plan takes over.

    ``ask`` is how many milliseconds provider nodes have to answer (0: the standing offers only).
    """

    lost: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
    ask: Annotated[int, Meta(ge=0, le=10_000)] | None = 0


def replacement(engine: Engine, session: str, given: Replace) -> CrewFound:
    """The plan that is found, with the change to it.

    Raises:
        Refused: NOT_FOUND, SESSION_CLOSED; BAD_INPUT when the session runs by no plan; NO_PLAN.
    """
    line = session_line(engine.store, engine.tenant, session)
    if line.state is SessionState.CLOSED:
        raise refuse(RefusalCode.SESSION_CLOSED, "the session has been closed.", field="id", fix="Ask for a new plan.")
    if not line.plan:
        raise refuse(
            RefusalCode.BAD_INPUT, "the session was not opened by a plan.", field="id",
            fix="Change its providers instead.",
        )  # fmt: skip
    before = plan_line(engine, line.plan)
    now = running(engine, line, before, given.lost)
    request = _request(engine, line, before, given, now)
    now = replace(now, without=request.without)
    made = _found(engine, request, now, before)
    confirmed(engine, made.line, made.line.preferred, made.candidates)
    change = Change(plan=made.line.id, scenario=made.line.preferred)
    return CrewFound(made, SessionCommand(session, change))


def _found(engine: Engine, request: Request, now: Running, before: PlanLine) -> PlanMade:
    """The next best plan without those who are lost; with those who were lost earlier only where there is no other.

    Raises:
        Refused: NO_PLAN.
    """
    lost = dict.fromkeys((*request.without, *now.lost))
    ever = lost | dict.fromkeys(_lost_earlier(engine, before))
    try:
        return found_plan(engine, replace(request, without=tuple(ever)), home=before.home, running=now)
    except Refused as refused:
        if refused.refusal.code is not RefusalCode.NO_PLAN or len(ever) == len(lost):
            raise
    return found_plan(engine, replace(request, without=tuple(lost)), home=before.home, running=now)


def _lost_earlier(engine: Engine, plan: PlanLine) -> list[str]:
    """Those who were lost to the session when it went over to the plan by which it runs, and to those before that."""
    found = list(plan.lost)
    while plan.before:
        plan = plan_line(engine, plan.before)
        found += plan.lost
    return found


def _request(engine: Engine, line: SessionLine, before: PlanLine, given: Replace, now: Running) -> Request:
    """What was asked for, less what was used, for whoever pays now.

    Once all of it is used, nobody knows how much more is to come: it is taken to be as much again.
    """
    asked = candidates_of(engine, before.id).request
    if asked is None:
        raise refuse(RefusalCode.NOT_FOUND, "what was asked for is no longer known.", field="id")
    parties = [account.party for account in _accounts(engine, line)]
    names = engine.store.handles_of(engine.tenant, parties)
    payers = tuple(
        PayerUse(names.get(party, ""), payer.weight, pays=payer.pays)
        for party, payer in zip(parties, line.payers, strict=True)
        if not payer.left
    )
    left = {
        m: Exact.parse(text) + Exact.parse(before.used.get(m, "0")) - now.used.get(m, Exact(0))
        for m, text in before.quantities.items()
    }
    quantities = {m: units.text() for m, units in left.items() if units > Exact(0)} or before.quantities
    attributes = {**asked.attributes, **_personal(engine, before)}
    return replace(
        asked, payers=payers, quantities=quantities, attributes=attributes, start="", objective=before.chosen,
        ask=given.ask,
    )  # fmt: skip


def _accounts(engine: Engine, line: SessionLine) -> list[Account]:
    found = engine.store.accounts(engine.tenant, [read_number(payer.account) for payer in line.payers])
    return [found[read_number(payer.account)] for payer in line.payers]


def _personal(engine: Engine, before: PlanLine) -> dict[str, str]:
    """What of the request is personal: it lies beside the chain, with the first payer of the plan."""
    if not before.macs:
        return {}
    key, number = read_key(before.id), read_number(before.payers[0].account)
    party = engine.store.accounts(engine.tenant, [number])[number].party
    rows = engine.store.people(engine.tenant, party)
    return {row.field: row.value for row in rows if row.record == key and isinstance(row.value, str)}
