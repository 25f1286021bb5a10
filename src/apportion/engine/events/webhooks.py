"""Webhooks: made, listed, resumed, deleted. Secrets are sealed by the books' signing key, which is not in the store."""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Annotated

import msgspec
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.events import outbox
from apportion.engine.events import telling as events
from apportion.engine.exchange import Input, Text
from apportion.engine.visible import nothing
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.access import AccessRole, Credential
from apportion.model.endpoint import read_endpoint
from apportion.model.webhook import NewWebhook, Progress, Webhook, WebhookView
from apportion.ports import Signer

#: how many a tenant, and one party of it, may have
MOST, MOST_OF_A_PARTY = 200, 10
CHANGED = "webhooks"  # the fact that lists them
_NAME = "webhook_"
_ALL = (AccessRole.OPERATOR, AccessRole.AUDITOR)


class WebhookInput(Input, frozen=True):
    """An address to be told of events of these ``types`` (all, when there are none; ``session.*`` is all of a kind)."""

    url: Annotated[str, Meta(min_length=8, max_length=2000)]
    types: Annotated[tuple[Annotated[str, Meta(max_length=60)], ...], Meta(max_length=50)] = ()
    label: Text = ""


class WebhookPage(msgspec.Struct, frozen=True):
    """Webhooks, oldest first."""

    data: tuple[WebhookView, ...]


def create(engine: Engine, caller: Credential, given: WebhookInput, private: bool) -> NewWebhook:
    """Have an address told of what comes from now on; ``private`` takes addresses inside of networks too.

    Raises:
        Refused: BAD_INPUT for an address that must not be called or a type that is never told, CONFLICT for too many.
    """
    assert engine.committer is not None, "the books were opened for reading"
    read_endpoint(given.url, private=private)
    for type in given.types:
        if not events.known_type(type):
            raise refuse(RefusalCode.BAD_INPUT, f"{type[:60]!r} is never told.", field="types", fix=events.SEE)
    living = all_webhooks(engine)
    mine = [hook for hook in living if (hook.role, hook.party) == (caller.role, caller.party)]
    if len(living) >= MOST or (caller.party and len(mine) >= MOST_OF_A_PARTY):
        raise refuse(RefusalCode.CONFLICT, "there are as many webhooks as there may be.", fix="Delete one first.")
    id, secret = f"whk_{secrets.token_hex(12)}", secrets.token_bytes(32)
    place = events.place_of(engine.store.head(engine.tenant, 0)[0])
    hook = Webhook(
        id, caller.role, engine.clock.now(), caller.party, given.url, given.types, given.label,
        _seal(engine.signer, id, secret), place,
    )  # fmt: skip
    _keep(engine, hook)
    return NewWebhook(shown(engine, hook), "whsec_" + b64encode(secret).decode())


def delete(engine: Engine, caller: Credential, id: str) -> WebhookView:
    """Tell an address no more, and forget it and its secret.

    Raises:
        Refused: NOT_FOUND.
    """
    hook = find(engine, caller, id)
    view = shown(engine, hook)
    _keep(engine, Webhook(hook.id, hook.role, hook.created, hook.party, ended=engine.clock.now()))
    return view


def resume(engine: Engine, caller: Credential, id: str) -> WebhookView:
    """Try again now, from where the telling stopped.

    Raises:
        Refused: NOT_FOUND.
    """
    assert engine.committer is not None, "the books were opened for reading"
    hook = find(engine, caller, id)
    progress = outbox.progress_of(engine, id) or Progress(hook.start)
    again = Progress(progress.place, progress.delivered, progress.delivered_at, resumed=progress.resumed + 1)

    def fill(work: Work) -> None:
        work.writes.facts += [outbox.noted(id, again), _changed([one.id for one in all_webhooks(engine)])]

    engine.committer.booked(fill)
    return shown(engine, hook)


def find(engine: Engine, caller: Credential, id: str) -> Webhook:
    """One that the caller may change: its own, or any for an operator; NOT_FOUND otherwise."""
    for hook in all_webhooks(engine):
        if hook.id == id and visible(hook, caller):
            return hook
    raise nothing()


def visible(hook: Webhook, caller: Credential) -> bool:
    """Whether it is the caller's, or the caller sees all."""
    return caller.role in _ALL or (hook.role, hook.party) == (caller.role, caller.party)


def all_webhooks(engine: Engine) -> list[Webhook]:
    """Every webhook of the tenant that was not deleted, oldest first; those of a forgotten party are gone."""
    ids = engine.store.fact(engine.tenant, CHANGED).split()[1:]
    bodies = [engine.store.document(engine.tenant, _NAME + id) for id in ids]
    return [msgspec.json.decode(body, type=Webhook) for body in bodies if body]


def listed(engine: Engine, caller: Credential) -> WebhookPage:
    """Those that the caller may see, as they stand."""
    return WebhookPage(tuple(shown(engine, hook) for hook in all_webhooks(engine) if visible(hook, caller)))


def shown(engine: Engine, hook: Webhook) -> WebhookView:
    """A webhook without its secret."""
    p = outbox.progress_of(engine, hook.id) or Progress(hook.start)
    state = "disabled" if p.disabled else "failing" if p.failures else "active"
    return WebhookView(
        hook.id, hook.url, state, hook.role, hook.created, hook.party, hook.types, hook.label, p.delivered,
        p.delivered_at, p.failing, p.failures, p.note, p.next, p.disabled,
    )  # fmt: skip


def unsealed(signer: Signer, hook: Webhook) -> bytes:
    """The secret that signs what a webhook is told; nothing when another key has sealed it."""
    try:
        return _cipher(signer).decrypt(hook.sealed[:12], hook.sealed[12:], hook.id.encode())
    except InvalidTag:
        return b""


def _seal(signer: Signer, id: str, secret: bytes) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + _cipher(signer).encrypt(nonce, secret, id.encode())


def _cipher(signer: Signer) -> ChaCha20Poly1305:
    """Who holds a copy of the store but not its key can not read a secret: a signature that is never shown seals it."""
    signed = signer.sign(b"apportion 2026 webhook secrets")
    return ChaCha20Poly1305(blake3(signed.encode(), derive_key_context="apportion 2026 webhook secrets").digest())


def _keep(engine: Engine, hook: Webhook) -> None:
    assert engine.committer is not None, "the books were opened for reading"
    party = 0
    if hook.role is AccessRole.USER:  # goes with its owner when that is forgotten
        party = engine.store.handles(engine.tenant, [hook.party]).get(hook.party, 0)

    def fill(work: Work) -> None:
        work.writes.documents.append((_NAME + hook.id, party, msgspec.json.encode(hook)))
        ids = [one.id for one in all_webhooks(engine) if one.id != hook.id]
        work.writes.facts.append(_changed([*ids, *([] if hook.ended else [hook.id])]))

    engine.committer.booked(fill)


def _changed(ids: list[str]) -> tuple[str, str]:
    """The fact that lists the living, and is another one after every change."""
    return CHANGED, " ".join([secrets.token_hex(8), *ids])
