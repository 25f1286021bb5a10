"""Keys: made, kept as hashes, found again in constant time, revoked. The secret itself is never stored or logged."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.exchange import KeyInput
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.access import AccessRole, Credential, KeyView, NewKey

_PREFIX, _NAME = "apk", "key_"
_NOBODY = Credential("", "", AccessRole.USER, hashlib.sha256(secrets.token_bytes(32)).hexdigest(), "")
_SPOKEN_FOR = (AccessRole.USER, AccessRole.PROVIDER)


def new_key(engine: Engine, given: KeyInput) -> tuple[NewKey, Credential]:
    """Make a key and keep its hash; the secret is in the answer and nowhere else.

    Raises:
        Refused: BAD_INPUT when a user's or provider's key names no party, or the expiry is no instant to come.
    """
    if given.role in _SPOKEN_FOR and not given.party:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"a {given.role.value}'s key speaks for somebody.",
            field="party",
            fix="Name the payer or provider as the catalog and the usage do.",
        )
    if given.party.startswith("acct_") or (given.party and given.role not in _SPOKEN_FOR):
        raise refuse(RefusalCode.BAD_INPUT, "is not a payer's or provider's name.", field="party", fix="Correct it.")
    for field in ("sources", "services", "payers"):
        if getattr(given, field) and given.role not in (AccessRole.PROVIDER, AccessRole.OPERATOR):
            raise refuse(RefusalCode.BAD_INPUT, "only operators and providers send usage.", field=field, fix="Drop it.")
    now = engine.clock.now()
    name, secret = secrets.token_hex(8), secrets.token_hex(32)
    credential = Credential(
        name, engine.tenant_name, given.role, digest(secret), now, given.party, given.sources, given.label,
        _expiry(given.expires, now), "", given.services, given.payers,
    )  # fmt: skip
    _keep(engine, credential)
    return NewKey(shown(credential), f"{_PREFIX}_{name}_{secret}"), credential


def revoke_key(engine: Engine, id: str) -> Credential:
    """End a key now and for ever; one that has ended stays as it is.

    Raises:
        Refused: NOT_FOUND.
    """
    found = next((credential for credential in all_keys(engine) if credential.id == id), None)
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no key {id[:40]!r}.", field="id", fix="List them first.")
    if not found.revoked:
        found = msgspec.structs.replace(found, revoked=engine.clock.now())
        _keep(engine, found)
    return found


def all_keys(engine: Engine) -> list[Credential]:
    """Every key that was ever made for this tenant, oldest first."""
    store, tenant = engine.store, engine.tenant
    bodies = [store.document(tenant, name) for name in store.documents(tenant) if name.startswith(_NAME)]
    found = [msgspec.json.decode(body, type=Credential) for body in bodies]
    return sorted(found, key=lambda credential: (credential.created, credential.id))


def shown(credential: Credential) -> KeyView:
    """A key without its hash."""
    c = credential
    return KeyView(c.id, c.role, c.created, c.party, c.sources, c.label, c.expires, c.revoked, c.services, c.payers)


def digest(secret: str) -> str:
    """What is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _expiry(text: str, now: str) -> str:
    if not text:
        return ""
    from datetime import UTC, datetime

    try:
        when = datetime.fromisoformat(text)
        found = when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        when, found = datetime.min, ""
    if when.tzinfo is None or found <= now:
        raise refuse(
            RefusalCode.BAD_TIME, "is not an instant to come.", field="expires", fix="Such as 2030-01-31T18:00:00Z."
        )
    return found


def _keep(engine: Engine, credential: Credential) -> None:
    assert engine.committer is not None, "the books were opened for reading"

    def keep(work: Work) -> None:
        party = None
        if credential.role is AccessRole.USER:
            party = engine.store.handles(engine.tenant, [credential.party]).get(credential.party)
        work.writes.documents.append((_NAME + credential.id, party or 0, msgspec.json.encode(credential)))
        work.writes.facts.append(("keys", credential.id))

    engine.committer.booked(keep)


class Keyring:
    """The keys of all tenants of a node, in memory; asked for every request."""

    def __init__(self, engines: Iterable[Engine]) -> None:
        self._keys: dict[str, Credential] = {}
        self._bound: dict[tuple[str, str], set[str]] = {}
        for engine in engines:
            for credential in all_keys(engine):
                self.put(credential)

    def renew(self, tenant: str, credentials: Iterable[Credential]) -> None:
        """Know exactly these keys of a tenant: others of it are gone, or belong to somebody who was forgotten."""
        found = {credential.id: credential for credential in credentials}
        for credential in found.values():
            self.put(credential)
        for id in [id for id, known in self._keys.items() if known.tenant == tenant and id not in found]:
            del self._keys[id]

    def put(self, credential: Credential) -> None:
        """Take note of a key that was made or revoked."""
        self._keys[credential.id] = credential
        for source in credential.sources:
            self._bound.setdefault((credential.tenant, source), set()).add(credential.id)

    def knows(self, token: str) -> bool:
        """Whether a token names a key that was ever made, or is none at all."""
        prefix, _, rest = token.partition("_")
        return prefix != _PREFIX or rest.partition("_")[0] in self._keys

    def find(self, token: str, now: str) -> Credential | None:
        """The living key that a token belongs to; as much work for a wrong one as for a right one."""
        prefix, _, rest = token.partition("_")
        id, _, secret = rest.partition("_")
        found = self._keys.get(id, _NOBODY)
        fits = hmac.compare_digest(digest(secret), found.hash)
        return found if fits and prefix == _PREFIX and found.id and found.alive(now) else None

    def living(self, id: str, now: str) -> bool:
        """Whether a key that was found once still opens anything."""
        found = self._keys.get(id)
        return found is not None and found.alive(now)

    def has_operator(self, tenant: str, now: str) -> bool:
        """Whether somebody can still administer a tenant."""
        return any(
            key.tenant == tenant and key.role is AccessRole.OPERATOR and key.alive(now) for key in self._keys.values()
        )

    def may_write(self, credential: Credential, source: str, now: str) -> bool:
        """Whether a key may send usage of ``source``: it names it, or it is an operator's and nobody names it."""
        if source in credential.sources:
            return True
        if credential.role is not AccessRole.OPERATOR or credential.sources:
            return False
        bound = self._bound.get((credential.tenant, source))
        return not bound or not any(id in self._keys and self._keys[id].alive(now) for id in bound)
