"""Statements in the books: numbers without a gap, each document goes on from the last of its account and adds up."""

from __future__ import annotations

from apportion.engine.statements.composing import CREDIT_NOTE, REMITTANCE, STATEMENT
from apportion.engine.statements.issuing import INITIALS
from apportion.engine.unbilled import TAKE_OVER
from apportion.engine.verify.books import Books, Wrong, loose_atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.delivery import LetterLine
from apportion.model.journal import Entry, StatementLine

_ROLES = {STATEMENT: "payer", CREDIT_NOTE: "payer", REMITTANCE: "provider"}
_LETTER = {"waiting": ("waiting", "sent", "failed")}


class Statements:
    """What documents say of one another; ``digests`` are those of the documents by their ids."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self.digests: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._last: dict[str, StatementLine] = {}
        self._lines: dict[str, StatementLine] = {}
        self._covered: set[tuple[str, str, str]] = set()
        self._row: tuple[int, StatementLine] | None = None
        self._taken: dict[str, int] = {}
        self._letters: dict[str, LetterLine] = {}

    def take(self, row: Row, index: int, line: StatementLine) -> None:
        """A document was issued."""
        if line.id in self.digests:
            self.findings.add("statement", row.place(index), line.id, "the statement was issued before.")
        self.digests[line.id] = line.digest
        self.row_ends(row)
        self._row, self._taken = (index, line), {}
        self._numbers[line.kind] = self._numbers.get(line.kind, 0) + 1
        for wrong in self._wrong(line):
            self.findings.add("statement", row.place(index), line.id, wrong)
        self._last[line.account] = self._lines[line.id] = line
        self._covered |= {(line.account, line.provider, id) for id in line.covers}

    def _wrong(self, line: StatementLine) -> list[str]:
        standing, found = self.books.standing(line.account), []
        if _ROLES.get(line.kind) != standing.line.role:
            raise Wrong("statement", f"a {line.kind} for a {standing.line.role}.")
        number = f"{INITIALS[line.kind]}-{self._numbers[line.kind]:06}"
        if line.number != number:
            found.append(f"has the number {line.number}, the next of its series is {number}.")
        texts = (line.opening, line.charges, line.payments, line.closing, line.total, line.residue_in, line.residue_out)
        opening, charges, payments, closing, total, before, after = (
            loose_atoms(text, standing.scale) for text in texts
        )
        last = self._last.get(line.account)
        left = (last.closing, last.residue_out) if last is not None else ("0", "0")
        if (opening, before) != tuple(loose_atoms(text, standing.scale) for text in left):
            found.append(
                f"begins with {line.opening} and {line.residue_in}, the last one left {left[0]} and {left[1]}."
            )
        if total + after - before != charges:
            found.append(f"{line.total} + {line.residue_out} − {line.residue_in} is not {line.charges}.")
        moved = charges - payments if line.kind == REMITTANCE else payments - charges
        if closing != opening + moved:
            found.append(f"closes with {line.closing}, which does not follow from its own sums.")
        if any((line.account, line.provider, id) in self._covered for id in line.covers):
            found.append("covers what another document about it alone covers.")
        if line.kind == CREDIT_NOTE:
            corrected = self._lines.get(line.corrects)
            if corrected is None or corrected.account != line.account or charges >= 0:
                found.append(f"gives nothing back of {line.corrects or 'a statement'} of this account.")
        return found

    def entry(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """What children were charged goes over to their parent's account, beside the statement that says so."""
        if line.kind != TAKE_OVER:
            return
        made = self._row[1] if self._row is not None else None
        children = set(legs) - {made.account} if made is not None else set()
        if made is None or line.cause != made.id or len(children) != 1 or not children <= {*made.children}:
            self.findings.add("statement", row.place(index), line.id, "takes over what no statement beside it says.")
            return
        for child in children:
            self._taken[child] = self._taken.get(child, 0) + legs[child]

    def row_ends(self, row: Row) -> None:
        """All that a statement says it takes over was booked."""
        if self._row is None:
            return
        (index, line), self._row = self._row, None
        scale = self.books.standing(line.account).scale
        if sum(self._taken.values()) != loose_atoms(line.taken, scale):
            self.findings.add("statement", row.place(index), line.id, f"{line.taken} is not what was taken over.")

    def letter(self, row: Row, index: int, line: LetterLine) -> None:
        """An e-mail goes with a statement that was issued, and is sent or given up once."""
        before = self._letters.get(line.id)
        states = _LETTER.get(before.state, ()) if before is not None else ("waiting",)
        number = before.n + 1 if before is not None else 1
        known = self._lines.get(line.statement)
        if known is None or known.account != line.account or line.id[4:] != line.statement[4:]:
            self.findings.add("letter", row.place(index), line.id, f"goes with no statement {line.statement}.")
        elif line.state not in states or line.n != number:
            self.findings.add("letter", row.place(index), line.id, f"can not be {line.state} as its line {line.n}.")
        self._letters[line.id] = line
