"""The market of a service: who offers which part, at what price and quality, and how the platform chooses among them.

Amounts are decimal text of the currency of the service's retail tariff, percentages decimal text (``"2.5"``), latencies
whole milliseconds, availabilities fractions as decimal text (``"0.999"``).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apportion.model.tariff import Tariff

Objective = Literal["lowest-cost", "best-quality", "best-value"]
OBJECTIVES: tuple[Objective, ...] = ("lowest-cost", "best-quality", "best-value")
Relaxable = Literal["budget", "latency", "availability", "throughput", "margin", "per_provider", "agreements_only"]


class Quality(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an offer promises: milliseconds that it adds, the fraction of time it is up, units a second it carries.

    An empty ``throughput`` is as much as is asked for.
    """

    latency: int = 0
    availability: str = "1"
    throughput: str = ""


class Offer(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One ``provider`` offers to deliver one ``part`` of a service over ``network`` (its own, when empty).

    ``tariff`` is what it earns: the id of a tariff of the catalog, or a whole tariff. ``capacity`` is what it has free
    now by measure (no bound where none is named), ``least`` and ``most`` what one request may want of a measure.
    ``when`` names for attributes of a request the values that it serves; one that ends in ``*`` is a prefix.
    ``reaches`` are networks that it hands over to, besides its own and those that interconnects name. ``retail`` is
    what payers pay for it where the service passes its parts on (``MarketTerms.retail``); its tariff and the service's
    markup, when empty. Instants are RFC 3339, ``valid_until`` exclusive.
    """

    id: str = ""
    service: str = ""
    part: str = ""
    provider: str = ""
    tariff: str | Tariff = ""
    network: str = ""
    retail: str | Tariff = ""
    quality: Quality = Quality()
    capacity: dict[str, str] = {}
    least: dict[str, str] = {}
    most: dict[str, str] = {}
    when: dict[str, tuple[str, ...]] = {}
    reaches: tuple[str, ...] = ()
    valid_from: str = ""
    valid_until: str = ""


class Network(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A network that parts are delivered over; ``invented`` marks made-up ones in examples."""

    id: str
    name: str = ""
    invented: bool = False


class Interconnect(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Network ``source`` hands over to ``target``; ``fee`` a use, which whoever delivers at the target earns.

    ``service`` bounds it to one; its currency is that of the service.
    """

    source: str
    target: str
    fee: str = "0"
    service: str = ""


class Bundle(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A provider that delivers all of ``parts`` does it at these tariffs (ids) instead, where that costs less."""

    parts: dict[str, str]


class ProviderTerms(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one provider asks of a plan as a whole: ``setup`` once, however many parts it delivers, and bundles."""

    setup: str = "0"
    bundles: tuple[Bundle, ...] = ()


class Weights(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What counts how much, as whole numbers: the fee against quality as a whole, and within quality each aspect."""

    price: int = 1
    quality: int = 1
    latency: int = 1
    availability: int = 1
    rating: int = 2


class Breaker(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A provider that fails ``after`` times in a row is not chosen for ``seconds``; 0 never."""

    after: int = 5
    seconds: int = 60


class MarketTerms(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the providers of a service are chosen, and what payers then pay.

    ``retail`` ``fixed``: the service's retail tariff, whoever delivers. ``passed-on``: that tariff (the platform's own
    fee) and on top of it each part's price, raised by ``markup`` percent, as a plan says; none of these tariffs is then
    bounded as a whole, nor has its tax included. ``minimise`` says whose cost the scenario of lowest cost minimises;
    anything but the payers' is disclosed on every plan. ``margin`` is the least that must be left between the fee
    without tax and what providers cost, an amount; none is asked when empty. ``links`` are pairs of parts whose
    networks must reach one another. With ``approval`` a provider delivers only to payers who are approved for it. A
    plan may be accepted for ``validity`` seconds; provider nodes have ``deadline`` milliseconds to answer. When nothing
    fits, ``relax`` gives limits up in this order. With ``replace`` a session that runs by a plan goes over to the next
    best one by itself when a provider falls silent in it, or was switched off by the operator or the breaker.
    """

    retail: Literal["fixed", "passed-on"] = "fixed"
    markup: str = "0"
    minimise: Literal["payers", "wholesale"] = "payers"
    margin: str = ""
    links: tuple[tuple[str, str], ...] = ()
    terms: dict[str, ProviderTerms] = {}
    approval: bool = False
    weights: Weights = Weights()
    breaker: Breaker = Breaker()
    validity: int = 300
    deadline: int = 250
    relax: tuple[Relaxable, ...] = ()
    replace: bool = False


class Placement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A provider pays to be preferred: a plan with it may cost payers up to ``bound`` percent more than the cheapest.

    ``fee`` is what the provider pays to the platform each time it is chosen. Payers see on the plan who paid and what
    it costs them. ``parts`` are those it is for, all when there are none.
    """

    id: str
    service: str
    provider: str
    bound: str
    fee: str = "0"
    parts: tuple[str, ...] = ()
    valid_from: str = ""
    valid_until: str = ""
