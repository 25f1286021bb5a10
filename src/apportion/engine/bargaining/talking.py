"""The table of one negotiation: which nodes sit at it, what they were sent, what they said, and how they stand."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from apportion.engine.bargaining.stands import Stands, stands_of
from apportion.engine.broker.asking import Answers, Node, ask_each, end_bid
from apportion.engine.broker.bidding import nodes_of, on_board
from apportion.engine.broker.board import Board, board_of
from apportion.engine.broker.wish import Wish
from apportion.engine.charging import instant
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, refuse
from apportion.model.bid import ROUNDS_MAX, Asked, CounterOffer
from apportion.model.bid_check import GoodBid
from apportion.model.negotiation import Brief
from apportion.model.talks import Message, NodeTalk
from apportion.ports import Outside, ProviderPort

replace = msgspec.structs.replace
_ENOUGH = 1000  # milliseconds for a round, when neither request nor service says how long
_TELLING = 2.0  # seconds that a node has to be told the end


class Table:
    """Asks nodes for one negotiation; ``nodes`` is how they stand, ``messages`` what was said in this call."""

    def __init__(self, engine: Engine, wish: Wish, parts: tuple[str, ...], nodes: Mapping[str, NodeTalk] = {}) -> None:
        self.engine, self.wish, self.parts = engine, wish, parts
        self.nodes, self.messages = dict(nodes), list[Message]()
        self._known = {name: Node(name, one.address, one.key) for name, one in wish.terms.catalog.providers.items()}
        asked = wish.request.ask
        self.patience = (asked or wish.service.service.market.deadline or _ENOUGH) / 1000  # seconds

    def ask(self, seconds: float) -> None:
        """Ask all providers that are on for their first bids.

        Raises:
            Refused: NO_PLAN when there is nobody to negotiate with.
        """
        engine, wish = self.engine, self.wish
        board = board_of(engine, wish, engine.clock.now(), wish.request.approve)
        nodes = nodes_of(wish, board)
        if not nodes or engine.providers is None or engine.outside is None:
            raise refuse(
                RefusalCode.NO_PLAN, "no provider of it has a node that can be asked from here.", field="request",
                fix="Providers negotiate through nodes of their own: give them an address and a key in the catalog.",
            )  # fmt: skip
        request, personal = wish.request, wish.service.personal
        attributes = {name: value for name, value in request.attributes.items() if name not in personal}
        now, deadline = self._times(seconds)
        questions = {
            node.provider: Asked(
                f"rfq_{secrets.token_hex(12)}", request.service, self.parts, request.quantities,
                wish.service.asset.code, now, deadline, instant(wish.start), attributes,
            )
            for node in nodes
        }  # fmt: skip
        self._say(questions, seconds)

    def counter(self, counters: Mapping[str, CounterOffer], seconds: float) -> None:
        """Send counter-offers by provider, and wait for the answers.

        Who misses a round, or answers with what does not count, is out with its offers: a node honours its last bid
        alone, and that one did not arrive. A node that declines makes no other offer, and stands by its last one.
        """
        now, deadline = self._times(seconds)
        questions = {
            name: replace(talk.asked, round=talk.asked.round + 1, at=now, deadline=deadline, counter=counter)
            for name, counter in counters.items()
            if not (talk := self.nodes[name]).out and talk.asked.round < ROUNDS_MAX
        }
        self._say(questions, seconds)

    def end(self, keep: frozenset[str] = frozenset()) -> None:
        """Tell all nodes but some that nothing more comes of it."""
        for name, talk in self.nodes.items():
            if name not in keep and talk.good is not None and name in self._known:
                outside, port = self._ports()
                with contextlib.suppress(RuntimeError):  # this node of ours is stopping
                    end_bid(outside, port, self._known[name], talk.asked.id, "ended", _TELLING)

    def heard(self, *, past: bool = False) -> tuple[Board, tuple[GoodBid, ...]]:
        """The board with the last bid of each node that still stands; with ``past`` also of those that ran out."""
        engine, wish = self.engine, self.wish
        now = engine.clock.now()
        at = datetime.fromisoformat(now)
        bids = tuple(
            talk.good
            for _, talk in sorted(self.nodes.items())
            if talk.good is not None and (past or datetime.fromisoformat(talk.good.bid.valid_until) > at)
        )
        return on_board(wish, board_of(engine, wish, now, wish.request.approve), bids), bids

    def stands(self, brief: Brief | None = None) -> Stands:
        """Everything that could be taken now, valued; only what gives what a ``brief`` needs, if there is one."""
        return stands_of(self.wish, self.heard()[0], self.parts, brief)

    def past(self) -> Stands:
        """The same with bids that ran out: they can not be taken, but their nodes may still be bargained with."""
        return stands_of(self.wish, self.heard(past=True)[0], self.parts)

    @property
    def out(self) -> dict[str, str]:
        """Providers that say no more, and why."""
        return {name: talk.out for name, talk in self.nodes.items() if talk.out}

    @property
    def final(self) -> frozenset[str]:
        """Providers that will not move any more."""
        return frozenset(name for name, talk in self.nodes.items() if talk.final)

    @property
    def answered(self) -> int:
        """How many nodes have made a bid that counts."""
        return sum(talk.good is not None for talk in self.nodes.values())

    def _ports(self) -> tuple[Outside, ProviderPort]:
        outside, port = self.engine.outside, self.engine.providers
        if outside is None or port is None:
            raise refuse(RefusalCode.NO_PLAN, "provider nodes can not be asked from here.", field="request")
        return outside, port

    def _times(self, seconds: float) -> tuple[str, str]:
        at = datetime.fromisoformat(self.engine.clock.now())
        return instant(at), instant(at + timedelta(microseconds=int(seconds * 1_000_000)))

    def _say(self, questions: Mapping[str, Asked], seconds: float) -> None:
        """Send to each its question, all at once, and note what comes back."""
        if not questions:
            return
        outside, port = self._ports()
        asked = [(self._known[name], question) for name, question in questions.items() if name in self._known]
        answers = ask_each(outside, port, asked, seconds)
        for name, question in questions.items():
            self._noted(name, question, answers)

    def _noted(self, name: str, question: Asked, answers: Answers) -> None:
        good, before = answers.bids.get(name), self.nodes.get(name)
        sent = msgspec.json.encode(question).decode()
        if good is not None:
            self.nodes[name] = NodeTalk(question, good, good.bid.final)
            self.messages.append(Message(name, sent, msgspec.json.encode(good.signed).decode()))
            return
        missed = answers.missed.get(name)
        why = missed.why if missed is not None else "It is no longer in the catalog."
        declined = missed is not None and missed.reason == "declined"  # that takes back nothing
        if declined and before is not None and before.good is not None:
            why = "It makes no other offer."
        self.nodes[name] = NodeTalk(question, before.good if before is not None and declined else None, True, why)
        self.messages.append(Message(name, sent, missed=why))
