"""Following events over HTTP: one stream that goes on where it was broken off, as often as that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from apportion.model.event import Event

if TYPE_CHECKING:
    import httpx2

_AGAIN = frozenset({429, 500, 502, 503, 504})


class Following:
    """Events one by one, without an end. ``cursor`` is behind the last one given: keep it to go on there later.

    ``refused`` makes the error of an answer that will not change by asking again.
    """

    def __init__(
        self,
        http: httpx2.Client,
        path: str,
        query: dict[str, str],
        refused: Callable[[int, bytes], Exception],
    ) -> None:
        self._http, self._path, self._query, self._refused = http, path, query, refused
        self.cursor = query.pop("after", "")
        self._failures = 0

    def __iter__(self) -> Iterator[Event]:
        import httpx2

        while True:
            try:
                yield from self._stream()
            except (httpx2.TransportError, _Later) as error:
                wait = error.seconds if isinstance(error, _Later) else 0
                self._failures += 1
                time.sleep(max(wait, min(0.1 * 2**self._failures, 3)))

    def _stream(self) -> Iterator[Event]:
        """What one connection gives; its end is no reason to stop."""
        import httpx2

        query = {**self._query, "after": self.cursor} if self.cursor else self._query
        with self._http.stream("GET", self._path, params=query, headers={"accept": "text/event-stream"}) as answer:
            if answer.status_code != 200:
                answer.read()
                if answer.status_code in _AGAIN:
                    said = answer.headers.get("retry-after", "")
                    raise _Later(int(said) if said.isdecimal() and len(said) < 3 else 1)
                raise self._refused(answer.status_code, answer.content)
            self._failures = 0
            for one in httpx2.EventSource(answer):
                self.cursor = one.id or self.cursor
                if one.data:
                    yield msgspec.json.decode(one.data, type=Event)
        raise _Later(0)


class _Later(Exception):
    """The node can not serve it now."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds
