"""Plans as callers may see them: users see what they pay, providers their own part, operators and auditors all."""

from __future__ import annotations

import msgspec

from apportion.engine.broker.keeping import unpacked
from apportion.engine.engine import Engine
from apportion.engine.visible import Sight, nothing
from apportion.errors import Refusal
from apportion.model.access import AccessRole, Credential
from apportion.model.market import Quality
from apportion.model.plan import Candidate, Candidates, PlanLine, PlanPart, PlanShare, PlanState, Scenario
from apportion.model.profile import Billing

_LINE = msgspec.json.Decoder(PlanLine)
_USER, _PROVIDER = AccessRole.USER, AccessRole.PROVIDER
_BETTER = "It fits; another combination was better."  # by how much would tell what others ask
_UNSAID = Billing()
_OWN = frozenset({AccessRole.OPERATOR, AccessRole.AUDITOR})


class PartView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part: who would deliver it; what payers pay for it (``fee``) and what the provider would earn (``cost``)."""

    part: str
    provider: str
    network: str = ""
    fee: str = ""
    cost: str = ""
    quality: Quality = Quality()
    rating: str = ""
    agreement: str = ""
    placed: bool = False
    offer: str = ""
    bid: str = ""


class ScenarioView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One scenario. ``placed`` is what paid placements make it cost more, ``dearer`` what preferences add to that."""

    name: str
    total: str = ""
    net: str = ""
    tax: str = ""
    parts: tuple[PartView, ...] = ()
    shares: tuple[PlanShare, ...] = ()
    cost: str = ""
    margin: str = ""
    latency: int = 0
    availability: str = ""
    points: int = 0
    dearer: str = "0"
    placed: str = "0"
    proven: bool = True


class PlanView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A plan as it stands: ``preferred`` names the scenario that is taken unless another is asked for, until ``due``.

    ``relaxed`` are limits that were given up, ``policy`` says whose cost was minimised when not the payers'. Of the
    ``candidates`` users see the fee that was offered and the reason. ``approval`` names providers that would fit and
    are not approved. ``usual`` and ``dearest`` are there when the request asked for a comparison,
    ``billing`` says how the first payer wants to be billed.
    """

    id: str
    state: PlanState
    at: str
    due: str
    service: str
    currency: str
    catalog: str
    quantities: dict[str, str]
    preferred: str
    scenarios: tuple[ScenarioView, ...]
    attributes: dict[str, str] = {}
    candidates: tuple[Candidate, ...] = ()
    approval: tuple[str, ...] = ()
    relaxed: tuple[str, ...] = ()
    policy: str = ""
    profile: str = ""
    home: str = ""
    chosen: str = ""
    session: str = ""
    replaces: str = ""
    asked: int = 0
    answered: int = 0
    usual: str = ""
    dearest: str = ""
    billing: Billing = _UNSAID


class PlanPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of plans without their candidates; ``next`` continues."""

    data: tuple[PlanView, ...]
    next: str = ""


class PlanAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one of several requests: its plan, or why there is none."""

    plan: PlanView | None = None
    refusal: Refusal | None = None


class PlansAnswer(msgspec.Struct, frozen=True):
    """One answer for each request, in order."""

    answers: tuple[PlanAnswer, ...]


def plan_line(engine: Engine, id: str) -> PlanLine:
    """A plan as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith("pln_") else None
    if found is None:
        raise nothing()
    return _LINE.decode(found.line)


def candidates_of(engine: Engine, id: str) -> Candidates:
    """What a plan was chosen from; nothing when it was deleted with the payer."""
    body = engine.store.document(engine.tenant, id)
    return unpacked(body) if body else Candidates(id, ())


def may_see(line: PlanLine, caller: Credential, own: frozenset[str]) -> bool:
    """Whether a plan concerns the caller: all, those it would pay for, those it delivers in or was asked through."""
    if caller.role in _OWN:
        return True
    if caller.role is _PROVIDER:
        return line.home == caller.party or any(p.provider == caller.party for s in line.scenarios for p in s.parts)
    return any(payer.account in own for payer in line.payers)


def view(engine: Engine, line: PlanLine, caller: Credential, *, whole: bool = True, compare: bool = False) -> PlanView:
    """A plan as the caller may see it; ``whole`` with its candidates, else with the comparison alone, if at all."""
    found = candidates_of(engine, line.id) if whole or compare else Candidates(line.id, ())
    if not whole:
        found = Candidates(line.id, (), usual=found.usual, dearest=found.dearest)
    own = frozenset(Sight(engine, caller).own)
    home = caller.role is _PROVIDER and line.home == caller.party
    buyer = caller.role in _OWN or caller.role is _USER or home
    scenarios = [_scenario(one, caller, own, buyer=buyer) for one in line.scenarios]
    approval = {one.provider for one in found.candidates if one.out == "approval"} if buyer else set()
    return PlanView(
        line.id, line.state, line.at, line.due, line.service, line.asset.partition("/")[0], line.catalog,
        line.quantities, line.preferred, tuple(one for one in scenarios if one.parts),
        line.attributes, _candidates(found, caller, home=home), tuple(sorted(approval)), line.relaxed, line.policy,
        line.profile if buyer else "", line.home, line.chosen, line.session, line.replaces, found.asked if buyer else 0,
        found.answered if buyer else 0, found.usual if buyer else "", found.dearest if buyer else "",
        line.billing if buyer and line.billing != _UNSAID else _UNSAID,
    )  # fmt: skip


def _scenario(one: Scenario, caller: Credential, own: frozenset[str], *, buyer: bool) -> ScenarioView:
    """The whole of it for those who pay (what providers earn for operators alone), else one's own parts."""
    everything = caller.role in _OWN
    parts = tuple(_part(p, caller, buyer=buyer) for p in one.parts if buyer or p.provider == caller.party)
    if not buyer:
        return ScenarioView(one.name, parts=parts, proven=one.proven)
    shares = one.shares if everything else tuple(share for share in one.shares if share.account in own)
    return ScenarioView(
        one.name, one.total, one.net, one.tax, parts, shares, one.cost if everything else "",
        one.margin if everything else "", one.latency, one.availability, one.points, one.dearer, one.placed, one.proven,
    )  # fmt: skip


def _part(part: PlanPart, caller: Credential, *, buyer: bool) -> PartView:
    mine = caller.role in _OWN or part.provider == caller.party
    return PartView(
        part.part, part.provider, part.network, part.fee if buyer else "", part.cost if mine else "", part.quality,
        part.rating, part.agreement if buyer else "", part.placed, part.offer if mine else "", part.bid if mine else "",
    )  # fmt: skip


def _candidates(found: Candidates, caller: Credential, *, home: bool) -> tuple[Candidate, ...]:
    if caller.role in _OWN:
        return found.candidates
    if caller.role is _USER or home:
        mine = caller.party
        return tuple(
            one if one.provider == mine else msgspec.structs.replace(one, cost="", offer="") for one in found.candidates
        )
    own = (one for one in found.candidates if one.provider == caller.party)
    return tuple(
        msgspec.structs.replace(one, fee="", why=one.why if one.out or not one.why else _BETTER) for one in own
    )
