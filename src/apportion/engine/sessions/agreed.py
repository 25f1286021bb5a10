"""Sessions by a plan: a scenario accepted, another plan gone over to, what they take and give back.

The prices are those of the plan's own tariffs, whatever the catalog says meanwhile. What may be refused is refused
before anything has moved; the plan then stays quoted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from apportion.engine.market.capacity import check_free, give_back, take
from apportion.engine.market.judging import observation
from apportion.engine.market.switching import switch_of
from apportion.engine.sessions.bill import replace, turn
from apportion.engine.sessions.contract import ZERO, Contract, check_tariffs, used, whole
from apportion.engine.sessions.row import Row
from apportion.engine.terms import Terms
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.booking import book, merge
from apportion.model.account import Role
from apportion.model.catalog import Catalog
from apportion.model.command import Outcome
from apportion.model.ids import key_id
from apportion.model.plan import PLAN, FarewellLine, PlanLine, PlanPart, PlanState, Scenario
from apportion.model.session import Meter, SessionLine, SessionPayer, SessionState
from apportion.model.standing import Observed
from apportion.money import Asset, Exact, Money
from apportion.ports import Key

PLACEMENT = "placement"
_PLAN = msgspec.json.Decoder(PlanLine)


class Agreed(NamedTuple):
    """A plan, and the scenario of it that is chosen."""

    plan: PlanLine
    scenario: Scenario

    @property
    def offers(self) -> dict[str, PlanPart]:
        """The parts by the offer that each was taken from."""
        return {part.offer: part for part in self.scenario.parts if part.offer}


def chosen(work: Work, id: str, scenario: str) -> Agreed:
    """A plan of the books with a scenario of it: the named one, else the accepted, else the preferred.

    Raises:
        Refused: NOT_FOUND; BAD_INPUT when the plan has no such scenario.
    """
    stored = work.course(id) if id.startswith(PLAN) else b""
    if not stored:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such plan.", field="plan")
    plan = _PLAN.decode(stored)
    return Agreed(plan, scenario_of(plan, scenario or plan.chosen or plan.preferred))


def scenario_of(plan: PlanLine, name: str) -> Scenario:
    """A scenario of a plan.

    Raises:
        Refused: BAD_INPUT.
    """
    for one in plan.scenarios:
        if one.name == name:
            return one
    raise refuse(
        RefusalCode.BAD_INPUT, f"the plan has no scenario {name[:40]!r}.", field="scenario",
        fix="One of " + ", ".join(one.name for one in plan.scenarios) + ".",
    )  # fmt: skip


def open_still(work: Work, agreed: Agreed) -> None:
    """The plan may be accepted now.

    Raises:
        Refused: PLAN_ENDED.
    """
    plan = agreed.plan
    if plan.state is PlanState.QUOTED and work.at < plan.due:
        return
    why = "has been accepted before" if plan.state is PlanState.ACCEPTED else "was to be accepted in time"
    raise refuse(RefusalCode.PLAN_ENDED, f"the plan {why}.", field="plan", fix="Ask for a new plan.")


def may_accept(work: Work, agreed: Agreed, provider: str, payer: str) -> bool:
    """Whether the plan is the caller's: one of its payers, the provider that the request came through, or operator."""
    if provider:
        return agreed.plan.home == provider
    if payer:
        accounts = [one.account for one in agreed.plan.payers]
        return any(
            account is not None and account.public in accounts
            for _, asset in work.names.assets.values()
            for account in (work.payer(payer, asset),)
        )
    return True


def agreed_line(work: Work, terms: Terms, id: str, agreed: Agreed) -> SessionLine:
    """The session as it opens by a plan, before anything is granted; ``terms`` are those of the plan's catalog.

    Raises:
        Refused: PLAN_ENDED; BAD_INPUT when the plan is for a session that runs, or can not be charged while it runs.
    """
    open_still(work, agreed)
    plan, scenario = agreed
    if plan.replaces:
        raise refuse(
            RefusalCode.BAD_INPUT, f"the plan was made for {plan.replaces}, which runs.", field="plan",
            fix="Change that session, and name the plan.",
        )  # fmt: skip
    learn(terms, scenario)
    asset = terms.service(plan.service).asset
    meters = [Meter(""), *(_meter(work, part, asset) for part in scenario.parts)]
    return SessionLine(
        id=id, n=0, service=plan.service, state=SessionState.ACTIVE, event="opened", at=work.at, start=work.at,
        through=work.at, asset=str(asset), catalog=plan.catalog, tariff=scenario.retail.id, since=work.at,
        attributes=plan.attributes, macs=plan.macs, meters=tuple(meters),
        payers=tuple(SessionPayer(payer.account, payer.weight, payer.pays) for payer in plan.payers),
        plan=plan.id,
    )  # fmt: skip


def _meter(work: Work, part: PlanPart, asset: Asset) -> Meter:
    account = work.account(Role.PROVIDER, part.provider, asset)
    return Meter(part.part, part.provider, account.public, part.tariff.id, began=work.at, since=work.at)


