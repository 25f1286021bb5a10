"""Who decides what: for every command that may be asked of the books, the decision that is made of it."""

from __future__ import annotations

from collections.abc import Callable

from apportion.engine.bargaining.decision import NegotiationDecision
from apportion.engine.broker.decision import CrewDecision, FarewellDecision, PlanDecision
from apportion.engine.charging import UsageDecision
from apportion.engine.correcting.decision import CorrectionDecision
from apportion.engine.credit.decision import CreditDecision
from apportion.engine.disputes.decision import DisputeDecision
from apportion.engine.funding.granting import StockDecision
from apportion.engine.levels.decision import LevelDecision
from apportion.engine.market.decision import MarketDecision
from apportion.engine.once import Once, OnceDecision
from apportion.engine.payments.back import CardDecision
from apportion.engine.payments.decision import PaymentDecision
from apportion.engine.rejecting import RefusalDecision, RejectDecision
from apportion.engine.sessions.decision import SessionDecision
from apportion.engine.settling.decision import SettlingDecision
from apportion.engine.terms import Terms
from apportion.engine.value import ValueDecision
from apportion.errors import Refusal
from apportion.model.card import CardCommand
from apportion.model.command import BuyAllowance, ChargeUsage, Grant, Lapse, RejectUsage
from apportion.model.correction import CorrectionCommand
from apportion.model.credit import CreditCommand
from apportion.model.dispute import DisputeCommand
from apportion.model.level import LevelCommand
from apportion.model.payment import EndPayment, RequestPayment, SendPayment
from apportion.model.plan import CrewFound, PlanMade, SayFarewell
from apportion.model.session_asked import SessionCommand
from apportion.model.settlement import SettlingCommand
from apportion.model.standing import MarketCommand
from apportion.model.talks import LapseNegotiation, NegotiationMove

Decision = (
    UsageDecision | ValueDecision | RejectDecision | OnceDecision | PaymentDecision | CreditDecision | StockDecision
    | SessionDecision | MarketDecision | PlanDecision | CrewDecision
    | RefusalDecision | NegotiationDecision | FarewellDecision | SettlingDecision | CardDecision
    | CorrectionDecision | DisputeDecision | LevelDecision
)  # fmt: skip


def decision_of(command: object, terms: Terms | None, version: Callable[[str], Terms]) -> Decision:
    """The decision of a command, prepared as far as that needs the catalog alone; ``version`` finds an earlier one."""
    if isinstance(command, RejectUsage):
        return RejectDecision(command)
    if isinstance(command, Once):
        return OnceDecision(command, decision_of(command.command, terms, version))
    assert terms is not None, "apply a catalog first"
    if isinstance(command, ChargeUsage):
        return UsageDecision(command.usage, terms)
    if isinstance(command, RequestPayment | SendPayment | EndPayment):
        return PaymentDecision(command, terms)
    if isinstance(command, CardCommand):
        return CardDecision(command, terms)
    if isinstance(command, CreditCommand):
        return CreditDecision(command)
    if isinstance(command, Grant | BuyAllowance | Lapse):
        return StockDecision(command, terms)
    if isinstance(command, SessionCommand):
        return SessionDecision(command, terms, version)
    if isinstance(command, MarketCommand):
        return MarketDecision(command, terms)
    if isinstance(command, SettlingCommand):
        return SettlingDecision(command, terms)
    if isinstance(command, CorrectionCommand):
        return CorrectionDecision(command)
    if isinstance(command, DisputeCommand):
        return DisputeDecision(command, terms)
    if isinstance(command, LevelCommand):
        return LevelDecision(command, terms)
    if isinstance(command, PlanMade | CrewFound | SayFarewell | NegotiationMove | LapseNegotiation):
        return _of_broker(command, terms, version)
    if isinstance(command, Refusal):
        return RefusalDecision(command)
    return ValueDecision(command, terms)  # type: ignore[arg-type]


def _of_broker(
    command: PlanMade | CrewFound | SayFarewell | NegotiationMove | LapseNegotiation,
    terms: Terms,
    version: Callable[[str], Terms],
) -> PlanDecision | CrewDecision | FarewellDecision | NegotiationDecision:
    """What comes of requests and plans."""
    if isinstance(command, PlanMade):
        return PlanDecision(command, terms)
    if isinstance(command, CrewFound):
        return CrewDecision(command, terms, version)
    if isinstance(command, SayFarewell):
        return FarewellDecision(command)
    return NegotiationDecision(command, terms)
