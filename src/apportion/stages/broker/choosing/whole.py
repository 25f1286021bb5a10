"""A whole plan added up from the question itself, and every limit looked at once more."""

from __future__ import annotations

import math

from apportion.stages.broker.choosing.fold import levels_of, levels_of_sums
from apportion.stages.broker.choosing.question import Aim, Choice, Option, Question, Sums


def whole(question: Question, aim: Aim, places: tuple[int, ...], taken: tuple[int, ...], proven: bool) -> Choice:
    """A plan added up anew from the question; refuses one that breaks a limit, which would be an error of ours."""
    picked = [options[place] for options, place in zip(question.options, places, strict=True)]
    extras = [question.base]
    extras += [question.setups[name] for name in sorted({one.provider for one in picked} & question.setups.keys())]
    extras += [link.crossings[picked[link.source].id, picked[link.target].id] for link in question.links]
    saves = [question.bundles[index].saves for index in taken]
    sums = Sums(*(
        sum(getattr(one, name) for one in (*picked, *extras)) - sum(getattr(one, name) for one in saves)
        for name in ("fee", "net", "cost")
    ))  # fmt: skip
    num = math.prod(one.availability[0] for one in picked)
    den = math.prod(one.availability[1] for one in picked)
    shrink = math.gcd(num, den) or 1
    values = [sum(column) for column in levels_of(picked, aim)] if picked else [0] * len(aim)
    for extra in extras:
        values = list(map(int.__add__, values, levels_of_sums(extra, aim)))
    for saved in saves:
        values = list(map(int.__sub__, values, levels_of_sums(saved, aim)))
    choice = Choice(
        places, taken, sums, sum(one.points for one in picked), sum(one.rank for one in picked),
        sum(one.latency for one in picked), (num // shrink, den // shrink), tuple(values), proven,
    )  # fmt: skip
    _hold(question, picked, choice)
    return choice


def _hold(question: Question, picked: list[Option], choice: Choice) -> None:
    """Every limit of a finished plan once more, and its bundles."""
    bounds, sums = question.bounds, choice.sums
    providers = [one.provider for one in picked]
    covered = [part for index in choice.bundles for part in set(question.bundles[index].parts)]
    num, den = choice.availability
    low = bounds.availability or (0, 1)
    broken = (
        (bounds.fee is not None and sums.fee > bounds.fee)
        or (bounds.margin is not None and sums.net - sums.cost < bounds.margin)
        or (bounds.latency is not None and choice.latency > bounds.latency)
        or num * low[1] < low[0] * den
        or (bounds.per_provider is not None and any(providers.count(p) > bounds.per_provider for p in providers))
        or len(covered) != len(set(covered))
        or any(
            providers[part] != question.bundles[index].provider
            for index in choice.bundles
            for part in question.bundles[index].parts
        )
    )
    if broken:
        raise AssertionError(f"a plan was chosen that breaks its limits: {choice}")
