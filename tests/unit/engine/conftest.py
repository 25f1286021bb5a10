"""What the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sessions import Proved


@pytest.fixture(autouse=True)
def proved() -> Iterator[None]:
    """The books of every rig that a test made prove themselves when it is over."""
    Proved.made.clear()
    yield
    for rig in Proved.made:
        rig.prove()
