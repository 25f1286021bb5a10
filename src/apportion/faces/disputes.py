"""Disputes at a node: the verbs of ``client.disputes``.

case = client.disputes.open(DisputeInput("chg_…", "ticket-17", "4.20", reason="the ride ended at the station"))
client.disputes.decide(case.id, granted="2.10")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from apportion.engine.disputes.door import (
    DecisionAnswer,
    DecisionInput,
    DisputeAnswer,
    DisputeInput,
    EvidenceAnswer,
    EvidenceInput,
)
from apportion.engine.disputes.views import DisputeView
from apportion.engine.exchange import Nothing


class Disputes:
    """Cases about charges, as the client's key sees them."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def open(self, given: DisputeInput, *, idempotency_key: str = "") -> DisputeAnswer:
        """Dispute a charge, or a portion of it, once per reference; what is disputed is set aside.

        Raises:
            Refused: NOT_FOUND, also for somebody else's charge; BAD_AMOUNT above what stands; BAD_INPUT, UNKNOWN_PART,
                UNKNOWN_PROVIDER; CONFLICT while the party has an open case about this charge.
        """
        return self._ask("dispute", given=given, key=idempotency_key)

    def all(self, state: str = "", charge: str = "") -> Iterator[DisputeView]:
        """Cases, of one state or about one charge if that is named, without their evidence."""
        return self._pages("disputes", state=state, charge=charge)

    def one(self, id: str) -> DisputeView:
        """One case with the evidence of both sides and that of the books.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("dispute_of", id)

    def add(
        self, id: str, text: str, title: str = "", *, private: bool = False, idempotency_key: str = ""
    ) -> EvidenceAnswer:
        """Add a text to an open case; a ``private`` one is for the operator alone.

        Raises:
            Refused: NOT_FOUND; CONFLICT when the case has ended, or has all the evidence that it takes.
        """
        return self._ask("add_evidence", id, given=EvidenceInput(text, title, private), key=idempotency_key)

    def decide(self, id: str, granted: str = "", fault: str = "", *, idempotency_key: str = "") -> DecisionAnswer:
        """Decide a case: all is granted when nothing is said, nothing when 0; ``fault`` alone gives what a user gets.

        Raises:
            Refused: NOT_FOUND; BAD_AMOUNT; CONFLICT when it was decided otherwise, or withdrawn.
        """
        return self._ask("decide_dispute", id, given=DecisionInput(granted, fault), key=idempotency_key)

    def withdraw(self, id: str, *, idempotency_key: str = "") -> DecisionAnswer:
        """Give a case up.

        Raises:
            Refused: NOT_FOUND; CONFLICT when it was decided.
        """
        return self._ask("withdraw_dispute", id, given=Nothing(), key=idempotency_key)
