"""What callers ask of corrections: give back, share anew, and how a charge stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.correcting.decision import corrected_id
from apportion.engine.engine import Engine
from apportion.engine.exchange import Amount, ChargeView, Input, Name
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import Refused
from apportion.model.command import Outcome
from apportion.model.correction import Correct, CorrectedLine, Resplit

_CORRECTED = msgspec.json.Decoder(CorrectedLine)
Part = Annotated[str, Meta(max_length=255)]


class CorrectionInput(Input, frozen=True):
    """Give ``amount`` of a charge back, tax and all (everything that stands, when empty), once per ``reference``.

    It goes to the ``payer`` named (by account), else to all who bear it; it is taken from the ``provider`` named alone,
    else from providers, platform and taxes by what each earns.
    """

    reference: Name
    amount: Annotated[str, Meta(max_length=42)] = ""
    payer: Part = ""
    provider: Part = ""


class ResplitInput(Input, frozen=True):
    """Let ``provider`` earn ``amount`` more of a charge for its ``part``, once per ``reference``.

    It comes out of what ``against``, another provider, earns of it; the platform, when empty.
    """

    reference: Name
    part: Name
    provider: Name
    amount: Amount
    against: Part = ""


class StandingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A charge as it stands after ``corrections`` of them, the ``last`` made for the reason ``why``."""

    charge: ChargeView
    corrections: int = 0
    last: str = ""
    why: str = ""
    at: str = ""


def give(call: Call) -> list[object]:
    """Give back."""
    given: CorrectionInput = call.given
    return [
        Correct(
            charge=call.id, reference=given.reference, amount=given.amount, payer=given.payer, provider=given.provider
        )
    ]


def share(call: Call) -> list[object]:
    """Share anew."""
    given: ResplitInput = call.given
    return [
        Resplit(
            charge=call.id, reference=given.reference, part=given.part, provider=given.provider, amount=given.amount,
            against=given.against,
        )
    ]  # fmt: skip


def told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> ChargeView:
    """The charge that corrects."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return Sight(engine, call.caller).charge(outcome.id)


def standing(engine: Engine, call: Call) -> StandingView:
    """How a charge stands.

    Raises:
        Refused: NOT_FOUND, also for another's.
    """
    sight = Sight(engine, call.caller)
    booked = engine.books.record(call.id)
    if not sight.concerns(booked):
        raise nothing()
    name = corrected_id(call.id)
    course = engine.store.courses(engine.tenant, [name]).get(name)
    if course is None:
        return StandingView(sight.charge(call.id))
    line = _CORRECTED.decode(course.line)
    record = msgspec.structs.replace(booked, charge=line.standing)
    return StandingView(sight.charge_view(record), line.n, line.made, line.why, line.at)
