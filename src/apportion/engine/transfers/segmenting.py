"""The segmentation of a transfer: which bytes go over which path, at what cost and until when, and found again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.transfers.paths import Lane, lanes_of, number, offered, sifted
from apportion.engine.transfers.words import missed, nothing_fits, reason, summary
from apportion.engine.verbs import Call
from apportion.errors import NotFound, RefusalCode, Refused, refuse
from apportion.model.profile import Profile
from apportion.model.segmentation import (
    PATHS_MAX,
    Assemblage,
    PathOut,
    PathPlan,
    SegmentationAgain,
    SegmentationAsked,
    SegmentPlan,
    Stretch,
)
from apportion.money import Asset, Exact, Money, parse_asset, quantize
from apportion.money.exact import ZERO
from apportion.stages.broker.splitting import segment as stage
from apportion.stages.broker.splitting.ranges import Range, merged, minus, size
from apportion.stages.broker.splitting.segment import Asking, Bounds, Miss, Split
from apportion.stages.broker.splitting.split import SECOND, Path, ends

_AIMS = {"best-quality": "fastest", "": "lowest-cost"}
_FOREVER = 1 << 90
_DIGITS, _BITS = 1000, 2000
_SEGMENTS = 1000  # about so many, where the bounds of the size allow
replace = msgspec.structs.replace


class Underway(msgspec.Struct, frozen=True):
    """How a transfer stands: by path what it has ``carried``, the exact cost of that, and what it was still to carry.

    ``elapsed`` is in microseconds since it began. Paths in ``closed`` have to be opened again, those in ``gone`` carry
    nothing for now. ``before`` is the plan that was followed, None at the beginning.
    """

    elapsed: int = 0
    carried: Mapping[str, Sequence[Range]] = {}
    spent: Mapping[str, Exact] = {}
    own: Mapping[str, Sequence[Range]] = {}
    closed: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    before: SegmentPlan | None = None


# ── the operations ──


def segment(engine: Engine, call: Call) -> SegmentPlan:
    """Find the preferred split of a transfer; nothing is stored."""
    asked: SegmentationAsked = call.given
    out: list[PathOut] = []
    if isinstance(asked.profile, str) and asked.profile:
        asked = replace(asked, profile=_named(engine, asked.profile))
    if asked.service and not asked.paths:
        asked, out = offered(engine, engine.terms(), asked, call.caller)
    return planned(asked, out)


def segment_again(engine: Engine, call: Call) -> SegmentPlan:
    """Find a plan again from what has become of it; nothing is stored."""
    return planned_again(call.given)


def _named(engine: Engine, name: str) -> Profile:
    try:
        profiles = engine.terms().catalog.profiles
    except NotFound:
        profiles = {}
    if name not in profiles:
        fix = "One of " + ", ".join(list(profiles)[:20]) + "." if profiles else "Give the whole profile in its place."
        raise refuse(RefusalCode.BAD_INPUT, f"there is no profile {name[:60]!r}.", field="profile", fix=fix)
    return profiles[name]


# ── found the first time ──


def planned(asked: SegmentationAsked, out: Sequence[PathOut] = ()) -> SegmentPlan:
    """The preferred split over the paths that are named.

    Raises:
        Refused: what is wrong with the request; NO_PLAN with the nearest miss when nothing keeps its limits.
    """
    if isinstance(asked.profile, str) and asked.profile:
        raise refuse(
            RefusalCode.BAD_INPUT, f"there is no profile {asked.profile[:60]!r} outside the books.", field="profile",
            fix="Give the whole profile in its place, or ask where the catalog is.",
        )  # fmt: skip
    if not asked.paths:
        raise refuse(
            RefusalCode.BAD_INPUT, "there are no paths.", field="paths",
            fix="Name at least one, or a service and part of the catalog.",
        )  # fmt: skip
    return _solved(asked, _grain(asked.amount, asked.assemblage), Underway(), out)


def _grain(amount: int, wish: Assemblage) -> int:
    """How long a segment is: as wished, else the power of two near a thousandth of the whole, within its bounds."""
    if wish.least > wish.most:
        raise refuse(RefusalCode.BAD_INPUT, "is more than most.", field="assemblage.least", fix="Lower it.")
    return wish.size or min(max(1 << (amount // _SEGMENTS).bit_length(), wish.least), wish.most)


# ── found again ──


def planned_again(given: SegmentationAgain) -> SegmentPlan:
    """The preferred split of what is left of a plan that was followed so far.

    Raises:
        Refused: as ``planned``; BAD_INPUT when the reports contradict the plan or one another.
    """
    plan, asked = given.plan, given.plan.asked
    _check_whole(plan)
    reports = {report.id: report for report in given.reports}
    known = {path.id for path in plan.paths} | {path.id for path in asked.paths}
    for at, report in enumerate(given.reports):
        if report.id not in known or reports[report.id] is not report:
            said = "is reported twice." if report.id in known else f"{report.id[:60]!r} is no path of the plan."
            raise refuse(
                RefusalCode.BAD_INPUT, said, field=f"reports[{at}].id", fix="Report each path of the plan once."
            )
        if any(one.offset + one.length > asked.amount for one in (*report.done, *report.lost)):
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"lies beyond {asked.amount} bytes.",
                field=f"reports[{at}].done",
                fix="Report bytes of this transfer.",
            )
    elapsed, least = _micros(given.elapsed or plan.elapsed, "elapsed"), _micros(plan.elapsed, "plan.elapsed")
    if elapsed < least:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"is before the plan was made, at {plan.elapsed} s.",
            field="elapsed",
            fix="It counts from the beginning of the transfer.",
        )
    before = {one.id: _ranges(one.carried) for one in plan.paths}
    done, lost = ({id: _ranges(getattr(r, kind)) for id, r in reports.items()} for kind in ("done", "lost"))
    carried, twice = stage.delivered(before, done, lost)
    if twice:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"{twice!r} reports bytes that another path brought.",
            field="reports",
            fix="Report a byte for the path that brought it first.",
        )
    gone = frozenset(id for id, report in reports.items() if report.gone)
    there = merged(one for ranges in carried.values() for one in ranges)
    own = {
        one.id: minus(minus(_ranges(one.stretches), there), merged(lost.get(one.id, ())))
        for one in plan.paths if one.id not in gone
    }  # fmt: skip
    spent = _spent(plan, before, carried)
    closed = frozenset(one.id for one in plan.paths if one.gone)
    now = _as_it_is(given, {id for id, ranges in {**own, **carried}.items() if ranges})
    return _solved(now, plan.segment, Underway(elapsed, carried, spent, own, closed, gone, plan))


def _check_whole(plan: SegmentPlan) -> None:
    pieces = [one for path in plan.paths for one in (*_ranges(path.stretches), *_ranges(path.carried))]
    ids, whole = [path.id for path in plan.paths], [(0, plan.asked.amount)]
    known = set(ids) <= {path.id for path in plan.asked.paths} and len(set(ids)) == len(ids)
    if not known or merged(pieces) != whole or size(pieces) != plan.asked.amount:
        raise refuse(
            RefusalCode.BAD_INPUT, "does not have every byte once, on a path that was asked for.", field="plan",
            fix="Send the plan as it was answered.",
        )  # fmt: skip


def _spent(
    plan: SegmentPlan, before: Mapping[str, Sequence[Range]], carried: Mapping[str, Sequence[Range]]
) -> dict[str, Exact]:
    """The exact cost of what is carried: what is new since the plan, at the plan's own prices."""
    lanes = {lane.path.id: lane for lane in lanes_of(plan.asked, _asset(plan.asked))}
    found = {one.id: _exact(one.spent) for one in plan.paths}
    for id, ranges in carried.items():
        had, has, lane = size(before.get(id, ())), size(ranges), lanes.get(id)
        if lane is not None and has != had:
            spent = found.get(id, ZERO) if had else lane.setup
            found[id] = max(spent + lane.byte * Exact(has - had), ZERO)
        if not has:
            found[id] = ZERO
    return {id: exact for id, exact in found.items() if exact}


