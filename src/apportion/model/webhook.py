"""Webhooks: where somebody wants to be told of events, and how far the telling has come."""

from __future__ import annotations

import msgspec

from apportion.model.access import AccessRole


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address that is told of events, as it is kept.

    It hears what a key of ``role`` and ``party`` would see, of ``types`` (all, when there are none; ``session.*`` is
    all of a kind), from what came after ``start`` (a place in the books) on. ``sealed`` is the secret that signs,
    encrypted. One that was deleted keeps its ``id`` and when it was ``ended``, no address and no secret.
    """

    id: str
    role: AccessRole
    created: str
    party: str = ""
    url: str = ""
    types: tuple[str, ...] = ()
    label: str = ""
    sealed: bytes = b""
    start: int = 0
    ended: str = ""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the telling has come: everything up to ``place`` in the books is delivered or was not asked for.

    ``delivered`` is the last event that was accepted, at ``delivered_at``. Since ``failing`` there were ``failures`` in
    a row, the last one is in ``note``; it is tried again at ``next``. One that is ``disabled`` is not, until somebody
    resumes it; ``resumed`` counts how often that was.
    """

    place: int
    delivered: str = ""
    delivered_at: str = ""
    failing: str = ""
    failures: int = 0
    note: str = ""
    next: str = ""
    disabled: str = ""
    resumed: int = 0


class WebhookView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A webhook and how it stands: ``state`` is active, failing or disabled. Its secret is never shown again."""

    id: str
    url: str
    state: str
    role: AccessRole
    created: str
    party: str = ""
    types: tuple[str, ...] = ()
    label: str = ""
    delivered: str = ""
    delivered_at: str = ""
    failing: str = ""
    failures: int = 0
    note: str = ""
    next: str = ""
    disabled: str = ""


class NewWebhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """A webhook just made; ``secret`` verifies what it is told, and is shown this once."""

    webhook: WebhookView
    secret: str
