"""What a request would cost otherwise: by the usual providers, and by the dearest that still keep every limit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.engine.broker.assembling import as_scenario
from apportion.engine.broker.board import Board
from apportion.engine.broker.pricing import Pricing, Quoted
from apportion.engine.broker.scenarios import Found
from apportion.engine.broker.weighing import Weighed
from apportion.stages.broker.choosing.choose import choose
from apportion.stages.broker.choosing.question import FEE, RANK, Aim, Choice, Option, Question

replace = msgspec.structs.replace
_DEAREST: Aim = (((FEE, -1),),)
_USUAL: Aim = (((RANK, 1),), ((FEE, 1),))


class Compared(msgspec.Struct, frozen=True):
    """Totals of the same request, tax included, in decimal text."""

    usual: str
    dearest: str


def compared(parts: Sequence[Sequence[Quoted]], weighed: Weighed, pricing: Pricing, board: Board) -> Compared:
    """Both plans, charged as any: everything that fits was weighed, so they keep the limits as the scenarios do.

    The usual providers are the defaults of the parts; where a default does not fit, or there is none, the first offer
    by name. Where offers must fit one another, it is the plan that goes the least way down this order.
    """
    usual = replace(weighed.question, options=_ranked(weighed.question, parts, pricing))

    def total(question: Question, aim: Aim) -> str:
        choice = choose(question, aim)
        assert isinstance(choice, Choice), "something fits, or there were no scenarios"
        found = Found("lowest-cost", choice, 0, 0, by_placement=False)
        return as_scenario(found, 0, "", weighed, pricing, board.setups, {}, {}).total

    return Compared(total(usual, _USUAL), total(weighed.question, _DEAREST))


def _ranked(question: Question, parts: Sequence[Sequence[Quoted]], pricing: Pricing) -> tuple[tuple[Option, ...], ...]:
    """Each option with its place in the order of who usually delivers its part."""
    terms = pricing.wish.service.service.parts
    return tuple(
        tuple(
            replace(option, rank=0 if option.provider == terms[quoted.offer.part].provider else at + 1)
            for at, (option, quoted) in enumerate(zip(options, fits, strict=True))
        )
        for options, fits in zip(question.options, parts, strict=True)
    )
