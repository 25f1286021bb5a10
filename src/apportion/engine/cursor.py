"""Cursors of lists: a place in the books, sealed so that nobody learns from it how much there is."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from blake3 import blake3

from apportion.engine.engine import Engine
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse

#: a document of random bytes that every tenant of a node has
SECRET = "node_secret"


def make_secret(engine: Engine) -> None:
    """Give a tenant the secret that its cursors are sealed with, once."""
    if engine.committer is None or engine.store.document(engine.tenant, SECRET):
        return

    def make(work: Work) -> None:
        if not engine.store.document(engine.tenant, SECRET):  # another node may have made it meanwhile
            work.writes.documents.append((SECRET, 0, secrets.token_bytes(32)))
            work.writes.facts.append(("node", "1"))

    engine.committer.booked(make)


class Cursors:
    """Writes and reads the cursors of one tenant's lists."""

    def __init__(self, engine: Engine) -> None:
        secret = engine.store.document(engine.tenant, SECRET)
        self._key = blake3(secret, derive_key_context="apportion 2026 list cursors").digest()

    def write(self, place: int, kind: str) -> str:
        """The cursor that continues the list ``kind`` after ``place``."""
        tag = self._tag(place, kind)
        hidden = place ^ int.from_bytes(blake3(tag, key=self._key).digest(8))
        return urlsafe_b64encode(tag + hidden.to_bytes(8)).decode()

    def read(self, cursor: str, kind: str) -> int:
        """The place that a cursor means; the start when there is none.

        Raises:
            Refused: BAD_INPUT when it is none that this list gave out.
        """
        if not cursor:
            return 0
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii"))
        except (Error, ValueError):
            raw = b""
        place = int.from_bytes(raw[16:]) ^ int.from_bytes(blake3(raw[:16], key=self._key).digest(8))
        if len(raw) != 24 or self._tag(place, kind) != raw[:16]:
            raise refuse(
                RefusalCode.BAD_INPUT, "is no cursor of this list.", field="after", fix="Start again without it."
            )
        return place

    def _tag(self, place: int, kind: str) -> bytes:
        return blake3(kind.encode() + place.to_bytes(8), key=self._key).digest(16)
