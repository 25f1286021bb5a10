"""What a writer does once a second: end holds that expired, try parked usage once value came in, sign the head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from apportion.engine.credit.tend import review
from apportion.engine.engine import Engine
from apportion.engine.once import Once
from apportion.engine.sessions.verbs import look_after
from apportion.errors import NotFound, StoreUnavailable
from apportion.model.command import BuyAllowance, ChargeUsage, EndHold, Grant, TopUp
from apportion.model.credit import SetCredit
from apportion.model.payment import EndPayment
from apportion.model.usage import Usage

_PAGE = 250
_VALUE_IN = frozenset({TopUp, SetCredit, EndHold, EndPayment, Grant, BuyAllowance})


class Tending:
    """The idle work of one tenant, a little at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parked: bytes | None = b""
        self.also: list[Callable[[], None]] = []  # what else is to be looked after between two groups

    def noted(self, mine: Iterable[tuple[Any, Any]]) -> None:
        """Value may have come in with these jobs: parked usage is tried from the start."""
        for job, piece in mine:
            kinds = {type(command.command if type(command) is Once else command) for command in piece}
            if job.act is not None or not _VALUE_IN.isdisjoint(kinds):
                self._parked = b""
                return

    @property
    def soon(self) -> bool:
        """Whether something was made that should be looked after at once."""
        committer = self._engine.committer
        return committer is not None and committer.names.soon and bool(self.also)

    def tend(self) -> None:
        """End holds whose time has come; try a page of parked usage; sign what is not signed yet."""
        engine = self._engine
        assert engine.committer is not None
        engine.committer.names.soon = False
        try:
            if engine.sweep():
                self._parked = b""
            self._retry()
            if review(engine):
                self._parked = b""
            look_after(engine)
            for look in self.also:
                look()
        except NotFound:  # no catalog yet: there is nothing to tend
            return
        except Exception as error:
            if engine.committer.failed or (isinstance(error, StoreUnavailable) and not engine.store.alone):
                raise
            self._parked = None  # a record that no decision can be made of: it stays parked, the node goes on
        engine.committer.tick()

    def _retry(self) -> None:
        if self._parked is None:
            return
        parked = self._engine.store.pending(self._engine.tenant, _PAGE, self._parked)
        self._parked = parked[-1][0] if len(parked) == _PAGE else None
        if parked:
            usages = [msgspec.json.decode(payload, type=Usage) for _, payload in parked]
            self._engine.writer.salvage([ChargeUsage(usage) for usage in usages])
