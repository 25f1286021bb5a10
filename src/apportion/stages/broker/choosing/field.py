"""The field: a question in integers, one scalar to minimise and a few sums with limits."""

from __future__ import annotations

import msgspec

#: what something adds: to the scalar, to each sum that has a limit
Effect = tuple[int, tuple[int, ...]]
#: classes of the options at one end of a link → classes at the other end → what the crossing adds
Table = list[dict[int, Effect]]
COLD = -1


class Item(msgspec.Struct, gc=False):
    """An option that may win. ``hot`` is its provider when the provider matters for other parts, else ``COLD``.

    ``at`` is its class on each link that touches its part.
    """

    place: int
    key: int
    uses: tuple[int, ...]
    hot: int
    at: tuple[int, ...]


class Deal(msgspec.Struct, frozen=True):
    """A bundle that can be taken: ``index`` in the question, the provider, its parts, what taking it saves."""

    index: int
    hot: int
    parts: tuple[int, ...]
    saves: Effect


class Joint(msgspec.Struct, frozen=True):
    """A link, by classes of options: ``forth`` from source to target, ``back`` the other way round."""

    source: int
    target: int
    forth: Table
    back: Table


class Field(msgspec.Struct):
    """``limits`` belong to ``names``; ``setups`` to providers that are hot, None for one without. ``links`` says for
    each part which joints touch it, in the order of ``Item.at``. Every key is below ``ceiling`` for a whole plan."""

    parts: list[list[Item]]
    names: tuple[str, ...]
    limits: tuple[int, ...]
    setups: list[Effect | None]
    deals: list[Deal]
    joints: list[Joint]
    links: list[list[int]]
    cap: int | None
    capped: frozenset[int]
    least: tuple[int, int] | None
    ceiling: int
