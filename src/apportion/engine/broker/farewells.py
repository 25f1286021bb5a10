"""What was agreed with provider nodes has ended: they are told, so that what they set aside is free again.

It is told again when this node stops in between, and given up when nobody answers: a node also frees by itself what it
held for too long.
"""

from __future__ import annotations

import hashlib

import msgspec

from apportion.engine.broker.asking import Node, end_bid
from apportion.engine.broker.views import candidates_of, plan_line
from apportion.engine.engine import Engine
from apportion.model.bid import Bid, SignedBid
from apportion.model.plan import FarewellLine, SayFarewell
from apportion.ports import Outside, ProviderPort

PREFIX = "bye_"
AT_ONCE, PATIENCE = 100, 5.0
_LINE = msgspec.json.Decoder(FarewellLine)


class Farewells:
    """Tells the nodes of one tenant's plans; on the writer's thread, between two groups."""

    def __init__(self, engine: Engine, port: ProviderPort, outside: Outside) -> None:
        self._engine, self._port, self._outside = engine, port, outside

    def look(self) -> None:
        """Tell whoever is due, and note that it was told."""
        engine = self._engine
        ids = engine.store.due_courses(engine.tenant, engine.clock.now(), AT_ONCE, PREFIX)
        if not ids:
            return
        for course in engine.store.courses(engine.tenant, ids).values():
            self._tell(_LINE.decode(course.line).plan)
        engine.writer.commit([SayFarewell(id) for id in ids])

    def _tell(self, plan: str) -> None:
        line = plan_line(self._engine, plan)
        catalog = self._engine.version(line.catalog).catalog
        wanted = {part.bid for one in line.scenarios if one.name == line.chosen for part in one.parts if part.bid}
        for text in candidates_of(self._engine, plan).bids:
            signed = msgspec.json.decode(text, type=SignedBid)
            body = signed.body.encode()
            bid = msgspec.json.decode(body, type=Bid)
            provider = catalog.providers.get(bid.provider)
            if hashlib.sha256(body).hexdigest() in wanted and provider is not None and provider.address:
                node = Node(bid.provider, provider.address, provider.key)
                end_bid(self._outside, self._port, node, bid.rfq, "ended", PATIENCE)
