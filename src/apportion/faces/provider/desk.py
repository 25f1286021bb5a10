"""The desk of a provider's node: a question in, a signed bid out; a counter-offer in, an answer by its tactic out.

A bid binds: whoever brings it back exactly as it was signed, while it stands and as the last of its negotiation, has
it. Negotiations are remembered in bounded memory and for as long as their bids stand; what was signed holds even when
the node was restarted in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from apportion.adapters.outside import signature_holds
from apportion.errors import RefusalCode, Refused, refuse
from apportion.faces.api.bodies import record
from apportion.faces.api.problems import Declined
from apportion.faces.provider.pricing import Deal, Prices, answered
from apportion.faces.provider.stock import Stock
from apportion.model.bid import SKEW, Acceptance, Agreed, Asked, Bid, Finished, SignedBid, digest_of
from apportion.model.bid_check import instant
from apportion.model.market import Offer
from apportion.model.provider_node import NodeOffer, ProviderNode
from apportion.model.tariff import Tariff
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.ports import Signer

#: how many negotiations are remembered, and how many bytes of them
CASES_MAX, BYTES_MAX = 10_000, 64 << 20
Said = Literal["offer", "accept", "decline"]


class Case(msgspec.Struct):
    """One negotiation: the digest of its last ``question`` and what was ``signed`` to it, its ``deals`` by offer.

    ``standing`` is the digest of the bid that stands: a decline takes back nothing that was offered before.
    """

    question: str
    round: int
    signed: SignedBid
    standing: str
    until: datetime
    deals: dict[int, Deal]
    over: bool = False


class Ended(msgspec.Struct, frozen=True):
    """Whether an end was the end of something."""

    ended: bool


class Desk:
    """Answers for one provider; used on one thread."""

    def __init__(self, node: ProviderNode, signer: Signer, now: Callable[[], str]) -> None:
        self.node, self._signer, self._now = node, signer, now
        self.stock, self._prices = Stock(node), Prices(node)
        self._cases: OrderedDict[str, Case] = OrderedDict()
        self._size = 0

    def quote(self, body: bytes) -> SignedBid:
        """The first bid for a question; the same question again has the same bid.

        Raises:
            Refused: it can not be read, is too late, or its id stands for another question.
        """
        asked, now = self._asked(body, 1, "")
        case, question = self._cases.get(asked.id), digest_of(body)
        if case is not None:
            if case.question == question and case.round == 1:
                return case.signed
            raise refuse(RefusalCode.CONFLICT, "stands for another question.", field="id", fix="Take a fresh one.")
        if asked.counter is not None:
            raise refuse(RefusalCode.BAD_INPUT, "has no place in a first question.", field="counter")
        deals = {at: deal for at in range(len(self.node.offers)) if (deal := self._deal(at, asked, now)) is not None}
        bid = self._bid(asked, question, deals, "offer" if deals else "decline")
        return self._keep(asked, question, deals, bid).signed

    def round(self, rfq: str, body: bytes) -> SignedBid:
        """The answer to a counter-offer: it is accepted, or another offer is made, or nothing more is.

        Raises:
            Refused: it can not be read, is too late, is no next round, or the negotiation is over or not known.
        """
        asked, now = self._asked(body, 2, rfq)
        case, question = self._live(rfq), digest_of(body)
        if case.question == question:
            return case.signed
        if asked.round != case.round + 1:
            raise refuse(
                RefusalCode.CONFLICT, f"is not round {case.round + 1}.", field="round", fix="Go on from there."
            )
        if asked.counter is None:
            raise refuse(RefusalCode.BAD_INPUT, "is missing.", field="counter", fix="Say what you would take.")
        deals, kinds, final = dict(case.deals), set[str](), True
        for at, deal in case.deals.items():
            amount = asked.counter.amounts.get(self.node.offers[at].part)
            if amount is None:
                continue
            fits = self._fits(at, asked)
            deals[at], kind, ended = answered(deal, asked, Exact.parse(amount, field="counter.amounts"), fits, now)
            kinds.add(kind)
            final = final and ended
        kinds = kinds or {"offer" if deals else "decline"}
        answer: Said = "accept" if kinds == {"accept"} else "decline" if kinds == {"decline"} else "offer"
        bid = self._bid(asked, question, deals, answer, final)
        return self._keep(asked, question, deals, bid).signed

    def accept(self, rfq: str, body: bytes) -> SignedBid:
        """Take a bid as it was signed: its capacity is set aside, and the signed confirmation binds the provider.

        Raises:
            Refused: it is not what was signed, stands no longer, or its capacity is gone.
        """
        given = record(body, Acceptance)
        bid, now = self._own(given.bid, rfq), instant(self._now())
        digest = digest_of(given.bid.body.encode())
        what, held = (digest, given.offers), self.stock.agreed(rfq, now)
        if held is None:
            self._takeable(rfq, bid, digest, now)
            places = sorted(set(given.offers)) or list(range(len(bid.offers)))
            if not bid.offers or places[-1] >= len(bid.offers):
                raise refuse(RefusalCode.BAD_INPUT, "names offers that the bid does not hold.", field="offers")
            mine = [self._place(bid.offers[place]) for place in places]
            needs = {measure: Exact.parse(text) for measure, text in bid.quantities.items()}
            if not self.stock.take(rfq, what, mine, needs, now):
                raise refuse(RefusalCode.PLAN_ENDED, "has no capacity left.", field="bid", fix="Ask again.")
            if rfq in self._cases:
                self._cases[rfq].over = True
        elif (held.digest, held.offers) != what:
            raise refuse(RefusalCode.CONFLICT, "has been agreed upon otherwise.", field="id")
        return self._sign(Agreed(rfq, digest, self.node.provider, self._now(), given.offers))

    def _takeable(self, rfq: str, bid: Bid, digest: str, now: datetime) -> None:
        """Refuse a bid that stands no longer; one that was signed before a restart does."""
        if instant(bid.valid_until) <= now:
            raise refuse(RefusalCode.PLAN_ENDED, f"stood until {bid.valid_until}.", field="bid", fix="Ask again.")
        case = self._cases.get(rfq)
        if case is not None and case.over:
            raise refuse(RefusalCode.PLAN_ENDED, "has ended.", field="id", fix="Ask again.")
        if case is not None and case.standing != digest:
            raise refuse(RefusalCode.PLAN_ENDED, "is not the last offer any more.", field="bid", fix="Take the last.")

    def end(self, rfq: str, body: bytes) -> Ended:
        """Nothing more comes of a negotiation, or what was agreed has ended: its capacity is free again."""
        record(body, Finished)
        case, held = self._cases.get(rfq), self.stock.give_back(rfq)
        ended = held or (case is not None and not case.over)
        if case is not None:
            case.over, case.deals = True, {}
        return Ended(ended)

    def standing(self) -> list[Offer]:
        """Its offers as it would announce them: at the price it asks first, with the capacity that is free now.

        Those with long price lists are left out: these are narrowed down when somebody asks.
        """
        priced = [(at, self._prices.first(at)) for at in range(len(self.node.offers))]
        return [self._offer(at, tariff) for at, tariff in priced if tariff is not None]

    # ── step by step ──

    def _asked(self, body: bytes, least: int, rfq: str) -> tuple[Asked, datetime]:
        asked = record(body, Asked)
        now = instant(self._now())
        if rfq and asked.id != rfq:
            raise refuse(RefusalCode.BAD_INPUT, "is another one than in the address.", field="id")
        if (asked.round == 1) != (least == 1):
            raise refuse(RefusalCode.BAD_INPUT, "does not belong to this address.", field="round")
        _instant(asked.at, "at")
        _instant(asked.start or asked.at, "start")
        if _instant(asked.deadline, "deadline") + timedelta(seconds=SKEW) <= now:
            raise refuse(RefusalCode.BAD_TIME, "has passed.", field="deadline", fix="Check both clocks.")
        for measure, text in asked.quantities.items():
            if Exact.parse(text, field=f"quantities.{measure}", exponent=False) < ZERO:
                raise refuse(RefusalCode.BAD_QUANTITY, "is below zero.", field=f"quantities.{measure}")
        return asked, now

    def _live(self, rfq: str) -> Case:
        case = self._cases.get(rfq)
        if case is None:
            raise refuse(RefusalCode.NOT_FOUND, "is not known here, or was forgotten.", field="id", fix="Ask again.")
        if case.over:
            raise refuse(RefusalCode.PLAN_ENDED, "is over.", field="id", fix="Ask again.")
        return case

    def _deal(self, at: int, asked: Asked, now: datetime) -> Deal | None:
        """How an offer stands for a question, if it serves it at all."""
        offer = self.node.offers[at]
        if offer.service != asked.service or offer.part not in asked.parts or not _serves(offer, asked):
            return None
        self.stock.expire(now)
        if not self.stock.has(at, {measure: Exact.parse(text) for measure, text in asked.quantities.items()}):
            return None
        try:
            return self._prices.opened(at, asked, now)
        except (Refused, ValueError, ArithmeticError):
            return None  # its tariff has no price for this

    def _fits(self, at: int, asked: Asked) -> bool:
        """Whether an offer keeps what a counter-offer wants beside the price."""
        assert asked.counter is not None
        own, want = self.node.offers[at].quality, asked.counter.quality
        free = self.stock.free(at)
        if any(name in free and Exact.parse(free[name]) < Exact.parse(n) for name, n in asked.counter.capacity.items()):
            return False
        if asked.counter.until and _instant(asked.counter.until, "counter.until") > self._until(asked, True):
            return False
        if want is None:
            return True
        carries = not own.throughput or (
            bool(want.throughput) and Exact.parse(want.throughput) <= Exact.parse(own.throughput)
        )
        return (
            (not want.latency or own.latency <= want.latency)
            and Exact.parse(want.availability) <= Exact.parse(own.availability)
            and (not want.throughput or carries)
        )

    def _until(self, asked: Asked, longest: bool = False) -> datetime:
        """How long a bid stands: as long as always, or longer up to a bound when a counter-offer asks for it."""
        now, node = instant(self._now()), self.node
        most = now + timedelta(seconds=max(node.longest, node.validity))
        if longest:
            return most
        wanted = asked.counter.until if asked.counter is not None else ""
        usual = now + timedelta(seconds=node.validity)
        return max(usual, min(instant(wanted), most)) if wanted else usual

    def _offer(self, at: int, tariff: Tariff) -> Offer:
        offer = self.node.offers[at]
        return Offer(
            id=str(at + 1), service=offer.service, part=offer.part, provider=self.node.provider, tariff=tariff,
            network=offer.network, quality=offer.quality, capacity=self.stock.free(at), least=offer.least,
            most=offer.most, when=offer.when, reaches=offer.reaches,
        )  # fmt: skip

    def _bid(self, asked: Asked, question: str, deals: dict[int, Deal], answer: Said, final: bool = False) -> Bid:
        offers = tuple(self._offer(at, deal.tariff) for at, deal in deals.items()) if answer != "decline" else ()
        return Bid(
            asked.id, asked.round, question, self.node.provider, self._now(), _text(self._until(asked)), offers,
            asked.quantities, self.node.setup, answer, final,
        )  # fmt: skip

    def _keep(self, asked: Asked, question: str, deals: dict[int, Deal], bid: Bid) -> Case:
        """Sign a bid and remember it as the one that stands."""
        signed = self._sign(bid)
        until = instant(bid.valid_until) + timedelta(seconds=self.node.validity)
        before = self._cases.get(asked.id)
        standing = digest_of(signed.body.encode())
        if bid.answer == "decline" and before is not None:
            standing = before.standing
        case = Case(question, asked.round, signed, standing, until, deals)
        self._remember(asked.id, case)
        return case

    def _remember(self, rfq: str, case: Case) -> None:
        """Keep a negotiation; those that are over go first, then the oldest."""
        self._forget(rfq)
        self._cases[rfq] = case
        self._size += _size(case)
        now = instant(self._now())
        while self._cases and (
            len(self._cases) > CASES_MAX or self._size > BYTES_MAX or next(iter(self._cases.values())).until <= now
        ):
            self._forget(next(iter(self._cases)))

    def _forget(self, rfq: str) -> None:
        case = self._cases.pop(rfq, None)
        if case is not None:
            self._size -= _size(case)

    def _own(self, signed: SignedBid, rfq: str) -> Bid:
        """A bid of our own, exactly as it was signed.

        Raises:
            Refused: it is none.
        """
        if not signature_holds(self._signer.public(), signed.body.encode(), signed.signature):
            raise refuse(RefusalCode.BAD_INPUT, "was not signed here.", field="bid", fix="Send it exactly as it came.")
        try:
            bid = msgspec.json.decode(signed.body, type=Bid)
        except msgspec.MsgspecError:
            raise refuse(RefusalCode.BAD_INPUT, "is no bid.", field="bid") from None
        if bid.rfq != rfq:
            raise refuse(RefusalCode.BAD_INPUT, "is about another request.", field="bid")
        return bid

    def _place(self, offer: Offer) -> int:
        """Which of our offers one in a bid is."""
        at = int(offer.id) - 1
        if at < len(self.node.offers):
            own = self.node.offers[at]
            if (own.service, own.part, own.network) == (offer.service, offer.part, offer.network):
                return at
        raise refuse(RefusalCode.PLAN_ENDED, "holds an offer that is no longer made.", field="bid", fix="Ask again.")

    def _sign(self, said: Bid | Agreed) -> SignedBid:
        body = msgspec.json.encode(said)
        return SignedBid(body.decode(), self._signer.sign(body))


def check_asker(node: ProviderNode, body: bytes, signature: str) -> None:
    """Let only those ask whom the node knows, when it names one.

    Raises:
        Declined: the question is not signed by that key.
    """
    if node.asker and not signature_holds(node.asker, body, signature):
        raise Declined("unauthenticated", "This node answers signed questions.", "Sign the body (Apportion-Signature).")


def _size(case: Case) -> int:
    """About how many bytes a negotiation takes: its bid, and tariffs that are as long."""
    return 4 * len(case.signed.body)


def _serves(offer: NodeOffer, asked: Asked) -> bool:
    """Whether the conditions of an offer hold for what is asked."""
    for name, values in offer.when.items():
        value = asked.attributes.get(name)
        if value is None or not any(
            value.startswith(one[:-1]) if one.endswith("*") else value == one for one in values
        ):
            return False
    wanted = {measure: Exact.parse(text) for measure, text in asked.quantities.items()}
    return all(Exact.parse(text) <= wanted.get(measure, ZERO) for measure, text in offer.least.items()) and all(
        wanted.get(measure, ZERO) <= Exact.parse(text) for measure, text in offer.most.items()
    )


def _instant(text: str, field: str) -> datetime:
    try:
        return instant(text)
    except (ValueError, OverflowError):
        raise refuse(
            RefusalCode.BAD_TIME, "is not an instant.", field=field, fix="Such as 2030-01-31T18:00:00Z."
        ) from None


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
