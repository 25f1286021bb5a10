"""Which provider's each price line of a charge is, and what it is called on the statement that it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from apportion.model.charge import Charge, Portion, PriceLine, Share
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.statement.words import RERATED, Component, Words, plain, sentence

Category = tuple[str, str]


class Manner(msgspec.Struct, frozen=True):
    """How charges are presented: ``split`` to a statement of each provider; ``summed`` to a line for each other one.

    ``own`` is the provider that speaks for itself on the one statement, so that its charges stay by item.
    """

    split: bool = False
    summed: bool = False
    own: str = ""


class ToldLine(NamedTuple):
    """A price line with its ``exact`` amount, in words, and the ``provider`` whose charge it is ("" the platform's)."""

    line: PriceLine
    exact: Exact
    said: Component
    provider: str = ""


def told(charge: Charge, mine: Share, words: Words, manner: Manner) -> Iterator[ToldLine]:
    """Price lines in words, as one payer is shown them.

    A line of a part that is priced by itself is its provider's. What the service charges besides is the home
    provider's, or the platform's. Where one price is for the whole, its lines are shared out among the providers by
    what each earns of it: that tells the parts of the fee, and nothing of the platform's margin.
    """
    delivered = {portion.part: portion.provider for portion in charge.portions}
    lines = list(_served(charge, mine))
    by_part = any(_part(line) in delivered for line, _ in lines)
    summed = manner.summed or words.summed(charge.tariff, mine.account)
    sums: dict[tuple[str, str | None, bool], ToldLine] = {}
    for line, exact in lines:
        tariff = line.tariff or charge.tariff
        said = words.component(charge.service, tariff, line.component, line.measure)
        provider = delivered.get(_part(line), "")
        if provider:
            shared = [ToldLine(line, exact, said, provider)]
        elif by_part or not charge.portions or not (manner.split or manner.summed):
            shared = [ToldLine(line, exact, said, words.home(tariff))]
        else:
            shared = list(_shared(line, exact, said, charge.portions))
        for one in shared:
            if manner.split or not summed or one.provider in ("", manner.own or words.home(tariff)):
                yield one
            else:
                _sum_up(sums, one, words.provider(one.provider)[0])
    yield from sums.values()


def _part(line: PriceLine) -> str:
    """The part that a line is of; empty when it is of the whole."""
    part, colon, _ = line.component.partition(": ")
    return part if colon else ""


def _shared(line: PriceLine, exact: Exact, said: Component, portions: tuple[Portion, ...]) -> Iterator[ToldLine]:
    """One line of a price for the whole, shared out among those who delivered."""
    if len(portions) == 1:
        yield ToldLine(line, exact, said, portions[0].provider)
        return
    weights = [abs(int(portion.amount.replace(".", ""))) for portion in portions]
    whole = sum(weights)
    for portion, weight in zip(portions, weights, strict=True):
        part = exact * Exact(weight if whole else 1, whole or len(portions))
        label = f"{sentence(plain(portion.part))}: {said.label[:1].lower()}{said.label[1:]}"
        named = msgspec.structs.replace(said, label=label)
        yield ToldLine(msgspec.structs.replace(line, price=""), part, named, portion.provider)


def _sum_up(sums: dict[tuple[str, str | None, bool], ToldLine], one: ToldLine, name: str) -> None:
    """Add a line to its provider's sum; what is taxed otherwise is a sum of its own."""
    key = name, one.said.tax, one.said.included
    before = sums[key].exact if key in sums else ZERO
    said = Component(name, "", one.said.tax, one.said.included)
    sums[key] = ToldLine(PriceLine(name, "", "", "", ""), before + one.exact, said, one.provider)


def _weighed(charge: Charge) -> Iterator[tuple[PriceLine, Exact]]:
    """Price lines with their exact amounts; what re-rating changed is what the other lines do not explain."""
    for line in charge.lines:
        if line.component == RERATED:
            exact = Exact.parse(charge.amount)
            for other in charge.lines:
                if other.component != RERATED:
                    exact = exact - Exact.parse(other.exact)
            yield line, exact
        else:
            yield line, Exact.parse(line.exact)


def _served(charge: Charge, mine: Share) -> Iterator[tuple[PriceLine, Exact]]:
    """Price lines of the tariffs that served this payer, so weighed that they still come to the whole charge."""
    lines = list(_weighed(charge))
    own = [(line, exact) for line, exact in lines if not mine.terms or line.tariff in ("", *mine.terms)]
    whole, part = (sum((exact for _, exact in some), ZERO) for some in (lines, own))
    for line, exact in own:
        yield line, (exact * whole).over(part) if part and len(own) < len(lines) else exact


def taxed(said: Component, split: list[tuple[Category, int]]) -> list[tuple[Category, int, int]]:
    """The categories of a line with the fraction of it that falls into each: one, unless nobody knows."""
    if len(split) == 1:
        return [(split[0][0], 1, 1)]
    if said.tax is not None:
        for category, _ in split:
            if category[0] == said.tax:
                return [(category, 1, 1)]
    bases = sum(abs(base) for _, base in split)
    return [(category, abs(base), bases) for category, base in split if base]
