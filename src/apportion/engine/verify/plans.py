"""Plans proved: their prices computed again by their own tariffs, accepted once, and followed by what runs by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from apportion.engine.sessions.agreed import PLACEMENT, Agreed, going, placement_fees, placement_key, scenario_of
from apportion.engine.verify.books import Books, Wrong, atoms
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.verdict import Findings, Row
from apportion.errors import Refused
from apportion.model.ids import key_id
from apportion.model.journal import Entry
from apportion.model.plan import PLAN, PlanLine, PlanPart, PlanState, Scenario
from apportion.model.session import SessionLine, SessionState
from apportion.model.tariff import Use
from apportion.money import Asset, Exact, parse_asset
from apportion.money.exact import ZERO
from apportion.stages.rate import by_wholesale, charge_amounts, compile_tariff

replace = msgspec.structs.replace


class Plans:
    """Follows every plan through the books, until it lapses or what runs by it has ended."""

    def __init__(self, findings: Findings, books: Books, rerating: Rerating) -> None:
        self.findings, self.books, self.rerating = findings, books, rerating
        self._plans: dict[str, PlanLine] = {}
        self._ended: set[str] = set()
        self._left: dict[str, list[str]] = {}  # plans that a running session has gone over from
        self._paid: dict[str, tuple[int, dict[str, int]]] = {}  # entries that must follow: row and legs by cause
        self._begins: dict[str, int] = {}  # accepted plans whose session has not come yet, with their rows

    def find(self, id: str) -> PlanLine | None:
        """A plan as it stands here; None before it is quoted and once nothing runs by it any more."""
        return self._plans.get(id)

    def course(self, row: Row, index: int, line: PlanLine) -> None:
        """A plan's next line."""
        before = self._plans.get(line.id)
        wrong = "it had ended." if line.id in self._ended else _step(before, line)
        if before is None and not wrong:
            wrong = next(self._wrong(line), "")
        if wrong:
            self.findings.add("plan", row.place(index), line.id, wrong)
        if line.state is PlanState.LAPSED:
            self._end(line.id)
            return
        self._plans[line.id] = line
        if line.state is PlanState.ACCEPTED and not wrong:
            self._begins[line.id] = row.n
            self._accepted(row, line)

    def _end(self, id: str) -> None:
        if self._plans.pop(id, None) is not None:
            self._ended.add(id)

    def _accepted(self, row: Row, line: PlanLine) -> None:
        """Note which entry must bring what providers pay for having been preferred."""
        asset = parse_asset(line.asset)
        catalog = self.rerating.terms(line.catalog).catalog
        fees = placement_fees(Agreed(line, scenario_of(line, line.chosen)), catalog, asset)
        legs: dict[str, int] = {}
        for provider, fee in fees:
            account = self.books.chart.get(("provider", provider, line.asset), provider)
            legs[account] = legs.get(account, 0) - fee
        if legs:
            legs[self.books.chart.get(("platform", PLACEMENT, line.asset), PLACEMENT)] = -sum(legs.values())
            self._paid[line.id] = row.n, legs

    def entry(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """An entry by itself: a placement's is what the accepted plan says, once, in the same row."""
        if line.kind != PLACEMENT and not line.cause.startswith(PLAN):
            return
        plan = self._plans.get(line.cause)
        n, due = self._paid.pop(line.cause, (0, {}))
        if plan is None or n != row.n or line.kind != PLACEMENT or line.id != key_id("ent", placement_key(plan)):
            self.findings.add("plan", row.place(index), line.id, f"{line.cause} was not accepted in this row.")
        elif legs != due:
            self.findings.add("plan", row.place(index), line.id, f"moves {legs}, the placements come to {due} (atoms).")

    # what runs by it

    def follows(self, place: str, before: SessionLine | None, line: SessionLine) -> None:
        """A session that says it runs by a plan has its very terms."""
        if not line.plan:
            if before is not None and before.plan:
                self.findings.add("plan", place, line.id, f"runs no longer by {before.plan}.")
            return
        plan = self._plans.get(line.plan)
        self._begins.pop(line.plan, None)
        gone = line.plan in self._left.get(line.id, ())
        if plan is None or plan.state is not PlanState.ACCEPTED or plan.session != line.id or gone:
            self.findings.add("plan", place, line.id, f"{line.plan} was not accepted for it.")
            return
        scenario = scenario_of(plan, plan.chosen)
        wrong = _entered(before, line, plan) if before is None or before.plan != line.plan else ""
        if (line.tariff, line.catalog) != (scenario.retail.id, plan.catalog):
            wrong = f"is priced by {line.tariff}, the plan says {scenario.retail.id}."
        agreed = {(part.part, part.provider, part.tariff.id) for part in scenario.parts}
        crew = {(meter.part, meter.provider, meter.tariff) for meter in line.meters[1:] if not meter.ended}
        whole = before is None or before.plan != line.plan
        if line.state is not SessionState.CLOSED and (crew - agreed or (whole and crew != agreed)):
            wrong = f"is delivered by {sorted(crew)}, the plan says {sorted(agreed)}."
        if wrong:
            self.findings.add("plan", place, line.id, wrong)

    def passed(self, before: SessionLine | None, line: SessionLine) -> None:
        """Forget the plans of a session that has ended; meters that ended before it are priced by earlier ones."""
        if before is not None and before.plan != line.plan:
            self._left.setdefault(line.id, []).append(before.plan)
        if line.state is SessionState.CLOSED:
            for id in (*self._left.pop(line.id, ()), line.plan):
                self._end(id)

    def finish(self) -> None:
        """The books have ended: what was accepted runs, and what is due for it was booked."""
        for id, n in self._begins.items():
            self.findings.add("plan", f"row {n}", id, "was accepted, but no session runs by it.")
        for id, (n, _) in self._paid.items():
            self.findings.add("plan", f"row {n}", id, "was accepted, but no entry brings what its placements cost.")

    # what it says

    def _wrong(self, line: PlanLine) -> Iterator[str]:
        """What does not add up in a plan as it was quoted."""
        if line.state is not PlanState.QUOTED or line.chosen or line.session or not line.due:
            yield "it begins in the middle."
        for payer in line.payers:
            self.books.standing(payer.account)
        names = [one.name for one in line.scenarios]
        ids = [one.id for s in line.scenarios for one in (s.retail, *(part.tariff for part in s.parts))]
        if line.preferred not in names or len(set(names)) < len(names):
            yield f"the preferred scenario is {line.preferred!r}, there are {names}."
        if len(set(ids)) < len(ids) or any(not id.startswith(f"{line.id}.") for id in ids):
            yield f"its tariffs are called {ids}."
        service = self.rerating.terms(line.catalog).service(line.service)
        if line.asset != service.asset_text:
            yield f"it is in {line.asset}, the service in {service.asset_text}."
        for scenario in line.scenarios:
            try:
                yield from _amounts(line, scenario, service.asset, service.measures)
            except Refused as error:
                raise Wrong("plan", f"priced again it is refused: {error.refusal.sentence()}") from None


def _step(before: PlanLine | None, line: PlanLine) -> str:
    """What is wrong with a line as the one after another, in words."""
    if before is None:
        return "" if line.n == 1 else "it begins in the middle."
    same = replace(
        line, n=before.n, state=before.state, at=before.at, due=before.due, chosen=before.chosen, session=before.session
    )
    if same != before or line.n != before.n + 1:
        return f"line {line.n} says something else than line {before.n}."
    if before.state is not PlanState.QUOTED or line.state is PlanState.QUOTED or line.due:
        return f"goes from {before.state.value} to {line.state.value}."
    if line.state is PlanState.LAPSED:
        return "" if line.at >= before.due and not line.chosen + line.session else "lapsed before its time."
    if line.at >= before.due or not line.session or line.chosen not in [one.name for one in line.scenarios]:
        return f"was accepted at {line.at} as {line.chosen!r} for {line.session!r}, and was due at {before.due}."
    return ""


def _entered(before: SessionLine | None, line: SessionLine, plan: PlanLine) -> str:
    """What is wrong with how a session began to run by its plan."""
    if plan.replaces != (line.id if before is not None else ""):
        return f"the plan was made for {plan.replaces or 'a new session'}."
    living = {(m.part, m.provider) for m in (before.meters[1:] if before is not None else ()) if not m.ended}
    if going(scenario_of(plan, plan.chosen)) - living or (before and plan.before and plan.before != before.plan):
        return "the plan was made for the session as it stood before."
    if (line.service, line.asset, line.attributes, line.macs) != (plan.service, plan.asset, plan.attributes, plan.macs):
        return "service, currency or attributes are not those of the plan."
    mine = [(payer.account, payer.weight, payer.pays) for payer in line.payers if not payer.left]
    agreed = [(payer.account, payer.weight, payer.pays) for payer in plan.payers]
    if before is None and mine != agreed or {one[0] for one in mine} != {one[0] for one in agreed}:
        return f"is paid by {mine}, the plan says {agreed}."
    return ""


def _due(part: PlanPart, use: Use, nothing: Use) -> Exact:
    """What a part earns; who goes on has had what is due at a beginning."""
    pricer = compile_tariff(part.tariff)
    exact = pricer.price(use).exact
    return exact - pricer.price(nothing).exact if part.going else exact


def _amounts(line: PlanLine, scenario: Scenario, asset: Asset, measures: frozenset[str]) -> Iterator[str]:
    """What does not add up in a scenario: its sums, and what its tariffs come to for what was planned."""
    start = datetime.fromisoformat(line.start)
    planned = dict.fromkeys(measures, ZERO) | {m: Exact.parse(units) for m, units in line.quantities.items()}
    rest = {m: units - Exact.parse(line.covered.get(m, "0")) for m, units in planned.items()}
    net = total = 0
    nothing = Use(start, start, dict.fromkeys(planned, ZERO), line.attributes)
    asked = [(1, Use(start, start, rest, line.attributes)), (-1, nothing)]  # no beginning is paid for twice
    for sign, use in asked[: 2 if line.replaces else 1] if any(rest.values()) else ():
        priced = compile_tariff(scenario.retail).price(use)
        money, _, whole = charge_amounts(priced, asset, scenario.retail.rounding)
        net, total = net + sign * money.atoms, total + sign * whole.atoms
    tax = total - net
    use = Use(start, start, planned, line.attributes)
    dues = [_due(part, use, nothing) * Exact(asset.unit) for part in scenario.parts]
    order = sorted(range(len(dues)), key=lambda at: (scenario.parts[at].provider, scenario.parts[at].part))
    split = by_wholesale(net, dues, [*(order.index(at) for at in range(len(order))), len(order)])
    cost = sum(split.portions)
    due = {"net": net, "tax": tax, "total": total, "cost": cost, "margin": net - cost}
    for name, again in due.items():
        if atoms(getattr(scenario, name), asset.scale) != again:
            yield f"{name} of {scenario.name} is {getattr(scenario, name)}, computed again {again} atoms."
    for part, again in zip(scenario.parts, split.portions, strict=True):
        if atoms(part.cost, asset.scale) != again:
            yield f"{part.provider} costs {part.cost} for {part.part}, computed again {again} atoms."
    if scenario.shares and sum(atoms(one.amount, asset.scale) for one in scenario.shares) != total:
        yield f"the shares of {scenario.name} are not its total."
    up = Exact(1)
    for part in scenario.parts:
        up *= Exact.parse(part.quality.availability)
    if sum(part.quality.latency for part in scenario.parts) != scenario.latency:
        yield f"the latency of {scenario.name} is not that of its parts."
    if Exact.parse(scenario.availability) != up:
        yield f"the availability of {scenario.name} is not that of its parts."
