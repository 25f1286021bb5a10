"""Negotiations at a node: the verbs of ``client.negotiations``.

found = client.negotiations.begin(request, Mandate("25"))
session = client.plans.accept(found.agreed)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apportion.engine.bargaining.views import NegotiationView
from apportion.engine.exchange import Nothing
from apportion.model.negotiation import Mandate, Mode
from apportion.model.request import Request
from apportion.model.talks import AgreeAsked, CounterAsked, NegotiationAsked, OfferTaken


class Negotiations:
    """Rounds of offer and counter-offer, as the client's key sees them."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def begin(
        self, request: Request, mandate: Mandate | None = None, *, seconds: int = 300, mode: Mode = "rounds"
    ) -> NegotiationView:
        """Negotiate: with a mandate an agent does it to the end, without one it stays open for ``seconds``.

        The mandate's limit is what payers pay in all, in the currency of the service, tax included.

        Raises:
            Refused: NO_PLAN when there is nobody to negotiate with, DECLINED, and what may be wrong with a request.
        """
        return self._ask("negotiate", given=NegotiationAsked(request, mandate, seconds, mode))

    def counter(self, id: str, given: CounterAsked) -> NegotiationView:
        """Send a counter-offer; how everything stands once the nodes have answered.

        Raises:
            Refused: NOT_FOUND, PLAN_ENDED, CONFLICT when it is stale, BAD_AMOUNT.
        """
        return self._ask("counter", id, given=given)

    def accept(self, id: str, offers: Iterable[OfferTaken] = ()) -> NegotiationView:
        """Take offers as they stand, the best of all when none is named; ``agreed`` is then the id of a plan.

        Raises:
            Refused: NOT_FOUND, PLAN_ENDED, CONFLICT when an offer is another one by now, NO_PLAN.
        """
        return self._ask("agree", id, given=AgreeAsked(tuple(offers)))

    def end(self, id: str) -> NegotiationView:
        """Walk away; the nodes are told.

        Raises:
            Refused: NOT_FOUND, PLAN_ENDED.
        """
        return self._ask("walk_away", id, given=Nothing())

    def get(self, id: str) -> NegotiationView:
        """A negotiation as it stands.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("negotiation", id)

    def list(self) -> Iterator[NegotiationView]:
        """All that the key may see, without their offers."""
        return self._pages("negotiations")
