"""Credit in the books: every line that a decision set is decided again, every write-off and recovery adds up."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.engine.credit.line import CAME
from apportion.engine.credit.trails import APART, CORRECTION, RECEIPTS, Trails
from apportion.engine.verify.books import Books, atoms, loose_atoms
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.verdict import Findings, Row
from apportion.errors import Refused
from apportion.model.account import Role
from apportion.model.catalog import Catalog
from apportion.model.credit import DunningLine, Loss, LossLine, ModelLine, TrailLine, TrustLine, TrustPolicy
from apportion.model.dispute import DisputeLine
from apportion.model.funding import FundingLine
from apportion.model.journal import AccountLine, CreditLine, Entry, StatementLine
from apportion.money import Exact
from apportion.money.exact import decimal_text
from apportion.stages.credit import check_model, decide, model_version, wordless

Told = (
    AccountLine | CreditLine | DisputeLine | DunningLine | Entry | FundingLine | LossLine | ModelLine | StatementLine
    | TrailLine | TrustLine
)  # fmt: skip
KINDS = frozenset(Told.__args__)
_BESIDES = APART | {CORRECTION}


class Credits:
    """What the lines so far make of every payer's credit."""

    def __init__(self, findings: Findings, books: Books, rerating: Rerating) -> None:
        self.findings, self.books, self.rerating = findings, books, rerating
        self._trails = Trails()
        self._followed: dict[str, TrailLine] = {}
        self._decided: dict[str, tuple[Row, TrustLine]] = {}
        self._guarantors: dict[str, str] = {}
        self._losses: dict[str, list[Loss]] = {}
        self._counts: dict[str, int] = {}
        self._model: ModelLine | None = None
        self.model_row = 0  # where the model in force stands
        self._policies: list[tuple[str, str, TrustPolicy]] = []
        self._owed: dict[str, tuple[Row, int]] = {}  # what value of this row has still to make good

    def take(self, row: Row, index: int, line: Told) -> None:
        """Check a line against all before it; entries beside charges need not come here."""
        if self._owed and next(iter(self._owed.values()))[0] is not row:
            self._settled()
        wrong = ""
        if isinstance(line, Entry):
            wrong = self._entry(row, line) if line.kind in RECEIPTS or line.kind in _BESIDES else ""
        elif isinstance(line, FundingLine):
            self._guarantors[line.account] = line.guarantor
        elif isinstance(line, ModelLine):
            self.model_row, wrong = row.n, self._modelled(line)
        elif isinstance(line, TrustLine):
            wrong = self._decision(row, line)
        elif isinstance(line, TrailLine):
            wrong = self._trail(row, index, line)
        elif isinstance(line, LossLine):
            wrong = self._loss(line)
        else:
            if isinstance(line, CreditLine):
                wrong = self._credit(row, line)
            elif isinstance(line, DunningLine):
                wrong = self._dunned(line)
            self._trails.take(line)
        if wrong:
            name = getattr(line, "id", "") or getattr(line, "account", "")
            self.findings.add("credit", row.place(index), name, wrong)

    # entries

    def _entry(self, row: Row, line: Entry) -> str:
        wrong = ""
        if line.kind in APART:
            wrong = self._moved(line)
        self._trails.take(line)
        for account, leg in self._legs(line, "payer"):
            if line.kind in RECEIPTS or (line.kind == CORRECTION and leg > 0):
                if account in self._followed:
                    self.rerating.totals[account, CAME] = Exact(self._trails.of(account).came)
                outstanding = self._outstanding(account)
                if leg > 0 and outstanding:
                    self._owed[account] = row, min(leg, outstanding)
        return wrong

    def _legs(self, line: Entry, *roles: str) -> list[tuple[str, int]]:
        found = []
        for leg in line.legs:
            standing = self.books.standing(leg.account)
            if standing.line.role in roles:
                found.append((leg.account, atoms(leg.amount, standing.scale)))
        return found

    def _moved(self, line: Entry) -> str:
        """A write-off goes to who stands for the payer and is no more than the debt; a recovery goes back there."""
        payers, others = self._legs(line, "payer"), self._legs(line, "provider", "sponsor")
        if len(payers) != 1 or len(others) != 1 or len(line.legs) != 2:
            return f"a {line.kind} has one payer and one who stands for it."
        (payer, amount), (against, _) = payers[0], others[0]
        losses = self._losses.setdefault(payer, [])
        if line.kind == "recovery":
            return self._recovered(losses, (payer, amount), against, line.cause)
        guarantor = self._guarantors.get(payer, "")
        stands = self.books.standing(against)
        role, name = (Role.PROVIDER.value, guarantor) if guarantor else (Role.SPONSOR.value, "losses")
        losses.append(Loss(line.cause, against, line.at, amount, guarantor=guarantor))
        self._counts[payer] = self._counts.get(payer, 0) + 1
        if (stands.line.role, stands.line.name) != (role, name):
            return f"{against} was debited, the books name {guarantor or 'the platform'}."
        if amount <= 0 or self.books.standing(payer).posted > 0:
            return "more was written off than was owed."
        if line.forced != (bool(guarantor) and stands.posted < 0):
            return "is not marked as what it is: the guarantor's account below zero."
        return ""

    def _recovered(self, losses: list[Loss], leg: tuple[str, int], against: str, cause: str) -> str:
        payer, amount = leg
        row, owed = self._owed.get(payer, (None, 0))
        if not losses or (losses[0].id, losses[0].account) != (cause, against):
            return f"{cause} is not the oldest write-off that is outstanding."
        first = msgspec.structs.replace(losses[0], recovered=losses[0].recovered - amount)
        if amount >= 0 or first.recovered > first.atoms or row is None or owed + amount < 0:
            return "more was recovered than was written off, or came in."
        losses[:1] = [first] if first.recovered < first.atoms else []
        self._owed[payer] = row, owed + amount
        return ""

    def _outstanding(self, account: str) -> int:
        return sum(one.atoms - one.recovered for one in self._losses.get(account, ()))

    def _settled(self) -> None:
        """Value that came in made good what it had to."""
        for account, (row, owed) in self._owed.items():
            if owed:
                self.findings.add("credit", row.place(), account, "value came in, and a write-off was not made good.")
        self._owed = {}

    def _loss(self, line: LossLine) -> str:
        losses = self._losses.get(line.account, [])
        if (line.losses, line.count) != (tuple(losses), self._counts.get(line.account, 0)):
            return f"says {line.count} write-offs and {line.losses}, the entries give {losses}."
        if losses and self.books.standing(line.account).credit:
            return "a loss stands, and so does a credit line."
        return ""

    # decisions

    def _modelled(self, line: ModelLine) -> str:
        self._model = line
        try:
            check_model(line.model)
        except Refused as error:
            return error.refusal.sentence()
        return "" if line.id == model_version(line.model) else f"is the model {model_version(line.model)}."

    def _decision(self, row: Row, line: TrustLine) -> str:
        """Made again from its own inputs, and these from the books, a decision is the same."""
        made, model = line.decision, self._model
        self._decided[line.account] = row, line
        if model is None or made.model != model.id:
            return f"was made by {made.model}, not by the model in force."
        history = self._trails.of(line.account).history(line.at)
        if made.history != history:
            return f"says the history was {made.history}, the books give {history}."
        try:
            again = wordless(decide(made.policy, model.model, history))
        except Refused as error:
            return error.refusal.sentence()
        if again != made:
            return f"the limit is {made.limit}, decided again {again.limit}."
        scale = self.books.standing(line.account).scale
        limit = max(atoms(line.least, scale), atoms(made.limit, scale))
        if atoms(line.credit, scale) != (0 if self._outstanding(line.account) else limit):
            return f"the line {line.credit} does not follow from the limit {made.limit}."
        return ""

    def _credit(self, row: Row, line: CreditLine) -> str:
        followed, made = self._followed.get(line.account), self._beside(row, line.account)
        scale = self.books.standing(line.account).scale
        if self._outstanding(line.account) and loose_atoms(line.credit, scale):
            return "a loss stands, and the line was raised."
        if line.decision:
            if made is None or (made.id, made.credit) != (line.decision, line.credit):
                return f"is not the line of the decision {line.decision}."
        elif followed is not None and followed.policy is not None and line.reason != "catalog":
            return "was changed by no decision."
        return ""

    def _trail(self, row: Row, index: int, line: TrailLine) -> str:
        derived, (_, last) = self._trails.of(line.account), self._decided.get(line.account, (None, None))
        before = self._followed.pop(line.account, None)
        if line.policy is not None:
            self._policies.append((row.place(index), line.id, line.policy))
        if line.asked != derived.asked_at(line.at) or line.apart != derived.apart:
            return f"says {line.asked} and {line.apart}, the books give {derived.asked} and {derived.apart}."
        if line.disputed != derived.disputed:
            return f"says {line.disputed} atoms are disputed, the cases give {derived.disputed}."
        if line.ended:
            self._decided.pop(line.account, None)
            return "" if before is not None else "ends, and nobody was followed."
        self._followed[line.account] = line
        self.rerating.totals[line.account, CAME] = Exact(derived.came)
        if line.due != derived.next_look(line.at, line.dunning):
            return f"is due {line.due or 'never'}, and would be {derived.next_look(line.at, line.dunning) or 'never'}."
        if line.policy is None:
            return ""
        if line.decision != (last.id if last is not None else ""):
            return f"names {line.decision or 'no decision'}, which is not the last."
        made, standing = self._beside(row, line.account), self.books.standing(line.account)
        if made is None:
            return ""
        if (made.decision.policy, made.least) != (line.policy, decimal_text(line.least, standing.scale)):
            return "its policy or fixed line is not that of the decision beside it."
        return "" if atoms(made.credit, standing.scale) == standing.credit else "its decision was not put into force."

    def _beside(self, row: Row, account: str) -> TrustLine | None:
        """The decision about an account in this row."""
        at, made = self._decided.get(account, (None, None))
        return made if at is row else None

    def _dunned(self, line: DunningLine) -> str:
        trail, followed = self._trails.of(line.account), self._followed.get(line.account)
        asked = next((one for one in trail.asked if one.id == line.statement), None)
        if asked is None or followed is None or followed.dunning is None:
            return f"{line.statement} was never asked for, or nobody is dunned here."
        left = trail.owing(asked) if line.state == "reminder" else trail.left(asked)
        if loose_atoms(line.open, self.books.standing(line.account).scale) != left:
            return f"says {line.open} of {line.statement} is open."
        if line.state == "reminder":
            steps = [step for one, step in trail.reminders(line.at, followed.dunning) if one.id == line.statement]
            return "" if steps == [line.step] else f"step {line.step} of {line.statement} is not reached."
        if line.state == "paid":
            return f"{line.statement} is not paid." if left else ""
        return "" if asked.off else f"{line.statement} was not written off."

    def finish(self) -> None:
        """Every policy that was applied stands in a catalog of these books."""
        self._settled()
        policies = [policy for body in self.rerating.catalogs.values() for policy in _policies(body)]
        for place, id, policy in self._policies:
            if policy not in policies:
                self.findings.add("credit", place, id, f"no catalog has the policy {policy}.")


def _policies(body: bytes) -> Sequence[TrustPolicy]:
    try:
        return msgspec.json.decode(body, type=Catalog).trust if b'"trust":[' in body else ()
    except msgspec.MsgspecError:
        return ()  # the finding is that of whoever reads the catalog
