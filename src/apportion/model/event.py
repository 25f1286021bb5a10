"""Events: what the books tell the outside, one at a time; each exists because a line of the books does."""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened, as its reader may see it.

    ``id`` (``evt_…``) is made of the line of the books behind it: it is the same for every reader, for ever, and can
    not be guessed. ``type`` says what happened (``account.charged``, ``session.low`` …) and ``at`` when (RFC 3339;
    empty when the books do not say). ``subject`` is the id of the record it is about, ``accounts`` are those concerned
    that the reader may see. ``data`` depends on ``type``; amounts are decimal text beside their ``currency``.
    """

    id: str
    type: str
    subject: str
    at: str = ""
    accounts: tuple[str, ...] = ()
    data: dict[str, Any] = {}
