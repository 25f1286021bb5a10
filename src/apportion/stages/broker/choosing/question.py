"""What the choosing is asked: for each part the options, priced for one request, and what makes the whole differ.

All numbers are integers: amounts in one common fraction of an atom (``Exact`` over the least common denominator),
milliseconds, availabilities as a fraction, quality in points. Nothing here knows of tariffs, requests or parties.
"""

from __future__ import annotations

import msgspec

FEE, NET, COST, POINTS, RANK = "fee", "net", "cost", "points", "rank"
MARGIN, LATENCY, AVAILABILITY, PER_PROVIDER = "margin", "latency", "availability", "per_provider"


class Sums(msgspec.Struct, frozen=True, gc=False):
    """What something adds to a plan: ``fee`` payers pay (tax included), ``net`` of it, ``cost`` providers earn."""

    fee: int = 0
    net: int = 0
    cost: int = 0


class Option(msgspec.Struct, frozen=True, gc=False):
    """One offer for one part. ``rank`` is how far it is from what is preferred; ``availability`` is a fraction."""

    id: str
    provider: str
    network: str = ""
    fee: int = 0
    net: int = 0
    cost: int = 0
    points: int = 0
    rank: int = 0
    latency: int = 0
    availability: tuple[int, int] = (1, 1)


class Bundle(msgspec.Struct, frozen=True):
    """When ``provider`` delivers all of ``parts`` (places), ``saves`` may be taken off, and is where that is better."""

    provider: str
    parts: tuple[int, ...]
    saves: Sums


class Link(msgspec.Struct, frozen=True):
    """The options of two parts (places) must fit: ``crossings`` says which and what each crossing adds.

    Keys are ids of an option of ``source`` and of one of ``target``; a pair that is not there does not fit.
    """

    source: int
    target: int
    crossings: dict[tuple[str, str], Sums]


class Bounds(msgspec.Struct, frozen=True):
    """Hard limits, None for none: the fee at most, net − cost at least, milliseconds at most, availability at least."""

    fee: int | None = None
    margin: int | None = None
    latency: int | None = None
    availability: tuple[int, int] | None = None
    per_provider: int | None = None


class Question(msgspec.Struct, frozen=True):
    """Everything to choose from: ``options`` by part, fees once per provider, bundles, links, limits.

    ``base`` is what the plan has before any option: the platform's own fee.
    """

    options: tuple[tuple[Option, ...], ...]
    base: Sums = Sums()
    setups: dict[str, Sums] = {}
    bundles: tuple[Bundle, ...] = ()
    links: tuple[Link, ...] = ()
    bounds: Bounds = Bounds()


Level = tuple[tuple[str, int], ...]
#: levels in order: each a sum of weighted terms (fee, net, cost, points, rank, latency) to be minimised; ties go to the
#: next, and after the last to the smallest ids, part by part
Aim = tuple[Level, ...]


class Choice(msgspec.Struct, frozen=True):
    """The best plan: the place of each part's option, bundles taken, the sums of the whole, whether it is proven."""

    places: tuple[int, ...]
    bundles: tuple[int, ...]
    sums: Sums
    points: int
    rank: int
    latency: int
    availability: tuple[int, int]
    values: tuple[int, ...]
    proven: bool = True


class Miss(msgspec.Struct, frozen=True):
    """Nothing fits. Each limit tells what the nearest plan would need when all the others hold.

    ``fee`` is the lowest there is, ``margin`` the highest, ``latency`` the least, ``availability`` the best,
    ``per_provider`` the smallest number of parts that one provider must be allowed; None where the limit is not set or
    giving way on it alone does not help. ``empty`` are the parts (places) without any option; ``linked`` is False when
    no options fit each other whatever the limits. ``proven`` is False when the search ended before it was sure.
    """

    fee: int | None = None
    margin: int | None = None
    latency: int | None = None
    availability: tuple[int, int] | None = None
    per_provider: int | None = None
    empty: tuple[int, ...] = ()
    linked: bool = True
    proven: bool = True
