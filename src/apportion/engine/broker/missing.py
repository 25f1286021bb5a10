"""Nothing fits: what the nearest plan would need, in a sentence and with the next step."""

from __future__ import annotations

from collections.abc import Sequence

from apportion.engine.broker.pricing import Pricing, amount_text
from apportion.engine.broker.trying import Tried
from apportion.engine.broker.wish import Wish
from apportion.money import Exact
from apportion.stages.broker.choosing.question import Miss

_TOLD = 5


def miss_of(tried: Tried, wish: Wish, pricing: Pricing, parts: tuple[str, ...]) -> str:
    """What is in the way."""
    miss = tried.found
    assert isinstance(miss, Miss)
    if miss.empty:
        return _some([_empty(tried, parts[at]) for at in miss.empty])
    if not miss.linked:
        return (
            _some(tried.judged.matched.knots) or "no providers whose networks reach one another can deliver all parts."
        )
    told = _near(miss, tried, wish, pricing)
    if not miss.proven:
        unsure = "nothing was found that fits all limits, and the search ended before it was sure of that."
        return " ".join([unsure, *(f"Within reach: {one}" for one in told)])
    if told:
        return "nothing fits all limits: " + " Or ".join(told)
    return "nothing fits all limits, and no single one of them is to blame. Give up more than one (relax)."


def _some(told: Sequence[str]) -> str:
    """The first few sentences, and how many more there are; a service may have a hundred parts."""
    more = len(told) - _TOLD
    return " ".join([*told[:_TOLD], *([f"And {more} more like these."] if more > 0 else [])])


def _empty(tried: Tried, part: str) -> str:
    """Why nobody can deliver a part: the reasons that were found, the most frequent first."""
    reasons: dict[str, int] = {}
    for out in tried.judged.matched.outs:
        if tried.judged.offers[out.place].part == part:
            reasons[out.why] = reasons.get(out.why, 0) + 1
    if not reasons:
        return f"nobody offers the part {part!r}."
    most = sorted(reasons, key=lambda why: (-reasons[why], why))[:3]
    return f"of {sum(reasons.values())} that offer the part {part!r} none can serve: {' '.join(most)}"


def _near(miss: Miss, tried: Tried, wish: Wish, pricing: Pricing) -> list[str]:
    kept, asset = wish.kept, wish.service.asset
    assert tried.weighed is not None

    def money(number: int) -> str:
        assert tried.weighed is not None
        return f"{amount_text(tried.weighed.amount(number), asset)} {asset.code}"

    told = []
    if miss.fee is not None and kept.budget is not None:
        over = tried.weighed.amount(miss.fee) - Exact(kept.budget, asset.unit)
        more = amount_text(over, asset)
        told.append(f"the cheapest that keeps the others costs {money(miss.fee)}, {more} above the budget.")
    if miss.latency is not None:
        told.append(f"the quickest that keeps the others takes {miss.latency} ms, of {kept.latency}.")
    if miss.availability is not None:
        told.append(f"the one that is up most is up {Exact(*miss.availability).text()} of the time.")
    if miss.margin is not None:
        told.append(f"the widest margin that keeps the others is {money(miss.margin)}.")
    if miss.per_provider is not None:
        told.append(f"one provider would have to deliver {miss.per_provider} parts.")
    return told
