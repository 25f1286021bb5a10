"""What callers ask of a replay at a node: one at a time, for each takes a processor for a while."""

from __future__ import annotations

import threading

from apportion.engine.engine import Engine
from apportion.engine.verbs import Call
from apportion.engine.whatif.replay import replay
from apportion.errors import RefusalCode, refuse
from apportion.model.whatif import WhatIf

_ONE = threading.Lock()


def what_if(engine: Engine, call: Call) -> WhatIf:
    """Replay a period under other terms.

    Raises:
        Refused: CONFLICT while another replay is under way; as ``replay``.
    """
    if not _ONE.acquire(blocking=False):
        raise refuse(
            RefusalCode.CONFLICT,
            "another replay is under way on this node.",
            fix="Ask again when it is done, or replay the books where they are: apportion whatif --store FILE.",
        )
    try:
        return replay(engine, call.given)
    finally:
        _ONE.release()
