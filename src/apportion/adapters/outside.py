"""The clock, randomness and the signing key of a real process."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from apportion.errors import Misconfigured


class SystemClock:
    """The wall clock, in UTC."""

    def now(self) -> str:
        return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class SystemRandom:
    """The kernel's randomness."""

    def salt(self) -> bytes:
        return os.urandom(32)


class KeyFile:
    """An Ed25519 key in a file of mode 0600 beside the store, made when there is none."""

    def __init__(self, path: str | Path | None) -> None:
        self._key = Ed25519PrivateKey.generate() if path is None else self._load(Path(path))

    def _load(self, path: Path) -> Ed25519PrivateKey:
        if not path.exists():
            self._make(path)
        try:
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
        except ValueError as error:
            raise Misconfigured(f"{path} holds no Ed25519 key (64 hexadecimal digits).") from error

    def _make(self, path: Path) -> None:
        """Write a fresh key whole or not at all: a process that dies here must not leave half a key behind."""
        fresh = path.with_name(path.name + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def public(self) -> str:
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return raw.hex()

    def sign(self, message: bytes) -> str:
        return self._key.sign(message).hex()


def signature_holds(public: str, message: bytes, signature: str) -> bool:
    """Whether an Ed25519 signature (hexadecimal) of ``message`` is by the key ``public``."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (ValueError, InvalidSignature):
        return False
    return True


class HeadsFile:
    """``<store>.heads``: every checkpoint, appended once it is durable; held outside, it proves completeness."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = path

    def announce(self, line: str) -> None:
        """Append one checkpoint and flush it."""
        if self._path is not None:
            with open(self._path, "ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # the power went while a line was written: leave it to itself
                        file.write(b"\n")
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
