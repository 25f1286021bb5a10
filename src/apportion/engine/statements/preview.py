"""What a statement would say if it were made now: nothing is numbered, signed or stored."""

from __future__ import annotations

from datetime import datetime

import msgspec

from apportion.engine import billing
from apportion.engine.engine import Engine
from apportion.engine.statements.apart import session_line, session_of
from apportion.engine.statements.composing import REMITTANCE, STATEMENT, About, Composer, instant
from apportion.engine.statements.issuing import due_of_party
from apportion.engine.statements.wishes import Wishes
from apportion.engine.unbilled import Party, Unbilled
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Role
from apportion.model.calendar import Period, period_named, period_of
from apportion.model.statement import Document, Seal
from apportion.stages.statement import atoms_of


def preview(engine: Engine, account: str, period: str = "", session: str = "") -> list[Document]:
    """What the statements (or the remittance advice) of an account would be for a period, or for a session.

    Without a period the present one, with everything that no document covers yet. Periods before it that have none are
    taken as issued first. What a department uses, it sees here.

    Raises:
        Refused: NOT_FOUND when there is no such account or session; BAD_TIME when no period is called so; CONFLICT
            when the period was issued.
    """
    terms = engine.terms()
    wishes = Wishes(terms.catalog, engine.tenant_name)
    about = chosen = None
    if session:
        about, chosen, accounts = session_of(session_line(engine, session))
        if account not in accounts:
            raise refuse(RefusalCode.NOT_FOUND, f"{account} does not pay for {session}.", field="session")
    assets = engine.books.assets
    known = {row.public for _, row in engine.store.all_accounts(engine.tenant)}
    if account not in known:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no account {account[:60]!r}.", field="id")
    unbilled = Unbilled(engine.store, engine.tenant, terms, assets, wishes=wishes, only=(account,), chosen=chosen)
    party = unbilled.parties.get(account)
    if party is None:
        raise refuse(RefusalCode.NOT_FOUND, f"{account[:60]!r} is no account of a payer or a provider.", field="id")
    party.parent = ""  # a department may look at what its parent is asked for
    now = engine.clock.now()
    n, head = engine.store.head(engine.tenant, 0)
    composer = Composer(wishes, lambda kind: "", lambda: Seal(n, head.hex(), now, "", ""), now)
    kind = STATEMENT if party.account.role is Role.PAYER else REMITTANCE
    if about is not None:
        return _made(engine, composer, party, msgspec.structs.replace(about, preview=True))
    wanted = _wanted(party, period, now)
    for span in due_of_party(party, None):
        if span.start < wanted.start:
            _pass(party, composer.documents(party, About(kind, span, preview=True))[-1].document)
    return _made(engine, composer, party, About(kind, wanted, preview=True))


def _wanted(party: Party, period: str, now: str) -> Period:
    if not period:
        open_ = [span for span, _ in party.open.values()]
        return max([*open_, period_of(party.calendar, datetime.fromisoformat(now))], key=lambda span: span.start)
    wanted = period_named(party.calendar, period)
    if party.ended and instant(wanted.end) <= party.ended:
        numbers = ", ".join(line.number for line in party.issued if line.period == wanted.key)
        fix = f"Read {numbers}." if numbers else "Ask for a later one."
        raise refuse(RefusalCode.CONFLICT, f"{period} is over and done with.", field="period", fix=fix)
    return wanted


def _pass(party: Party, before: Document) -> None:
    """An earlier period would be issued first: what it leaves goes on."""
    party.before = atoms_of(before.closing, party.asset), atoms_of(before.residue_out, party.asset)


def _made(engine: Engine, composer: Composer, party: Party, about: About) -> list[Document]:
    return [billing.named(engine, one.document) for one in composer.documents(party, about)]


__all__ = ["preview"]
