"""Names of what the market keeps: a prefix and digests, so that what is asked for together lies side by side."""

from __future__ import annotations

from apportion.ledger.proof import blake3

OFFER, ROOM, TAKEN, SWITCH, APPROVAL = "ofr_", "room_", "take_", "swi_", "apv_"
REPUTATION, VOICE, RATING = "rep_", "voi_", "rtg_"


def _half(*texts: str) -> str:
    """16 hexadecimal digits that stand for some texts."""
    return blake3("\x00".join(texts).encode()).hexdigest(8)


def _whole(*texts: str) -> str:
    return blake3("\x00".join(texts).encode()).hexdigest(16)


def part_prefix(service: str, part: str) -> str:
    """What the ids of all offers of a part begin with."""
    return OFFER + _half(service, part)


def offer_id(service: str, part: str, provider: str, name: str) -> str:
    """The id of a live offer."""
    return part_prefix(service, part) + _half(provider, name)


def room_id(offer: str) -> str:
    """What is taken of an offer."""
    return ROOM + _whole(offer)


def taken_id(offer: str, session: str) -> str:
    """What one session has of an offer."""
    return TAKEN + _half(offer) + _half(session)


def switch_id(provider: str) -> str:
    """Whether a provider is off."""
    return SWITCH + _whole(provider)


def approval_prefix(account: str) -> str:
    """What the ids of all approvals of a payer's account begin with."""
    return APPROVAL + _half(account)


def approval_id(account: str, provider: str) -> str:
    """Whether a provider is approved for a payer."""
    return approval_prefix(account) + _half(provider)


def service_prefix(service: str) -> str:
    """What the ids of all reputations in a service begin with."""
    return REPUTATION + _half(service)


def reputation_id(service: str, kind: str, name: str) -> str:
    """What is known of a provider or network in a service."""
    return service_prefix(service) + _half(kind, name)


def voice_id(account: str, service: str, kind: str, name: str) -> str:
    """What one payer's use says of a provider or network."""
    return VOICE + _whole(account, service, kind, name)


def rating_id(account: str, record: str, kind: str, name: str) -> str:
    """One payer's stars for one charge or session."""
    return RATING + _whole(account, record, kind, name)
