"""What an operation is: its sentence, its route, who may ask for it, and where its work is done."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec

from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

BODY_MAX = 1 << 20


class Way(enum.Enum):
    """Where the work is done: in the writer's next group, by the writer alone, by a reader, or as a stream of lines.

    What is planned is worked out on a thread of its own, which may ask others, and then goes into the next group. What
    is watched is a stream without an end: server-sent events.
    """

    GROUP = "group"
    PLAN = "plan"
    ALONE = "alone"
    READ = "read"
    STREAM = "stream"
    WATCH = "watch"


class Once(enum.Enum):
    """What an ``Idempotency-Key`` is to an operation."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Operation(msgspec.Struct, frozen=True):
    """One operation.

    ``does`` is its sentence, ``more`` what a caller must know besides. ``run`` gives the commands (GROUP and PLAN,
    where ``told`` makes the answer of their outcomes), the answer, or lines. ``takes`` is the record of the body,
    ``gives`` that of the answer, ``query`` the record of the query string. ``media`` other than JSON is named;
    ``forms`` are those in which the answer can be had besides, by ``format`` in the query. What a reader can find
    ``ahead`` of the writer's turn is in the call.
    """

    name: str
    does: str
    route: str
    roles: frozenset[AccessRole]
    way: Way
    run: Callable[..., Any]
    gives: Any
    takes: Any = None
    query: type[msgspec.Struct] | None = None
    told: Callable[..., Any] | None = None
    once: Once = Once.NONE
    problems: tuple[RefusalCode, ...] = ()
    status: int = 200
    body_max: int = BODY_MAX
    media: tuple[str, ...] = ("application/json",)
    more: str = ""
    forms: tuple[str, ...] = ()
    ahead: Callable[[Any], Any] | None = None

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def moves_money(self) -> bool:
        """Whether it may change a balance; all that do honour an ``Idempotency-Key``."""
        return self.once is not Once.NONE


def op(
    name: str, route: str, does: str, run: Callable[..., Any], roles: tuple[AccessRole, ...], **more: Any
) -> Operation:
    """A row of the table; whoever honours a key may find that it was used before."""
    if more.get("once", Once.NONE) is not Once.NONE and RefusalCode.CONFLICT not in more.get("problems", ()):
        more["problems"] = (*more.get("problems", ()), RefusalCode.CONFLICT)
    return Operation(name=name, route=route, does=does, run=run, roles=frozenset(roles), **more)
