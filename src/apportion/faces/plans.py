"""Plans at a node: the verbs of ``client.plans``.

plan = client.plans.make(Request("call", (PayerUse("ada"),), {"seconds": "60"}))
session = client.plans.accept(plan.id, "lowest-cost")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from apportion.engine.broker.replacing import Replace
from apportion.engine.broker.views import PlanAnswer, PlanView
from apportion.engine.explain import Explanation
from apportion.engine.sessions.views import SessionView
from apportion.model.request import Request, Requests
from apportion.model.session_asked import ChosenInput


class Plans:
    """Requests and what they are answered with, as the client's key sees it."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def make(self, request: Request, *, idempotency_key: str = "") -> PlanView:
        """Find the scenarios of a request; nothing is held or charged by that.

        Raises:
            Refused: NO_PLAN with the nearest miss, DECLINED, and what may be wrong with a request.
        """
        return self._ask("plan", given=request, key=idempotency_key)

    def make_all(self, requests: Sequence[Request], *, idempotency_key: str = "") -> tuple[PlanAnswer, ...]:
        """A plan or a refusal for each of up to a thousand requests, in order; without their candidates."""
        found = self._ask("plan_all", given=Requests(tuple(requests)), key=idempotency_key)
        return tuple(found.answers)

    def get(self, id: str) -> PlanView:
        """A plan as it stands, with its candidates.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("plan_of", id)

    def explain(self, id: str, view: str = "operator") -> Explanation:
        """Why these providers, in plain words, as far as the key may know; an operator may ask for another's ``view``.

        Raises:
            Refused: NOT_FOUND, BAD_INPUT.
        """
        return self._ask("explain_plan", id, query={"view": view})

    def list(self) -> Iterator[PlanView]:
        """All plans that the key may see, without their candidates."""
        return self._pages("plans")

    def accept(
        self, id: str, scenario: str = "", requested: dict[str, str] | None = None, *, idempotency_key: str = ""
    ) -> SessionView:
        """Open a session at exactly the terms of a scenario (the preferred one, when none is named).

        Raises:
            Refused: PLAN_ENDED, INSUFFICIENT_FUNDS, NOT_FOUND.
        """
        given = ChosenInput(scenario=scenario, requested=requested or {})
        return self._ask("accept_plan", id, given=given, key=idempotency_key)

    def replace(self, session: str, given: Replace, *, idempotency_key: str = "") -> SessionView:
        """Let the next best crew take a running session over, without the providers that are lost.

        Raises:
            Refused: NO_PLAN, INSUFFICIENT_FUNDS, NOT_FOUND.
        """
        return self._ask("replace_crew", session, given=given, key=idempotency_key)
