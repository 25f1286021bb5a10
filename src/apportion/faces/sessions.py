"""Sessions at a node: the verbs of ``client.sessions``.

session = client.sessions.open(SessionAsked("call", (PayerUse("ada"),)))
answer = client.sessions.report(session.id, [Report(1, {"seconds": "42"})])
client.sessions.end(session.id)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from apportion.engine.sessions.views import ReportsAnswer, SessionView
from apportion.model.session_asked import Accepted, Change, Confirmed, Ended, Report, Reports, SessionAsked


class Sessions:
    """Charging sessions of a node, as the client's key sees them."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def open(self, given: SessionAsked, *, idempotency_key: str = "") -> SessionView:
        """Open a session: value is held, the first units are granted.

        Raises:
            Refused: INSUFFICIENT_FUNDS, MARGIN_GUARD, UNKNOWN_SERVICE, UNKNOWN_PAYER, UNKNOWN_PROVIDER …
        """
        return self._ask("open_session", given=given, key=idempotency_key)

    def report(self, session: str, reports: Sequence[Report], *, idempotency_key: str = "") -> ReportsAnswer:
        """Report what was used so far; each report gets an answer of its own."""
        return self._ask("report", session, given=Reports(tuple(reports)), key=idempotency_key)

    def change(self, session: str, given: Change, *, idempotency_key: str = "") -> SessionView:
        """Change provider, quality, price or payers while it runs.

        Raises:
            Refused: INSUFFICIENT_FUNDS when the payers could not fund it; then nothing has changed.
        """
        return self._ask("change_session", session, given=given, key=idempotency_key)

    def confirm(self, session: str, given: Confirmed, *, idempotency_key: str = "") -> SessionView:
        """Confirm what a part still delivered before it fell silent."""
        return self._ask("confirm", session, given=given, key=idempotency_key)

    def accept(self, session: str, given: Accepted, *, idempotency_key: str = "") -> SessionView:
        """Accept the session's offer: value is fetched by the payer's means of payment, once."""
        return self._ask("accept", session, given=given, key=idempotency_key)

    def end(self, session: str, reason: str = "ended", *, idempotency_key: str = "") -> SessionView:
        """End a session; what is held and not charged goes back."""
        return self._ask("end_session", session, given=Ended(reason), key=idempotency_key)

    def get(self, session: str) -> SessionView:
        """One session as it stands."""
        return self._ask("session", session)

    def list(self) -> Iterator[SessionView]:
        """All sessions that the key may see."""
        return self._pages("sessions")
