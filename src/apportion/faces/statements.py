"""Statements at a node, or in books that are opened here: the verbs of the commands.

for document in books.statements.issue("2026-11", "ada"): ...
books.statements.preview("acct_00001", session="ses_…")
books.statements.credit_note("S-000001", ["chg_…"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from apportion.engine.exchange import IssueInput, Me, StatementView
from apportion.engine.statements.operations import CreditNoteInput, PreviewAnswer
from apportion.errors import RefusalCode, Refused
from apportion.model.access import AccessRole
from apportion.model.statement import CreditNote, Document


class Statements:
    """What payers are asked for and providers are told, as the caller may see it."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def read(self, name: str) -> Document:
        """One document by its id or number."""
        found: Document = self._ask("statement", name)
        return found

    def documents(self, who: str = "", period: str = "", session: str = "") -> list[Document]:
        """Those of a party, a period or a session: an operator issues what is due, others see what was issued.

        Documents that were deleted with a person are left out.

        Raises:
            Refused: PERIOD_OPEN, NOT_FOUND, CONFLICT.
        """
        me: Me = self._ask("me")
        if me.role is AccessRole.OPERATOR:
            listed = list(self._ask("issue", given=IssueInput(period, who, session)).data)
        else:
            mine = {view.id for view in self._pages("accounts", owner=who)} if who else set()
            listed = [one for one in self._pages("statements") if period in ("", one.period)]
            listed = [one for one in listed if (not who or one.account in mine) and session in ("", one.session)]
        return [found for one in listed if (found := self._known(one)) is not None]

    def _known(self, listed: StatementView) -> Document | None:
        try:
            return self.read(listed.id)
        except Refused as refused:
            if refused.refusal.code is RefusalCode.NOT_FOUND:
                return None
            raise

    def preview(self, account: str, period: str = "", session: str = "") -> tuple[Document, ...]:
        """What the next ones of an account would say now; nothing is stored."""
        query = {name: text for name, text in (("period", period), ("session", session)) if text}
        answer: PreviewAnswer = self._ask("preview", account, query=query)
        return answer.data

    def credit_note(self, statement: str, charges: Sequence[str] = (), *, idempotency_key: str = "") -> CreditNote:
        """Give back what was refunded of a statement after its issue.

        Raises:
            Refused: NOT_FOUND when nothing was given back; BAD_AMOUNT when it comes to more to pay.
        """
        given = CreditNoteInput(tuple(charges))
        found: CreditNote = self._ask("credit_note", statement, given=given, key=idempotency_key)
        return found
