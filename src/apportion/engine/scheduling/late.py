"""Usage that came after its period was due: it is closed and billed soon, not at the end of the next period."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime

from apportion.engine.engine import Engine
from apportion.engine.scheduling.due import Stop
from apportion.model.calendar import Calendar, period_of

_START, _CHARGE = b'"start":"', b'{"type":"charge"'
_LEAST, _SHARE = 1.0, 20  # seconds between two looks; looking for what is due may take this part of the time


class Late:
    """The rows that came since the last look. What is before the first one is looked for anyway."""

    def __init__(self) -> None:
        self._scanned = -1
        self._again = 0.0

    def took(self, seconds: float) -> None:
        """So long it took to look for what is due; the next look waits, so that late usage never wears a node out."""
        self._again = max(self._again, time.monotonic() + _SHARE * seconds)

    def came(self, engine: Engine, calendars: Iterable[Calendar], before: datetime, stop: Stop) -> bool:
        """Whether something was charged since that was used before the periods that ``before`` falls into."""
        if time.monotonic() < self._again:
            return False
        self._again = time.monotonic() + _LEAST
        head = engine.store.head(engine.tenant, 0)[0]
        after, self._scanned = self._scanned, head
        if not -1 < after < head:
            return False
        mark = _text(min(period_of(calendar, before).start for calendar in calendars))
        for n, body, _ in engine.store.journal(engine.tenant, 0, after, head):
            if n % 1000 == 0 and stop():
                return False
            if _CHARGE in body and (place := body.find(_START)) >= 0 and body[place + 9 : place + 28] < mark:
                return True
        return False


def _text(instant: datetime) -> bytes:
    return instant.strftime("%Y-%m-%dT%H:%M:%S").encode()
