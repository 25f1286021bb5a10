"""What other nodes on the same store change: keys and catalogs, noticed within a quarter of a second, or when asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from apportion.engine.access import Keyring, all_keys
from apportion.engine.engine import Engine
from apportion.errors import StoreUnavailable

EVERY = 0.25


class Others:
    """Watches the epoch of every tenant over a connection of its own; nothing to do where nobody else can write.

    ``moved`` is called with a tenant's name, on another thread, when something moved that this node remembers.
    """

    def __init__(self, keyring: Keyring, open_readers: Callable[[], dict[str, Engine]], moved: Callable[[str], None]):
        self._keyring, self._open, self._moved = keyring, open_readers, moved
        self._engines: dict[str, Engine] = {}
        self._epochs: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="others")
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._lock: asyncio.Lock | None = None
        self._asked = self._seen = 0

    def start(self) -> None:
        """Begin to watch."""
        self._lock = asyncio.Lock()
        threading.Thread(target=self._watch, name="others", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()
        self._thread.shutdown()
        with self._looking:
            if self._engines:
                next(iter(self._engines.values())).store.close()

    async def look(self) -> bool:
        """Look now; False where nobody else can write. One look answers all who asked before it.

        Raises:
            StoreUnavailable: the store can not be asked.
        """
        if self._lock is None or self._ended.is_set():
            return False
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._seen < ticket:
                upto = self._asked
                await asyncio.get_running_loop().run_in_executor(self._thread, self._look)
                self._seen = upto
        return True

    def epoch(self, tenant: str) -> int:
        """The epoch of a tenant when it was last looked at."""
        return self._epochs.get(tenant, -1)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            try:
                self._look()
            except StoreUnavailable:
                continue  # whoever writes or reads is told

    def _look(self) -> None:
        with self._looking:
            if not self._engines:
                self._engines = self._open()
            for name, engine in self._engines.items():
                epoch = engine.store.peek(engine.tenant).epoch
                if epoch != self._epochs.get(name):
                    self._keyring.renew(name, all_keys(engine))
                    self._epochs[name] = epoch
                    self._moved(name)
