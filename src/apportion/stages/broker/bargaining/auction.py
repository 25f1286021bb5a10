"""Two ways to settle without bargaining: the best first offer, and a reverse auction at the second price.

An operator may choose them instead of rounds, and rounds are measured against them. Offers are compared by the weights
of the mandate, as everywhere; with the price alone as weight the auction is the plain one of Vickrey, where the lowest
bid wins and is paid the second lowest, so that nobody gains by bidding anything but what it really wants.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from apportion.model.negotiation import Award, Brief, Proposal
from apportion.stages.broker.bargaining.mandate import even, fits, needed, worth


def first_offer(brief: Brief, offers: Mapping[str, Proposal], reference: int = 0) -> Award | None:
    """The offer that is worth most of those that fit the mandate, at what it asks; None when none fits.

    ``reference`` is the amount that quality is worth parts of: the cheapest of ``offers``, when 0.
    """
    ranked = _ranked(brief, offers, reference)
    return Award(ranked[0][2], ranked[0][3]) if ranked else None


def second_price(brief: Brief, bids: Mapping[str, Proposal], reference: int = 0) -> Award | None:
    """The bid that is worth most wins, and is paid as much as makes it worth as much as the second.

    It is never paid less than it bid, nor more than the limit, which is also what a single bidder is paid: unlike
    rounds, an auction shows the limit. None when no bid fits the mandate.
    """
    ranked = _ranked(brief, bids, reference)
    if not ranked:
        return None
    _, _, winner, terms = ranked[0]
    amount = brief.limit
    # A bid above the limit can not win, but it would still not be outbid: the limit is the lower of the two.
    if len(ranked) > 1:
        reference = reference or _cheapest(brief, bids)
        amount = min(amount, even(brief, terms, ranked[1][0] - 1, reference))
    return Award(winner, replace(terms, amount=max(amount, terms.amount)))


def _ranked(brief: Brief, offers: Mapping[str, Proposal], reference: int) -> list[tuple[int, int, str, Proposal]]:
    """Those that fit, the best first: by worth, then by price, then by name."""
    reference = reference or _cheapest(brief, offers)
    fitting = [(name, terms) for name, terms in offers.items() if fits(brief, terms)]
    ranked = [(worth(brief, terms, reference), -terms.amount, name, terms) for name, terms in fitting]
    return sorted(ranked, key=lambda one: (-one[0], -one[1], one[2]))


def _cheapest(brief: Brief, offers: Mapping[str, Proposal]) -> int:
    good = [terms.amount for terms in offers.values() if needed(brief, terms)]
    return max(1, min(good or [terms.amount for terms in offers.values()], default=1))
