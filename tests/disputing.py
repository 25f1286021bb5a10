"""Books to dispute: rides of ada and ben, cases about them, and what everybody has left of a charge."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from apportion.engine.disputes.standing import find_dispute
from apportion.model.access import AccessRole, Credential
from apportion.model.charge import Charge
from apportion.model.command import Outcome
from apportion.model.correction import CorrectedLine
from apportion.model.dispute import AddEvidence, DecideDispute, DisputeLine, OpenDispute, WithdrawDispute
from apportion.model.journal import Entry
from tests.book import ride
from tests.settling import Counting


class Court(Counting):
    """Rides that cost 11.73212: otto earns 4.48, dora 2.571428571, the platform 3.841904762, and tax is 0.838786667."""

    def charged(self, *payers: str, km: str = "6.4", minutes: str = "18") -> Charge:
        """One more ride."""
        made = self.engine.charge([ride(self.rides, *payers, km=km, minutes=minutes)])[0]
        self.rides += 1
        assert made.refusal is None, made
        return self.engine.books.record(made.id).charge

    def open(self, charge: Charge, reference: str = "case", **more: object) -> Outcome:
        return self.tell(OpenDispute(charge=charge.id, reference=reference, **more))  # type: ignore[arg-type]

    def opened(self, charge: Charge, reference: str = "case", **more: object) -> str:
        made = self.open(charge, reference, **more)
        assert made.refusal is None, made
        return made.id

    def add(self, id: str, text: str = "so it was", **more: object) -> Outcome:
        return self.tell(AddEvidence(id=id, text=text, **more))  # type: ignore[arg-type]

    def decide(self, id: str, granted: str = "", fault: str = "") -> Outcome:
        return self.tell(DecideDispute(id=id, granted=granted, fault=fault))

    def withdraw(self, id: str, **more: str) -> Outcome:
        return self.tell(WithdrawDispute(id=id, **more))

    def case(self, id: str) -> DisputeLine:
        return find_dispute(self.engine, id)

    def standing(self, charge: Charge) -> Charge:
        """A charge with all its corrections."""
        name = "cor_" + charge.id[4:]
        found = self.store.courses(self.engine.tenant, [name]).get(name)
        return msgspec.json.decode(found.line, type=CorrectedLine).standing if found else charge

    def aside(self) -> Decimal:
        """What lies in clearing for disputes."""
        found = [view for view in self.engine.books.accounts() if (view.role, view.owner) == ("clearing", "disputes")]
        return sum((Decimal(view.posted) for view in found), Decimal(0))

    def balances(self) -> dict[str, Decimal]:
        """What is on every account that is not zero, by role and owner."""
        views = self.engine.books.accounts()
        return {f"{view.role} {view.owner}": amount for view in views if (amount := Decimal(view.posted))}

    def entries(self) -> list[Entry]:
        return [line for _, line in self.engine.books.lines() if isinstance(line, Entry)]


def key(role: AccessRole, party: str = "") -> Credential:
    """Somebody's key."""
    return Credential("key_1", "main", role, "", "", party)
