"""Statements that are due: those of periods that are over and closed, and of which somebody has none yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from apportion.engine.billing import issue_due
from apportion.engine.engine import Engine
from apportion.engine.scheduling.due import Act
from apportion.engine.statements.issuing import due_of_party, waits
from apportion.engine.statements.wishes import Wishes
from apportion.engine.terms import Terms
from apportion.engine.unbilled import Unbilled
from apportion.model.account import Role


def due_statements(engine: Engine, terms: Terms, lag: timedelta, *, advices: bool) -> tuple[Act, ...]:
    """Issue what was over ``lag`` ago, for payers alone without ``advices``; nothing when there is nothing to issue."""
    store, tenant = engine.store, engine.tenant
    ended, closed = datetime.fromisoformat(engine.clock.now()) - lag, store.closed_periods(tenant)
    wishes = Wishes(terms.catalog, engine.tenant_name)
    unbilled = Unbilled(store, tenant, terms, engine.books.assets, wishes=wishes)
    for party in unbilled.parties.values():
        if not party.parent and (advices or party.account.role is Role.PAYER):
            spans = due_of_party(party, None)
            if spans and not waits(party, spans[0], ended, closed):
                return (partial(_issue, lag, advices),)
    return ()


def _issue(lag: timedelta, advices: bool, engine: Engine) -> None:
    issue_due(engine, lag, advices=advices)
