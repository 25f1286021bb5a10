"""Services and agreements: which parts a delivery has, who delivers them, and how its fee is shared."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from apportion.model.session import SessionTerms

ApportionRule = Literal["wholesale", "shares", "quantity", "cost"]
AllocateRule = Literal["equal", "shares", "cost"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One measured part of a service.

    ``provider`` delivers it when the usage names nobody. ``wholesale`` maps a provider to the tariff that it earns
    (rules ``wholesale`` and ``cost``); ``share`` is its weight (rule ``shares``); ``measure`` is the quantity that
    counts (rule ``quantity``).
    """

    provider: str = ""
    wholesale: dict[str, str] = {}
    share: str = ""
    measure: str = ""
    optional: bool = False


class Service(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What users ask for: measures with their units, parts, the retail tariff, and how the fee is shared.

    ``apportion`` says how providers share: by each one's own ``wholesale`` price (the platform keeps the margin), by
    fixed ``shares``, by measured ``quantity`` or by measured ``cost``; under the last three ``platform`` is the
    platform's fraction of the fee (``shares``: its weight). ``allocate`` says how payers share. ``exempt`` payers
    pay nothing; the others bear their cost. ``sponsor`` names the account that carries what nobody pays.
    ``guard`` false permits a fee below what the providers cost. ``personal`` attributes stay outside the chain.
    ``session`` says how it runs as a charging session; without it, it takes usage records only.
    """

    id: str
    retail: str
    parts: dict[str, Part]
    name: str = ""
    measures: dict[str, str] = {}
    attributes: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    apportion: ApportionRule = "wholesale"
    platform: str = "0"
    allocate: AllocateRule = "equal"
    exempt: tuple[str, ...] = ()
    sponsor: str = ""
    guard: bool = True
    session: SessionTerms | None = None


class Agreement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Terms that one payer or one provider has of its own, valid from ``valid_from`` until ``valid_until``.

    With ``payer`` the retail ``tariff`` is theirs; with ``provider`` and ``part`` the wholesale ``tariff`` is.
    """

    id: str
    service: str
    tariff: str
    payer: str = ""
    provider: str = ""
    part: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
