"""Plans against brute force, in money: the best of random markets, and what is charged by them to the last atom."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction

import msgspec
import pytest

from apportion.engine.broker.planning import found_plan
from apportion.engine.broker.replacing import Replace, replacement
from apportion.errors import RefusalCode, Refused
from apportion.model.plan import PlanLine, Scenario
from apportion.model.session_asked import Chosen, Ended, Report, SessionCommand
from tests.properties.bazaar import Bazaar, bazaar
from tests.properties.brute import Best, Runs, priced
from tests.sessions import Rig

PROVE_EVERY = 5  # proofs take longer than all else


def rig_of(given: Bazaar) -> Rig:
    return Rig(given.catalog)


def quoted(rig: Rig, given: Bazaar) -> PlanLine | None:
    """The plan that is found, in the books; None when there is none."""
    try:
        made = found_plan(rig.engine, given.request)
    except Refused as refused:
        assert refused.refusal.code is RefusalCode.NO_PLAN, refused.refusal
        return None
    outcome = rig.do(made)
    assert outcome.refusal is None, outcome.refusal
    return stored(rig, outcome.id)


def stored(rig: Rig, id: str) -> PlanLine:
    return msgspec.json.decode(rig.engine.store.courses(rig.engine.tenant, [id])[id].line, type=PlanLine)


def compared(seed: int) -> bool:
    """Whether a market has a plan; it must be the one that trying everything finds."""
    given = bazaar(seed)
    rig = rig_of(given)
    plan = quoted(rig, given)
    best, given_up = Best(given).scenarios()
    if plan is None:
        assert not best, f"bazaar({seed}): there is a plan: {best['lowest-cost']}"
        rig.engine.close()
        return False
    assert best, f"bazaar({seed}): there is none, but {plan.scenarios[0]} was found"
    assert plan.relaxed == given_up, seed
    for one in plan.scenarios:
        right = best[one.name]
        sums = tuple(Fraction(text) for text in (one.total, one.net, one.cost, one.margin))
        cost = min(right.cost, sums[2]) if right.cost > right.net else right.cost
        wanted = right.fee, right.net, right.cost, right.net - right.cost
        assert sums == wanted, (f"bazaar({seed})", one.name, cost, sums, wanted, right)
        assert all(one.proven for one in plan.scenarios)
    rig.engine.close()
    return True


def test_every_scenario_is_the_best_of_all_combinations() -> None:
    found = sum(compared(seed) for seed in range(150))
    assert 75 < found < 150, "the markets are too easy, or too hard"


# ── what is charged by it ──


def accepted(rig: Rig, plan: PlanLine, scenario: str) -> str:
    """The session that opens; nothing where the guard refuses what was planned."""
    outcome = rig.do(SessionCommand(f"ses_{plan.id[4:]}", Chosen(plan.id, scenario)))
    assert outcome.refusal is None, outcome.refusal
    return outcome.id


def used(rig: Rig, id: str, number: int, some: dict[str, str]) -> None:
    more = dict.fromkeys(some, "99")
    outcome = rig.do(SessionCommand(id, Report(number, some, requested=more)))
    assert outcome.refusal is None, outcome.refusal


def posted(rig: Rig) -> dict[str, Fraction]:
    """What everybody has, by (owner) name; nothing of those who have nothing."""
    found: dict[str, Fraction] = defaultdict(Fraction)
    for view in rig.engine.books.accounts():
        found[view.owner] += Fraction(view.posted)
    return found


def costs(*scenarios: Scenario) -> dict[str, Fraction]:
    found: dict[str, Fraction] = defaultdict(Fraction)
    for one in scenarios:
        for part in one.parts:
            found[part.provider] += Fraction(part.cost)
    return found


def charged(seed: int) -> bool:
    """Accept a scenario, use what was planned in some pieces, and compare every account; False when there is none."""
    given, rng = bazaar(seed), random.Random(seed)
    rig = rig_of(given)
    plan = quoted(rig, given)
    if plan is None:
        return False
    scenario = rng.choice(plan.scenarios)
    before = posted(rig)
    id = accepted(rig, plan, scenario.name)
    paid = defaultdict(Fraction)
    for part in scenario.parts:
        if part.placed:
            paid[part.provider] += Fraction(given.catalog.placements[part.placement].fee)
    whole = {measure: Fraction(text) for measure, text in plan.quantities.items()}
    pieces = sorted(Fraction(rng.randint(0, 8), 8) for _ in range(rng.randint(0, 3)))
    for number, piece in enumerate([*pieces, Fraction(1)], 1):
        used(rig, id, number, {measure: str(float(units * piece)) for measure, units in whole.items()})
    rig.do(SessionCommand(id, Ended()))
    after = posted(rig)
    moved = {name: after[name] - before[name] for name in after}
    assert moved["ada"] == -Fraction(scenario.total), (seed, moved, scenario)
    for provider, cost in costs(scenario).items():
        assert moved[provider] == cost - paid[provider], (seed, provider, moved, scenario)
    assert moved.get("marketing", 0) + moved.get("fees", 0) == Fraction(scenario.net) - sum(costs(scenario).values())
    if seed % PROVE_EVERY == 0:
        rig.prove()
    rig.engine.close()
    return True


def test_what_was_planned_is_what_is_charged_and_earned() -> None:
    assert sum(charged(seed) for seed in range(200, 300)) > 50


def other_use(seed: int) -> bool:
    """Use something else than was planned: the plan's tariffs say what it costs."""
    given, rng = bazaar(seed), random.Random(seed)
    rig = rig_of(given)
    plan = quoted(rig, given)
    if plan is None:
        return False
    scenario = rng.choice(plan.scenarios)
    before = posted(rig)
    id = accepted(rig, plan, scenario.name)
    some = {"minutes": Fraction(rng.randint(1, 400), 8), "gb": Fraction(rng.randint(0, 9))}
    for number, piece in enumerate((Fraction(1, 4), Fraction(1)), 1):
        used(rig, id, number, {m: str(float(units * piece)) for m, units in some.items()})
    lost = {m: Fraction(text) for m, text in rig.line(id).meters[0].lost.items()}  # beyond a grant: nobody pays for it
    some = {m: units - lost.get(m, 0) for m, units in some.items()}
    rig.do(SessionCommand(id, Ended()))
    after = posted(rig)
    retail = priced(scenario.retail, some)
    assert retail is not None
    tax = Fraction(scenario.retail.taxes["vat"]) / 100
    atom = Fraction(1, 10**9)
    assert abs(before["ada"] - after["ada"] - retail * (1 + tax)) <= atom, (seed, retail, scenario)
    for provider in {part.provider for part in scenario.parts}:
        cost = sum(priced(part.tariff, some) or 0 for part in scenario.parts if part.provider == provider)
        fees = [
            given.catalog.placements[p.placement].fee for p in scenario.parts if p.placed and p.provider == provider
        ]
        assert abs(after[provider] - before[provider] - cost + sum(map(Fraction, fees))) <= atom, (seed, provider)
    if seed % PROVE_EVERY == 0:
        rig.prove()
    rig.engine.close()
    return True


