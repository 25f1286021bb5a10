"""What-if: a past period told again under other terms, beside what was booked; nothing of it enters the books."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.model.catalog import Catalog

CHANGES_MAX = 200
ChangeKind = Literal["provider", "part", "tariff", "share", "platform", "rule", "allocate"]
Side = Literal["payer", "sponsor", "provider", "platform", "tax"]
_Word = Annotated[str, Meta(min_length=1, max_length=255)]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change of terms: ``what`` becomes ``to``.

    ========  =============================================  =================================
    kind      what                                           to
    ========  =============================================  =================================
    provider  a provider, wherever it delivers               the provider that does it instead
    part      SERVICE.PART, whoever delivers it              the provider that delivers it all
    tariff    SERVICE, or SERVICE.PART.PROVIDER (wholesale)  a tariff of the catalog
    share     SERVICE.PART                                   its weight under the rule shares
    platform  SERVICE                                        the platform's weight or fraction
    rule      SERVICE                                        wholesale, shares, quantity, cost
    allocate  SERVICE                                        equal, shares, cost, least-cost
    ========  =============================================  =================================
    """

    kind: ChangeKind
    what: _Word
    to: _Word


class WhatIfInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Replay a ``period`` (all that was used, when empty), of one ``service`` if it is named, under other terms.

    They are those of a whole ``catalog``, or of the one that each record was charged by; and ``changes`` to them.
    Without either it is a control: the replay must give what was booked.
    """

    period: Annotated[str, Meta(max_length=40)] = ""
    service: Annotated[str, Meta(max_length=255)] = ""
    catalog: Catalog | None = None
    changes: Annotated[tuple[Change, ...], Meta(max_length=CHANGES_MAX)] = ()


class PartyCompared(msgspec.Struct, frozen=True):
    """What a party bore (``payer``, ``sponsor``) or earned (``provider``, ``platform``, ``tax``), as decimal text.

    ``difference`` is ``replayed`` − ``booked``, ``percent`` that of ``booked`` (one decimal; empty when it was
    nothing).
    """

    side: Side
    name: str
    currency: str
    booked: str
    replayed: str
    difference: str
    percent: str


class ServiceCompared(msgspec.Struct, frozen=True):
    """What payers and sponsors bore for one service; ``records`` were charged for it."""

    service: str
    currency: str
    records: int
    booked: str
    replayed: str
    difference: str
    percent: str


class TotalCompared(msgspec.Struct, frozen=True):
    """All parties of a side together. Per currency payers + sponsors = providers + platform + taxes, in each column."""

    side: Side
    currency: str
    booked: str
    replayed: str
    difference: str
    percent: str


class Apart(msgspec.Struct, frozen=True):
    """Charges that could not be told anew and count on both sides as booked: why, how many, what payers bore.

    ``example`` is one of them, ``message`` says of it what was wrong.
    """

    reason: str
    currency: str
    count: int
    booked: str
    example: str = ""
    message: str = ""


class WhatIf(msgspec.Struct, frozen=True):
    """A replay beside the books as they stood at row ``n``.

    ``records`` were charged, of which ``replayed`` were rated anew, ``untouched`` have terms that do not change, and
    the rest are told in ``apart``. ``terms`` says what they were replayed under, ``notes`` what to know of it.
    """

    period: str
    service: str
    n: int
    terms: tuple[str, ...]
    records: int
    replayed: int
    untouched: int
    parties: tuple[PartyCompared, ...]
    services: tuple[ServiceCompared, ...]
    totals: tuple[TotalCompared, ...]
    apart: tuple[Apart, ...]
    notes: tuple[str, ...] = ()
