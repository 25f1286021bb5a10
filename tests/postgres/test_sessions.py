"""Sessions on PostgreSQL: the same atoms as on the file, and two nodes that serve one session in turn."""

from __future__ import annotations

from apportion.adapters.outside import SystemRandom
from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.engine import Engine
from apportion.model.session import SessionState
from apportion.model.session_asked import Change, Report, SessionCommand
from apportion.model.usage import UsageClass
from tests.postgres.server import dsn_of
from tests.sessions import NoSigner, Rig


def test_a_session_that_two_nodes_serve_in_turn_ends_as_on_one() -> None:
    dsn = dsn_of()
    rig = Rig(store=PostgresStore(dsn))
    second = Engine(PostgresStore(dsn), "main", (rig.clock, SystemRandom(), NoSigner()), lambda line: None)
    rig.top_up("ada", "1")
    id = rig.open("ada")
    number = 0
    while rig.line(id).state in (SessionState.ACTIVE, SessionState.LOW):
        number += 1
        report = SessionCommand(id, Report(number, dict(rig.line(id).meters[0].granted)))
        first, other = (rig.engine, second) if number % 2 else (second, rig.engine)
        assert first.writer.commit([report])[0].state is UsageClass.CHARGED
        assert other.writer.commit([report])[0].state in (UsageClass.DUPLICATE, UsageClass.REJECTED)
        if number == 2:
            assert second.writer.commit([SessionCommand(id, Change({"bridge": "bridge-b"}))])[0].refusal is None
    assert rig.balance("ada") == "0" and rig.line(id).state is SessionState.SUSPENDED
    rig.end(id)
    rig.prove()
    whole = Rig()
    whole.top_up("ada", "1")
    same = whole.open("ada")
    first = whole.line(same).meters[0].granted["seconds"]
    whole.report(same, 1, first)
    whole.report(same, 2, whole.line(same).meters[0].granted["seconds"])
    whole.ask(same, Change({"bridge": "bridge-b"}))
    whole.drain(same)
    whole.end(same)
    assert whole.income() == rig.income()
    second.close()
    rig.engine.close()
