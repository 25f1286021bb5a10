"""What each operation does: as commands for the writer's next group, as work for the writer alone, or as a read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from apportion.engine import access, billing
from apportion.engine.close import Closed
from apportion.engine.engine import Engine
from apportion.engine.exchange import (
    AccountPage,
    AppliedAnswer,
    CaptureInput,
    CatalogAnswer,
    ChargePage,
    ChargeView,
    CloseInput,
    EntryPage,
    HoldAnswer,
    HoldInput,
    IssueAnswer,
    IssueInput,
    KeyPage,
    Me,
    RecordAnswer,
    StatementPage,
    TopUpAnswer,
    TopUpInput,
    UsageAnswer,
    ViewQuery,
)
from apportion.engine.explain import Explanation, View
from apportion.engine.export import export, sealed
from apportion.engine.inquiry import explain
from apportion.engine.query import AccountView
from apportion.engine.statements.apart import issue_session
from apportion.engine.visible import Sight, statement_view
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole, Credential, KeyView, NewKey
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, EndHold, Outcome, PlaceHold, RejectUsage, TopUp
from apportion.model.ids import read_number
from apportion.model.journal import Entry, HoldLine
from apportion.model.statement import Document

ALL = "all"  # every period that usage names


class Call(msgspec.Struct, frozen=True):
    """One request, decoded: who asks, the ``id`` in the path, the body (``given``) and the ``query``.

    ``ahead`` is what the operation had found ahead of the writer's turn.
    """

    caller: Credential
    id: str = ""
    given: Any = None
    query: Any = None
    ahead: Any = None


# ── commands: what the writer gathers into groups ──

Sent = Sequence[ChargeUsage | RejectUsage]


def usage(call: Call) -> list[object]:
    return list(call.given)


def usage_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> UsageAnswer:
    for_operator = call.caller.role is AccessRole.OPERATOR
    return UsageAnswer(tuple([told(outcome, for_operator) for outcome in outcomes]))


def told(outcome: Outcome, for_operator: bool) -> RecordAnswer:
    """One record's answer; who is not the operator learns of a refusal about money its code alone."""
    assert outcome.state is not None
    refusal = outcome.refusal
    if refusal is not None and not for_operator and refusal.code in _OF_MONEY:
        refusal = msgspec.structs.replace(refusal, message="", fix="")
    return RecordAnswer(outcome.state, outcome.id, refusal)


_OF_MONEY = frozenset({RefusalCode.INSUFFICIENT_FUNDS, RefusalCode.MARGIN_GUARD, RefusalCode.SPONSOR_NEEDED})


def top_up(call: Call) -> list[object]:
    given: TopUpInput = call.given
    return [TopUp(given.payer, given.amount, given.currency, given.reference)]


def top_up_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> TopUpAnswer:
    outcome = _made(outcomes)
    line = b'"cause":"' + outcome.id.encode() + b'"'
    entry = msgspec.json.decode(_line(engine, outcome.n, line), type=Entry)
    into = next(leg for leg in entry.legs if not leg.amount.startswith("-"))
    return TopUpAnswer(outcome.id, into.account, into.amount, entry.asset.partition("/")[0], entry.at)


def hold(call: Call) -> list[object]:
    given: HoldInput = call.given
    return [PlaceHold(given.payer, given.amount, given.currency, given.owner, _instant(given.expires))]


def capture(call: Call) -> list[object]:
    given: CaptureInput = call.given
    return [EndHold(read_number(call.id), given.amount, given.final)]


def release(call: Call) -> list[object]:
    return [EndHold(read_number(call.id))]


def hold_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> HoldAnswer:
    outcome = _made(outcomes)
    line = msgspec.json.decode(_line(engine, outcome.n, b'{"type":"hold"'), type=HoldLine)
    return HoldAnswer(
        line.id, line.account, line.owner, line.state, line.asset.partition("/")[0], line.amount, line.open,
        line.captured, line.released, line.expires, line.at,
    )  # fmt: skip


