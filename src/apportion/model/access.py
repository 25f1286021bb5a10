"""Access: who may ask a node for what. A key is a secret that is shown once; only its hash is kept."""

from __future__ import annotations

import enum

import msgspec


class AccessRole(enum.Enum):
    """What a key's holder is to the tenant."""

    OPERATOR = "operator"  # everything
    AUDITOR = "auditor"  # sees everything, changes nothing
    USER = "user"  # its own account and charges, without wholesale prices
    PROVIDER = "provider"  # its own account and portions; may send usage of its own sources


class Credential(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key as it is kept: its public ``id``, the ``hash`` of its secret, and what it is good for.

    ``party`` is the payer or provider that a user's or provider's key speaks for. ``sources`` are the usage sources
    that only this key (and others that name them) may write; ``services`` and ``payers`` bound what that usage may be
    of and whom it may name, any when empty. Instants are RFC 3339; empty means never.
    """

    id: str
    tenant: str
    role: AccessRole
    hash: str
    created: str
    party: str = ""
    sources: tuple[str, ...] = ()
    label: str = ""
    expires: str = ""
    revoked: str = ""
    services: tuple[str, ...] = ()
    payers: tuple[str, ...] = ()

    def alive(self, now: str) -> bool:
        """Whether it still opens anything."""
        return not self.revoked and (not self.expires or now < self.expires)


class KeyView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key as it may be shown: everything but the hash."""

    id: str
    role: AccessRole
    created: str
    party: str = ""
    sources: tuple[str, ...] = ()
    label: str = ""
    expires: str = ""
    revoked: str = ""
    services: tuple[str, ...] = ()
    payers: tuple[str, ...] = ()


class NewKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key just made; ``secret`` is shown this once and kept nowhere."""

    key: KeyView
    secret: str
