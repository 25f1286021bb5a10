"""Whole negotiations in one thread: the agent of one user against providers whose reserves are known here only."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from apportion.model.negotiation import (
    TACTICS,
    Answer,
    Award,
    Brief,
    Counter,
    Issues,
    Move,
    Negotiation,
    Proposal,
    Stance,
    Talk,
)
from apportion.stages.broker.bargaining.auction import first_offer, second_price
from apportion.stages.broker.bargaining.moves import opened
from apportion.stages.broker.bargaining.negotiate import step
from apportion.stages.broker.bargaining.tactics import open_with, respond

EURO = 10**9
ROUND = 250  # milliseconds
BEGAN = 1_795_000_000_000


@dataclass(frozen=True)
class Market:
    """One user and its providers, as only the test knows them."""

    brief: Brief
    stances: dict[str, Stance]

    @property
    def reserves(self) -> dict[str, Proposal]:
        """The least that each would do it for, with the quality that is needed."""
        return {name: self._reserve(name, stance) for name, stance in self.stances.items()}

    def _reserve(self, name: str, stance: Stance) -> Proposal:
        quality = max(stance.quality, min(self.brief.quality, stance.top))
        amount = stance.reserve + stance.per_point * (quality - stance.quality)
        return replace(self._first(name), amount=amount, quality=quality)

    @property
    def firsts(self) -> dict[str, Proposal]:
        return {name: self._first(name) for name in self.stances}

    def _first(self, name: str) -> Proposal:
        terms = open_with(self.stances[name], BEGAN)[1].terms
        assert terms is not None
        return terms

    def has_zone(self) -> bool:
        return first_offer(self.brief, self.reserves) is not None

    def by_first_offer(self) -> Award | None:
        return first_offer(self.brief, self.firsts)

    def by_auction(self) -> Award | None:
        reference = min(first.amount for first in self.firsts.values())
        return second_price(self.brief, self.reserves, reference)


@dataclass
class Told:
    """How one negotiation went: every move of the agent by step, every answer, and how it ended."""

    end: Negotiation
    moves: list[tuple[Move, ...]] = field(default_factory=list)
    answers: list[dict[str, Answer]] = field(default_factory=list)

    def counters(self) -> Iterator[Counter]:
        yield from (move for said in self.moves for move in said if isinstance(move, Counter))

    def first_half(self, brief: Brief) -> list[Counter]:
        """What the agent proposed before half of its rounds or of its time was over."""
        steps = enumerate(self.moves, 1)
        early = [said for at, said in steps if 2 * at <= brief.rounds and 2 * at * ROUND <= brief.ends - brief.began]
        return [move for said in early for move in said if isinstance(move, Counter)]

    def first_messages(self) -> list[Counter]:
        """The first half of all that the agent proposed, by their number."""
        said = list(self.counters())
        return said[: len(said) // 2]


def run(market: Market) -> Told:
    """The negotiation from the request for quotes to its end."""
    talks: dict[str, Talk] = {}
    answers: dict[str, Answer] = {}
    for name, stance in market.stances.items():
        talks[name], answers[name] = open_with(stance, BEGAN)
    negotiation, now = opened(market.stances, BEGAN), BEGAN
    told = Told(negotiation)
    while negotiation.state.value == "open":
        now += ROUND
        told.answers.append(answers)
        negotiation, moves = step(market.brief, negotiation, answers, now)
        told.moves.append(moves)
        answers = {}
        for move in moves:
            if isinstance(move, Counter):
                name = move.provider
                talks[name], answers[name] = respond(market.stances[name], talks[name], move, now)
    told.end = negotiation
    return told


def market_of(number: int, **brief: object) -> Market:
    """A made-up market: one to eight providers, all tactics, deadlines, validities and weights mixed."""
    chance = random.Random(number)
    base = chance.randint(2, 2000) * EURO // 100
    stances = {f"p{place}": _stance(chance, base) for place in range(chance.randint(1, 8))}
    weighted = chance.random() < 0.5
    facts = Brief(
        limit=base * chance.randint(60, 130) // 100,
        seed=chance.randbytes(32),
        began=BEGAN,
        ends=BEGAN + chance.choice((2000, 5000, 30_000, 30_000)),
        rounds=chance.randint(2, 20),
        weights=Issues(chance.randint(1, 5), chance.randint(0, 2), chance.randint(0, 1)) if weighted else Issues(),
        pace=chance.choice(((1, 1), (3, 1), (3, 1), (5, 1), (1, 2))),
        quality=chance.choice((0, 0, 300, 600)),
        capacity=chance.choice((500, 1000)),
        begin_by=chance.choice((0, BEGAN + 3_600_000)),
    )
    return Market(replace(facts, **brief), stances)


def _stance(chance: random.Random, base: int) -> Stance:
    tactic = chance.choice(TACTICS)
    reserve = base * chance.randint(600, 1100) // 1000
    ask = reserve * chance.randint(105, 160) // 100
    quality = chance.randint(200, 1000)
    return Stance(
        ask=ask,
        reserve=ask if tactic == "fixed" else reserve,
        tactic=tactic,
        rounds=chance.randint(3, 20),
        ends=chance.choice((0, 0, BEGAN + chance.randint(1000, 30_000))),
        quality=quality,
        top=min(1000, quality + chance.choice((0, 200))),
        per_point=reserve // 4000,
        capacity=chance.choice((500, 1000, 1000, 1000)),
        begin=chance.choice((0, BEGAN + 60_000, BEGAN + 7_200_000)) if chance.random() < 0.3 else 0,
        validity=chance.choice((500, 1500, 10_000, 60_000, 60_000)),
    )