def learn(terms: Terms, scenario: Scenario) -> None:
    """Make a scenario's tariffs known; the plan may have been made in this very group.

    Raises:
        Refused: BAD_INPUT when one of them can not be charged slice by slice.
    """
    terms.learn(scenario)
    check_tariffs([terms.pricer(one.id) for one in (scenario.retail, *(part.tariff for part in scenario.parts))])


# ── another plan ──


def replaceable(row: Row, agreed: Agreed) -> None:
    """A session may go over to the plan: it was made for it, and for the same service and payers.

    Raises:
        Refused: PLAN_ENDED; BAD_INPUT.
    """
    open_still(row.work, agreed)
    plan, line = agreed.plan, row.line
    mine = {payer.account for payer in line.payers if not payer.left}
    same = plan.service == line.service and {payer.account for payer in plan.payers} == mine
    if plan.replaces != line.id or not same:
        raise refuse(
            RefusalCode.BAD_INPUT, "the plan was not made for this session and its payers.", field="plan",
            fix="Ask for a plan that replaces this session.",
        )  # fmt: skip
    living = {(meter.part, meter.provider) for meter in row.line.meters[1:] if not meter.ended}
    if (plan.before or line.plan) != line.plan or going(agreed.scenario) - living:
        raise refuse(
            RefusalCode.PLAN_ENDED, "the session has changed since the plan was made.", field="plan",
            fix="Ask for a new plan.",
        )  # fmt: skip


def going(scenario: Scenario) -> set[tuple[str, str]]:
    """Parts with the providers that deliver them already, in the session that the plan was made for."""
    return {(part.part, part.provider) for part in scenario.parts if part.going}


def follow(row: Row, agreed: Agreed, terms: Terms) -> None:
    """The plan's terms on the session's line: what was used so far stays on the old ones.

    A provider that goes on keeps its counters; one that takes over begins at zero with what was left of the grant.
    """
    plan, scenario = agreed
    learn(terms, scenario)
    line = turn(row.contract, row.line)
    coming = {(part.part, part.provider): part for part in scenario.parts}
    meters = [line.meters[0]]
    for meter in line.meters[1:]:
        part = None if meter.ended else coming.pop((meter.part, meter.provider), None)
        if part is None:
            meters.append(replace(meter, ended=True, until="", final=False, silent=False))
        else:
            meters.append(replace(meter, tariff=part.tariff.id))
    fresh = [_meter(row.work, part, row.contract.asset) for part in coming.values()]
    row.line = replace(
        line, meters=(*meters, *(heir(line, meter) for meter in fresh)), attributes=plan.attributes, macs=plan.macs,
        tariff=scenario.retail.id, catalog=plan.catalog, plan=plan.id,
    )  # fmt: skip
    row.contract, row.terms = Contract(row.line, terms), terms


def heir(line: SessionLine, meter: Meter) -> Meter:
    """A provider that takes over a part: its counters begin at zero, and what was left of the grant goes with it."""
    before = next((m for m in line.meters[1:] if m.part == meter.part and not m.ended), Meter(""))
    left = {m: Exact.parse(upto) - Exact.parse(before.used.get(m, "0")) for m, upto in before.granted.items()}
    return replace(
        meter, began=line.through, since=line.through, base=line.meters[0].used, until=before.until,
        granted={m: units.text() for m, units in left.items() if units > ZERO},
    )  # fmt: skip


# ── what a plan takes ──


class Taken(NamedTuple):
    """Lines for the books, and the keys under which they are remembered."""

    lines: tuple[bytes, ...]
    keys: tuple[Key, ...] = ()


def enter(row: Row, agreed: Agreed, catalog: Catalog, terms: Terms, before: Agreed | None = None) -> Taken:
    """Accept the plan for a session: it takes capacity, and providers pay for placements.

    ``terms`` are those that the plan was made by, ``catalog`` is the one now in force: what it offers still counts.
    ``before`` is the plan that the session goes over from; it gives back what this one does not keep.

    Raises:
        Refused: PLAN_ENDED when an offer has not so much free, or a provider is off; OVERFLOW. Nothing is changed then.
    """
    (plan, scenario), work, session = agreed, row.work, row.line.id
    _on(work, scenario)
    old = before.offers if before is not None else {}
    new = {id: part for id, part in agreed.offers.items() if id not in old or old[id].needs != part.needs}
    gone = [id for id in old if id in new or id not in agreed.offers]
    for id, part in new.items():
        more = _beyond(part.needs, old[id].needs) if id in old else part.needs
        check_free(work, id, more, _capacity(catalog, id))
    lines, keys = _placements(work, agreed, terms)
    back = give_back(work, gone, session) if gone else ()
    back += farewell(work, before) if before is not None else ()
    taken = [line for id, part in new.items() for line in take(work, id, session, part.needs, _capacity(catalog, id))]
    accepted = replace(
        plan, n=plan.n + 1, state=PlanState.ACCEPTED, at=work.at, due="", chosen=scenario.name, session=session
    )
    return Taken((work.move(accepted), *lines, *back, *taken), keys)


