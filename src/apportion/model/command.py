"""What a caller may ask of the books: one input record per operation."""

from __future__ import annotations

import msgspec

from apportion.errors import Refusal
from apportion.model.party import Payer
from apportion.model.usage import Usage, UsageClass


class ChargeUsage(msgspec.Struct, frozen=True, gc=False):
    """Rate one usage record, charge its payers, credit its providers."""

    usage: Usage


class RejectUsage(msgspec.Struct, frozen=True):
    """Write down that a record could not be read: nothing received goes unrecorded."""

    source: str
    id: str
    digest: bytes
    refusal: Refusal


class OpenPayer(msgspec.Struct, frozen=True):
    """Open a payer's account on these terms, or bring its credit line to them."""

    payer: Payer


class TopUp(msgspec.Struct, frozen=True):
    """Value came in for ``payer``; ``reference`` makes it unique for ever (the bank's id of the transfer)."""

    payer: str
    amount: str
    currency: str
    reference: str


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Value for ``payer`` in a bucket of its own called ``name``, once per ``reference``.

    ``funded`` by ``cash`` that came in or by the ``sponsor``; see ``BucketLine`` for the rest. Ties in ``priority``
    (0 to 999, low first) go to what expires first.
    """

    payer: str
    amount: str
    currency: str
    reference: str
    priority: int = 500
    expires: str = ""
    services: tuple[str, ...] = ()
    funded: str = "cash"
    name: str = ""


class BuyAllowance(msgspec.Struct, frozen=True, kw_only=True):
    """``units`` of ``measure`` for ``payer``, paid with ``price`` now, once per ``reference``."""

    payer: str
    currency: str
    price: str
    measure: str
    units: str
    reference: str
    services: tuple[str, ...] = ()
    expires: str = ""
    name: str = ""


class Lapse(msgspec.Struct, frozen=True):
    """End a bucket or allowance (``id`` of its course) whose expiry has come, as far as nothing holds it."""

    id: str


class PlaceHold(msgspec.Struct, frozen=True):
    """Set ``amount`` aside on the payer's account for ``owner`` until ``expires`` (RFC 3339)."""

    payer: str
    amount: str
    currency: str
    owner: str
    expires: str


class EndHold(msgspec.Struct, frozen=True):
    """Capture part of a hold (``amount``, repeatable) or, with ``final``, end it and give back the rest."""

    hold: int
    amount: str = "0"
    final: bool = True


class SweepHold(msgspec.Struct, frozen=True):
    """End a hold whose expiry has come."""

    hold: int


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What became of one command: its ``state``, the ``id`` of the record it made, or the refusal.

    ``below_cost`` is what a sponsor had to add because the fee was less than the providers cost, though the service
    does not permit that: the margin guard's alert. Of a command under an idempotency key, ``n`` is the row of the
    record that answers it, and ``replayed`` says that it was made before.
    """

    state: UsageClass | None
    id: str = ""
    refusal: Refusal | None = None
    total: int = 0
    below_cost: int = 0
    n: int = 0
    replayed: bool = False
