"""From a request to a plan: gather, match, price, choose, and say why; limits are given up one by one where agreed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from apportion.engine.broker.assembling import alike, as_scenario, once_more
from apportion.engine.broker.bidding import Heard, with_bids
from apportion.engine.broker.board import board_of
from apportion.engine.broker.candidates import candidates_of
from apportion.engine.broker.comparing import compared
from apportion.engine.broker.missing import miss_of
from apportion.engine.broker.pricing import Pricing
from apportion.engine.broker.running import Running
from apportion.engine.broker.trying import Tried, relaxing
from apportion.engine.broker.wish import Wish, read_request
from apportion.engine.charging import instant
from apportion.engine.engine import Engine
from apportion.engine.terms import Terms
from apportion.errors import NotFound, RefusalCode, refuse
from apportion.model.ids import key_id
from apportion.model.plan import PlanLine, PlanMade, PlanState, Scenario
from apportion.model.profile import Billing
from apportion.model.request import Request
from apportion.money import Money
from apportion.stages.broker.choosing.question import Miss

replace = msgspec.structs.replace


def terms_in_force(engine: Engine) -> Terms:
    """The catalog in force, compiled once for as long as it is.

    Raises:
        NotFound: there is none yet.
    """
    if engine.committer is not None:
        return engine.terms() if engine.committer.terms is None else engine.committer.terms
    version = engine.store.fact(engine.tenant, "catalog")
    if not version:
        raise NotFound("The store has no catalog yet. Run `apportion catalog apply FILE` first.")
    return engine.version(version)


def found_plan(
    engine: Engine, request: Request, *, home: str = "", by: str = "operator", running: Running | None = None
) -> PlanMade:
    """A plan for a request, to be put into the books; nothing is changed by finding it.

    With a session that is ``running``, it is one for what that still needs, and the session may go over to it.

    Raises:
        Refused: NO_PLAN with what the nearest plan would need; DECLINED; whatever is wrong with the request.
    """
    terms, now = terms_in_force(engine), engine.clock.now()
    wish = read_request(engine, terms, request, now)
    parts = parts_of(wish)
    board = board_of(engine, wish, now, request.approve)
    if running is not None:
        wish, board = running.bound(wish), running.freed(board)
    return planned(engine, wish, with_bids(engine, wish, board, parts), parts, (home, by), running)


def planned(
    engine: Engine, wish: Wish, heard: Heard, parts: tuple[str, ...], whose: tuple[str, str],
    running: Running | None = None,
) -> PlanMade:  # fmt: skip
    """A plan out of what was heard; ``whose`` is its home, and who asked.

    Raises:
        Refused: NO_PLAN.
    """
    pricing = Pricing(wish, running)
    plan = key_id("pln", secrets.token_bytes(16))
    tried, relaxed = relaxing(engine, wish, heard.board, pricing, parts)
    lines = _lines(plan, tried, wish, pricing, parts, heard)
    if "budget" not in relaxed and _over(lines, wish):  # by an atom, through rounding
        wish = msgspec.structs.replace(wish, kept=wish.kept.tighter(1 + len(pricing.retail.rates)))
        tried, relaxed = relaxing(engine, wish, heard.board, pricing, parts)
        lines = _lines(plan, tried, wish, pricing, parts, heard)
    return _made(plan, lines, tried, relaxed, heard, wish, pricing, whose)


def _lines(
    plan: str, tried: Tried, wish: Wish, pricing: Pricing, parts: tuple[str, ...], heard: Heard
) -> tuple[Scenario, ...]:
    """The scenarios with their tariffs and amounts.

    Raises:
        Refused: NO_PLAN.
    """
    if isinstance(tried.found, Miss):
        raise refuse(
            RefusalCode.NO_PLAN, miss_of(tried, wish, pricing, parts), field="limits",
            fix="Change the limits, or say in relax which may be given up.",
        )  # fmt: skip
    assert tried.weighed is not None
    board = heard.board
    ratings = {
        one.offer.provider: board.rating("provider", one.offer.provider) for one in tried.weighed.quoted.values()
    }
    lines: list[Scenario] = []
    for number, found in enumerate(tried.found):
        same = next((at for at, one in enumerate(tried.found[:number]) if alike(one, found)), None)
        lines.append(
            as_scenario(found, number, plan, tried.weighed, pricing, board.setups, board.bids, ratings)
            if same is None
            else once_more(lines[same], found, number, plan)
        )
    return tuple(lines)


def _over(lines: Sequence[Scenario], wish: Wish) -> bool:
    """Whether a total that was rounded lies above the budget that its exact price keeps."""
    budget = wish.kept.budget
    return budget is not None and any(Money.parse(one.total, wish.service.asset).atoms > budget for one in lines)


def _made(plan: str, lines: tuple[Scenario, ...], tried: Tried, relaxed: tuple[str, ...], heard: Heard, wish: Wish,
          pricing: Pricing, whose: tuple[str, str]) -> PlanMade:  # fmt: skip
    """The plan as the books will have it, but for what concerns people."""
    request, service, market = wish.request, wish.service, wish.service.service.market
    home, by = whose
    until = _until(wish, heard, lines)
    personal = {name: value for name, value in request.attributes.items() if name in service.personal}
    attributes = {name: "" if name in personal else value for name, value in request.attributes.items()}
    line = PlanLine(
        id=plan, due=until, n=1, state=PlanState.QUOTED, at=heard.board.at, service=request.service,
        asset=service.asset_text, catalog=wish.terms.version, start=instant(wish.start), until=until,
        quantities=dict(request.quantities), payers=(), scenarios=lines,
        preferred=request.objective or wish.profile.objective or "lowest-cost", digest="", attributes=attributes,
        relaxed=relaxed, policy="wholesale" if market.minimise == "wholesale" else "", profile=wish.profile.id,
        billing=_billing(wish, pricing), home=home,
        covered={measure: units.text() for measure, units in wish.covered.items()},
    )  # fmt: skip
    if pricing.running is not None:
        line = pricing.running.followed(line)
    assert tried.weighed is not None
    candidates = candidates_of(plan, tried.judged, tried.weighed, lines, pricing, heard)
    if request.compare:
        other = compared(tried.judged.parts, tried.weighed, pricing, heard.board)
        candidates = replace(candidates, usual=other.usual, dearest=other.dearest)
    return PlanMade(line, request.payers, candidates, personal, request.approve, by)


def parts_of(wish: Wish) -> tuple[str, ...]:
    """The parts that must be delivered, and the optional ones that are wanted."""
    parts = wish.service.service.parts
    for name in wish.request.parts:
        if name not in parts:
            raise refuse(
                RefusalCode.UNKNOWN_PART, f"service {wish.request.service!r} has no part {name[:60]!r}.",
                field="parts", fix="One of " + ", ".join(parts) + ".",
            )  # fmt: skip
    return tuple(name for name, part in parts.items() if not part.optional or name in wish.request.parts)


def _until(wish: Wish, heard: Heard, lines: Sequence[Scenario]) -> str:
    """Until when the plan may be accepted: as long as the service says, and every offer in it stands."""
    present = datetime.fromisoformat(heard.board.at)
    ends = [present + timedelta(seconds=wish.service.service.market.validity)]
    used = {part.offer for line in lines for part in line.parts}
    ends += [
        datetime.fromisoformat(one.valid_until) for one in heard.board.offers if one.id in used and one.valid_until
    ]
    return instant(min(ends).astimezone(present.tzinfo))


def _billing(wish: Wish, pricing: Pricing) -> Billing:
    """How the first payer wants to be billed: by its agreement with a provider, else by its profile (B12, B14)."""
    agreed = [one.billing for one in pricing.agreements.values() if one.payer == wish.payers[0]]
    return next((one for one in agreed if one != Billing()), wish.profile.billing)
