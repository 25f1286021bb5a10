"""The market in the books: nothing sold twice, and every reputation made again from what was said and measured."""

from __future__ import annotations

import msgspec

from apportion.engine.market.capacity import added
from apportion.engine.market.judging import measured_of
from apportion.engine.market.naming import (
    approval_id,
    offer_id,
    rating_id,
    reputation_id,
    room_id,
    switch_id,
    taken_id,
    voice_id,
)
from apportion.engine.verify.books import Books
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.journal import CourseLine
from apportion.model.session import SessionLine, SessionState
from apportion.model.standing import (
    ApprovalLine,
    CapacityLine,
    Kind,
    ObservedLine,
    OfferLine,
    RatingLine,
    ReputationLine,
    SwitchLine,
    TakenLine,
    VoiceLine,
)
from apportion.money import Exact
from apportion.stages.broker.rating import observed, rated

_replace = msgspec.structs.replace


class Market:
    """Follows offers, capacity, switches, approvals and reputations from line to line."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self._counts: dict[str, int] = {}  # how many lines each of them has
        self._offers: dict[str, OfferLine] = {}
        self._rooms: dict[str, CapacityLine] = {}
        self._taken: dict[str, dict[str, str]] = {}  # by id of what a session has of an offer
        self._having: dict[str, int] = {}  # of how many offers a session has something
        self._open: set[str] = set()  # sessions that run
        self._ratings: set[str] = set()
        self._voices: dict[str, VoiceLine] = {}
        self._reputations: dict[str, ReputationLine] = {}
        self._due: dict[str, CourseLine] = {}  # what must follow in the same row
        self._failed: set[str] = set()  # who failed in this row

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about the market."""
        wrong = ""
        match line:
            case SessionLine():
                (self._open.discard if line.state is SessionState.CLOSED else self._open.add)(line.id)
            case OfferLine():
                wrong = self._offer(line)
            case CapacityLine():
                wrong = self._room(line)
            case TakenLine():
                wrong = self._kept(line)
            case SwitchLine():
                wrong = self._switch(line)
            case ApprovalLine():
                wrong = self._numbered(line.id, line.n, approval_id(line.account, line.provider))
                self.books.standing(line.account)
            case RatingLine():
                wrong = self._rating(line)
            case VoiceLine() | ReputationLine():
                wrong = self._follows(line)
        if wrong:
            self.findings.add("market", row.place(index), line.id, wrong)

    def observed(self, row: Row, index: int, line: ObservedLine) -> None:
        """A measurement: the reputations that it moves must follow in the same row."""
        for kind, name in measured_of(line):
            before = self._reputation(line.service, kind, name)
            voice = self._voice(line.account, line.service, kind, name) if line.account else None
            now, said = observed(before, voice, line.observed)
            self._expect(_replace(now, n=before.n + 1, at=line.at))
            if said is not None:
                self._expect(_replace(said, n=said.n + 1, at=line.at))
        if line.observed.succeeded is False:
            self._failed.add(line.provider)

    def row_ends(self, row: Row) -> None:
        """All that had to follow in this row did."""
        for id in self._due:
            self.findings.add("market", row.place(), id, "was to be moved in this row, and was not.")
        self._due.clear()
        self._failed.clear()

    def finish(self) -> None:
        """Only sessions that run have something of an offer."""
        for session, count in self._having.items():
            if count and session not in self._open:
                self.findings.add(
                    "capacity", "end", session, "does not run, and still has some of an offer's capacity."
                )

    def _numbered(self, id: str, n: int, name: str) -> str:
        before = self._counts.get(id, 0)
        self._counts[id] = n
        if id != name:
            return f"should be called {name}."
        return "" if n == before + 1 else f"goes from line {before} to {n}."

    def _offer(self, line: OfferLine) -> str:
        offer = line.offer
        wrong = self._numbered(line.id, line.n, offer_id(offer.service, offer.part, offer.provider, offer.id))
        self._offers[line.id] = line
        if line.by not in ("", offer.provider):
            return f"was said by {line.by}, and is {offer.provider}'s."
        return wrong

    # capacity

    def _room(self, line: CapacityLine) -> str:
        wrong = self._numbered(line.id, line.n, room_id(line.offer))
        before, self._rooms[line.id] = self._rooms.get(line.id), line
        had = before.taken if before is not None else {}
        if line.taken != added(had, line.units, back=line.back):
            return f"says that {line.taken} are taken, the lines before give {added(had, line.units, back=line.back)}."
        id = taken_id(line.offer, line.session)
        mine = added(self._taken.get(id, {}), line.units, back=line.back)
        self._expect(TakenLine(id=id, at=line.at, offer=line.offer, session=line.session, units=mine))
        if line.back:
            return wrong
        live = self._offers.get(line.offer)
        if live is not None and (live.withdrawn or live.offer.capacity != line.capacity):
            return "was taken of another capacity than the offer has."
        for measure, units in line.taken.items():
            if measure in line.units and Exact.parse(units) > Exact.parse(line.capacity.get(measure, "0")):
                return f"{units} {measure} are taken of {line.capacity.get(measure, '0')}."
        return wrong

    def _kept(self, line: TakenLine) -> str:
        had = bool(self._taken.get(line.id))
        self._taken[line.id] = line.units
        self._having[line.session] = self._having.get(line.session, 0) + bool(line.units) - had
        if any(Exact.parse(units).num < 0 for units in line.units.values()):
            return "gave back more than it had."
        return self._follows(line)

    # switches

    def _switch(self, line: SwitchLine) -> str:
        wrong = self._numbered(line.id, line.n, switch_id(line.provider))
        whose = [mark.by for mark in line.marks]
        if len(set(whose)) < len(whose):
            return "is marked twice by the same."
        if (
            any(mark.by == "breaker" and mark.at == line.at for mark in line.marks)
            and line.provider not in self._failed
        ):
            return "was switched off by the breaker, without a failure beside it."
        return wrong

    # reputations

    def _rating(self, line: RatingLine) -> str:
        self.books.standing(line.account)
        if line.id in self._ratings or line.id != rating_id(line.account, line.record, line.kind, line.name):
            return "was given before, or is named after something else."
        self._ratings.add(line.id)
        if not 1 <= line.stars <= 5:
            return f"gives {line.stars} stars."
        before = self._reputation(line.service, line.kind, line.name)
        voice = self._voice(line.account, line.service, line.kind, line.name)
        now, said = rated(before, voice, line.stars)
        self._expect(_replace(now, n=before.n + 1, at=line.at))
        self._expect(_replace(said, n=voice.n + 1, at=line.at))
        return ""

    def _expect(self, line: CourseLine) -> None:
        self._due[line.id] = line

    def _follows(self, line: TakenLine | VoiceLine | ReputationLine) -> str:
        """What is wrong with a line that must be as the one before it in the row demands."""
        due = self._due.pop(line.id, None)
        if isinstance(line, VoiceLine):
            self._voices[line.id] = line
        elif isinstance(line, ReputationLine):
            self._reputations[line.id] = line
        if due is None:
            return "has nothing beside it that moves it."
        return "" if due == line else f"is not what it comes to: {msgspec.json.encode(due).decode()[:300]}"

    def _reputation(self, service: str, kind: Kind, name: str) -> ReputationLine:
        id = reputation_id(service, kind, name)
        due = self._due.get(id)
        known = due if isinstance(due, ReputationLine) else self._reputations.get(id)
        return known or ReputationLine(id=id, n=0, at="", kind=kind, name=name, service=service)

    def _voice(self, account: str, service: str, kind: Kind, name: str) -> VoiceLine:
        self.books.standing(account)
        id = voice_id(account, service, kind, name)
        due = self._due.get(id)
        known = due if isinstance(due, VoiceLine) else self._voices.get(id)
        return known or VoiceLine(id=id, n=0, at="", account=account, kind=kind, name=name, service=service)
