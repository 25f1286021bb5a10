"""Bids for a request: provider nodes asked at once, what they signed put on the board beside the standing offers."""

from __future__ import annotations

import secrets
from datetime import timedelta

import msgspec

from apportion.engine.broker.asking import Node, ask_all
from apportion.engine.broker.board import Board
from apportion.engine.broker.wish import Wish
from apportion.engine.charging import instant
from apportion.engine.engine import Engine
from apportion.model.bid import Asked
from apportion.model.bid_check import GoodBid
from apportion.model.market import Offer

replace = msgspec.structs.replace


class Heard(msgspec.Struct, frozen=True):
    """The board with bids on it, the bids as they were signed, and how many nodes were asked and answered in time."""

    board: Board
    bids: tuple[GoodBid, ...] = ()
    asked: int = 0


def with_bids(engine: Engine, wish: Wish, board: Board, parts: tuple[str, ...]) -> Heard:
    """Ask the nodes of all providers that are on; nobody when the request or this process asks nobody."""
    market = wish.service.service.market
    patience = market.deadline if wish.request.ask is None else wish.request.ask
    if not patience or engine.providers is None or engine.outside is None:
        return Heard(board)
    nodes = nodes_of(wish, board)
    if not nodes:
        return Heard(board)
    answers = ask_all(engine.outside, engine.providers, nodes, _question(wish, board, parts, patience), patience / 1000)
    bids = tuple(answers.bids[name] for name in sorted(answers.bids))
    return Heard(on_board(wish, board, bids), bids, len(nodes))


def nodes_of(wish: Wish, board: Board) -> list[Node]:
    """The nodes of providers that may be asked."""
    gone = set(wish.request.without) | set(board.off)
    return [
        Node(name, provider.address, provider.key)
        for name, provider in sorted(wish.terms.catalog.providers.items())
        if provider.address and name not in gone
    ]


def on_board(wish: Wish, board: Board, bids: tuple[GoodBid, ...]) -> Board:
    """The board with these bids; what a provider bids for a part takes the place of its other offers for it."""
    networks = {name: provider.network for name, provider in wish.terms.catalog.providers.items()}
    offers: list[Offer] = []
    digests, setups = dict(board.bids), dict(board.setups)
    for good in bids:
        for offer in good.offers:
            if offer.part in wish.service.service.parts:
                offers.append(offer if offer.network else replace(offer, network=networks.get(offer.provider, "")))
                digests[offer.id] = good.digest
        setups[good.bid.provider] = good.bid.setup
    fresh = {(offer.part, offer.provider) for offer in offers}
    kept = tuple(one for one in board.offers if (one.part, one.provider) not in fresh)
    return replace(board, offers=(*kept, *offers), bids=digests, setups=setups)


def _question(wish: Wish, board: Board, parts: tuple[str, ...], patience: int) -> Asked:
    """What nodes are asked; who asks, and what of the request is personal, they do not learn."""
    request, personal = wish.request, wish.service.personal
    deadline = wish.start.fromisoformat(board.at) + timedelta(milliseconds=patience)
    return Asked(
        f"rfq_{secrets.token_hex(12)}", request.service, parts, request.quantities, wish.service.asset.code, board.at,
        instant(deadline), instant(wish.start),
        {name: value for name, value in request.attributes.items() if name not in personal},
    )  # fmt: skip