def _as_it_is(given: SegmentationAgain, needed: set[str]) -> SegmentationAsked:
    """The request with the paths as they are now: those given, at the rates measured, and those that have carried."""
    asked = given.plan.asked
    paths = {path.id: path for path in given.paths or asked.paths}
    if len(paths) < len(given.paths):
        raise refuse(RefusalCode.BAD_INPUT, "has two of one id.", field="paths", fix="Name them apart.")
    for path in asked.paths:
        if path.id in needed and path.id not in paths:
            paths[path.id] = replace(path, rate=0)  # its terms hold for what it has carried
    for report in given.reports:
        if report.rate and report.id in paths and paths[report.id].rate:
            paths[report.id] = replace(paths[report.id], rate=report.rate)
    if len(paths) > PATHS_MAX:
        raise refuse(
            RefusalCode.BAD_INPUT, f"are more than {PATHS_MAX}, with those that have carried.", field="paths",
            fix="Leave some out.",
        )  # fmt: skip
    deadline, budget = given.deadline or asked.deadline, given.budget or asked.budget
    return replace(asked, paths=tuple(paths.values()), deadline=deadline, budget=budget)


# ── the one way to a plan ──


def _solved(asked: SegmentationAsked, grain: int, now: Underway, out: Sequence[PathOut] = ()) -> SegmentPlan:
    asset = _asset(asked)
    profile = asked.profile if isinstance(asked.profile, Profile) else Profile()
    lanes = lanes_of(asked, asset)
    fits, ranks, more = sifted(asked, profile, [lane for lane in lanes if lane.path.id not in now.gone])
    outs = [*out, *more, *(PathOut(id, "It is gone.") for id in sorted(now.gone))]
    left = minus([(0, asked.amount)], merged(one for ranges in now.carried.values() for one in ranges))
    if left and not fits:
        raise nothing_fits(outs)
    scale = math.lcm(1, *(price.reduced().den for lane in fits for price in (lane.setup, lane.byte)))
    if scale.bit_length() > _BITS:
        raise _broken()
    asking = Asking(
        tuple(_path(lane, now, scale) for lane in fits), size(left), grain, _aim(asked, profile), _weights(asked),
        ranks=tuple(ranks), premium=_premium(profile),
    )  # fmt: skip
    budget = number(asked.budget, "budget") if asked.budget else None
    kept = [size(now.own.get(lane.path.id, ())) for lane in fits]
    found, costs = _within(asking, asked, now, (budget, scale, asset), kept)
    laid = stage.lay_out(found.amounts, left, [now.own.get(lane.path.id, ()) for lane in fits], grain)
    return _told(asked, grain, now, (asking, found, laid), (fits, outs), (asset, costs))


