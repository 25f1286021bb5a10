"""The market as it stands, in the books: live offers, what is taken of them, who is off, approved, and how rated.

Ratings are whole milli-stars (0 to 5000), weights whole thousandths of a voice: no fraction is ever stored.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apportion.model.journal import CourseLine, Line
from apportion.model.market import Offer

By = Literal["operator", "provider", "user", "breaker"]
Kind = Literal["provider", "network"]
Aspect = Literal["success", "latency", "throughput", "level", "dispute"]


class OfferLine(CourseLine, frozen=True, tag="offer", kw_only=True):
    """A live offer as it stands; ``n`` counts its lines, ``by`` is the provider that said it (the operator, if empty).

    ``id`` is ``ofr_`` and two digests of 16 hexadecimal digits, of service and part, and of provider and name, so that
    all offers of a part lie side by side; the offer's own ``id`` is its name. What a tariff's id means, the catalog
    in force says. ``catalog`` is the version that it was checked by.
    """

    n: int
    at: str
    offer: Offer
    by: str = ""
    catalog: str = ""
    withdrawn: bool = False


class CapacityLine(CourseLine, frozen=True, tag="capacity", kw_only=True):
    """What is ``taken`` of an offer by all running sessions, by measure, after ``session`` took ``units`` or gave back.

    ``capacity`` is what the offer had when they were taken; ``id`` is ``room_`` and a digest of the offer's.
    """

    n: int
    at: str
    offer: str
    session: str
    units: dict[str, str]
    back: bool = False
    taken: dict[str, str] = {}
    capacity: dict[str, str] = {}


class TakenLine(CourseLine, frozen=True, tag="taken", kw_only=True):
    """What one session has of one offer's capacity; nothing, once it gave it back."""

    at: str
    offer: str
    session: str
    units: dict[str, str] = {}


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason why a provider is off: by whom, since when, and until when (empty: until it is switched on)."""

    by: By
    at: str
    until: str = ""
    reason: str = ""


class SwitchLine(CourseLine, frozen=True, tag="switch", kw_only=True):
    """Why a provider is off, apart from its prices; it is on when no mark holds. ``id`` is ``swi_`` and a digest.

    Who marks it does so once, and takes back no more than its own; the operator takes back all.
    """

    n: int
    at: str
    provider: str
    marks: tuple[Mark, ...] = ()

    def off(self, at: str) -> Mark | None:
        """The mark that keeps it off longest at an instant; None when it is on."""
        held = [mark for mark in self.marks if not mark.until or mark.until > at]
        return max(held, key=lambda mark: mark.until or "~", default=None)


class ApprovalLine(CourseLine, frozen=True, tag="approval", kw_only=True):
    """Whether ``provider`` may deliver to the payer of ``account`` where a service asks for that.

    ``id`` is ``apv_`` and two digests of 16 digits, of the account and of the provider.
    """

    n: int
    at: str
    account: str
    provider: str
    approved: bool
    by: str


# ── ratings ──


class Observed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured of one delivery; what was not measured is None or empty.

    ``latency`` in milliseconds, ``throughput`` in units a second, both with what was promised; ``kept`` says whether
    the agreed service level was, ``disputed`` whether the payer disputes it.
    """

    succeeded: bool | None = None
    latency: int | None = None
    latency_promised: int = 0
    throughput: str = ""
    throughput_promised: str = ""
    disputed: bool | None = None
    kept: bool | None = None


class ObservedLine(Line, frozen=True, tag="observed", kw_only=True):
    """A measurement, as it was taken into the reputations that stand in the same row.

    ``account`` paid for what was measured; a prober's measurement has none.
    """

    at: str
    service: str
    provider: str
    observed: Observed
    network: str = ""
    account: str = ""
    by: str = ""


class RatingLine(CourseLine, frozen=True, tag="rating", kw_only=True):
    """A payer's 1 to 5 ``stars`` for what a provider, or the network it came over, delivered, once per ``record``.

    ``record`` is the charge or session; ``id`` is ``rtg_`` and a digest of account, record, kind and name.
    """

    at: str
    account: str
    record: str
    service: str
    kind: Kind
    name: str
    stars: int


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often an aspect was good, and how often not."""

    good: int = 0
    bad: int = 0


class VoiceLine(CourseLine, frozen=True, tag="voice", kw_only=True):
    """All that one payer's use says of a provider or network in a service: it is one voice, however much it says.

    ``ratings`` were given, of ``stars`` together; ``measured`` counts what was measured of its own use by aspect.
    """

    n: int
    at: str
    account: str
    kind: Kind
    name: str
    service: str
    ratings: int = 0
    stars: int = 0
    measured: dict[Aspect, Tally] = {}


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an aspect: ``weight`` thousandths of a voice, and the sum of weight × milli-stars."""

    weight: int = 0
    sum: int = 0


class ReputationLine(CourseLine, frozen=True, tag="reputation", kw_only=True):
    """What is known of a provider or network in a service. ``id`` is ``rep_`` and two digests, of service and of name.

    ``rating`` follows from ``given`` and ``measured``. Plain counts: ``delivered`` and ``failed``, failures ``run`` in
    a row; the sums of ``latencies`` and ``throughputs`` measurements; ``disputes``; levels ``kept`` and ``missed``;
    ``ratings`` given.
    """

    n: int
    at: str
    kind: Kind
    name: str
    service: str
    rating: int = 3000
    given: Evidence = Evidence()
    measured: dict[Aspect, Evidence] = {}
    ratings: int = 0
    delivered: int = 0
    failed: int = 0
    run: int = 0
    latency: int = 0
    latencies: int = 0
    throughput: str = "0"
    throughputs: int = 0
    disputes: int = 0
    kept: int = 0
    missed: int = 0


# ── commands ──


class MarketCommand(msgspec.Struct, frozen=True):
    """Something that changes how the market stands; ``by`` is the provider that asks, the operator when empty."""

    by: str = ""


class PutOffer(MarketCommand, frozen=True, kw_only=True):
    """Make an offer, or put another in its place: the same service, part, provider and name."""

    offer: Offer


class WithdrawOffer(MarketCommand, frozen=True, kw_only=True):
    """Offer it no more."""

    id: str


class Available(MarketCommand, frozen=True, kw_only=True):
    """The capacity or quality of a live offer changed; None leaves as it was."""

    id: str
    capacity: dict[str, str] | None = None
    latency: int | None = None
    availability: str | None = None
    throughput: str | None = None


class SwitchProvider(MarketCommand, frozen=True, kw_only=True):
    """Switch a provider off until an instant (for good, when empty), or on again."""

    provider: str
    off: bool
    until: str = ""
    seconds: int = 0
    reason: str = ""


class Approve(MarketCommand, frozen=True, kw_only=True):
    """Say whether ``provider`` may deliver to ``payer``; ``user`` when the payer says so itself."""

    payer: str
    provider: str
    approved: bool = True
    user: bool = False


class Rate(MarketCommand, frozen=True, kw_only=True):
    """``payer`` gives 1 to 5 ``stars`` for a charge (``chg_…``) or session (``ses_…``) that it paid for.

    To ``provider``, or to all that delivered; ``network`` instead rates the network it came over.
    """

    payer: str
    record: str
    stars: int
    provider: str = ""
    network: str = ""


class Observe(MarketCommand, frozen=True, kw_only=True):
    """A measurement of ``provider`` (and ``network``, if named) in ``service``; of ``session``, if it is one's."""

    service: str
    provider: str
    observed: Observed
    network: str = ""
    session: str = ""
