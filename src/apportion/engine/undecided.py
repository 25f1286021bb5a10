"""Decisions that break: whoever gathered them goes on without the one that did."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apportion.errors import StoreUnavailable
from apportion.model.command import Outcome

Salvaged = tuple[list[Outcome], dict[int, BaseException]]


class Undecided(Exception):
    """No decision could be made of the command at ``place`` of its group; nothing of the group is written."""

    def __init__(self, place: int, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.place = place


def salvage(
    commit: Callable[[Sequence[object]], list[Outcome]], failed: Callable[[], bool], commands: Sequence[object]
) -> Salvaged:
    """Commit all that can be decided: where a decision broke stands what broke it, by the command's place.

    The others are decided again without it, so each broken one costs a group of its own; one that broke while the
    group was read is found by halves.
    """
    outcomes: list[Outcome] = []
    broken: dict[int, BaseException] = {}
    while len(outcomes) < len(commands):
        at = len(outcomes)
        rest = commands[at:]
        try:
            outcomes += commit(rest)
            continue
        except Undecided as error:
            sound, cause = error.place, error.__cause__
        except Exception as error:
            if failed() or isinstance(error, StoreUnavailable):
                raise
            sound, cause = len(rest) // 2, error if len(rest) == 1 else None
        before, also = salvage(commit, failed, rest[:sound])
        outcomes += before
        broken |= {at + place: why for place, why in also.items()}
        if cause is not None:
            broken[at + sound] = cause
            outcomes.append(Outcome(None))
    return outcomes, broken
