"""Candidates as they are kept beside the chain: packed, because a large market says much the same for every request."""

from __future__ import annotations

import zlib

import msgspec

from apportion.model.plan import Candidates
from apportion.model.talks import Talks

_QUICK = 1  # 125 offers become a tenth in a fraction of a millisecond; harder packing saves little more


def packed(candidates: Candidates) -> bytes:
    """The bytes that the books hold the digest of."""
    return zlib.compress(msgspec.json.encode(candidates), _QUICK)


def unpacked(body: bytes) -> Candidates:
    """What was packed."""
    return msgspec.json.decode(zlib.decompress(body), type=Candidates)


def packed_talks(talks: Talks) -> bytes:
    """All that was said in a negotiation, as the books hold the digest of it."""
    return zlib.compress(msgspec.json.encode(talks), _QUICK)


def unpacked_talks(body: bytes) -> Talks:
    """What was packed."""
    return msgspec.json.decode(zlib.decompress(body), type=Talks)
