"""Statements on their way to their readers by e-mail; the address stands in the catalog, outside the chain."""

from __future__ import annotations

import msgspec

from apportion.model.journal import CourseLine


class LetterLine(CourseLine, frozen=True, tag="letter", kw_only=True):
    """How far an e-mail with a ``statement`` has come; ``n`` counts the lines of it, ``id`` is ``ltr_…``.

    ``state`` is waiting, sent or failed (for ever); ``reason`` is what kept it from being sent the last time: the mail
    server's code, or a word.
    """

    n: int
    statement: str
    account: str
    at: str
    state: str
    reason: str = ""


class Letter(msgspec.Struct, frozen=True):
    """An e-mail: ``id`` makes its Message-ID, so that one that comes twice is known; ``files`` are (name, type, bytes).

    ``text`` is what it says, ``html`` the same for who reads that.
    """

    id: str
    to: str
    subject: str
    text: str
    html: str = ""
    files: tuple[tuple[str, str, bytes], ...] = ()
