"""The lines of the books: every record of the journal and of an export has a ``type`` and a version of one.

A line is stored as canonical JSON (fields in the order declared, defaults left out, no spaces); hashes cover those
bytes. New fields get defaults, so old exports keep verifying.
"""

from __future__ import annotations

import msgspec

from apportion.model.usage import PartUse, PayerUse


class Line(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag=True):
    """What all lines of the books share: the tag ``type``, from the class name."""


class CourseLine(Line, frozen=True):
    """What has a life of its own: each line says anew how it stands, so that the last one is all there is to know.

    ``due`` is when it moves on though nobody calls (RFC 3339); empty when it does not.
    """

    id: str
    due: str = ""


class Genesis(Line, frozen=True, tag="genesis"):
    """The first line of a tenant's books: the version of their format, and the public key that signs them."""

    tenant: str
    format: int
    key: str


class ZonesLine(Line, frozen=True, tag="zones"):
    """From here on local time is that of this version of the IANA time zone database."""

    version: str
    at: str


class AssetLine(Line, frozen=True, tag="asset"):
    """A currency of the store and its only scale."""

    code: str
    scale: int


class AccountLine(Line, frozen=True, tag="account"):
    """An account: its ``role`` in the chart, its asset, whose it is (opaque for people), its credit line."""

    id: str
    role: str
    asset: str
    party: str = ""
    name: str = ""
    mac: str = ""
    credit: str = "0"


class CatalogLine(Line, frozen=True, tag="catalog"):
    """A catalog version: the hash of its canonical JSON, and that JSON itself, without anything about payers."""

    id: str
    body: msgspec.Raw


class UsageLine(Line, frozen=True, tag="usage"):
    """A received record in its class ``state``; ``digest`` covers the record as it came.

    Payers are account ids; a personal attribute is cut to what the price needs, its MAC stands in ``macs``.
    """

    key: str
    source: str
    id: str
    service: str
    start: str
    state: str
    digest: str
    end: str = ""
    quantities: dict[str, str] = {}
    attributes: dict[str, str] = {}
    macs: dict[str, str] = {}
    parts: tuple[PartUse, ...] = ()
    payers: tuple[PayerUse, ...] = ()
    period: str = ""
    reason: str = ""
    field: str = ""


class Leg(msgspec.Struct, frozen=True):
    """One side of an entry: a signed amount (decimal text) on an account; credits are positive."""

    account: str
    amount: str


class Entry(Line, frozen=True, tag="entry"):
    """A balanced booking: its legs sum to zero; ``cause`` names the record that made it."""

    id: str
    cause: str
    kind: str
    at: str
    asset: str
    legs: tuple[Leg, ...]
    forced: bool = False
    note: str = ""


class CreditLine(Line, frozen=True, tag="credit"):
    """A payer's credit line was changed to ``credit``.

    ``reason`` is catalog (also when empty), trust, write-off or recovery; ``decision`` names the one behind it.
    """

    account: str
    at: str
    credit: str
    reason: str = ""
    decision: str = ""


class HoldLine(Line, frozen=True, tag="hold"):
    """A change of a hold: ``open`` + ``captured`` + ``released`` = ``amount``; ``state`` ends once."""

    id: str
    account: str
    asset: str
    owner: str
    state: str
    at: str
    expires: str
    amount: str
    open: str
    captured: str = "0"
    released: str = "0"


class CloseLine(Line, frozen=True, tag="close"):
    """A period was closed for a payer account: what it was rated to and what the adjustment was."""

    period: str
    account: str
    at: str
    charged: str
    adjusted: str


class StatementLine(Line, frozen=True, tag="statement"):
    """An issued statement or remittance advice: its number, for whom, which period, the totals, its document's digest.

    ``total`` + ``residue_out`` − ``residue_in`` = ``charges``. A payer's ``closing`` = ``opening`` + ``payments`` −
    ``charges``; a provider's = ``opening`` + ``charges`` (its credits) − ``payments`` (payouts). It covers what was
    used before ``end`` and stands in the books before this line, as far as no line before it does. ``due`` is when
    what it asks for is due. Of the ``payments``, ``stocked`` came out of the payer's buckets. One that a ``settlement``
    issued covers everything booked before it, whenever it was used.

    ``provider`` issued it as the payer's face, or for its own charges. With ``covers`` (a session, or the charges that
    a credit note gives back) it covers these alone, and no period ends with it. ``children`` are accounts whose use is
    on it too: ``taken`` of its charges was theirs. A credit note ``corrects`` a statement. ``more`` says that what it
    asks for is asked for again by a later one, which ends the period.
    """

    id: str
    number: str
    account: str
    party: str
    kind: str
    period: str
    at: str
    asset: str
    opening: str
    charges: str
    payments: str
    closing: str
    total: str
    residue_in: str
    residue_out: str
    digest: str
    start: str = ""
    end: str = ""
    due: str = ""
    stocked: str = "0"
    provider: str = ""
    covers: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    taken: str = "0"
    corrects: str = ""
    more: bool = False
    settlement: str = ""


class ImportLine(Line, frozen=True, tag="import"):
    """A finished run over usage files: how many records were received and how many ended in each class."""

    id: str
    at: str
    source: str
    received: int
    charged: int = 0
    zero_rated: int = 0
    duplicate: int = 0
    rejected: int = 0
    pending: int = 0


class ForgetLine(Line, frozen=True, tag="forget"):
    """A party's personal rows and salt were deleted."""

    party: str
    at: str


class Checkpoint(Line, frozen=True, tag="checkpoint"):
    """A signed head: the stream, its length and hash, the previous checkpoint, an Ed25519 signature, whose books."""

    stream: int
    n: int
    head: str
    at: str
    previous: str
    signature: str
    tenant: str = ""


class Balance(Line, frozen=True, tag="balance"):
    """What the entries and holds of an export leave on an account; derived from them, not stored in the books."""

    account: str
    posted: str
    held: str = "0"


class End(Line, frozen=True, tag="end"):
    """The last line of an export: how many lines, their chain hash, and the signed head."""

    count: int
    hash: str
    stream: int
    n: int
    head: str
    at: str
    signature: str
