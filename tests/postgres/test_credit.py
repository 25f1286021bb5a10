"""Credit on PostgreSQL, with two nodes that take turns at everything: what one knows, the other goes on from."""

from __future__ import annotations

from apportion.adapters.outside import KeyFile, SystemRandom
from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.engine import Engine
from apportion.engine.export import export
from apportion.engine.verify import verify_store
from tests.postgres.server import dsn_of
from tests.unit.engine.test_credit import Till, outside, verified
from tests.unit.stages.credit.test_standing import Turned


class Nodes(Till):
    """A till whose every deed is done by the other of two nodes."""

    def __init__(self, currency: str = "EUR", price: str = "2", scale: int | None = None, **more: object) -> None:
        self.clock, key, dsn = Turned(), KeyFile(None), dsn_of()
        self.nodes = [
            Engine(PostgresStore(dsn), "main", (self.clock, SystemRandom(), key), lambda line: None) for _ in range(2)
        ]
        self.turn = 0
        self.currency, self.price, self.scale, self.rides = currency, price, scale, 0
        self.apply(**more)

    @property
    def engine(self) -> Engine:
        self.turn += 1
        return self.nodes[self.turn % 2]


def test_a_line_is_earned_lost_and_given_back_over_two_nodes() -> None:
    till, alone = Nodes().months(6), Till().months(6)
    assert till.credit() == alone.credit() > 100
    till.clock.day(10)
    till.ride("55")
    till.bill()
    till.wait(80)
    assert (till.posted("ada"), till.posted("home"), till.credit()) == (0, -110, 0)
    till.pay("40")
    till.apply(credit="100")
    till.pay("100")
    assert (till.posted("ada"), till.posted("home")) == (30, 0) and till.credit() >= 100
    node = till.nodes[0]
    node.writer.seal()
    for verdict in (verified(list(export(node.store, node.tenant))), verify_store(node.store, 1, "main", outside())):
        assert verdict.ok, verdict.findings
    for node in till.nodes:
        node.close()
