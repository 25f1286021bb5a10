"""The market at the door: what providers, users and the operator may say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import Input, Instant, Name, Text
from apportion.engine.market.standing import switches_of
from apportion.engine.market.views import (
    ApprovalView,
    OfferView,
    ProviderView,
    RatingView,
    approval_view,
    offer_view,
    provider_view,
)
from apportion.engine.verbs import Call
from apportion.errors import Refusal, Refused
from apportion.model.access import AccessRole
from apportion.model.command import Outcome
from apportion.model.market import Offer
from apportion.model.standing import (
    ApprovalLine,
    Approve,
    Available,
    Observe,
    Observed,
    OfferLine,
    PutOffer,
    Rate,
    RatingLine,
    SwitchProvider,
    WithdrawOffer,
)

_OFFER = msgspec.json.Decoder(OfferLine)
_APPROVAL = msgspec.json.Decoder(ApprovalLine)
_RATING = msgspec.json.Decoder(RatingLine)
MOST = 2000  # offers, availabilities or measurements in one request
Numbers = Annotated[dict[Name, Annotated[str, Meta(max_length=60)]], Meta(max_length=50)]
Number = Annotated[str, Meta(max_length=60)]


class OffersInput(Input, frozen=True):
    """Offers to make, or to put in the place of those of the same service, part, provider and ``id`` (their name)."""

    offers: Annotated[tuple[Offer, ...], Meta(min_length=1, max_length=MOST)]


class AvailableInput(Input, frozen=True):
    """What an offer (``ofr_…``) has free, and its quality; what is not given stays as it was."""

    id: Name
    capacity: Numbers | None = None
    latency: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    availability: Number | None = None
    throughput: Number | None = None


class AvailabilityInput(Input, frozen=True):
    """How offers stand now, each by its id."""

    offers: Annotated[tuple[AvailableInput, ...], Meta(min_length=1, max_length=MOST)]


class OfferAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one offer: its ``id``, or why not."""

    id: str = ""
    refusal: Refusal | None = None


class OffersAnswer(msgspec.Struct, frozen=True):
    """One answer per offer, in the order in which they were sent."""

    offers: tuple[OfferAnswer, ...]


class SwitchInput(Input, frozen=True):
    """Switch ``off`` for a ``reason``, ``until`` an instant or for so many ``seconds`` (for good, without either)."""

    off: bool
    reason: Text = ""
    until: Instant = ""
    seconds: Annotated[int, Meta(ge=0, le=316_224_000)] = 0


class ApprovalInput(Input, frozen=True):
    """Whether ``provider`` may deliver to ``payer`` where a service asks for approval; a user speaks for itself."""

    provider: Name
    payer: Text = ""
    approved: bool = True


class RatingInput(Input, frozen=True):
    """1 to 5 ``stars`` for a charge or session that was paid for: for all that delivered, one of them, or a network."""

    record: Name
    stars: Annotated[int, Meta(ge=1, le=5)]
    provider: Text = ""
    network: Text = ""


class ObservedInput(Input, frozen=True):
    """What was measured of ``provider`` in ``service``; of ``session``, if it was one's, by an independent prober else.

    Milliseconds and units a second count beside what was promised. The network is the provider's own when not named.
    """

    service: Name
    provider: Name
    network: Text = ""
    session: Text = ""
    succeeded: bool | None = None
    latency: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    latency_promised: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    throughput: Number = ""
    throughput_promised: Number = ""
    disputed: bool | None = None
    kept: bool | None = None


class MeasurementsInput(Input, frozen=True):
    """Measurements, in the order in which they were made."""

    measurements: Annotated[tuple[ObservedInput, ...], Meta(min_length=1, max_length=MOST)]


class MeasurementsAnswer(msgspec.Struct, frozen=True):
    """One answer per measurement: the refusal, or nothing when it was taken."""

    measurements: tuple[OfferAnswer, ...]


