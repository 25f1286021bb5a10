"""The chain: each line's hash covers the one before, so no line can be changed, dropped, swapped or cut unseen."""

from __future__ import annotations

from collections.abc import Sequence

from blake3 import blake3 as blake3

START = bytes(32)


def link(head: bytes, line: bytes) -> bytes:
    """The head after ``line``: BLAKE3 of the head before and the line's stored bytes."""
    return blake3(head + line).digest()


def link_all(head: bytes, lines: Sequence[bytes]) -> bytes:
    """The head after all ``lines``, one link each."""
    for line in lines:
        head = blake3(head + line).digest()
    return head


def checkpoint_message(tenant: str, stream: int, n: int, head: str, at: str, previous: str) -> bytes:
    """What a checkpoint's signature covers, one field a line."""
    return "\n".join(("apportion-checkpoint-v1", tenant, str(stream), str(n), head, at, previous)).encode()


def record_key(source: str, record: str) -> bytes:
    """16 bytes that stand for a usage record for ever: dedup key and, as ``chg_…``, the id of its charge."""
    return blake3(f"{source}\x00{record}".encode()).digest(16)


def personal_mac(salt: bytes, value: str) -> str:
    """A personal value as the chain may hold it: keyed by the party's salt, unreadable once that is deleted."""
    return blake3(value.encode(), key=salt).hexdigest(16)