def _path(lane: Lane, now: Underway, scale: int) -> Path:
    """A path as the stage sees it; one that has carried is open and set up."""
    path, carried = lane.path, size(now.carried.get(lane.path.id, ()))
    opened = carried and path.id not in now.closed
    return Path(
        path.id, path.rate, 0 if opened else (path.rtt + path.opening) * 1000, _whole(lane.byte, scale),
        0 if carried else _whole(lane.setup, scale), 0 if carried else path.least,
        max(path.most - carried, 0) if path.most else _FOREVER, size(now.own.get(path.id, ())),
    )  # fmt: skip


def _within(
    asking: Asking, asked: SegmentationAsked, now: Underway, money: tuple[Exact | None, int, Asset], kept: Sequence[int]
) -> tuple[Split, dict[str, Exact]]:
    """The split, and what each path costs in the end: within the budget also once each is rounded to be charged."""
    budget, scale, asset = money
    deadline = _micros(asked.deadline, "deadline") - now.elapsed if asked.deadline else None
    spent = sum(now.spent.values(), ZERO)
    room = budget
    while True:
        left = None if room is None else ((room - spent) * Exact(scale)).floor()
        bounded = replace(asking, bounds=Bounds(deadline, left, asked.assemblage.paths or None))
        found = stage.again(bounded, kept) if now.before is not None else stage.split(bounded)
        if isinstance(found, Miss):
            raise missed(found, asked, now.elapsed, spent, (scale, asset), asking.amount)
        costs = dict(now.spent)
        for path, carried in zip(asking.paths, found.amounts, strict=True):
            if carried:
                costs[path.id] = costs.get(path.id, ZERO) + Exact(path.setup + path.price * carried, scale)
        charged = sum(quantize(exact, asset).atoms for exact in costs.values())
        if budget is None or room is not budget or Exact(charged, asset.unit) <= budget:
            return found, costs
        room = budget - Exact(len(costs), 2 * asset.unit)  # each may round up by half an atom


