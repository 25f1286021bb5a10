"""Exchange rates as the catalog holds them: what one currency is in another, from when on, and who says so."""

from __future__ import annotations

from datetime import datetime

import msgspec


class ExchangeRate(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One unit of the currency ``from`` is ``rate`` units of the currency ``to``, from the instant ``at`` on.

    ``source`` says whose rate it is, such as ``ECB``; it stands on every conversion. The latest one that is not after
    a use counts for it. Where only the other direction is given, its exact inverse counts.
    """

    base: str = msgspec.field(name="from")
    to: str
    rate: str
    source: str
    at: datetime
