"""Corrections proved: what was corrected stands in the books, and each correction follows from how that stood."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from blake3 import blake3

from apportion.engine.correcting.decision import LABELS, corrected_id
from apportion.engine.verify.books import Books
from apportion.engine.verify.verdict import Findings, Row
from apportion.errors import Refused
from apportion.ledger.lines import encode
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine, Why
from apportion.money import Asset, Money
from apportion.stages.rate.correct import combine, give_back, resplit

Again = Callable[[CorrectedLine, Charge, Charge], Charge | None]
_DIGEST = 8


class Corrections:
    """Keeps a short digest of every charge, and of those that were corrected how they stand."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self.standing: dict[str, CorrectedLine] = {}
        self.first: dict[str, CorrectedLine] = {}  # the first of each charge, which says what was booked
        self.again: Mapping[str, Again] = {}  # by why: what computes a correction that needs more than its charge
        self._booked: dict[bytes, bytearray] = {}
        self._waiting: dict[str, tuple[str, Charge]] = {}

    def booked(self, charge: Charge, lines: Sequence[bytes]) -> None:
        """Remember a charge by the ``lines`` that the books have of it: its usage, if any, and itself."""
        key = bytes.fromhex(charge.id[4:])
        self._booked.setdefault(key[:2], bytearray()).extend(key[2:] + _digest(lines))

    def _known(self, charge: str) -> bytes:
        key = bytes.fromhex(charge[4:])
        bucket, rest, width = self._booked.get(key[:2], bytearray()), key[2:], 14 + _DIGEST
        at = bucket.find(rest)
        while at > 0 and at % width:
            at = bucket.find(rest, at + 1)
        return bytes(bucket[at + 14 : at + width]) if at >= 0 else b""

    def made(self, row: Row, index: int, charge: Charge) -> None:
        """A charge that corrects another waits for the line that says how that one stands."""
        if charge.origin.startswith("chg_"):
            self._waiting[charge.id] = (row.place(index), charge)

    def course(self, row: Row, index: int, line: CorrectedLine) -> None:
        """Compute a correction again, out of how the charge stood."""
        place, wrong = row.place(index), self._follows(line)
        before = self.standing.get(line.charge)
        self.first.setdefault(line.charge, line)
        stood = before.standing if before is not None else line.was
        waiting = self._waiting.pop(line.made, None)
        if not wrong and (waiting is None or waiting[1].origin != line.charge or stood is None):
            wrong = f"{line.made} beside it does not correct {line.charge}."
        if not wrong and waiting is not None and stood is not None:
            wrong = self._computed(line, stood, waiting[1])
        if wrong:
            self.findings.add("correction", place, line.id, wrong)
        self.standing[line.charge] = line

    def _follows(self, line: CorrectedLine) -> str:
        """What is wrong with a line as the next one of its charge; empty when nothing is."""
        before = self.standing.get(line.charge)
        if line.id != corrected_id(line.charge) or line.n != (before.n + 1 if before is not None else 1):
            return f"is not correction {before.n + 1 if before is not None else 1} of {line.charge}."
        if before is not None:
            return "" if line.was is None and line.usage is None else "says again what was booked."
        lines = [encode(one) for one in (line.usage, line.was) if one is not None]
        if line.was is None or line.was.id != line.charge or self._known(line.charge) != _digest(lines):
            return f"what it says was booked as {line.charge} is not in the books."
        return ""

    def _computed(self, line: CorrectedLine, stood: Charge, made: Charge) -> str:
        scale = self.books.scale(stood.currency)
        if scale is None:
            return f"{stood.currency[:60]!r} is not in the books."
        asset = Asset(stood.currency, scale)
        if line.standing != combine(stood, made, asset):
            return f"{line.charge} does not stand so after it."
        try:
            again = self._again(line, stood, made, asset)
        except Refused as refused:
            return f"computed again it is refused: {refused.refusal.sentence()}"
        plain = msgspec.structs.replace(made, id="")
        return "" if again is None or again == plain else f"{made.id} is not what correcting {line.charge} comes to."

    def _again(self, line: CorrectedLine, stood: Charge, made: Charge, asset: Asset) -> Charge | None:
        """The correction computed again; None where another proof does that."""
        why = Why(line.why)
        if line.why in self.again:
            return self.again[line.why](line, stood, made)
        if not made.shares and not made.total.strip("-0."):
            given = {bool(p.amount.startswith("-")): p for p in made.portions}
            to = given[False]
            against = given[True].provider if True in given else ""
            atoms = Money.parse(to.amount, asset).atoms
            return resplit(stood, asset, (to.part, to.provider, to.account), atoms, against, label=LABELS[why])
        atoms = -Money.parse(made.total, asset).atoms
        return give_back(stood, asset, atoms, line.payer, line.provider, label=LABELS[why])

    def row_ends(self, row: Row) -> None:
        """What corrects stands in the row of the line that says so."""
        for place, charge in self._waiting.values():
            self.findings.add("correction", place, charge.id, f"nothing says how {charge.origin} stands after it.")
        self._waiting.clear()


def _digest(lines: Sequence[bytes]) -> bytes:
    return blake3(b"\n".join(lines)).digest(_DIGEST)