def _by(call: Call) -> str:
    """The provider that asks; empty for the operator."""
    return call.caller.party if call.caller.role is AccessRole.PROVIDER else ""


# ── commands ──


def put(call: Call) -> list[object]:
    """Make offers."""
    given: OffersInput = call.given
    return [PutOffer(_by(call), offer=offer) for offer in given.offers]


def announce(call: Call) -> list[object]:
    """Say what offers have free."""
    given: AvailabilityInput = call.given
    return [
        Available(
            _by(call), id=one.id, capacity=one.capacity, latency=one.latency, availability=one.availability,
            throughput=one.throughput,
        )
        for one in given.offers
    ]  # fmt: skip


def answers(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> OffersAnswer:
    """An answer for each."""
    return OffersAnswer(_each(outcomes))


def _each(outcomes: Sequence[Outcome]) -> tuple[OfferAnswer, ...]:
    return tuple(OfferAnswer("" if one.refusal is not None else one.id, one.refusal) for one in outcomes)


def withdraw(call: Call) -> list[object]:
    """Offer it no more."""
    return [WithdrawOffer(_by(call), id=call.id)]


def offer_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> OfferView:
    """The offer as it stands now."""
    line = _OFFER.decode(_stored(engine, _done(outcomes)))
    return offer_view(line, call.caller, {})


def switch(call: Call) -> list[object]:
    """Switch a provider off or on."""
    given: SwitchInput = call.given
    return [
        SwitchProvider(
            _by(call), provider=call.id, off=given.off, until=given.until, seconds=given.seconds, reason=given.reason
        )
    ]


def switch_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> ProviderView:
    """The provider as it stands now."""
    _done(outcomes)
    provider = engine.terms().catalog.providers[call.id]
    marks = switches_of(engine.store, engine.tenant, [call.id])
    return provider_view(engine.clock.now(), provider, marks.get(call.id), (), whole=True)


def approve(call: Call) -> list[object]:
    """Approve a provider."""
    given: ApprovalInput = call.given
    user = call.caller.role is AccessRole.USER
    payer = call.caller.party if user and not given.payer else given.payer
    if user and payer != call.caller.party:
        payer = ""  # another's: as if there were none
    return [Approve(payer=payer, provider=given.provider, approved=given.approved, user=user)]


def approve_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> ApprovalView:
    """The approval as it stands now."""
    return approval_view(_APPROVAL.decode(_stored(engine, _done(outcomes))))


def rate(call: Call) -> list[object]:
    """Give stars."""
    given: RatingInput = call.given
    return [
        Rate(
            payer=call.caller.party, record=given.record, stars=given.stars, provider=given.provider,
            network=given.network,
        )
    ]  # fmt: skip


def rate_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> RatingView:
    """The stars that were given."""
    line = _RATING.decode(_stored(engine, _done(outcomes)))
    given: RatingInput = call.given
    return RatingView(line.id, line.record, line.service, line.stars, given.provider, given.network, line.at)


def measure(call: Call) -> list[object]:
    """Take measurements."""
    given: MeasurementsInput = call.given
    fields = Observed.__struct_fields__
    return [
        Observe(
            _by(call), service=one.service, provider=one.provider, network=one.network, session=one.session,
            observed=Observed(**{name: getattr(one, name) for name in fields}),
        )
        for one in given.measurements
    ]  # fmt: skip


def measure_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> MeasurementsAnswer:
    """An answer for each; what they made of the reputation is not told here."""
    return MeasurementsAnswer(tuple(OfferAnswer(refusal=outcome.refusal) for outcome in outcomes))


def _done(outcomes: Sequence[Outcome]) -> str:
    """The id that the one command answered with; its refusal is raised."""
    if outcomes[0].refusal is not None:
        raise Refused(outcomes[0].refusal)
    return outcomes[0].id


def _stored(engine: Engine, id: str) -> bytes:
    return engine.store.courses(engine.tenant, [id])[id].line
