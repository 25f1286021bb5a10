"""Usage: what was used, by whom, delivered by whom; one record is one delivery with one fee."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class PartUse(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One provider's part of the delivery.

    ``quantities`` (measure → decimal text) are what was measured of this part alone; measures that are not
    named here are those of the whole record.
    """

    part: str
    provider: str
    quantities: dict[str, str] = {}


class PayerUse(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One payer of the delivery.

    ``weight`` (decimal or fraction text) is a fixed share; ``quantities`` are what this payer alone used, from
    which the cost of serving them is found; ``pays`` false means that the others bear this payer's cost.
    """

    payer: str
    weight: str = ""
    quantities: dict[str, str] = {}
    pays: bool = True


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A usage record, unique for ever by (tenant, ``source``, ``id``).

    ``start`` and ``end`` are UTC instants; without ``end`` the use is a moment. ``quantities`` maps each measure
    of the service to decimal text. ``attributes`` (model, called number, title …) choose prices; those that the
    service calls personal never enter the chain. Parts that are not named take the service's own provider.
    """

    source: str
    id: str
    service: str
    start: datetime
    end: datetime | None = None
    payers: tuple[PayerUse, ...] = ()
    parts: tuple[PartUse, ...] = ()
    quantities: dict[str, str] = {}
    attributes: dict[str, str] = {}


class UsageClass(enum.Enum):
    """Where a received record ended; every record ends in exactly one class."""

    CHARGED = "charged"
    ZERO_RATED = "zero-rated"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    PENDING = "pending"
