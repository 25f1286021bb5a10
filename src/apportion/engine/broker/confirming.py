"""Signed bids confirmed by their providers before a session is opened on them: what was agreed is what is charged."""

from __future__ import annotations

import hashlib

import msgspec

from apportion.engine.broker.asking import Node, accept_bid, end_bid
from apportion.engine.engine import Engine
from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.bid import Bid, SignedBid
from apportion.model.bid_check import GoodBid, Unfit
from apportion.model.plan import Candidates, PlanLine

PATIENCE = 2.0  # seconds that a node has to confirm


class Unconfirmed(Refused):
    """A ``provider`` does not stand by what it signed."""

    def __init__(self, provider: str, why: str) -> None:
        message = f"{provider} does not stand by its bid: {why}"
        super().__init__(Refusal(RefusalCode.PLAN_ENDED, message, "plan", "Ask for a new plan."))
        self.provider = provider


def confirmed(engine: Engine, line: PlanLine, scenario: str, candidates: Candidates) -> None:
    """Ask every provider whose bid is part of a scenario to confirm it; nobody, where there are only standing offers.

    Raises:
        Unconfirmed: PLAN_ENDED when one does not stand by its bid; those who did are told that nothing comes of it.
    """
    wanted: dict[str, list[int]] = {}
    for part in (part for one in line.scenarios if one.name == scenario for part in one.parts if part.bid):
        wanted.setdefault(part.bid, []).append(_place(part.offer))
    if not wanted:
        return
    catalog, agreed = engine.version(line.catalog).catalog, list[tuple[Node, str]]()
    for good in _bids(candidates):
        if good.digest not in wanted:
            continue
        name = good.bid.provider
        provider = catalog.providers.get(name)
        if provider is None or engine.providers is None or engine.outside is None:
            said: object = Unfit("unreachable", "its node can not be asked from here.")
        else:
            node = Node(name, provider.address, provider.key)
            places = tuple(sorted(wanted[good.digest])) if len(good.bid.offers) > 1 else ()
            said = accept_bid(engine.outside, engine.providers, node, good, engine.clock.now(), PATIENCE, places)
            agreed.append((node, good.bid.rfq))
        if isinstance(said, Unfit):
            for node, rfq in agreed:
                assert engine.providers is not None and engine.outside is not None
                end_bid(engine.outside, engine.providers, node, rfq, "ended", PATIENCE)
            raise Unconfirmed(name, said.why)


def _bids(candidates: Candidates) -> list[GoodBid]:
    """The signed bids of a plan, as they were checked when it was made."""
    found = []
    for text in candidates.bids:
        signed = msgspec.json.decode(text, type=SignedBid)
        body = signed.body.encode()
        bid = msgspec.json.decode(body, type=Bid)
        found.append(GoodBid(bid, signed, hashlib.sha256(body).hexdigest(), ()))
    return found


def _place(offer: str) -> int:
    """Which offer of its bid an offer is: ``bid_….2`` is the second."""
    number = offer.partition(".")[2]
    return int(number) - 1 if number else 0
