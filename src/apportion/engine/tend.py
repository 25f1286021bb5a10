"""What a writer does once a second: end holds that expired, try parked usage once value came in, sign the head."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.once import Once
from apportion.errors import NotFound
from apportion.model.command import EndHold, TopUp
from apportion.model.usage import Usage

_PAGE = 250


class Tending:
    """The idle work of one tenant, a little at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parked: bytes | None = b""

    def noted(self, mine: Iterable[tuple[Any, Any]]) -> None:
        """Value may have come in with these jobs: parked usage is tried from the start."""
        for job, piece in mine:
            commands = (command.command if isinstance(command, Once) else command for command in piece)
            if job.act is not None or any(isinstance(command, TopUp | EndHold) for command in commands):
                self._parked = b""
                return

    def tend(self) -> None:
        """End holds whose time has come; try a page of parked usage; sign what is not signed yet."""
        engine = self._engine
        assert engine.committer is not None
        try:
            if engine.sweep():
                self._parked = b""
            self._retry()
        except NotFound:  # no catalog yet: there is nothing to tend
            return
        except Exception:
            if engine.committer.failed:
                raise
            self._parked = None  # a record that no decision can be made of: it stays parked, the node goes on
        engine.committer.seal()

    def _retry(self) -> None:
        if self._parked is None:
            return
        parked = self._engine.store.pending(self._engine.tenant, _PAGE, self._parked)
        self._parked = parked[-1][0] if len(parked) == _PAGE else None
        if parked:
            self._engine.charge([msgspec.json.decode(payload, type=Usage) for _, payload in parked])
