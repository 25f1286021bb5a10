"""What a provider asks for one offer: its cost by its tariff, what it must keep above it, and the price in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from apportion.engine.broker.haggling import narrowed, net_price, rows_by_key, scaled
from apportion.errors import RefusalCode, refuse
from apportion.model.bid import ROWS_MAX, Asked
from apportion.model.negotiation import POINTS, Counter, Proposal, Stance, Talk
from apportion.model.provider_node import ProviderNode
from apportion.model.tariff import Tariff
from apportion.money import Exact, parse_asset
from apportion.stages.broker.bargaining.tactics import open_with, respond

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FINE = 10**12
_HUNDRED = Exact(100)


class Deal(msgspec.Struct, frozen=True):
    """How one offer stands in a negotiation: its ``cost`` for what was asked, the ``tariff`` that is offered now.

    ``least`` is the factor over cost that it never goes below, ``most`` where it begins; ``unit`` are atoms in one
    whole unit of the currency.
    """

    base: Tariff
    cost: Exact
    least: Exact
    most: Exact
    unit: int
    stance: Stance
    talk: Talk
    tariff: Tariff


class Prices:
    """The prices of a node's offers, looked up once: long price lists are not to cost time with every question."""

    def __init__(self, node: ProviderNode) -> None:
        self._node = node
        self._rows = {name: rows_by_key(tariff) for name, tariff in node.tariffs.items()}
        self._first: dict[int, Tariff | None] = {}

    def opened(self, at: int, asked: Asked, now: datetime) -> Deal:
        """The first offer: at the price that is asked first.

        Raises:
            Refused: the tariff is in another currency, or has no price for this.
        """
        node, offer = self._node, self._node.offers[at]
        rule = offer.bargaining or node.bargaining
        base = narrowed(node.tariffs[offer.tariff], asked.attributes, self._rows[offer.tariff])
        if base.currency != asked.currency:
            raise refuse(RefusalCode.ASSET_MISMATCH, f"is not {base.currency}.", field="currency")
        unit = parse_asset(asked.currency, store=True).unit
        cost, least, most = net_price(base, asked), _above(rule.margin), _above(rule.markup)
        if cost.num < 0:
            raise refuse(RefusalCode.NO_PRICE, "a negative price is not offered.", field="quantities")
        reserve, ask = (cost * least * Exact(unit)).ceil(), (cost * most * Exact(unit)).ceil()
        stance = Stance(ask, reserve, rule.tactic, rule.rounds, 0, rule.pace, rule.keep, validity=1000 * node.validity)
        talk, answer = open_with(stance, millis(now))
        assert answer.terms is not None
        deal = Deal(base, cost, least, most, unit, stance, talk, base)
        return msgspec.structs.replace(deal, tariff=_priced(deal, asked, answer.terms.amount))

    def first(self, at: int) -> Tariff | None:
        """What an offer costs at first, whatever is asked; None when its price list is too long to be sent whole."""
        if at not in self._first:
            offer = self._node.offers[at]
            tariff, rule = self._node.tariffs[offer.tariff], offer.bargaining or self._node.bargaining
            long = tariff.deck is not None and len(tariff.deck.rows) > ROWS_MAX
            self._first[at] = None if long else scaled(tariff, _above(rule.markup))
        return self._first[at]


def answered(deal: Deal, asked: Asked, target: Exact, fits: bool, now: datetime) -> tuple[Deal, str, bool]:
    """The answer to a counter-offer of ``target`` for everything: the deal, offer, accept or decline, whether final.

    Where it does not ``fits`` what else is wanted, the price alone can not be accepted.
    """
    assert asked.counter is not None
    amount = (target * Exact(deal.unit)).floor()
    wanted = Proposal(amount, 0 if fits else POINTS)
    talk, answer = respond(deal.stance, deal.talk, Counter("", wanted, asked.counter.last), millis(now))
    made = msgspec.structs.replace(deal, talk=talk)
    if answer.terms is None:
        return made, answer.kind, True
    tariff = _priced(deal, asked, answer.terms.amount)
    kind = answer.kind
    if kind == "accept" and net_price(tariff, asked) > target:
        kind = "offer"  # its own rounding stands in the way
    return msgspec.structs.replace(made, tariff=tariff), kind, answer.final


def millis(at: datetime) -> int:
    """An instant as whole milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _priced(deal: Deal, asked: Asked, amount: int) -> Tariff:
    """The tariff by which everything costs ``amount`` atoms, or a hair less; never less than what must be kept."""
    if not deal.cost.num:
        return scaled(deal.base, deal.most)
    exact = Exact(amount, deal.unit).over(deal.cost)
    factor = Exact((exact * Exact(_FINE)).floor(), _FINE).reduced()
    return scaled(deal.base, factor if factor > deal.least else deal.least)


def _above(percent: str) -> Exact:
    return (_HUNDRED + Exact.parse(percent)).over(_HUNDRED).reduced()
