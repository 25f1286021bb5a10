"""Small random markets, and what the best plan of one is by trying every combination."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

from apportion.stages.broker.choosing.question import Aim, Bounds, Bundle, Link, Option, Question, Sums

#: one aim of every kind: each term alone, both signs, several levels, a mixture
AIMS: dict[str, Aim] = {
    "fee": ((("fee", 1),), (("cost", 1),)),
    "cost": ((("cost", 1),), (("fee", 1),)),
    "points": ((("points", -1),), (("fee", 1),), (("cost", 1),)),
    "rank": ((("rank", 1),), (("fee", 1),), (("cost", 1),)),
    "margin": ((("cost", 1), ("net", -1)),),
    "value": ((("fee", 7), ("points", -3)), (("fee", 1),)),
    "net": ((("net", -1),), (("rank", 1), ("points", -2))),
    "latency": ((("latency", 1),),),
    "ids": (),
}


def sums(rng: random.Random, low: int, high: int) -> Sums:
    return Sums(rng.randint(low, high), rng.randint(low, high), rng.randint(low, high))


def market(rng: random.Random, *, most: int = 5) -> Question:
    """A market of 1 to 4 parts with everything that can happen, each thing now and then; many ties."""
    parts, providers = rng.randint(1, 4), rng.randint(1, 5)
    wide = rng.choice((3, 20, 1000))
    options = []
    for _ in range(parts):
        count = rng.randint(1, most)
        options.append(
            tuple(
                Option(
                    id=f"o{rng.randint(0, 99)}-{at}",
                    provider=f"p{rng.randrange(providers)}",
                    fee=rng.randint(0, wide),
                    net=rng.randint(0, wide),
                    cost=rng.randint(0, wide),
                    points=rng.randint(0, 5),
                    rank=rng.randint(0, 2),
                    latency=rng.randint(0, 9),
                    availability=rng.choice(((1, 1), (99, 100), (995, 1000), (9, 10), (97, 99), (1, 2))),
                )
                for at in range(count)
            )
        )
    setups, bundles, links = {}, [], []
    if rng.random() < 0.5:
        low = -wide // 3 if rng.random() < 0.2 else 0
        setups = {f"p{at}": sums(rng, low, wide) for at in range(providers) if rng.random() < 0.7}
    if rng.random() < 0.4:
        for _ in range(rng.randint(1, 4)):
            covered = tuple(sorted(rng.sample(range(parts), rng.randint(1, parts))))
            low = -wide // 2 if rng.random() < 0.3 else 0
            bundles.append(Bundle(f"p{rng.randrange(providers)}", covered, sums(rng, low, wide)))
    if parts > 1 and rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            source, target = rng.sample(range(parts), 2)
            kept = rng.choice((0.4, 0.8, 1.0))
            crossings = {
                (a.id, b.id): sums(rng, 0, rng.choice((0, 1, wide)))
                for a, b in itertools.product(options[source], options[target])
                if rng.random() < kept
            }
            links.append(Link(source, target, crossings))
    question = Question(tuple(options), sums(rng, 0, 5), setups, tuple(bundles), tuple(links))
    return Question(question.options, question.base, setups, question.bundles, question.links, bounds(rng, question))


def bounds(rng: random.Random, question: Question) -> Bounds:
    """Limits near what a random plan takes, so that they matter; each now and then."""
    plan = [rng.choice(options) for options in question.options]
    fee, margin = sum(one.fee for one in plan), sum(one.net - one.cost for one in plan)
    chain = Fraction(1)
    for one in plan:
        chain *= Fraction(*one.availability)
    return Bounds(
        fee=fee + rng.randint(-3, 9) if rng.random() < 0.3 else None,
        margin=margin - rng.randint(-3, 9) if rng.random() < 0.3 else None,
        latency=sum(one.latency for one in plan) + rng.randint(-2, 2) if rng.random() < 0.4 else None,
        availability=(chain.numerator, chain.denominator) if rng.random() < 0.4 else None,
        per_provider=rng.randint(1, 3) if rng.random() < 0.3 else None,
    )


def packings(question: Question, providers: list[str]) -> list[tuple[int, ...]]:
    """Every set of bundles that may be taken when these providers deliver the parts."""
    able = [
        at
        for at, bundle in enumerate(question.bundles)
        if bundle.parts and all(providers[part] == bundle.provider for part in bundle.parts)
    ]
    found = []
    for count in range(len(able) + 1):
        for taken in itertools.combinations(able, count):
            parts = [part for at in taken for part in question.bundles[at].parts]
            if len(parts) == len(set(parts)):
                found.append(taken)
    return found


def weighed(question: Question, places: tuple[int, ...], taken: tuple[int, ...]) -> dict[str, int | Fraction] | None:
    """What a plan adds up to, or None when a link does not allow it. Limits are not looked at."""
    picked = [options[place] for options, place in zip(question.options, places, strict=True)]
    total: dict[str, int | Fraction] = {"fee": 0, "net": 0, "cost": 0, "points": 0, "rank": 0, "latency": 0}
    chain = Fraction(1)
    for one in picked:
        for name in total:
            total[name] += getattr(one, name)
        chain *= Fraction(*one.availability)
    extras = [question.base] + [question.setups.get(name, Sums()) for name in {one.provider for one in picked}]
    for link in question.links:
        crossing = link.crossings.get((picked[link.source].id, picked[link.target].id))
        if crossing is None:
            return None
        extras.append(crossing)
    for name in ("fee", "net", "cost"):
        total[name] += sum(getattr(extra, name) for extra in extras)
        total[name] -= sum(getattr(question.bundles[at].saves, name) for at in taken)
    total["availability"] = chain
    total["per_provider"] = max((sum(o.provider == one.provider for o in picked) for one in picked), default=0)
    total["margin"] = total["net"] - total["cost"]
    return total


def fits(total: dict[str, int | Fraction], limits: Bounds) -> bool:
    return (
        (limits.fee is None or total["fee"] <= limits.fee)
        and (limits.margin is None or total["margin"] >= limits.margin)
        and (limits.latency is None or total["latency"] <= limits.latency)
        and (limits.availability is None or total["availability"] >= Fraction(*limits.availability))
        and (limits.per_provider is None or total["per_provider"] <= limits.per_provider)
    )


def every_plan(question: Question):
    """Every combination with every set of bundles, whatever the limits: places, bundles, sums."""
    for places in itertools.product(*(range(len(options)) for options in question.options)):
        providers = [options[place].provider for options, place in zip(question.options, places, strict=True)]
        for taken in packings(question, providers):
            total = weighed(question, places, taken)
            if total is not None:
                yield places, taken, total


def values(total: dict[str, int | Fraction], aim: Aim) -> tuple[int, ...]:
    return tuple(sum(weight * total[term] for term, weight in level) for level in aim)


def best(question: Question, aim: Aim) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """Values, places and bundles of the optimum by trying everything; None when nothing fits."""
    found = None
    for places, taken, total in every_plan(question):
        if not fits(total, question.bounds):
            continue
        ids = tuple(options[place].id for options, place in zip(question.options, places, strict=True))
        rank = (values(total, aim), ids, len(taken), taken)
        if found is None or rank < found[0]:
            found = rank, places, taken
    return None if found is None else (found[0][0], found[1], found[2])
