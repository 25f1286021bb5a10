"""What callers ask of disputes: open one, add evidence, decide it, give it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.disputes.standing import find_dispute
from apportion.engine.disputes.views import Showing
from apportion.engine.engine import Engine
from apportion.engine.exchange import Input, Name, Nothing, Text
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole
from apportion.model.command import Outcome
from apportion.model.dispute import (
    WORDS_MOST,
    AddEvidence,
    DecideDispute,
    DisputeState,
    OpenDispute,
    WithdrawDispute,
)

Long = Annotated[str, Meta(max_length=WORDS_MOST)]
Part = Annotated[str, Meta(max_length=42)]


class DisputeInput(Input, frozen=True):
    """Dispute ``amount`` of a charge (all that stands, when empty), once per ``reference``.

    A user says that it bears too much. A provider says that it earned so much more for ``part`` (its own, when it has
    one), out of what the provider ``against`` earns of the charge, or the platform when empty. An operator names for
    whom it speaks: ``payer`` or ``provider``. ``reason`` is kept beside the books, as the first piece of evidence.
    """

    charge: Name
    reference: Name
    amount: Part = ""
    part: Text = ""
    provider: Text = ""
    against: Text = ""
    payer: Text = ""
    reason: Long = ""


class EvidenceInput(Input, frozen=True):
    """A text, such as a log or a document, with a title; ``private`` is for the operator's eyes alone."""

    text: Annotated[str, Meta(min_length=1, max_length=WORDS_MOST)]
    title: Text = ""
    private: bool = False


class DecisionInput(Input, frozen=True):
    """``granted`` of the disputed amount is given: all when empty, nothing when 0.

    What a user is granted is taken from the provider at ``fault`` alone, when one is named, else from everybody by what
    they earn of the charge.
    """

    granted: Part = ""
    fault: Text = ""


class DisputeAnswer(msgspec.Struct, frozen=True):
    """A case as it was opened; how it stands is asked for by its id. ``held`` in all was set aside for the operator."""

    id: str
    charge: str
    account: str
    amount: str
    currency: str
    opened: str


class EvidenceAnswer(msgspec.Struct, frozen=True):
    """A piece of evidence: its ``place`` in the case, counted from 1, and the digest that the books hold of it."""

    id: str
    place: int
    at: str
    digest: str


class DecisionAnswer(msgspec.Struct, frozen=True):
    """How a case has ended: decided, with what was ``granted`` and the charge ``made`` of it, or withdrawn."""

    id: str
    charge: str
    state: str
    at: str
    granted: str
    made: str


def dispute(call: Call) -> list[object]:
    """Open a case; users and providers for themselves.

    Raises:
        Refused: NOT_FOUND for somebody else.
    """
    given: DisputeInput = call.given
    payer, provider = _speaks_for(call, given.payer, given.provider)
    return [
        OpenDispute(
            charge=given.charge, reference=given.reference, payer=payer, provider=provider, amount=given.amount,
            part=given.part, against=given.against, reason=given.reason,
            outside=call.caller.role is AccessRole.OPERATOR,
        )
    ]  # fmt: skip


def _speaks_for(call: Call, payer: str = "", provider: str = "") -> tuple[str, str]:
    """For whom a caller speaks, as payer and provider; an operator for whom it names."""
    role, party = call.caller.role, call.caller.party
    if role is AccessRole.OPERATOR:
        return payer, provider
    mine = (party, "") if role is AccessRole.USER else ("", party)
    if (payer and payer != mine[0]) or (provider and provider != mine[1]):
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="payer" if payer else "provider")
    return mine


def dispute_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> DisputeAnswer:
    """What of a case never changes."""
    line = find_dispute(engine, _made(outcomes).id)
    return DisputeAnswer(
        line.id, line.charge, line.account, line.amount, line.asset.partition("/")[0], line.opened
    )  # fmt: skip


def _made(outcomes: Sequence[Outcome]) -> Outcome:
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return outcome


def evidence(call: Call) -> list[object]:
    """Add evidence."""
    given: EvidenceInput = call.given
    payer, provider = _speaks_for(call)
    return [
        AddEvidence(
            id=call.id, text=given.text, title=given.title, payer=payer, provider=provider, private=given.private
        )
    ]


def evidence_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> EvidenceAnswer:
    """The piece as the books hold it."""
    id, _, place = _made(outcomes).id.partition(".")
    piece = find_dispute(engine, id).evidence[int(place) - 1]
    return EvidenceAnswer(id, int(place), piece.at, piece.digest)


def decide(call: Call) -> list[object]:
    """Decide a case."""
    given: DecisionInput = call.given
    return [DecideDispute(id=call.id, granted=given.granted, fault=given.fault)]


def withdraw(call: Call) -> list[object]:
    """Give a case up."""
    assert isinstance(call.given, Nothing)
    payer, provider = _speaks_for(call)
    return [WithdrawDispute(id=call.id, payer=payer, provider=provider)]


def ended_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> DecisionAnswer:
    """How it ended, for ever."""
    line = find_dispute(engine, _made(outcomes).id)
    assert line.state != DisputeState.OPEN.value
    granted = Showing(engine, Sight(engine, call.caller)).case(line)
    return DecisionAnswer(line.id, line.charge, line.state, line.at, granted.granted if granted else "", line.made)
