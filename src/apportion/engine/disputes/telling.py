"""What a case tells both sides: that it was opened, has more evidence, was decided or given up."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from apportion.engine.disputes.views import Showing, parties_of
from apportion.engine.visible import Sight
from apportion.model.dispute import DisputeLine, DisputeState


class _Told(Protocol):
    """What is told, as far as it counts here."""

    @property
    def line(self) -> Any: ...


def dispute_told(line: DisputeLine) -> tuple[str, str, str, list[str], tuple[str, ...]]:
    """Type, instant, subject, accounts, and the charge by which it is asked for too."""
    name = "opened" if line.n == 1 else "evidence" if line.state == DisputeState.OPEN.value else line.state
    return f"dispute.{name}", line.at, line.id, parties_of(line), (line.charge,)


def dispute_view(told: _Told, sight: Sight) -> dict[str, Any] | None:
    """The case as a caller may see it; None when it is none of its business."""
    found = Showing(sight.engine, sight).case(told.line)
    return msgspec.to_builtins(found) if found is not None else None
