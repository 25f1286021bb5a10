"""One writer to a file: a lock that the kernel drops with the process that holds it."""

from __future__ import annotations

import fcntl
import os

from apportion.errors import StoreUnavailable


class FileLock:
    """Keeps a second writer out of the store at ``path`` until ``drop``.

    Raises:
        StoreUnavailable: another process holds it.
    """

    def __init__(self, path: str) -> None:
        self._file: int | None = os.open(path + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.drop()
            raise StoreUnavailable(
                f"{path} is being written by another process. Wait for it to end, or ask the node that holds it, "
                "over HTTP (apportion.Client)."
            ) from error

    def drop(self) -> None:
        """Let the next writer in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
