"""What the tests of the engine share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from apportion.engine.settling.run import settle
from apportion.model.settlement import Mode
from tests.sessions import Proved


@pytest.fixture(autouse=True)
def proved() -> Iterator[None]:
    """The books of every rig that a test made are settled and prove themselves when it is over."""
    Proved.made.clear()
    yield
    for mode, rig in zip(itertools.cycle(Mode), Proved.made, strict=False):
        settle(rig.engine, mode)
        rig.prove()