def _on(work: Work, scenario: Scenario) -> None:
    """Nobody who is to deliver is switched off.

    Raises:
        Refused: PLAN_ENDED.
    """
    for part in scenario.parts:
        mark = switch_of(work, part.provider).off(work.at)
        if mark is not None:
            raise refuse(
                RefusalCode.PLAN_ENDED,
                f"{part.provider} is off: {mark.reason}",
                field="plan",
                fix="Ask for a new plan.",
            )


def _capacity(catalog: Catalog, offer: str) -> dict[str, str]:
    known = catalog.offers.get(offer)
    return known.capacity if known is not None else {}


def _beyond(needs: dict[str, str], had: dict[str, str]) -> dict[str, str]:
    """What is needed beyond what a session has already."""
    more = {measure: Exact.parse(units) - Exact.parse(had.get(measure, "0")) for measure, units in needs.items()}
    return {measure: units.text() for measure, units in more.items() if units > ZERO}


def _placements(work: Work, agreed: Agreed, terms: Terms) -> Taken:
    """What providers pay to the platform for being preferred: one entry, as income of its own."""
    asset = terms.service(agreed.plan.service).asset
    fees = placement_fees(agreed, terms.catalog, asset)
    if not fees:
        return Taken(())
    income = work.account(Role.PLATFORM, PLACEMENT, asset)
    movements = [(work.account(Role.PROVIDER, provider, asset), -atoms) for provider, atoms in fees]
    movements = merge([*movements, (income, sum(atoms for _, atoms in fees))])
    key = placement_key(agreed.plan)
    entry = book(key_id("ent", key), agreed.plan.id, PLACEMENT, work.at, (str(asset), asset.scale), movements)
    work.touch_all(movements)
    return Taken((encode(entry),), (key,))


def placement_key(plan: PlanLine) -> Key:
    """The key of the entry by which the placements of a plan are paid."""
    return proof.record_key(plan.id, PLACEMENT)


def placement_fees(agreed: Agreed, catalog: Catalog, asset: Asset) -> list[tuple[str, int]]:
    """Who owes what for being preferred, in atoms, part by part; by the catalog that the plan was made by."""
    found = []
    for part in agreed.scenario.parts:
        terms = catalog.placements.get(part.placement) if part.placed else None
        atoms = Money.parse(terms.fee, asset).atoms if terms is not None else 0
        if atoms:
            found.append((part.provider, atoms))
    return found


def farewell(work: Work, agreed: Agreed) -> tuple[bytes, ...]:
    """Remember to tell the nodes whose signed bids a scenario was made of that it has ended."""
    if not any(part.bid for part in agreed.scenario.parts):
        return ()
    work.names.soon = True
    id = f"bye_{agreed.plan.id.partition('_')[2]}"
    return (work.move(FarewellLine(id=id, due=work.at, at=work.at, plan=agreed.plan.id)),)


def leave(row: Row) -> None:
    """The session ends: what it took of offers is free again, and those who delivered did."""
    if not row.line.plan:
        return
    delivered = any(units for units in whole(row.line, used).values())
    living = [p for p, meter in enumerate(row.line.meters) if meter.part and not meter.ended and not meter.silent]
    row.lines += tell(row, living if delivered else [], succeeded=True)
    row.lines += tell(row, [p for p, meter in enumerate(row.line.meters) if meter.silent and not meter.ended])
    agreed = chosen(row.work, row.line.plan, "")
    row.lines += give_back(row.work, agreed.offers, row.line.id)
    row.lines += farewell(row.work, agreed)


def tell(row: Row, places: Iterable[int], *, succeeded: bool = False) -> list[bytes]:
    """Let the market know how the parts at some places were delivered; lines for the books.

    Only a session that runs by a plan tells: there, providers are chosen by how they deliver. The whole has none.
    """
    line, found = row.line, list[bytes]()
    if not line.plan:
        return found
    networks = {(part.part, part.provider): part.network for part in chosen(row.work, line.plan, "").scenario.parts}
    payer = next((one.account for one in line.payers if one.pays and not one.left), "")
    for meter in (line.meters[place] for place in places):
        if meter.part:
            whose = line.service, meter.provider, networks.get((meter.part, meter.provider), "")
            found += observation(row.work, row.terms, whose, Observed(succeeded=succeeded), payer)
    return found


def lapse(work: Work, id: str) -> Outcome:
    """A plan that nobody accepted in time is no longer to be had."""
    plan = chosen(work, id, "").plan
    if plan.state is PlanState.QUOTED and plan.due <= work.at:
        work.append(work.move(replace(plan, n=plan.n + 1, state=PlanState.LAPSED, at=work.at, due="")))
    return Outcome(None, id)
