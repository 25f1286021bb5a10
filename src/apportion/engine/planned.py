"""Plans of the books by their ids: where terms find the tariffs that were agreed in a plan."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apportion.model.plan import PlanLine
from apportion.ports import Store

_LINE = msgspec.json.Decoder(PlanLine)


def plans_of(store: Store, tenant: int) -> Callable[[str], PlanLine | None]:
    """What finds a plan of a tenant as it stands; None where there is none of this id."""

    def find(id: str) -> PlanLine | None:
        course = store.courses(tenant, [id]).get(id)
        return _LINE.decode(course.line) if course is not None else None

    return find
