"""The order in which parts are decided, and what is looked at when a part's turn comes."""

from __future__ import annotations

import msgspec

from apportion.stages.broker.choosing.field import Deal, Field, Item, Table


class Back(msgspec.Struct, frozen=True):
    """A link to a part decided before: its depth, where both items keep their class of it, the crossings from there."""

    depth: int
    slot: int
    own: int
    table: Table


class Stop(msgspec.Struct):
    """One part in the order. ``tree`` is the link over which bounds are handed back, ``others`` the links beside it.

    ``kids`` are the depths whose tree leads here. ``closing`` are bundles, by provider, of which this is the last part.
    """

    part: int
    items: list[Item]
    tree: Back | None
    others: list[Back]
    kids: list[int]
    closing: dict[int, list[Deal]]

    @property
    def plain(self) -> bool:
        """Whether no link touches the part."""
        return self.tree is None and not self.others and not self.kids


class Route(msgspec.Struct):
    """All stops, the depth of each part, and for each depth the later stops whose tree leads before it."""

    field: Field
    stops: list[Stop]
    depth: list[int]
    frontier: list[list[int]]


def route(field: Field) -> Route:
    """Parts with few items first, but a part that is linked to one decided before goes ahead of the others."""
    order = _order(field)
    depth = [0] * len(order)
    for at, part in enumerate(order):
        depth[part] = at
    stops: list[Stop] = []
    for at, part in enumerate(order):
        backs: list[Back] = []
        for own, number in enumerate(field.links[part]):
            joint = field.joints[number]
            other = joint.target if joint.source == part else joint.source
            if depth[other] < at:
                table = joint.back if joint.source == part else joint.forth
                backs.append(Back(depth[other], field.links[other].index(number), own, table))
        backs.sort(key=lambda back: -back.depth)
        stops.append(Stop(part, field.parts[part], backs[0] if backs else None, backs[1:], [], {}))
        if backs:
            stops[backs[0].depth].kids.append(at)
    for deal in field.deals:
        last = max(depth[part] for part in deal.parts)
        stops[last].closing.setdefault(deal.hot, []).append(deal)
    frontier: list[list[int]] = []
    for at in range(len(order) + 1):
        later = range(at, len(order))
        frontier.append([u for u in later if (tree := stops[u].tree) is not None and tree.depth < at])
    return Route(field, stops, depth, frontier)


def _order(field: Field) -> list[int]:
    near: list[set[int]] = [set() for _ in field.parts]
    for joint in field.joints:
        near[joint.source].add(joint.target)
        near[joint.target].add(joint.source)
    left = set(range(len(field.parts)))
    reached: set[int] = set()
    order: list[int] = []
    while left:
        part = min(left & reached or left, key=lambda p: (len(field.parts[p]), p))
        order.append(part)
        left.discard(part)
        reached |= near[part]
    return order
