"""A question compiled to the field that is searched.

What can not win is dropped first, see ``dominance``. Of a plan's availability only a bound is a sum; the product itself
is looked at when a plan is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from apportion.stages.broker.choosing.dominance import Dear, undominated
from apportion.stages.broker.choosing.field import COLD, Deal, Effect, Field, Item, Joint, Table
from apportion.stages.broker.choosing.fold import (
    folded,
    levels_of,
    levels_of_sums,
    loss,
    loss_at_most,
    precision,
    scales_of,
)
from apportion.stages.broker.choosing.question import (
    AVAILABILITY,
    FEE,
    LATENCY,
    MARGIN,
    Aim,
    Bounds,
    Link,
    Option,
    Question,
    Sums,
)

LOSS_BITS = 32
K = TypeVar("K")


class Scales(msgspec.Struct, frozen=True):
    """How amounts become the scalar and the limited sums: the aim's levels with their scales, the limits' names."""

    aim: Aim
    factors: tuple[int, ...]
    names: tuple[str, ...]

    def effect(self, sums: Sums) -> Effect:
        """What a set-up, a crossing or a bundle adds."""
        key = sum(map(int.__mul__, levels_of_sums(sums, self.aim), self.factors))
        return key, tuple(_OF_SUMS[name](sums) if name in _OF_SUMS else 0 for name in self.names)


_OF_SUMS = {FEE: lambda sums: sums.fee, MARGIN: lambda sums: sums.cost - sums.net}


def limits_of(bounds: Bounds, base: Sums) -> dict[str, int]:
    """The limits that are sums, each as "at most": margin as what costs may exceed the net by, availability as loss."""
    found: dict[str, int] = {}
    if bounds.fee is not None:
        found[FEE] = bounds.fee - base.fee
    if bounds.margin is not None:
        found[MARGIN] = base.net - base.cost - bounds.margin
    if bounds.latency is not None:
        found[LATENCY] = bounds.latency
    if bounds.availability is not None and bounds.availability[0] > 0:
        found[AVAILABILITY] = loss_at_most(*bounds.availability, LOSS_BITS)
    return found


def _uses(options: Sequence[Option], name: str) -> list[int]:
    """What each option takes of a limit."""
    if name == FEE:
        return [one.fee for one in options]
    if name == MARGIN:
        return [one.cost - one.net for one in options]
    if name == LATENCY:
        return [one.latency for one in options]
    known = {a: loss(*a, LOSS_BITS) for a in {one.availability for one in options}}
    return [known[one.availability] for one in options]


def compiled(question: Question, aim: Aim, bits: int = 0) -> Field:
    """The field of a question; parts that lost every option are empty. ``bits`` is the precision of an aim at loss."""
    bounds, aim = question.bounds, aim or ((),)
    limits = limits_of(bounds, question.base)
    names = tuple(limits)
    levels = [levels_of(options, aim, bits) for options in question.options]
    scales = Scales(aim, tuple(scales_of(_spreads(question, aim, levels))), names)
    keys = [folded(of_part, scales.factors) for of_part in levels]
    hot, deals = _hot(question, scales)
    setups: list[Effect | None] = [None] * len(hot)
    for provider, sums in question.setups.items():
        if provider in hot:
            setups[hot[provider]] = scales.effect(sums)
    capped = _capped(question, hot)
    joints, links, classes = _joined(question, scales)
    dear = Dear(setups, deals, capped)
    aligned = bool(aim) and len(aim[0]) == 1 and aim[0][0][0] == FEE and aim[0][0][1] > 0
    weighed = [name for name in names if not (aligned and name == FEE)]
    parts: list[list[Item]] = []
    for part, options in enumerate(question.options):
        uses = {name: _uses(options, name) for name in names}
        exact = dict(uses)
        if AVAILABILITY in names:
            width = precision(one.availability for one in options)
            exact[AVAILABILITY] = [-((one.availability[0] << width) // one.availability[1]) for one in options]
        ids = [one.id for one in options]
        ranks = [0] * len(ids)
        for rank, place in enumerate(sorted(range(len(ids)), key=ids.__getitem__)):
            ranks[place] = rank
        alive = [place for place, at in enumerate(classes[part]) if at is not None]
        if AVAILABILITY in names:
            alive = [place for place in alive if options[place].availability[0] > 0]
        of_provider = [hot.get(one.provider, COLD) for one in options] if hot else [COLD] * len(ids)
        kept = undominated(
            part, alive, keys[part], ranks, [exact[name] for name in weighed], of_provider, classes[part], dear,
            [names.index(name) for name in weighed],
        )  # fmt: skip
        taken = list(zip(*(uses[name] for name in names), strict=True)) if names else [()] * len(ids)
        kept.sort(key=ranks.__getitem__)
        parts.append([Item(p, keys[part][p], taken[p], of_provider[p], classes[part][p] or ()) for p in kept])
    field = Field(parts, names, tuple(limits.values()), setups, deals, joints, links, bounds.per_provider, capped,
                  bounds.availability, 0)  # fmt: skip
    _tighten(field)
    return _with_ids(field)


def _spreads(question: Question, aim: Aim, levels: list[list[list[int]]]) -> list[int]:
    """For each level how much two plans can differ at most."""
    extras = [[levels_of_sums(one, aim) for one in question.setups.values()]]
    extras.append([levels_of_sums(one.saves, aim) for one in question.bundles])
    crossings = [
        [levels_of_sums(s, aim) for s in {(s.fee, s.net, s.cost): s for s in link.crossings.values()}.values()]
        for link in question.links
    ]
    found: list[int] = []
    for at in range(len(aim)):
        spread = sum(max(of[at]) - min(of[at]) for of in levels if of[at])
        spread += sum(abs(value[at]) for extra in extras for value in extra)
        for values in crossings:
            every = [value[at] for value in values]
            spread += max(every) - min(every) if every else 0
        found.append(spread)
    return found


def _hot(question: Question, scales: Scales) -> tuple[dict[str, int], list[Deal]]:
    """Providers whose choice for one part matters for another, numbered, and the bundles they may take."""
    offering = [{one.provider for one in options} for options in question.options]
    seen: dict[str, int] = {}
    for providers in offering:
        for provider in providers:
            seen[provider] = seen.get(provider, 0) + 1
    hot: dict[str, int] = {}

    for provider, sums in sorted(question.setups.items()):
        if provider in seen and (sums.fee or sums.net or sums.cost):
            hot.setdefault(provider, len(hot))
    deals: list[Deal] = []
    for index, bundle in enumerate(question.bundles):
        parts = tuple(sorted(set(bundle.parts)))
        saves = scales.effect(bundle.saves)
        # one that saves neither of the aim nor of a limit is never taken
        useful = saves[0] > 0 or any(value > 0 for value in saves[1])
        if parts and useful and all(bundle.provider in offering[part] for part in parts):
            deals.append(Deal(index, hot.setdefault(bundle.provider, len(hot)), parts, saves))
    cap = question.bounds.per_provider
    if cap is not None:
        for provider in sorted(seen):
            if seen[provider] > cap:
                hot.setdefault(provider, len(hot))
    return hot, deals


def _capped(question: Question, hot: dict[str, int]) -> frozenset[int]:
    """Hot providers that could deliver more parts than one may."""
    cap = question.bounds.per_provider
    if cap is None:
        return frozenset()
    counts = [0] * len(hot)
    for options in question.options:
        for provider in {one.provider for one in options} & hot.keys():
            counts[hot[provider]] += 1
    return frozenset(at for at, count in enumerate(counts) if count > cap)


# ── links ──

_Classes = list[list[tuple[int, ...] | None]]


def _joined(question: Question, scales: Scales) -> tuple[list[Joint], list[list[int]], _Classes]:
    """Links by classes of options that cross alike, and the classes of each option; None when it fits nothing."""
    count = len(question.options)
    links: list[list[int]] = [[] for _ in range(count)]
    classes: _Classes = [[()] * len(options) for options in question.options]
    joints: list[Joint] = []
    for number, link in enumerate(question.links):
        joint, sources, targets = _joint(question, link, scales)
        joints.append(joint)
        for part, found in ((link.source, sources), (link.target, targets)):
            links[part].append(number)
            for place, one in enumerate(question.options[part]):
                before, at = classes[part][place], found.get(one.id)
                classes[part][place] = None if before is None or at is None else (*before, at)
    return joints, links, classes


def _joint(question: Question, link: Link, scales: Scales) -> tuple[Joint, dict[str, int], dict[str, int]]:
    """One link; options with the same row (or column) of crossings are one class."""
    if link.source == link.target:
        raise ValueError("a link joins two different parts")
    here = {one.id for one in question.options[link.source]}
    there = {one.id for one in question.options[link.target]}
    effects: dict[tuple[int, int, int], int] = {}
    listed: list[Effect] = []
    rows: dict[str, dict[str, int]] = {}
    for (source, target), sums in link.crossings.items():
        if source in here and target in there:
            what = (sums.fee, sums.net, sums.cost)
            if what not in effects:
                effects[what] = len(listed)
                listed.append(scales.effect(sums))
            rows.setdefault(source, {})[target] = effects[what]
    sources, kinds = _alike(rows)
    columns: dict[str, dict[int, int]] = {}
    for at, row in enumerate(kinds):
        for target, which in row.items():
            columns.setdefault(target, {})[at] = which
    targets, sorts = _alike(columns)
    forth: Table = [{} for _ in kinds]
    back: Table = [{source: listed[which] for source, which in column.items()} for column in sorts]
    for target_class, column in enumerate(back):
        for source_class, effect in column.items():
            forth[source_class][target_class] = effect
    return Joint(link.source, link.target, forth, back), sources, targets


def _alike(rows: dict[str, dict[K, int]]) -> tuple[dict[str, int], list[dict[K, int]]]:
    """Number the rows that are the same."""
    numbers: dict[frozenset[tuple[K, int]], int] = {}
    kinds: list[dict[K, int]] = []
    found: dict[str, int] = {}
    for name, row in rows.items():
        what = frozenset(row.items())
        if what not in numbers:
            numbers[what] = len(kinds)
            kinds.append(row)
        found[name] = numbers[what]
    return found, kinds


# ── after dominance ──


def optimistic(field: Field, part: int, at: int) -> list[int]:
    """For each item what it takes of a limit at least, whatever set-ups and bundles do; bundles count at their last."""
    setups = [min(0, setup[1][at]) if setup else 0 for setup in field.setups]
    saved = [0] * len(field.setups)
    for deal in field.deals:
        if deal.parts[-1] == part:
            saved[deal.hot] = max(saved[deal.hot], deal.saves[1][at])
    return [item.uses[at] + (setups[item.hot] - saved[item.hot] if item.hot >= 0 else 0) for item in field.parts[part]]


def _tighten(field: Field) -> None:
    """Drop items that no plan within the limits can hold, until nothing changes."""
    crossing = [
        sum(min((e[1][at] for row in joint.forth for e in row.values()), default=0) for joint in field.joints)
        for at in range(len(field.limits))
    ]
    changed = True
    while changed and all(field.parts):
        changed = False
        for at, limit in enumerate(field.limits):
            columns = [optimistic(field, part, at) for part in range(len(field.parts))]
            room = limit - crossing[at] - sum(map(min, columns))
            for part, column in enumerate(columns):
                most = room + min(column)
                if max(column) > most:
                    field.parts[part] = [i for i, use in zip(field.parts[part], column, strict=True) if use <= most]
                    changed = True
            if not all(field.parts):
                return


def _with_ids(field: Field) -> Field:
    """Every key widened so that ties go to the smaller id, part by part, and multipliers have room for fractions."""
    if not all(field.parts):
        return field
    most = max((abs(u) for items in field.parts for item in items for u in item.uses), default=0)
    wide = 1
    for items in field.parts:
        wide *= len(items)
    shift = most.bit_length() + 8
    factor, weight = wide << shift, wide
    ceiling = 0
    for items in field.parts:
        weight //= len(items)
        for rank, item in enumerate(items):
            item.key = item.key * factor + ((rank * weight) << shift)
        ceiling += max(item.key for item in items)

    def widen(effect: Effect) -> Effect:
        return effect[0] * factor, effect[1]

    field.setups = [widen(setup) if setup else None for setup in field.setups]
    field.deals = [Deal(d.index, d.hot, d.parts, widen(d.saves)) for d in field.deals]
    for joint in field.joints:
        for table in (joint.forth, joint.back):
            for row in table:
                row.update({to: widen(effect) for to, effect in row.items()})
        ceiling += max((effect[0] for row in joint.forth for effect in row.values()), default=0)
    ceiling += sum(max(0, setup[0]) for setup in field.setups if setup)
    ceiling += sum(max(0, -deal.saves[0]) for deal in field.deals)
    field.ceiling = ceiling + 1
    return field
