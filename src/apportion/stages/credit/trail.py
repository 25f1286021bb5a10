"""A payer's trail: what was asked of it and what came in, followed as it happens, and the history that this makes.

Nothing is read from a clock: who tells of an event says when it was. What comes in goes to the oldest debt, so a
statement is paid once as much has come in after it as was open then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from apportion.model.credit import Asked, Dunning, History, Month, TrailLine

#: months that count at most; older statements are let go
KEPT = 60
DUE_DAYS = 14
MONTH = timedelta(days=30)


def instant(when: datetime) -> str:
    """An instant as the books write it."""
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def due_at(at: str, dunning: Dunning | None) -> str:
    """When a statement of this instant is due; by the usual two weeks when nobody has said."""
    rules = dunning or Dunning(DUE_DAYS)
    return instant(datetime.fromisoformat(at) + timedelta(seconds=rules.due_days * rules.day))


class Trail:
    """Statements, oldest first, and ``came``: the atoms that came in so far; ``disputed`` are those of open cases."""

    def __init__(self, asset: str, line: TrailLine | None = None, came: int = 0) -> None:
        self.asset = asset
        self.asked: list[Asked] = list(line.asked) if line is not None else []
        self.came = came
        self.apart = line.apart if line is not None else 0
        self.disputed = line.disputed if line is not None else 0

    # what happens

    def receive(self, at: str, atoms: int) -> None:
        """Value came in, or went back (below zero)."""
        self._pass(at)
        self.came += atoms

    def give_back(self, at: str, atoms: int) -> None:
        """Something charged was given back, whether a statement has asked for it or not; more to pay is nothing."""
        if atoms > 0:
            self.receive(at, atoms)
            self.move(atoms)

    def ask(self, id: str, at: str, due: str, amounts: tuple[int, int, int]) -> None:
        """A statement was issued; ``amounts`` are what is open after it, its total, and the credit line."""
        self._pass(at)
        still, total, limit = amounts
        last = self.asked[-1] if self.asked else None
        late = self._late(last.at if last is not None else "", at)
        paid = self.came - (last.came if last is not None else 0)
        used = max(0, total + self.apart)
        self.asked.append(Asked(id, at, due, max(0, still), used, limit, paid, self.came, late))
        self.apart = 0
        del self.asked[:-KEPT]

    def move(self, atoms: int) -> None:
        """A debt was written off (above zero) or recovered: statements show it, though nothing was used or paid."""
        self.apart += atoms

    def dispute(self, atoms: int) -> None:
        """A case was opened about so much, or ended (below zero)."""
        self.disputed += atoms

    def remind(self, id: str, step: int) -> None:
        """A statement was reminded of so many times."""
        self.asked = [replace(one, reminded=step) if one.id == id else one for one in self.asked]

    def give_up(self) -> None:
        """What is unpaid now was written off: nobody is reminded of it any more."""
        self.asked = [replace(one, off=True) if self._unpaid(one) else one for one in self.asked]

    def _pass(self, at: str) -> None:
        """Note for every statement whose due date has gone by what had come in by then."""
        if any(one.then is None for one in self.asked):
            now = datetime.fromisoformat(at)
            self.asked = [
                replace(one, then=self.came) if one.then is None and datetime.fromisoformat(one.due) < now else one
                for one in self.asked
            ]

    # what it comes to

    def asked_at(self, at: str) -> tuple[Asked, ...]:
        """The statements as an observer at ``at`` sees them, oldest first."""
        self._pass(at)
        return tuple(self.asked)

    def history(self, at: str) -> History:
        """The months, newest first, as an observer at ``at`` sees them: the newest with what came in since."""
        self._pass(at)
        months = [Month(one.open, max(0, one.paid), one.limit, one.used, one.late) for one in self.asked]
        if self.asked:
            newest = self.asked[-1]
            since = self.came - newest.came
            late = max(newest.late, self._late(newest.at, at))
            open_, paid = max(0, newest.open - since), max(0, newest.paid + since)
            months[-1] = Month(open_, paid, newest.limit, newest.used, late)
        return History(tuple(reversed(months)), self._behind(datetime.fromisoformat(at), self.came), self.asset)

    def _late(self, start: str, end: str) -> int:
        """How many months the oldest unpaid statement was behind at worst: at due dates of a stretch, at its end."""
        begun = datetime.fromisoformat(start) if start else None
        ended = datetime.fromisoformat(end)
        worst = self._behind(ended, self.came)
        for one in self.asked:
            due = datetime.fromisoformat(one.due)
            if due <= ended and (begun is None or due >= begun):
                worst = max(worst, self._behind(due, self.came if one.then is None else one.then))
        return worst

    def _behind(self, at: datetime, came: int) -> int:
        """How many months, begun ones too, the oldest statement that is unpaid and due is behind."""
        for one in self.asked:
            overdue = at - datetime.fromisoformat(one.due)
            if overdue >= timedelta(0) and self._unpaid(one, came):
                return 1 + overdue // MONTH
        return 0

    def _unpaid(self, one: Asked, came: int | None = None) -> bool:
        return one.open > (self.came if came is None else came) - one.came and one.open > 0

    def left(self, one: Asked) -> int:
        """What nobody has paid of a statement."""
        return max(0, one.open - max(0, self.came - one.came))

    def owing(self, one: Asked) -> int:
        """What somebody may be reminded of: while a case is open, nobody asks for what is disputed."""
        return max(0, self.left(one) - self.disputed)

    # what is to be done

    def paid(self) -> list[Asked]:
        """Statements that somebody was reminded of and that are paid now."""
        return [one for one in self.asked if one.reminded and not self._unpaid(one)]

    def reminders(self, at: str, rules: Dunning) -> Iterator[tuple[Asked, int]]:
        """Statements of which somebody must be reminded now, with the step that is reached."""
        now = datetime.fromisoformat(at)
        for one in self._chased():
            if not self.owing(one):
                continue
            due = datetime.fromisoformat(one.due)
            step = sum(due + timedelta(seconds=days * rules.day) <= now for days in rules.reminders)
            if step > one.reminded:
                yield one, step

    def hopeless(self, at: str, rules: Dunning) -> bool:
        """Whether a statement was unpaid for so long that the debt is to be written off; not while some is disputed."""
        wait = timedelta(seconds=rules.write_off * rules.day)
        now = datetime.fromisoformat(at)
        return (
            rules.write_off > 0
            and not self.disputed
            and any(datetime.fromisoformat(one.due) + wait <= now for one in self._chased())
        )

    def next_look(self, at: str, rules: Dunning | None) -> str:
        """The first instant after ``at`` at which time alone changes something; empty when none does."""
        now = datetime.fromisoformat(at)
        steps: tuple[int, ...] = ()
        if rules is not None:
            steps = (*rules.reminders, rules.write_off) if rules.write_off else rules.reminders
        found: list[datetime] = []
        for one in self.asked:
            if self._unpaid(one):
                due = datetime.fromisoformat(one.due)
                found += [due, due + MONTH]
                if rules is not None and not one.off:
                    found += [due + timedelta(seconds=days * rules.day) for days in steps]
        return min((instant(when) for when in found if when > now), default="")

    def _chased(self) -> Iterable[Asked]:
        return [one for one in self.asked if not one.off and self._unpaid(one)]


__all__ = ["DUE_DAYS", "KEPT", "Trail", "due_at", "instant"]
