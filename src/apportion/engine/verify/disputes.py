"""Disputes of the books: cases that move forward only, and a clearing account that is exactly what open ones hold."""

from __future__ import annotations

from apportion.engine.credit.line import DISPUTED
from apportion.engine.disputes.decision import (
    CLEARING,
    DECIDED,
    HOLD,
    OPEN,
    RELEASE,
    WITHDRAWN,
    cases_id,
    document_name,
    entry_key,
)
from apportion.engine.verify.books import Books, Wrong, atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine, Why
from apportion.model.dispute import EVIDENCE_MOST, DisputedLine, DisputeLine
from apportion.model.ids import key_id
from apportion.model.journal import CourseLine, Entry
from apportion.money import Asset, Exact, parse_asset
from apportion.stages.rate.correct import borne_of, earned_of

KINDS = {HOLD: -1, RELEASE: 1}
_STAYS = ("id", "charge", "account", "asset", "amount", "opened", "provider", "part", "against", "held")


class Disputes:
    """Follows every case from its opening to its end, and what it sets aside into clearing and back."""

    def __init__(self, findings: Findings, books: Books, totals: dict[tuple[str, str], Exact]) -> None:
        self.findings, self.books, self._totals = findings, books, totals
        self.digests: dict[str, str] = {}  # of the words of every piece of evidence, by the document's name
        self._cases: dict[str, DisputeLine] = {}
        self._about: dict[str, DisputedLine] = {}
        self._opened: dict[str, int] = {}  # in this row: cases, and how often their charge names them
        self._moves: dict[tuple[str, str], int] = {}  # by case and account: what this row's entries have still to move
        self._held: dict[str, int] = {}  # by asset
        self._charges: dict[str, Charge] = {}  # of this row
        self._granted: dict[str, tuple[str, CorrectedLine, Charge]] = {}  # by case, with no decision yet

    # lines

    def charge(self, line: Charge) -> None:
        """Note a charge that corrects another."""
        if line.origin.startswith("chg_"):
            self._charges[line.id] = line

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about disputes."""
        if isinstance(line, DisputedLine):
            wrong = self._list(line)
        elif isinstance(line, DisputeLine):
            wrong = self._case(line)
            self._cases[line.id] = line
        elif isinstance(line, CorrectedLine) and line.why == Why.DISPUTE.value:
            wrong = self._correction(line)
        else:
            return
        if wrong:
            self.findings.add("dispute", row.place(index), line.id, wrong)

    def _list(self, line: DisputedLine) -> str:
        before = self._about.get(line.id)
        self._about[line.id] = line
        cases = before.cases if before is not None else ()
        if line.id != cases_id(line.charge) or line.cases[:-1] != cases or line.cases[-1:] == cases[-1:]:
            return "does not add one case to those before."
        self._opened[line.cases[-1]] = self._opened.get(line.cases[-1], 0) - 1
        return ""

    def _case(self, line: DisputeLine) -> str:
        before, asset = self._cases.get(line.id), parse_asset(line.asset)
        for place, piece in enumerate(line.evidence, 1):
            self.digests[document_name(line.id, place)] = piece.digest
        amount, granted = atoms(line.amount, asset.scale), atoms(line.granted, asset.scale)
        if not 0 <= granted <= amount or not amount or len(line.evidence) > EVIDENCE_MOST:
            return f"grants {line.granted} of {line.amount}."
        if before is None:
            return self._first(line, asset)
        if any(getattr(before, name) != getattr(line, name) for name in _STAYS) or line.n != before.n + 1:
            return "what it is about changed."
        if before.state != OPEN or line.evidence[: len(before.evidence)] != before.evidence:
            return "changed after its end, or evidence was taken away."
        if line.state == OPEN:
            return "" if (line.granted, line.made) == ("0", "") else "grants something and is open."
        if line.evidence != before.evidence:
            return "ends with evidence that it did not have."
        self._set(line, asset, RELEASE)
        return self._ended(line, granted)

    def _first(self, line: DisputeLine, asset: Asset) -> str:
        if line.n != 1 or line.state != OPEN or (line.granted, line.made, line.fault) != ("0", "", ""):
            return f"begins as {line.state}, its line {line.n}."
        stands = self.books.standing(line.account).line
        if (stands.role, stands.name) != (("provider", line.provider) if line.provider else ("payer", "")):
            return f"{line.account} is not the account of who opened it."
        if any(atoms(leg.amount, asset.scale) <= 0 for leg in line.held):
            return "sets aside less than nothing."
        earlier = self._about.get(cases_id(line.charge))
        cases = [self._cases[id] for id in earlier.cases if id in self._cases] if earlier is not None else []
        if any(one.state == OPEN and one.account == line.account for one in cases):
            return "is the second open case of the same party about the same charge."
        self._opened[line.id] = self._opened.get(line.id, 0) + 1
        self._set(line, asset, HOLD)
        return ""

    def _set(self, line: DisputeLine, asset: Asset, kind: str) -> None:
        """What a line moves must be moved beside it: into clearing, or back out of it."""
        sign = KINDS[kind]
        if not line.provider:
            key, disputed = (line.account, DISPUTED), atoms(line.amount, asset.scale)
            self._totals[key] = self._totals.get(key, Exact(0)) - Exact(sign * disputed)
        for leg in line.held:
            amount = atoms(leg.amount, asset.scale)
            self._moves[line.id, leg.account] = self._moves.get((line.id, leg.account), 0) + sign * amount
            self._held[line.asset] = self._held.get(line.asset, 0) - sign * amount

    # what was granted

    def _correction(self, line: CorrectedLine) -> str:
        made = self._charges.get(line.made)
        if made is None or line.cause in self._granted:
            return "its charge is not beside it, or its case had another."
        self._granted[line.cause] = line.charge, line, made
        return "" if line.cause in self._cases else f"{line.cause} is no case."

    def _ended(self, line: DisputeLine, granted: int) -> str:
        """A case that was decided has the correction that it says, and no other has one."""
        charge, corrected, made = self._granted.pop(line.id, ("", None, None))
        if line.state == WITHDRAWN or not granted:
            wrong = corrected is not None or line.made or (line.state != DECIDED and granted)
            return "was not granted anything, and was corrected." if wrong or line.state == OPEN else ""
        if corrected is None or made is None or (line.state, charge, made.id) != (DECIDED, line.charge, line.made):
            return f"says that {line.made or 'nothing'} corrects its charge."
        asset = parse_asset(line.asset)
        if line.provider:
            earned = earned_of(made, asset)
            got = sum(atoms(one.amount, asset.scale) for one in made.portions if one.account == line.account)
            right = got == granted and sum(earned.values()) == 0 and not made.shares
        else:
            right = borne_of(made, asset) == {line.account: -granted}
        return "" if right else f"was granted {line.granted}, {line.made} gives something else."

    # entries

    def entry(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """An entry that sets aside or gives back moves what its case says; nothing else moves that clearing account."""
        clearing = [account for account in legs if self._is_clearing(account)]
        if line.kind not in KINDS:
            if clearing:
                self.findings.add("dispute", row.place(index), line.id, "moves what is set aside for disputes.")
            return
        wrong = "" if len(clearing) == 1 else "has nothing to do with what is set aside for disputes."
        if line.id != key_id("ent", entry_key(line.cause, line.kind)):
            wrong = f"is not the {line.kind} of {line.cause}."
        for account, amount in legs.items():
            if account not in clearing:
                self._moves[line.cause, account] = self._moves.get((line.cause, account), 0) - amount
        if wrong:
            self.findings.add("dispute", row.place(index), line.id, wrong)

    def _is_clearing(self, account: str) -> bool:
        stands = self.books.standing(account).line
        return stands.role == "clearing" and stands.name == CLEARING

    def row_ends(self, row: Row) -> None:
        """All that cases of this row say was moved beside them, and their charges name them."""
        for (case, account), left in self._moves.items():
            if left:
                self.findings.add("dispute", row.place(), case, f"{account} was not moved by what the case says.")
        for case, left in self._opened.items():
            if left:
                self.findings.add("dispute", row.place(), case, "does not stand once among the cases of its charge.")
        self._moves.clear()
        self._opened.clear()
        self._charges.clear()

    def finish(self) -> None:
        """The clearing account is what open cases hold, so zero when none is open; every correction has its case."""
        for case, (charge, _, _) in self._granted.items():
            self.findings.add("dispute", charge, case, "its charge was corrected, and the case was not decided.")
        for account, stands in self.books.accounts.items():
            try:
                mine = self._is_clearing(account)
            except Wrong:
                continue
            held = self._held.get(stands.line.asset, 0)
            if mine and stands.posted != held:
                message = f"{account} holds {stands.posted} atoms for disputes, the open cases {held}."
                self.findings.add("dispute", account, account, message)
