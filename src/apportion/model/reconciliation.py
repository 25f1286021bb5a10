"""Reconciliation: a provider's own records or invoice held against our meter and the ledger, row by row.

Theirs is what the provider says it delivered and asks for it; ours is what the meter says; the ledger is what the
provider was credited, and how that stands after corrections. All amounts and quantities are decimal text.
"""

from __future__ import annotations

import enum

import msgspec

from apportion.errors import Refusal


class Verdict(enum.Enum):
    """What became of a row of theirs, or of a use of ours."""

    MATCHED = "matched"
    DIFFERENT = "different"  # both have it, and a quantity or the amount is beyond the tolerance
    MISSING = "missing"  # we have it, they do not
    EXTRA = "extra"  # they have it, we do not


class Measured(msgspec.Struct, frozen=True):
    """One quantity three ways: ``theirs``, ``ours``, and what of ours was ``accepted``, which is charged for.

    ``difference`` = theirs − ours; empty where they say nothing. ``within`` the tolerance or not.
    """

    measure: str
    theirs: str
    ours: str
    accepted: str
    difference: str
    within: bool


class ReadyDispute(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dispute that can be opened as it is: ``provider`` earned ``amount`` more of ``charge`` for ``part``.

    It would come out of what ``against`` earns, or the platform when empty. ``reference`` comes of the provider, the
    charge and the row, so that opening it again opens nothing.
    """

    charge: str
    part: str
    provider: str
    amount: str
    reason: str
    reference: str
    against: str = ""


class Reconciled(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of theirs against what we have, or one use of ours that they do not have.

    ``why`` says in a few words what is wrong: nothing when it is matched. ``row`` and ``digest`` are of their record
    (the line of the file; BLAKE3 of its cells), ``usage``, ``source`` and ``id`` of ours, or what the row says when
    there is none. ``uses`` is how many of ours stand behind it, of which ``charge`` and ``entry`` are the first.
    ``claimed`` is their amount; ``portion`` what was credited when it was charged and ``standing`` what is left of
    that with all corrections; ``difference`` = claimed − standing. ``by`` says how the two were found: by ``id``, by
    ``time`` or as a ``sum``.
    """

    verdict: str
    why: str = ""
    by: str = ""
    row: int = 0
    digest: str = ""
    source: str = ""
    id: str = ""
    service: str = ""
    part: str = ""
    start: str = ""
    period: str = ""
    usage: str = ""
    uses: int = 0
    claimed_uses: str = ""
    charge: str = ""
    entry: str = ""
    quantities: tuple[Measured, ...] = ()
    currency: str = ""
    claimed: str = ""
    portion: str = ""
    standing: str = ""
    difference: str = ""
    dispute: ReadyDispute | None = None
    note: str = ""


class Tallied(msgspec.Struct, frozen=True):
    """How many rows ended in a verdict, and their sums in one ``currency`` (empty when they have no amount)."""

    verdict: str
    currency: str
    rows: int
    claimed: str
    standing: str
    difference: str


class Drift(msgspec.Struct, frozen=True):
    """One measure or currency (``of``) over all rows: what they say, what we have, and the difference of the sums."""

    of: str
    theirs: str
    ours: str
    difference: str
    within: bool


class BadRow(msgspec.Struct, frozen=True):
    """A row that could not be read, and why; the others go on."""

    row: int
    refusal: Refusal


class Reconciliation(msgspec.Struct, frozen=True):
    """A provider's records held against ours: how many and how much in each verdict, then the rows.

    ``start`` and ``until`` bound the uses of ours that were looked for; empty when nothing does. ``records`` is the
    digest of their rows in whatever order they came, ``digest`` that of this answer, which is the same whenever the
    same rows meet the same books. ``outside`` rows lie in another time. ``uncharged`` uses of ours were received and
    not charged. ``besides`` is what was credited in that time without a use, such as a period's minimum, by currency.
    ``rows`` are those that are not matched, or all; ``more`` were left out.
    """

    provider: str
    start: str
    until: str
    zone: str
    records: str
    digest: str
    tallies: tuple[Tallied, ...]
    drift: tuple[Drift, ...]
    rows: tuple[Reconciled, ...]
    more: int = 0
    outside: int = 0
    uncharged: int = 0
    besides: dict[str, str] = {}
    bad: tuple[BadRow, ...] = ()
    bad_rows: int = 0
    unknown: tuple[str, ...] = ()
