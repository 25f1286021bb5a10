"""A payer's credit on the working set: its trail moved on, its line decided anew, its debt written off and recovered.

All sessions and holds of a payer draw on the one line of its account. A lowered line stops what comes next; what was
held or charged before stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from apportion.engine.sessions.waiters import wake
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.booking import book
from apportion.model.account import Account, Role
from apportion.model.credit import (
    DunningLine,
    Loss,
    LossLine,
    ModelLine,
    TrailLine,
    TrustDecision,
    TrustLine,
    TrustModel,
)
from apportion.model.funding import FundingLine
from apportion.model.ids import key_id, number_id, read_number
from apportion.model.journal import CourseLine, CreditLine, StatementLine
from apportion.money import Exact, Money
from apportion.money.exact import decimal_text
from apportion.ports import Key, Store
from apportion.stages.credit import Trail, decide, due_at, limit, wordless

#: the running total of what came in on an account that is followed
CAME = "trust came"
#: the running total of what open cases of a payer are about
DISPUTED = "disputed"
TRAIL, LOSS = "trust", "loss"
_Kind = TypeVar("_Kind", bound=CourseLine)


class Credit:
    """One payer's credit; ``trail`` is None where nobody follows it, ``loss`` where nothing was ever written off.

    ``lines`` are what was done, in the order in which the books hold it; who calls puts them into one row and calls
    ``noted`` after that. ``raised`` says that more may be drawn than before.
    """

    def __init__(self, work: Work, account: Account) -> None:
        self.work, self.account, self.asset = work, account, work.asset_of(account)
        trail, loss = number_id(TRAIL, account.id), number_id(LOSS, account.id)
        work.foresee([trail, loss])
        line = _read(work.course(trail), TrailLine)
        self.line = None if line is None or line.ended else line
        self.loss = _read(work.course(loss), LossLine)
        self.trail = self._trail(self.line)
        self.lines: list[bytes] = []
        self._keys: list[Key] = []
        self._restored = self.raised = False

    def _trail(self, line: TrailLine | None) -> Trail | None:
        if line is None:
            return None
        return Trail(str(self.asset), line, self.work.total(self.account.id, CAME).num)

    @property
    def outstanding(self) -> int:
        """Atoms that were written off and not recovered."""
        return sum(one.atoms - one.recovered for one in self.loss.losses) if self.loss is not None else 0

    # what happens

    def follow(self, line: TrailLine, trail: Trail) -> None:
        """From here on this payer is followed, on these terms, with what the books know of it already."""
        self.line, self.trail = line, trail
        self.work.set_total(self.account.id, CAME, Exact(trail.came))

    def receive(self, atoms: int, key: Key) -> None:
        """Value came in by the record of ``key``, or went back (below zero); a write-off is made good first."""
        if self.trail is not None:
            self.trail.receive(self.work.at, atoms)
            self.work.set_total(self.account.id, CAME, Exact(self.trail.came))
            for one in self.trail.paid():
                self._dun(one.id, "paid", one.reminded, 0)
                self.trail.remind(one.id, 0)
        self._recover(max(0, min(atoms, self.outstanding)), key)

    def give_back(self, atoms: int, key: Key) -> None:
        """Something charged was given back by the record of ``key``."""
        self.receive(atoms, key)
        if self.trail is not None:
            self.trail.move(atoms)

    def ask(self, line: StatementLine) -> None:
        """A statement was issued."""
        if self.trail is not None:
            texts = line.closing, line.residue_out, line.total, line.stocked
            closing, residue, total, stocked = (self._atoms(text) for text in texts)
            used = total - stocked  # what was given away earns nobody credit
            if line.more:
                self.trail.move(used)
                return
            self.trail.ask(line.id, line.at, line.due, (-(closing + residue), used, self.account.credit or 0))

    def dispute(self, atoms: int) -> None:
        """A case was opened about so much, or ended (below zero): then what waited for it is asked for."""
        if self.trail is not None:
            self.trail.dispute(atoms)
            if atoms < 0:
                self.review()

    def review(self) -> None:
        """Remind of what is overdue; write off what has been for too long."""
        if self.line is None or self.trail is None or self.line.dunning is None or self.account.posted >= 0:
            return
        for one, step in list(self.trail.reminders(self.work.at, self.line.dunning)):
            self._dun(one.id, "reminder", step, self.trail.owing(one))
            self.trail.remind(one.id, step)
        if self.trail.hopeless(self.work.at, self.line.dunning):
            self.write_off(-self.account.posted)

    def write_off(self, atoms: int) -> str:
        """Move a debt to who stands for it: the payer is credited, the guarantor debited; the id of the write-off.

        A home provider's account may fall below zero by it: the entry is then marked as forced.

        Raises:
            Refused: CONFLICT when nothing is owed; BAD_AMOUNT when it is not above zero and at most the debt.
        """
        work, account, debt = self.work, self.account, max(0, -self.account.posted)
        if not debt:
            raise refuse(RefusalCode.CONFLICT, f"{account.public} owes nothing.", field="id")
        if not 0 < atoms <= debt:
            owed = decimal_text(debt, self.asset.scale)
            raise refuse(RefusalCode.BAD_AMOUNT, f"the debt is {owed}.", field="amount", fix="Write off at most that.")
        guarantor = guarantor_of(work, account)
        role, owner = (Role.PROVIDER, guarantor) if guarantor else (Role.SPONSOR, "losses")
        against = work.account(role, owner, self.asset)
        before = self.loss or LossLine(id=number_id(LOSS, account.id), account=account.public, at=work.at, count=0)
        key = proof.record_key("write-off", f"{account.public}\x00{before.count + 1}")
        id, forced = key_id("wof", key), bool(guarantor) and against.posted < atoms
        self._book(key, id, "write-off", [(account, atoms), (against, -atoms)], forced=forced)
        least = before.least if before.losses else account.credit or 0
        losses = (*before.losses, Loss(id, against.public, work.at, atoms, guarantor=guarantor))
        self.loss = replace(before, at=work.at, count=before.count + 1, losses=losses, least=least)
        if self.trail is not None:
            self.trail.move(atoms)
            gone = [one for one in self.trail.asked if not one.off]
            self.trail.give_up()
            off = {one.id for one in self.trail.asked if one.off}
            for one in gone:
                if one.id in off:
                    self._dun(one.id, "written-off", one.reminded, self.trail.left(one))
        return id

    def _recover(self, atoms: int, key: Key) -> None:
        """Reverse what was written off, the oldest first, towards who was debited for it."""
        if not atoms or self.loss is None:
            return
        kept: list[Loss] = []
        for one in self.loss.losses:
            take = min(atoms, one.atoms - one.recovered)
            if take:
                against = self.work.numbered(read_number(one.account))
                mine = proof.record_key("recovery", f"{one.id}\x00{key.hex()}")
                self._book(mine, one.id, "recovery", [(self.account, -take), (against, take)])
                if self.trail is not None:
                    self.trail.move(-take)
            atoms -= take
            if one.recovered + take < one.atoms:
                kept.append(replace(one, recovered=one.recovered + take))
        self.loss = replace(self.loss, at=self.work.at, losses=tuple(kept))
        self._restored = not kept

    # what it comes to

    def _earned(self) -> int:
        """What the payer's history earns now, in atoms."""
        if self.line is None or self.trail is None or self.line.policy is None:
            return 0
        return limit(self.line.policy, model_in_force(self.work), self.trail.history(self.work.at)).atoms

    def settle(self, reason: str, *, always: bool = False) -> Sequence[bytes]:
        """Put the line in force that follows from all this; the lines of the row that is to hold it.

        A decision is written down when it changes the line, or ``always``.
        """
        work, account = self.work, self.account
        name, wanted = self.line.decision if self.line is not None else "", self._wanted()
        policy, by = self.line.policy if self.line is not None else None, ""
        if policy is not None and self.trail is not None and (always or wanted != account.credit):
            name = by = number_id("trd", work.head[0] + 1)
            made = decide(policy, model_in_force(work), self.trail.history(work.at))
            self.lines.append(encode(self._decided(name, wanted, made)))
        if wanted != account.credit:
            self.raised = wanted > (account.credit or 0)
            account.credit = wanted
            work.touch(account)
            credit = decimal_text(wanted, self.asset.scale)
            self.lines.append(encode(CreditLine(account.public, work.at, credit, reason, by)))
        if self.loss is not None and self.loss.at == work.at:
            self.lines.append(work.move(self.loss))
        self._move(name)
        return self.lines

    def _decided(self, name: str, wanted: int, made: TrustDecision) -> TrustLine:
        least = self.line.least if self.line is not None else 0
        texts = [decimal_text(atoms, self.asset.scale) for atoms in (least, wanted)]
        return TrustLine(name, self.account.public, self.work.at, texts[0], texts[1], wordless(made))

    def _wanted(self) -> int:
        if self.outstanding:
            return 0
        if self.line is not None:
            return max(self.line.least, self._earned())
        if self._restored and self.loss is not None:
            return self.loss.least
        return self.account.credit or 0

    def _move(self, decision: str) -> None:
        """The trail as it stands now, when anything of it changed."""
        if self.line is None or self.trail is None:
            return
        due = "" if self.line.ended else self.trail.next_look(self.work.at, self.line.dunning)
        asked = self.trail.asked_at(self.work.at)
        now = replace(
            self.line, due=due, asked=asked, apart=self.trail.apart, decision=decision, disputed=self.trail.disputed
        )
        if encode(now) != self.work.course(self.line.id):
            self.lines.append(self.work.move(replace(now, at=self.work.at)))

    def noted(self) -> None:
        """The row was appended: its entries are remembered by their keys."""
        for key in self._keys:
            self.work.remember(key, "done", b"", self.work.head[0])

    def append(self) -> None:
        """A row of its own for what was done, if anything was; who waited for credit is woken."""
        if self.lines:
            self.work.append(*self.lines, *(wake(self.work, self.account) if self.raised else ()))
            self.noted()

    def _dun(self, statement: str, state: str, step: int, left: int) -> None:
        still = decimal_text(left, self.asset.scale)
        self.lines.append(encode(DunningLine(statement, self.account.public, self.work.at, state, step, still)))

    def _book(
        self, key: Key, cause: str, kind: str, movements: list[tuple[Account, int]], *, forced: bool = False
    ) -> None:
        asset = str(self.asset), self.asset.scale
        entry = book(key_id("ent", key), cause, kind, self.work.at, asset, movements, forced=forced)
        self.lines.append(encode(entry))
        self.work.touch_all(movements)
        self._keys.append(key)

    def _atoms(self, text: str) -> int:
        return Money.parse(text, self.asset).atoms


