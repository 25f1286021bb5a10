"""Why these providers: a plan in plain words, with every candidate and what kept it from being chosen (X3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apportion.engine.broker.views import PartView, PlanView, ScenarioView
from apportion.engine.explain import Explanation, Fact, Section
from apportion.model.plan import Candidate
from apportion.money import Exact

_NAMES = {
    "lowest-cost": "lowest cost", "best-quality": "best quality", "best-value": "best value",
}  # fmt: skip


def explain_plan(shown: PlanView, kind: str) -> Explanation:
    """A plan as its view shows it; what the view leaves out is not explained either."""
    title = f"a plan for {shown.service} that is {shown.state.value}, in {shown.currency}"
    sections = [Section("What was asked for", tuple(_asked(shown)))]
    sections += [_scenario(one, shown) for one in shown.scenarios]
    for part in dict.fromkeys(candidate.part for candidate in shown.candidates):
        mine = [one for one in shown.candidates if one.part == part]
        sections.append(Section(f"Who could deliver {part}", tuple(_candidate(one, shown.currency) for one in mine)))
    check, holds = _check(shown.scenarios)
    return Explanation(shown.id, kind, title, tuple(sections), check, holds)


def _asked(shown: PlanView) -> Iterator[Fact]:
    for measure, quantity in shown.quantities.items():
        yield Fact(measure, quantity)
    for name, value in shown.attributes.items():
        if value:
            yield Fact(name, value)
    if shown.due:
        yield Fact("until", shown.due)
    if shown.relaxed:
        yield Fact("limits given up, in this order, because nothing fitted", ", ".join(shown.relaxed))
    if shown.policy:
        yield Fact("the operator minimises", "what providers cost, not what payers pay")
    if shown.asked:
        yield Fact("provider nodes that answered in time", f"{shown.answered} of {shown.asked}")
    if shown.approval:
        yield Fact("would fit, once approved", ", ".join(shown.approval))


def _scenario(one: ScenarioView, shown: PlanView) -> Section:
    preferred = ", preferred" if one.name == shown.preferred else ""
    facts: list[Fact] = []
    if one.total:
        facts.append(Fact("fee", f"{_plain(one.net)} + tax {_plain(one.tax)} = {_plain(one.total)} {shown.currency}"))
    if one.cost:
        facts.append(Fact("to providers", _plain(one.cost), f"the platform keeps {_plain(one.margin)}"))
    facts += [Fact(part.part, _by(part), _money(part, shown.currency)) for part in one.parts]
    if one.total:
        facts.append(Fact("end to end", f"{one.latency} ms, up {one.availability} of the time, {one.points} points"))
    if one.dearer.strip("0."):
        facts.append(Fact("dearer than the cheapest by", f"{_plain(one.dearer)} {shown.currency}"))
    if any(part.placed for part in one.parts):
        facts.append(Fact("paid placement", f"costs payers {_plain(one.placed)} {shown.currency} more"))
    if not one.proven:
        facts.append(Fact("proof", "the best that was found; it is not proven that no better one exists"))
    return Section(f"{_NAMES.get(one.name, one.name)}{preferred}", tuple(facts))


def _by(part: PartView) -> str:
    over = f" over {part.network}" if part.network else ""
    agreed = f", by agreement {part.agreement}" if part.agreement else ""
    return f"{part.provider}{over}{agreed}{', which paid to be preferred' if part.placed else ''}"


def _money(part: PartView, currency: str) -> str:
    told = [f"fee {_plain(part.fee)}"] if part.fee else []
    told += [f"earns {_plain(part.cost)}"] if part.cost else []
    return f"{', '.join(told)} {currency}" if told else ""


def _candidate(one: Candidate, currency: str) -> Fact:
    over = f" over {one.network}" if one.network else ""
    told = [f"fee {_plain(one.fee)}"] if one.fee else []
    told += [f"cost {_plain(one.cost)}"] if one.cost else []
    prices = f"{', '.join(told)} {currency}; " if told else ""
    taken = ", ".join(_NAMES.get(name, name) for name in one.taken)
    return Fact(f"{one.provider}{over}", f"{prices}{f'taken for {taken}' if taken else one.why}", one.offer)


def _check(scenarios: Sequence[ScenarioView]) -> tuple[str, bool]:
    """The sums of every scenario that shows them."""
    told, right = [], True
    for one in scenarios:
        if one.total:
            holds = Exact.parse(one.net) + Exact.parse(one.tax) == Exact.parse(one.total)
            right = right and holds
            name = _NAMES.get(one.name, one.name)
            told.append(f"{name}: {_plain(one.net)} + {_plain(one.tax)} = {_plain(one.total)}")
    return "; ".join(told), right


def _plain(amount: str) -> str:
    """A decimal without the zeros it ends in; two decimals stay."""
    whole, point, part = amount.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}" if point else amount