def _told(
    asked: SegmentationAsked, grain: int, now: Underway, split: tuple[Asking, Split, list[list[Range]]],
    paths: tuple[list[Lane], list[PathOut]], money: tuple[Asset, dict[str, Exact]],
) -> SegmentPlan:  # fmt: skip
    (asking, found, laid), (fits, outs), (asset, costs) = split, paths, money
    parts, charged, reliable = list[PathPlan](), Money(0, asset), Exact(1)
    placed = {lane.path.id: at for at, lane in enumerate(fits)}
    names = {path.id: path for path in asked.paths}
    for id in sorted(
        {*(i for i, at in placed.items() if found.amounts[at]), *(i for i, r in now.carried.items() if r)}
    ):
        at = placed.get(id, -1)
        ranges = laid[at] if at >= 0 else []
        cost = quantize(costs.get(id, ZERO), asset)
        charged += cost
        old = names[id]
        if ranges:
            reliable = (reliable * number(old.availability, "availability", Exact(1))).reduced()
        moved = size(minus(ranges, now.own.get(id, ()))) if now.before is not None else 0
        until = _seconds(now.elapsed + ends(asking.paths[at], size(ranges))) if ranges else ""
        parts.append(
            PathPlan(
                id, old.provider, old.network, size(ranges), stage.count(ranges, grain), _stretches(ranges),
                _stretches(now.carried.get(id, ())), until, cost.text(), costs.get(id, ZERO).text(),
                now.spent.get(id, ZERO).text(), moved, id in now.gone,
                reason(asking, found, at) if ranges else "It carries no more.",
            )
        )  # fmt: skip
    unused = [PathOut(lane.path.id, "It is not needed.") for lane, n in zip(fits, found.amounts, strict=True) if not n]
    told = {part.id for part in parts}
    finish = now.elapsed + found.finish
    total = _told_whole(costs.values())
    return SegmentPlan(
        asked, grain, tuple(parts), charged.text(), total.text(), asset.code, _seconds(finish),
        tuple(one for one in [*outs, *unused] if one.id not in told or one.id in now.gone), _seconds(now.elapsed),
        reliable.text(), sum(part.moved for part in parts), found.proven, summary(asking, found, asked, len(fits)),
    )  # fmt: skip


# ── words and numbers ──


def _asset(asked: SegmentationAsked) -> Asset:
    currency = asked.currency or next((path.tariff.currency for path in asked.paths if path.tariff is not None), "")
    if not currency:
        raise refuse(RefusalCode.UNKNOWN_ASSET, "is missing.", field="currency", fix="Such as USD.")
    return parse_asset(currency, store=True)


def _aim(asked: SegmentationAsked, profile: Profile) -> str:
    aim = asked.objective or profile.objective
    return _AIMS.get(aim, aim)


def _weights(asked: SegmentationAsked) -> tuple[int, int]:
    weights = asked.weights
    if not (weights.cost or weights.time):
        raise refuse(RefusalCode.BAD_WEIGHT, "are both zero.", field="weights", fix="Give one of them some weight.")
    return weights.cost, weights.time


def _premium(profile: Profile) -> tuple[int, int] | None:
    if not profile.premium:
        return None
    part = number(profile.premium, "profile.premium").over(Exact(100))
    return part.num, part.den


def _whole(price: Exact, scale: int) -> int:
    return price.num * scale // price.den


def _exact(text: str) -> Exact:
    """What ``Exact.text`` wrote in a plan."""
    over, _, under = text.partition("/")
    whole, _, part = over.partition(".")
    digits = whole + part + under
    if not (digits.isdecimal() and digits.isascii() and len(digits) <= _DIGITS) or (under and not int(under)):
        raise refuse(
            RefusalCode.BAD_INPUT, f"{text[:40]!r} is no amount.", field="plan.paths.spent",
            fix="Send the plan as it was answered.",
        )  # fmt: skip
    return Exact(int(over), int(under)) if under else Exact(int(whole + part), 10 ** len(part))


def _told_whole(exacts: Iterable[Exact]) -> Exact:
    """Their sum, as long as it can be written down."""
    total = sum(exacts, ZERO)
    if total.den.bit_length() > 4 * _BITS:
        raise _broken()
    return total


def _broken() -> Refused:
    said = "have prices of too many different fractions."
    return refuse(RefusalCode.BAD_INPUT, said, field="paths", fix="Write them as decimals.")


def _micros(text: str, field: str) -> int:
    return (number(text, field) * Exact(SECOND)).floor()


def _seconds(micros: int) -> str:
    return Exact(micros, SECOND).text()


def _ranges(stretches: Sequence[Stretch]) -> list[Range]:
    return merged((one.offset, one.offset + one.length) for one in stretches)


def _stretches(ranges: Sequence[Range]) -> tuple[Stretch, ...]:
    return tuple(Stretch(begin, end - begin) for begin, end in ranges)