def received(work: Work, account: Account, atoms: int, key: Key) -> Credit | None:
    """Value came in on a payer's account: what that does to its credit; None where credit is never looked at."""
    if not work.names.trust or account.role is not Role.PAYER:
        return None
    credit = Credit(work, account)
    credit.receive(atoms, key)
    credit.settle("recovery" if credit.outstanding or credit._restored else "trust")
    return credit


def given_back(work: Work, account: Account, atoms: int, key: Key) -> Credit | None:
    """Something that a payer was charged was given back; as ``received``."""
    if not work.names.trust:
        return None
    credit = Credit(work, account)
    credit.give_back(atoms, key)
    credit.settle("recovery" if credit.outstanding or credit._restored else "trust")
    return credit


def disputed(work: Work, account: Account, atoms: int) -> Credit | None:
    """A case about so much was opened, or ended (below zero): what that does to a payer's credit; as ``received``."""
    if not work.names.trust or account.role is not Role.PAYER:
        return None
    credit = Credit(work, account)
    before = credit.outstanding
    credit.dispute(atoms)
    credit.settle("write-off" if credit.outstanding > before else "trust")
    return credit


def keeps(work: Work, account: Account, credit: int) -> bool:
    """Whether a fixed credit line must not be put into force now, because the line is followed or a loss stands."""
    if not work.names.trust:
        return False
    found = Credit(work, account)
    if found.line is None and found.outstanding and found.loss is not None:
        work.append(work.move(replace(found.loss, at=work.at, least=credit)))
    return found.line is not None or bool(found.outstanding)


