"""Segmentation: how a known amount of data is cut, dispersed over paths and put together again.

Amounts of data are whole bytes, rates bytes a second, times decimal text in seconds (to the microsecond) or whole
milliseconds, amounts of money decimal text in one currency, before tax.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.model.profile import Profile
from apportion.model.request import Number
from apportion.model.session_asked import Asked, Few, Name, Text
from apportion.model.tariff import Tariff

SplitObjective = Literal["lowest-cost", "fastest", "best-value"]
GIGABYTE = 1_000_000_000
PATHS_MAX, STRETCHES_MAX = 64, 10_000
Bytes = Annotated[int, Meta(ge=1, le=1 << 53)]
Price = Annotated[str, Meta(max_length=200)]
Sum = Annotated[str, Meta(max_length=20_000)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]


class PathAsked(Asked, frozen=True):
    """One way to the data: ``provider`` carries it over ``network``, its own or another provider's.

    It costs ``setup`` once it has carried a byte and ``price`` for each ``per`` bytes, or what ``tariff`` says, which
    then has only flat fees and prices per unit. ``rate`` is what it has free now. ``rtt`` is its round-trip time and
    ``opening`` what setting it up takes besides, in milliseconds. ``least`` and ``most`` bound what it carries (0:
    no bound). ``rating`` is 0 to 100 or any other scale, as long as all paths have the same.
    """

    id: Name
    provider: Name
    rate: Few
    network: Text = ""
    price: Price = ""
    per: Bytes = GIGABYTE
    setup: Price = ""
    tariff: Tariff | None = None
    rtt: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    opening: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    availability: Annotated[str, Meta(max_length=20)] = "1"
    rating: Number = ""
    least: Few = 0
    most: Few = 0


class Assemblage(Asked, frozen=True):
    """How the data is put together again: from segments of ``least`` to ``most`` bytes over at most ``paths`` paths.

    All segments but the last are of one size: a power of two near a thousandth of the whole, or ``size``. 0 for
    ``paths`` is no bound.
    """

    size: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    least: Annotated[int, Meta(ge=1, le=1 << 40)] = 1 << 16
    most: Annotated[int, Meta(ge=1, le=1 << 40)] = 1 << 24
    paths: Annotated[int, Meta(ge=0, le=PATHS_MAX)] = 0


class SplitWeights(Asked, frozen=True):
    """What counts how much for the best value: paying more than the cheapest, taking longer than the fastest."""

    cost: Weight = 1
    time: Weight = 1


class SegmentationAsked(Asked, frozen=True):
    """Split ``amount`` bytes over paths: within ``deadline`` seconds, within ``budget``, or as both allow.

    ``paths`` are those there are; without any the offers of the catalog for ``service`` and ``part`` are taken, whose
    tariffs and capacities count ``measure`` in units of ``unit`` bytes, and which serve these ``attributes``.
    ``availability`` is what each path must have at least. ``profile`` is the name of a stored one or a whole one.
    ``objective`` is that of the profile when empty (best-quality is fastest), else the lowest cost.
    """

    amount: Bytes
    currency: Text = ""
    paths: Annotated[tuple[PathAsked, ...], Meta(max_length=PATHS_MAX)] = ()
    service: Text = ""
    part: Text = ""
    measure: Name = "bytes"
    unit: Bytes = 1
    attributes: Annotated[dict[Name, Text], Meta(max_length=50)] = {}
    deadline: Number = ""
    budget: Number = ""
    availability: Number = ""
    objective: SplitObjective | Literal[""] = ""
    weights: SplitWeights = SplitWeights()
    profile: Profile | Text = ""
    assemblage: Assemblage = Assemblage()


class Stretch(Asked, frozen=True):
    """``length`` bytes from ``offset`` on."""

    offset: Few
    length: Bytes


Stretches = Annotated[tuple[Stretch, ...], Meta(max_length=STRETCHES_MAX)]


class Segment(msgspec.Struct, frozen=True):
    """One piece of a transfer: its ``number`` on the grid from 1, and which it is (``order``) on its ``path``."""

    number: int
    offset: int
    length: int
    path: str
    order: int


class PathPlan(Asked, frozen=True):
    """What one path is to carry: ``stretches`` (``bytes`` together, in so many ``segments``), in this order.

    ``carried`` is what it has delivered. ``cost`` is what it is charged in the end, all it carries together, ``exact``
    the same before rounding, ``spent`` the exact part of it for what is carried. ``finish`` is in seconds since the
    transfer began, empty when nothing is left to carry. ``moved`` are bytes that another path was to carry before.
    """

    id: Name
    provider: Name
    network: Text = ""
    bytes: Few = 0
    segments: Few = 0
    stretches: Stretches = ()
    carried: Stretches = ()
    finish: Number = ""
    cost: Number = "0"
    exact: Sum = "0"
    spent: Sum = "0"
    moved: Few = 0
    gone: bool = False
    why: Annotated[str, Meta(max_length=400)] = ""


class PathOut(Asked, frozen=True):
    """A path that carries nothing, and why."""

    id: Name
    why: Annotated[str, Meta(max_length=400)]


class SegmentPlan(Asked, frozen=True):
    """The split that was found: all bytes, each on one path; ``cost`` is the sum over its paths.

    ``asked`` is the request with the paths as they were. The data is cut every ``segment`` bytes. ``elapsed`` is when
    the plan was made and ``finish`` when the last byte is there, in seconds since the transfer began. ``proven`` says
    that there is no better one; else the search was ended early. ``moved`` are bytes that change their path.
    """

    asked: SegmentationAsked
    segment: Bytes
    paths: Annotated[tuple[PathPlan, ...], Meta(max_length=2 * PATHS_MAX)]
    cost: Number
    exact: Sum
    currency: Text
    finish: Number
    out: Annotated[tuple[PathOut, ...], Meta(max_length=2 * PATHS_MAX)] = ()
    elapsed: Number = "0"
    availability: Sum = "1"
    moved: Few = 0
    proven: bool = True
    why: Annotated[str, Meta(max_length=1000)] = ""


class PathReport(Asked, frozen=True):
    """What became of a path so far: bytes that are there (``done``), bytes that are not and must come again (``lost``).

    ``rate`` is the one that was measured, 0 for none; a path that is ``gone`` carries no more for now.
    """

    id: Name
    done: Stretches = ()
    lost: Stretches = ()
    rate: Few = 0
    gone: bool = False


class SegmentationDone(Asked, frozen=True):
    """How a transfer stands ``elapsed`` seconds after it began.

    What is delivered stays so. ``paths`` are those there are now, all of them; those of the plan when there are none.
    ``deadline`` and ``budget`` take the place of the plan's where they are given, for the transfer as a whole.
    """

    elapsed: Number = ""
    reports: Annotated[tuple[PathReport, ...], Meta(max_length=PATHS_MAX)] = ()
    paths: Annotated[tuple[PathAsked, ...], Meta(max_length=PATHS_MAX)] = ()
    deadline: Number = ""
    budget: Number = ""


class SegmentationAgain(SegmentationDone, frozen=True, kw_only=True):
    """Find a ``plan`` again from how the transfer stands; the plan comes as it was answered."""

    plan: SegmentPlan
