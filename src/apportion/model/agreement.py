"""Services and agreements: which parts a delivery has, who delivers them, and how its fee is shared."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from apportion.model.market import MarketTerms
from apportion.model.profile import Billing
from apportion.model.session import SessionTerms

ApportionRule = Literal["wholesale", "shares", "quantity", "cost"]
AllocateRule = Literal["equal", "shares", "cost", "least-cost"]


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


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A use ``failed`` when its ``attribute`` has one of these values.

    ``fault``, if named, is the attribute that says whose fault it was, a part or a provider; then no other one failed.
    """

    attribute: str
    failed: tuple[str, ...]
    fault: str = ""


class Levels(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How usage records tell how well a service was delivered, so that service levels can be measured.

    ``success`` names an attribute, ``latency`` a measure in ms or s, ``throughput`` the measure that is carried in the
    time from a record's start to its end. What is not named is taken from measurements.
    """

    success: Outcome | None = None
    latency: str = ""
    throughput: str = ""


class Service(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What users ask for: measures with their units, parts, the retail tariff, and how the fee is shared.

    ``apportion`` says how providers share: by each one's own ``wholesale`` price (the platform keeps the margin), by
    fixed ``shares``, by measured ``quantity`` or by measured ``cost``; under the last three ``platform`` is the
    platform's fraction of the fee (``shares``: its weight). ``allocate`` says how payers share; under
    ``least-cost`` each is served by whichever agreement of any of them costs least. ``exempt`` payers pay nothing; the
    others bear their cost. ``sponsor`` names the account that carries what nobody pays.
    ``guard`` false permits a fee below what the providers cost. ``personal`` attributes stay outside the chain.
    ``session`` says how it runs as a charging session; without it, it takes usage records only. ``market`` says how
    its providers are chosen for a request. Records are taken until ``late_days`` after their use; at any time, when 0.
    ``levels`` say which of their fields tell how well it was delivered.
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
    market: MarketTerms = MarketTerms()
    late_days: int = 0
    levels: Levels = Levels()


class Targets(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Service levels: at most ``latency`` milliseconds, at least these fractions of time up and of uses that succeed.

    ``throughput`` is units a second at least. Empty or 0 is none. ``latency`` is that of the mean, or, where ``within``
    is a fraction, that which so many of the uses keep.
    """

    latency: int = 0
    availability: str = ""
    success: str = ""
    throughput: str = ""
    within: str = ""


class Consequence(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What each missed target costs the provider: ``credit`` percent of the fee, ``most`` percent of it in a period.

    Above ``review``, an amount in the currency of the service, a person approves it first; never, when empty.
    """

    credit: str = "0"
    most: str = "100"
    review: str = ""


class Agreement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Terms that payers and providers have of their own, valid from ``valid_from`` until ``valid_until``.

    With ``payer`` alone the retail ``tariff`` is theirs; with ``provider`` and ``part`` the wholesale ``tariff`` is.
    With ``payer`` and ``provider`` both it is a service level agreement between the two: the provider may be chosen
    for it, and a ``tariff``, if there is one, is what the payer pays for that provider's ``part`` (any part, when
    empty) where the service passes its parts on. ``targets`` say what was promised (it counts for plans where it is
    better than what an offer says), ``consequence`` what a breach costs, ``billing`` how the payer is to be billed.
    """

    id: str
    service: str
    tariff: str = ""
    payer: str = ""
    provider: str = ""
    part: str = ""
    targets: Targets = Targets()
    consequence: Consequence = Consequence()
    billing: Billing = Billing()
    valid_from: datetime | None = None
    valid_until: datetime | None = None
