"""One node for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.faces.api.nodes import NodeProcess, catalog


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with the catalog of rides in force."""
    folder: Path = tmp_path_factory.mktemp("node")
    node = NodeProcess(folder / "books.db")
    put = node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    assert put.status == 200, put.body
    yield node
    assert node.stop() == 0, node.log[-5:]
