"""Negotiations on PostgreSQL: begun at one node, led on at another; of two moves at once one is made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from apportion.adapters.catalog_file import parse_catalog
from apportion.adapters.waiting import Outside
from apportion.errors import RefusalCode, Refused
from apportion.model.negotiation import Mandate
from apportion.model.talks import AgreeAsked, CounterAsked, TalksState
from apportion.wiring import open_engine, open_providers
from tests.faces.provider.bargainers import bargainers
from tests.postgres.server import dsn_of
from tests.talks import bargainer, market
from tests.unit.engine.test_negotiating import Room, offer


def test_two_nodes_lead_one_negotiation(tmp_path: Path) -> None:
    dsn, log = dsn_of(), tmp_path / "heard.log"
    with ExitStack() as stack:
        nodes = stack.enter_context(bargainers("127.74", [bargainer("oak", "0.10"), bargainer("elm", "0.11")], log))
        rooms = []
        for _ in range(2):
            engine = stack.enter_context(open_engine(dsn))
            engine.apply(parse_catalog(market(nodes), is_json=False))
            engine.providers = open_providers(signer=engine.signer, private=True)
            engine.outside = outside = Outside()
            outside.start()
            stack.callback(outside.stop)
            rooms.append(Room(engine, log))
        here, there = rooms
        shown = here.begin()
        shown = there.counter(shown.id, "9")
        assert shown.round == 1 and Decimal(offer(shown, "oak").price) == 14

        def move(room: Room) -> bool:
            try:
                room.counter(shown.id, "10", provider="elm")
            except Refused as refused:
                assert refused.refusal.code in (RefusalCode.CONFLICT, RefusalCode.PLAN_ENDED)
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(move, rooms))
        assert any(made)
        agreed = there.do("agree", shown.id, AgreeAsked())
        assert agreed.state is TalksState.AGREED and here.do("negotiation", shown.id).agreed == agreed.agreed
        assert here.refused("counter", shown.id, CounterAsked("8"))[0] is RefusalCode.PLAN_ENDED
        assert here.begin(Mandate("18", seconds=20)).state is TalksState.AGREED
        here.proven()
