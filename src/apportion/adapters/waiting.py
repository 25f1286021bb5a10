"""The outside thread: one asyncio loop for everything that waits for somebody else; the writer never does.

What is submitted has a deadline. It is told how it ended on this thread; whoever needs the books afterwards hands a
job to the writer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

Ended = Callable[[Any, BaseException | None], None]


class Outside:
    """A thread with an event loop of its own; ``start`` it, ``submit`` to it, ``stop`` it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="outside", daemon=True)
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, work: Callable[[], Coroutine[Any, Any, Any]], seconds: float, ended: Ended) -> None:
        """Run ``work()`` for at most ``seconds``; ``ended`` gets its result, or the error (TimeoutError when late)."""
        self._loop.call_soon_threadsafe(self._begin, work, seconds, ended)

    def stop(self) -> None:
        """Give up what has not ended (``ended`` gets a CancelledError), and come back when the thread is gone."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _begin(self, work: Callable[[], Coroutine[Any, Any, Any]], seconds: float, ended: Ended) -> None:
        task = self._loop.create_task(_one(work, seconds, ended))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _run(self) -> None:
        self._loop.run_forever()
        for task in self._running:
            task.cancel()
        if self._running:
            self._loop.run_until_complete(asyncio.gather(*self._running, return_exceptions=True))


async def _one(work: Callable[[], Coroutine[Any, Any, Any]], seconds: float, ended: Ended) -> None:
    try:
        async with asyncio.timeout(seconds):
            result = await work()
    except BaseException as error:
        ended(None, error)
        if isinstance(error, asyncio.CancelledError):
            raise
    else:
        ended(result, None)