def test_another_use_costs_what_the_plans_tariffs_say() -> None:
    assert sum(other_use(seed) for seed in range(300, 380)) > 40


def replaced(seed: int) -> bool:
    """Lose a provider on the way: the rest costs payers and brings providers what the next plan says."""
    given, rng = bazaar(seed), random.Random(seed)
    rig = rig_of(given)
    plan = quoted(rig, given)
    if plan is None:
        return False
    scenario = rng.choice(plan.scenarios)
    id = accepted(rig, plan, scenario.name)
    share = Fraction(rng.randint(0, 7), 8)
    whole = {measure: Fraction(text) for measure, text in plan.quantities.items()}
    used(rig, id, 1, {measure: str(float(units * share)) for measure, units in whole.items()})
    lost = rng.choice(scenario.parts).provider
    before, line = posted(rig), rig.line(id)
    crew = frozenset((part.part, part.provider) for part in scenario.parts)
    left = {measure: units * (1 - share) for measure, units in whole.items()}
    atom = 10**9
    spent = Fraction(line.net + sum(tax.amount for tax in line.taxes), atom)
    runs = Runs(crew, left, spent, Fraction(line.platform - line.sponsored, atom), frozenset([lost]))
    best, given_up = Best(given, runs).scenarios()
    try:
        outcome = rig.do(replacement(rig.engine, id, Replace((lost,))))
    except Refused as refused:
        assert refused.refusal.code is RefusalCode.NO_PLAN, refused.refusal
        assert rig.line(id) == line
        assert not best, f"bazaar({seed}): there is another crew: {best['lowest-cost']}"
        return False
    assert best, f"bazaar({seed}): there is no other crew"
    if outcome.refusal is not None:
        assert outcome.refusal.code is RefusalCode.MARGIN_GUARD and rig.line(id) == line, outcome.refusal
        return False
    after = stored(rig, rig.line(id).plan)
    second = next(one for one in after.scenarios if one.name == after.chosen)
    assert lost not in {part.provider for part in second.parts} and after.relaxed == given_up
    for one in after.scenarios:
        sums, right = tuple(Fraction(text) for text in (one.total, one.net, one.cost)), best[one.name]
        wanted = right.fee, right.net, right.cost  # eighths of a unit: net and tax are each rounded to an atom
        near = all(abs(a - b) * atom <= 2 for a, b in zip(sums, wanted, strict=True))
        if one.name == "best-value" and not best["lowest-cost"].fee:
            continue  # what is free has no price to weigh quality against
        assert near, (f"bazaar({seed})", one.name, sums, right)
    used(rig, id, 2, {measure: str(float(units)) for measure, units in whole.items()})
    rig.do(SessionCommand(id, Ended()))
    now = posted(rig)
    paid = defaultdict(Fraction)
    for part in second.parts:
        if part.placed:
            paid[part.provider] += Fraction(given.catalog.placements[part.placement].fee)
    assert before["ada"] - now["ada"] == Fraction(second.total), (seed, second)
    for provider, cost in costs(second).items():
        assert now[provider] - before[provider] == cost - paid[provider], (seed, provider, second)
    if seed % PROVE_EVERY == 0:
        rig.prove()
    rig.engine.close()
    return True


def test_the_rest_by_another_crew_is_charged_exactly_too() -> None:
    assert sum(replaced(seed) for seed in range(400, 520)) > 20


@pytest.mark.torture
@pytest.mark.parametrize("begin", range(1000, 9000, 1000))
def test_thousands_of_markets(begin: int) -> None:
    assert sum(compared(seed) for seed in range(begin, begin + 1000)) > 500


@pytest.mark.torture
@pytest.mark.parametrize("check", [charged, other_use, replaced])
def test_a_thousand_sessions(check: Callable[[int], bool]) -> None:
    assert sum(check(seed) for seed in range(20_000, 21_000)) > 150
