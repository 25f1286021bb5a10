"""One writer to a file: a lock that the kernel drops with the process that holds it."""

from __future__ import annotations

import fcntl
import os

from apportion.errors import StoreUnavailable


class FileLock:
    """Keeps a second writer out of the store at ``path`` until ``drop``.

    ``address`` is where the holder can be asked over HTTP, empty when nowhere; whoever comes too late is told.

    Raises:
        StoreUnavailable: another process holds it.
    """

    def __init__(self, path: str, address: str = "") -> None:
        self._file: int | None = os.open(path + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held_by = os.pread(self._file, 200, 0).decode("ascii", "replace").strip()
            self.drop()
            raise StoreUnavailable(_held(path, held_by)) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, address.encode("ascii", "replace"), 0)

    def drop(self) -> None:
        """Let the next writer in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _held(path: str, address: str) -> str:
    if address.startswith("http"):
        return (
            f"{path} is held by another process, the node at {address}. Ask the node: --store {address}, with its key "
            "in APPORTION_KEY."
        )
    return f"{path} is being written by another process. Wait for it to end."
