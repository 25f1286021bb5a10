"""The market at a node: the verbs of ``client.market``.

client.market.put([Offer(service="call", part="bridge", provider="bridge-a", tariff="bridge")])
client.market.switch("bridge-a", SwitchInput(True, "fibre cut", seconds=3600))
for offer in client.market.offers("call"): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from apportion.engine.market.door import (
    ApprovalInput,
    AvailabilityInput,
    AvailableInput,
    MeasurementsInput,
    ObservedInput,
    OfferAnswer,
    OffersInput,
    RatingInput,
    SwitchInput,
)
from apportion.engine.market.views import ApprovalView, OfferView, ProviderView, RatingView
from apportion.model.market import Offer


class Market:
    """What is offered, who is on, and how everybody is rated, as the client's key sees it."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def put(self, offers: Iterable[Offer]) -> tuple[OfferAnswer, ...]:
        """Make offers, or put others in their place; each has an answer of its own."""
        return tuple(self._ask("put_offers", given=OffersInput(tuple(offers))).offers)

    def announce(self, offers: Iterable[AvailableInput]) -> tuple[OfferAnswer, ...]:
        """Say what offers have free now, and how good they are; each has an answer of its own."""
        return tuple(self._ask("announce", given=AvailabilityInput(tuple(offers))).offers)

    def offers(self, service: str = "", part: str = "", provider: str = "") -> Iterator[OfferView]:
        """All offers that this key may see, of a service, a part or a provider if one is named."""
        return self._pages("offers", service=service, part=part, provider=provider)

    def withdraw(self, offer: str) -> OfferView:
        """Withdraw an offer; what runs by it goes on.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("withdraw_offer", offer)

    def switch(self, provider: str, given: SwitchInput) -> ProviderView:
        """Switch a provider off for a while, or on again.

        Raises:
            Refused: NOT_FOUND, UNKNOWN_PROVIDER, BAD_INPUT, BAD_TIME; CONFLICT when another keeps it off.
        """
        return self._ask("switch_provider", provider, given=given)

    def providers(self, service: str = "") -> Iterator[ProviderView]:
        """All providers: who is off and why, and how each is rated."""
        return self._pages("providers", service=service)

    def approve(self, given: ApprovalInput) -> ApprovalView:
        """Approve a provider for a payer, or take that back.

        Raises:
            Refused: UNKNOWN_PAYER, UNKNOWN_PROVIDER.
        """
        return self._ask("approve", given=given)

    def approvals(self) -> Iterator[ApprovalView]:
        """All approvals that this key may see, also those that were taken back."""
        return self._pages("approvals")

    def rate(self, given: RatingInput) -> RatingView:
        """Give stars for what was delivered and paid for.

        Raises:
            Refused: NOT_FOUND when it was not paid for by this user; CONFLICT when it was rated before.
        """
        return self._ask("rate", given=given)

    def measure(self, seen: Sequence[ObservedInput], *, idempotency_key: str = "") -> tuple[OfferAnswer, ...]:
        """Say what was measured of providers and networks; each measurement has an answer of its own."""
        answer = self._ask("measure", given=MeasurementsInput(tuple(seen)), key=idempotency_key)
        return tuple(answer.measurements)
