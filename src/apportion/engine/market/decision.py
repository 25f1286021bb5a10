"""A command about how the market stands, decided on the working set: one row of the books, or nothing."""

from __future__ import annotations

from apportion.engine.market import approving, judging, offering, switching
from apportion.engine.market.naming import offer_id, reputation_id, switch_id
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import Refused
from apportion.model.command import Outcome
from apportion.model.standing import (
    Approve,
    Available,
    MarketCommand,
    Observe,
    PutOffer,
    Rate,
    SwitchProvider,
    WithdrawOffer,
)


class MarketDecision(Unforeseen):
    """A MarketCommand on its way; ``decide`` answers with the id of what it changed, or found as it should be."""

    def __init__(self, command: MarketCommand, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def people(self) -> list[str]:
        """Names of payers to look up."""
        return [self.command.payer] if isinstance(self.command, Rate | Approve) else []

    def courses(self) -> list[str]:
        """What it will look at, so that a group is read at once: availability comes many times a second."""
        command = self.command
        if isinstance(command, Available | WithdrawOffer):
            return [command.id]
        if isinstance(command, PutOffer):
            offer = command.offer
            return [offer_id(offer.service, offer.part, offer.provider, offer.id or offering.NAME)]
        if isinstance(command, SwitchProvider):
            return [switch_id(command.provider)]
        if isinstance(command, Observe):
            ids = [reputation_id(command.service, "provider", command.provider), switch_id(command.provider)]
            provider = self.terms.catalog.providers.get(command.provider)
            network = command.network or (provider.network if provider is not None else "")
            return [*ids, reputation_id(command.service, "network", network)] if network else ids
        return []

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command, terms = self.command, self.terms
        try:
            match command:
                case Available():
                    return offering.available(work, terms, command)
                case Observe():
                    return judging.observe(work, terms, command)
                case PutOffer():
                    return offering.put(work, terms, command)
                case WithdrawOffer():
                    return offering.withdraw(work, command)
                case SwitchProvider():
                    return switching.switch(work, terms, command)
                case Approve():
                    return approving.decide_approval(work, terms, command)
                case Rate():
                    return judging.rate(work, terms, command)
                case _:
                    raise AssertionError(f"no market command: {command!r}")
        except Refused as error:
            return Outcome(None, refusal=error.refusal)
