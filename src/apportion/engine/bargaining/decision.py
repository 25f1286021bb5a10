"""A negotiation on its way into the books: how it stands, what was agreed, and the digest of what was said."""

from __future__ import annotations

import msgspec

from apportion.engine.broker.decision import PlanDecision
from apportion.engine.broker.keeping import packed_talks
from apportion.engine.payers import payer_account
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.model.account import Account
from apportion.model.command import Outcome
from apportion.model.ids import read_key
from apportion.model.plan import PlanPayer
from apportion.model.talks import LapseNegotiation, NegotiationLine, NegotiationMove, TalksState
from apportion.model.usage import UsageClass
from apportion.money import parse_asset
from apportion.ports import Person

replace = msgspec.structs.replace
_LINE = msgspec.json.Decoder(NegotiationLine)


class NegotiationDecision(Unforeseen):
    """A negotiation that was led outside of the writer; nothing is held or charged by it."""

    def __init__(self, command: NegotiationMove | LapseNegotiation, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def people(self) -> list[str]:
        return [payer.payer for payer in self.command.payers] if isinstance(self.command, NegotiationMove) else []

    def decide(self, work: Work) -> Outcome:
        """Write down how it stands, with the plan that was agreed, unless it has gone on in the meantime."""
        command = self.command
        if isinstance(command, LapseNegotiation):
            return lapsed(work, command.id)
        line = command.line
        try:
            _goes_on(work, line)
            asset = parse_asset(line.asset)
            accounts = [payer_account(work, self.terms, one.payer, asset) for one in command.payers]
        except Refused as refused:
            return Outcome(UsageClass.REJECTED, line.id, refused.refusal)
        work.asset(asset)
        if command.plan is not None:
            made = PlanDecision(command.plan, self.terms).decide(work)
            if made.refusal is not None:
                return made
        body = packed_talks(command.talks)
        if line.n == 1:
            line = self._begun(work, command, line, accounts)
        line = replace(line, at=work.at, digest=proof.blake3(body).hexdigest(16))
        work.writes.documents.append((line.id, accounts[0].party, body))
        n = work.append(work.move(line))
        return Outcome(UsageClass.ZERO_RATED, line.id, n=n)

    def _begun(
        self, work: Work, command: NegotiationMove, line: NegotiationLine, accounts: list[Account]
    ) -> NegotiationLine:
        """The first line: who pays, the hash of what is asked, a MAC for each personal attribute."""
        salt, macs, party = work.salts_of(accounts[0].party), dict[str, str](), accounts[0].party
        for name, value in sorted(command.personal.items()):
            macs[name] = proof.personal_mac(salt, value)
            if value:
                work.writes.people.append(Person(party, name, value, read_key(line.id)))
        payers = tuple(
            PlanPayer(account.public, one.weight, one.pays)
            for account, one in zip(accounts, command.payers, strict=True)
        )
        asked = proof.blake3(msgspec.json.encode(command.talks.request)).hexdigest(16)
        return replace(line, began=work.at, payers=payers, macs=macs, request=asked)


def _goes_on(work: Work, line: NegotiationLine) -> None:
    """Refuse a line that does not come right after the last one, or comes after the end."""
    stored = work.course(line.id)
    before = _LINE.decode(stored) if stored else None
    if (before.n if before is not None else 0) != line.n - 1:
        raise refuse(
            RefusalCode.CONFLICT, "somebody else made a move in this negotiation meanwhile.", field="id",
            fix="Look at how it stands now.",
        )  # fmt: skip
    if before is not None and (before.state is not TalksState.OPEN or before.due <= work.at):
        raise refuse(RefusalCode.PLAN_ENDED, "the negotiation is over.", field="id", fix="Begin a new one.")


def lapsed(work: Work, id: str) -> Outcome:
    """The time of a negotiation is over."""
    stored = work.course(id)
    line = _LINE.decode(stored) if stored else None
    if line is None or line.state is not TalksState.OPEN or line.due > work.at:
        return Outcome(UsageClass.ZERO_RATED, id)
    n = work.append(work.move(replace(line, n=line.n + 1, state=TalksState.ENDED, at=work.at, due="")))
    return Outcome(UsageClass.ZERO_RATED, id, n=n)