def _made(outcomes: Sequence[Outcome]) -> Outcome:
    """The one outcome of a command; its refusal is raised."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return outcome


def _line(engine: Engine, n: int, mark: bytes) -> bytes:
    return next(line for line in engine.store.row(engine.tenant, 0, n).split(b"\n") if mark in line)


def _instant(text: str) -> str:
    """An expiry in the one form in which expiries are compared."""
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is not None and 1970 <= when.year < 9000:
            return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except ValueError:
        pass
    raise refuse(RefusalCode.BAD_TIME, "is not an instant.", field="expires", fix="Such as 2030-01-31T18:00:00Z.")


# ── work for the writer alone ──


def apply(engine: Engine, call: Call) -> AppliedAnswer:
    given: Catalog = call.given
    return AppliedAnswer(engine.apply(given))


def close_period(engine: Engine, call: Call) -> Closed:
    given: CloseInput = call.given
    return engine.close_period("" if call.id == ALL else call.id, force=given.force)


def issue_statements(engine: Engine, call: Call) -> IssueAnswer:
    given: IssueInput = call.given
    if given.session and given.period:
        raise refuse(RefusalCode.BAD_INPUT, "either a period or a session.", field="session", fix="Name one of them.")
    if given.session:
        documents = issue_session(engine, given.session, given.who or None)
    else:
        documents = billing.issue(engine, given.period or None, given.who or None)
    made = {document.id for document in documents}
    return IssueAnswer(tuple(statement_view(line) for line in billing.listing(engine) if line.id in made))


def create_key(engine: Engine, call: Call) -> NewKey:
    return access.new_key(engine, call.given)[0]


def revoke_key(engine: Engine, call: Call) -> KeyView:
    return access.shown(access.revoke_key(engine, call.id))


# ── reads ──


def accounts(engine: Engine, call: Call) -> AccountPage:
    return Sight(engine, call.caller).accounts(call.query)


def account(engine: Engine, call: Call) -> AccountView:
    return Sight(engine, call.caller).account(call.id)


def entries(engine: Engine, call: Call) -> EntryPage:
    return Sight(engine, call.caller).entries(call.id, call.query)


def charges(engine: Engine, call: Call) -> ChargePage:
    return Sight(engine, call.caller).charges(call.query)


def charge(engine: Engine, call: Call) -> ChargeView:
    return Sight(engine, call.caller).charge(call.id)


def explanation(engine: Engine, call: Call) -> Explanation:
    """In plain words; a user or provider gets its own view whatever it asks for."""
    caller, query = call.caller, call.query
    assert isinstance(query, ViewQuery)
    name = f"{call.id}/{query.part}" if query.part else call.id
    if caller.role in (AccessRole.USER, AccessRole.PROVIDER):
        Sight(engine, caller).charge(call.id)
        return explain(engine, name, View(caller.role.value, caller.party))
    return explain(engine, name, View.parse(query.view))


def statements(engine: Engine, call: Call) -> StatementPage:
    return Sight(engine, call.caller).statements(call.query)


def statement(engine: Engine, call: Call) -> Document:
    return Sight(engine, call.caller).statement(call.id)


def catalog(engine: Engine, call: Call) -> CatalogAnswer:
    terms = engine.terms(call.query.version)
    return CatalogAnswer(terms.version, terms.catalog)


def keys(engine: Engine, call: Call) -> KeyPage:
    return KeyPage(tuple(access.shown(key) for key in access.all_keys(engine)))


def me(engine: Engine, call: Call) -> Me:
    c = call.caller
    return Me(c.id, c.tenant, c.role, c.party, c.sources, c.expires, c.services, c.payers)


def seal(engine: Engine, call: Call) -> int:
    """Sign the head, so that an export covers everything answered so far."""
    return sealed(engine)


def lines(engine: Engine, call: Call) -> Iterator[bytes]:
    return export(engine.store, engine.tenant)
