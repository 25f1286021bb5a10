"""A transport that sends the head of an answer together with what follows it, so that both travel as one."""

from __future__ import annotations

import asyncio
from typing import Any


class Corked:
    """What the protocol uses of ``real``; a head waits for the body, at most until the event loop's next round."""

    __slots__ = ("_held", "_real", "_soon", "_write", "abort", "get_extra_info", "is_closing", "pause_reading",
                 "resume_reading")  # fmt: skip

    def __init__(self, real: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._real, self._write, self._soon, self._held = real, real.write, loop.call_soon, b""
        self.abort, self.is_closing, self.get_extra_info = real.abort, real.is_closing, real.get_extra_info
        self.pause_reading, self.resume_reading = real.pause_reading, real.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def write(self, data: bytes) -> None:
        """Send, or hold a head back."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._held = data
            self._soon(self._flush)
            return
        self._write(data)

    def close(self) -> None:
        """Send what is held, and hang up."""
        self._flush()
        self._real.close()

    def _flush(self) -> None:
        if self._held and not self.is_closing():
            self._write(self._held)
        self._held = b""
