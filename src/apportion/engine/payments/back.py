"""Which decision a command about cards takes: money that goes back, payouts, saved cards, statements that are paid."""

from __future__ import annotations

from apportion.engine.payments import bills, cards, chargebacks, deposits, refunds
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import Refused
from apportion.model.card import (
    AskCard,
    CardCommand,
    EndCard,
    EndRefund,
    HearChargeback,
    HearPayout,
    HearRefund,
    PayStatement,
    RequestRefund,
    SendRefund,
)
from apportion.model.command import Outcome


class CardDecision(Unforeseen):
    """A command about cards; ``decide`` answers with the id of the record that it is about."""

    def __init__(self, command: CardCommand, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        try:
            return self._decide(work)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)

    def _decide(self, work: Work) -> Outcome:
        command = self.command
        if isinstance(command, RequestRefund):
            return refunds.request(work, command)
        if isinstance(command, SendRefund):
            return refunds.send(work, command)
        if isinstance(command, EndRefund):
            return refunds.end(work, command)
        if isinstance(command, HearRefund):
            return refunds.hear(work, command)
        if isinstance(command, HearChargeback):
            return chargebacks.hear(work, command)
        if isinstance(command, HearPayout):
            return deposits.hear(work, command, self.terms)
        if isinstance(command, AskCard):
            return cards.ask(work, command)
        if isinstance(command, EndCard):
            return cards.end(work, command)
        assert isinstance(command, PayStatement)
        return bills.pay(work, command)
