"""What a node looks after between two groups: whoever breaks is told of, and keeps nobody else from its turn."""

from __future__ import annotations

from pathlib import Path

from apportion.faces.api.node import Node
from apportion.wiring import open_engine, open_tenants
from tests.faces.api.nodes import catalog


def test_one_that_breaks_is_told_and_the_next_has_its_turn(tmp_path: Path) -> None:
    store = str(tmp_path / "books.db")
    with open_engine(store) as engine:
        engine.apply(catalog())
    node = Node(open_tenants(store), lambda: open_tenants(store, writable=False))
    told: list[str] = []
    turns: list[str] = []
    node.crash = lambda what, error: told.append(f"{what}: {error}")

    def broken() -> None:
        turns.append("first")
        raise KeyError("reference")

    node._also("main", broken)
    node._also("main", lambda: turns.append("second"))
    for look in node.gatherer._tending["main"].also:
        look()
    assert turns == ["first", "second"] and told == ["looking after what is due: 'reference'"]
    for engine in node.engines.values():
        engine.close()
