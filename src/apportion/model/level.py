"""Service levels: how well a provider delivered to a payer in a period, against what was agreed, and what it costs.

Amounts are decimal text of ``asset``; what was measured is exact: a plain decimal where it is finite, else p/q.
"""

from __future__ import annotations

import enum

import msgspec

from apportion.model.agreement import Consequence, Targets
from apportion.model.charge import TaxLine
from apportion.model.journal import CourseLine

#: what an adjustment for a missed service level has as its origin begins with
LEVEL = "lvl_"
OUTAGE = "out_"


class LevelState(enum.Enum):
    """What came of a measured level; it leaves ``review`` once, and nothing else."""

    KEPT = "kept"  # every target that was measured
    MISSED = "missed"  # and it costs nothing
    CREDITED = "credited"  # booked at once
    REVIEW = "review"  # a person has to say
    APPROVED = "approved"  # and said yes: booked
    WAIVED = "waived"  # and said no: nothing is booked


class Level(msgspec.Struct, frozen=True, omit_defaults=True):
    """One target: what was ``promised`` and what ``measured``, of so many ``samples``.

    ``target`` is availability or success (fractions), latency (milliseconds) or throughput (units a second). With
    ``limit`` it is the fraction of uses that kept a latency of so many milliseconds. Without a sample, nothing was
    measured, and it counts as kept.
    """

    target: str
    promised: str
    measured: str
    samples: int
    kept: bool
    limit: str = ""


class Apart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part that an agreement of its own is about, from an instant until another (exclusive)."""

    part: str
    start: str
    end: str


class LevelLine(CourseLine, frozen=True, tag="level", kw_only=True):
    """An agreement's levels in one period of its payer; ``id`` is ``lvl_`` and the key of agreement, account, period.

    It covers what stands in the books before its first line and was used from ``start`` until ``end`` (exclusive), by
    the targets and the ``catalog`` in force then; parts that stand ``apart`` have an agreement of their own. What
    closing the period booked counts with ``closing``: of several agreements in one period, in the last one. ``fee`` is
    what ``account`` bears of what ``provider`` delivered, with tax; ``last`` when that was used last. ``credit``, with
    ``taxes`` in it, is what misses come to. ``made`` is the adjustment, once it is booked, and ``reason`` why it was
    approved or waived. ``parts`` were delivered.
    """

    n: int
    agreement: str
    account: str
    provider: str
    service: str
    period: str
    start: str
    end: str
    at: str
    catalog: str
    asset: str
    targets: Targets
    consequence: Consequence
    uses: int
    last: str
    fee: str
    levels: tuple[Level, ...]
    state: str
    part: str = ""
    parts: tuple[str, ...] = ()
    apart: tuple[Apart, ...] = ()
    closing: bool = True
    credit: str = "0"
    taxes: tuple[TaxLine, ...] = ()
    made: str = ""
    reason: str = ""


class OutageLine(CourseLine, frozen=True, tag="outage", kw_only=True):
    """A provider was down from ``start`` until ``end`` (exclusive), in one ``service`` or in all.

    ``id`` is ``out_`` and the key of provider, service and start; said again it replaces what was said before, and
    with its end at its start it is taken back. ``by`` is the provider that says so, the operator when empty.
    """

    n: int
    at: str
    provider: str
    start: str
    end: str
    service: str = ""
    by: str = ""
    reason: str = ""


class DecideLevel(msgspec.Struct, frozen=True, kw_only=True):
    """Approve the credit of a level that waits for review, or waive it."""

    id: str
    approve: bool
    reason: str = ""


class ReportOutage(msgspec.Struct, frozen=True, kw_only=True):
    """Say when a provider was down; ``by`` as in the line. Instants as the books write them."""

    provider: str
    start: str
    end: str
    service: str = ""
    by: str = ""
    reason: str = ""


LevelCommand = DecideLevel | ReportOutage
