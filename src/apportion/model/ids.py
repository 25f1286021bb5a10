"""Public ids: a prefix that tells what it names, and the number or digest inside."""

from __future__ import annotations

from apportion.errors import RefusalCode, refuse


def key_id(prefix: str, key: bytes) -> str:
    """``chg_…`` of a 16-byte digest: the id can be found from the record, but not guessed."""
    return f"{prefix}_{key.hex()}"


def number_id(prefix: str, number: int) -> str:
    """``acct_00042`` of an integer."""
    return f"{prefix}_{number:05d}"


def read_key(text: str) -> bytes:
    """The 16 bytes inside an id that ``key_id`` made; NOT_FOUND when it is no such id."""
    try:
        key = bytes.fromhex(text.partition("_")[2])
    except ValueError:
        key = b""
    if len(key) != 16:
        raise refuse(RefusalCode.NOT_FOUND, f"{text[:60]!r} is not an id of this kind.", field="id")
    return key


def read_number(text: str) -> int:
    """The integer inside an id that ``number_id`` made; NOT_FOUND when it is no such id."""
    body = text.partition("_")[2]
    if not (body.isascii() and body.isdecimal() and len(body) <= 18):
        raise refuse(RefusalCode.NOT_FOUND, f"{text[:60]!r} is not an id of this kind.", field="id")
    return int(body)