def statement_lines(work: Work, line: StatementLine) -> Sequence[bytes]:
    """A statement of a payer is about to stand in the books: the lines beside it."""
    if not work.names.trust:
        return ()
    credit = Credit(work, work.numbered(read_number(line.account)))
    credit.ask(line)
    lines = credit.settle("trust")
    return (*lines, *wake(work, credit.account)) if credit.raised else lines


def due_of(work: Work, account: int, at: str) -> str:
    """When a statement of this account that is issued ``at`` an instant is due; empty when nobody follows it."""
    line = _read(work.course(number_id(TRAIL, account)), TrailLine) if work.names.trust else None
    return "" if line is None or line.ended else due_at(at, line.dunning)


def guarantor_of(work: Work, account: Account) -> str:
    """The provider that stands for a payer's credit line; empty for the platform."""
    line = _read(work.course(number_id("fund", account.id)), FundingLine)
    return line.guarantor if line is not None else ""


def guarantor_named(store: Store, tenant: int, account: int) -> str:
    """The same, asked of the store."""
    found = store.courses(tenant, [number_id("fund", account)])
    line = _read(next(iter(found.values())).line, FundingLine) if found else None
    return line.guarantor if line is not None else ""


def model_in_force(work: Work) -> TrustModel:
    """The model by which decisions are made, as the books hold it."""
    names = work.names
    if names.model is None or names.model[0] != names.trust:
        row = work.row(int(names.trust)).split(b"\n")[-1]
        names.model = names.trust, msgspec.json.decode(row, type=ModelLine).model
    return names.model[1]


def _read(line: bytes, kind: type[_Kind]) -> _Kind | None:
    return msgspec.json.decode(line, type=kind) if line else None
