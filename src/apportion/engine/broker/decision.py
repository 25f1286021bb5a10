"""A plan on its way into the books: its payers' accounts, what of it is personal, and the digest of its candidates."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apportion.engine.broker.keeping import packed
from apportion.engine.market.approving import approve
from apportion.engine.payers import payer_account
from apportion.engine.sessions.decision import SessionDecision
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.model.account import Account
from apportion.model.command import Outcome
from apportion.model.ids import read_key
from apportion.model.plan import CrewFound, FarewellLine, PlanMade, PlanPayer, PlanShare, SayFarewell, Scenario
from apportion.model.usage import UsageClass
from apportion.money import parse_asset
from apportion.ports import Person

replace = msgspec.structs.replace
_FAREWELL = msgspec.json.Decoder(FarewellLine)


class PlanDecision(Unforeseen):
    """A plan that was found outside of the writer; nothing is held or charged by it."""

    def __init__(self, command: PlanMade, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def people(self) -> list[str]:
        return [payer.payer for payer in self.command.payers]

    def decide(self, work: Work) -> Outcome:
        """Write the plan down; its candidates lie beside the chain, which holds their digest."""
        line = self.command.line
        try:
            if work.course(line.id):
                raise refuse(RefusalCode.CONFLICT, "this plan is in the books already.", field="id")
            asset = parse_asset(line.asset)
            accounts = [payer_account(work, self.terms, one.payer, asset) for one in self.command.payers]
        except Refused as refused:
            return Outcome(UsageClass.REJECTED, line.id, refused.refusal)
        work.asset(asset)
        body, exempt = packed(self.command.candidates), self.terms.service(line.service).exempt
        payers = tuple(
            PlanPayer(account.public, one.weight, one.pays and one.payer not in exempt)
            for account, one in zip(accounts, self.command.payers, strict=True)
        )
        approvals = [
            line for name in self.command.approve for account in accounts
            for line in approve(work, account.public, name, self.command.by)
        ]  # fmt: skip
        line = replace(
            line, at=work.at, payers=payers, macs=self._hidden(work, accounts[0]),
            digest=proof.blake3(body).hexdigest(16),
            scenarios=tuple(_shared(one, accounts) for one in line.scenarios),
        )  # fmt: skip
        work.writes.documents.append((line.id, accounts[0].party, body))
        n = work.append(*approvals, work.move(line))
        return Outcome(UsageClass.ZERO_RATED, line.id, n=n)

    def _hidden(self, work: Work, payer: Account) -> dict[str, str]:
        """A MAC for each personal attribute, whose value stays outside the chain."""
        salt, macs = work.salts_of(payer.party), dict[str, str]()
        for name, value in sorted(self.command.personal.items()):
            macs[name] = proof.personal_mac(salt, value)
            if value:
                work.writes.people.append(Person(payer.party, name, value, read_key(self.command.line.id)))
        return macs


class CrewDecision:
    """A plan for a session that runs, and the session's change to it."""

    def __init__(self, command: CrewFound, terms: Terms, versions: Callable[[str], Terms]) -> None:
        self._plan = PlanDecision(command.made, terms)
        self._change = SessionDecision(command.change, terms, versions)
        self.keys, self.people, self.charts = self._plan.keys, self._plan.people, self._plan.charts

    def decide(self, work: Work) -> Outcome:
        """The plan in the books, then the change; what the change is refused for is the answer."""
        made = self._plan.decide(work)
        return made if made.refusal is not None else self._change.decide(work)


class FarewellDecision(Unforeseen):
    """The nodes of a plan were told; nobody looks at it again."""

    def __init__(self, command: SayFarewell) -> None:
        self.command = command

    def decide(self, work: Work) -> Outcome:
        """Write down that it is done."""
        stored = work.course(self.command.id) if self.command.id.startswith("bye_") else b""
        if not stored:
            raise refuse(RefusalCode.NOT_FOUND, "there is no such farewell.", field="id")
        line = _FAREWELL.decode(stored)
        if line.due:
            work.append(work.move(msgspec.structs.replace(line, at=work.at, due="")))
        return Outcome(UsageClass.ZERO_RATED, line.id)


def _shared(scenario: Scenario, accounts: list[Account]) -> Scenario:
    """The payers' shares with the accounts that they stand for; they come by the payer's place."""
    shares = tuple(PlanShare(accounts[int(one.account)].public, one.amount) for one in scenario.shares)
    return replace(scenario, shares=shares)
