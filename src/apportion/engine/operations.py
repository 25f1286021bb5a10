"""The table of operations: everything a node can be asked, once; routes, OpenAPI, Client and reference come of it.

A row without roles would be open to nobody; a row whose permission is not declared can not be written.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec

from apportion.engine import verbs
from apportion.engine.close import Closed
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
    KeyInput,
    KeyPage,
    Me,
    Nothing,
    PageQuery,
    StatementPage,
    TopUpAnswer,
    TopUpInput,
    UsageAnswer,
    ViewQuery,
)
from apportion.engine.explain import Explanation
from apportion.engine.query import AccountView
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole, KeyView, NewKey
from apportion.model.catalog import Catalog
from apportion.model.statement import Document
from apportion.model.usage import Usage

BODY_MAX, BATCH_MAX, RECORDS_MAX = 1 << 20, 16 << 20, 10_000
_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_C = RefusalCode
_VALUE = (_C.BAD_AMOUNT, _C.OVERFLOW, _C.UNKNOWN_ASSET, _C.UNKNOWN_PAYER, _C.CONFLICT)


class Way(enum.Enum):
    """Where the work is done: in the writer's next group, by the writer alone, by a reader, or as a stream of lines."""

    GROUP = "group"
    ALONE = "alone"
    READ = "read"
    STREAM = "stream"


class Once(enum.Enum):
    """What an ``Idempotency-Key`` is to an operation."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Operation(msgspec.Struct, frozen=True):
    """One operation.

    ``does`` is its sentence, ``more`` what a caller must know besides. ``run`` gives the commands (GROUP; ``told``
    makes the answer of their outcomes), the answer, or lines. ``takes`` is the record of the body, ``gives`` that of
    the answer, ``query`` the record of the query string. ``media`` other than JSON is named.
    """

    name: str
    does: str
    route: str
    roles: frozenset[AccessRole]
    way: Way
    run: Callable[..., Any]
    gives: Any
    takes: Any = None
    query: type[msgspec.Struct] | None = None
    told: Callable[..., Any] | None = None
    once: Once = Once.NONE
    problems: tuple[RefusalCode, ...] = ()
    status: int = 200
    body_max: int = BODY_MAX
    media: tuple[str, ...] = ("application/json",)
    more: str = ""

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def moves_money(self) -> bool:
        """Whether it may change a balance; all that do honour an ``Idempotency-Key``."""
        return self.once is not Once.NONE


def _op(
    name: str, route: str, does: str, run: Callable[..., Any], roles: tuple[AccessRole, ...], **more: Any
) -> Operation:
    return Operation(name=name, route=route, does=does, run=run, roles=frozenset(roles), **more)


_BATCH: dict[str, Any] = {
    "way": Way.GROUP, "told": verbs.usage_told, "gives": UsageAnswer, "once": Once.OPTIONAL, "body_max": BATCH_MAX,
}  # fmt: skip
_HOLD: dict[str, Any] = {"way": Way.GROUP, "told": verbs.hold_told, "gives": HoldAnswer, "once": Once.REQUIRED}
_HOLD_ENDS = (_C.NOT_FOUND, _C.HOLD_ENDED, _C.CONFLICT)
_PAGE: dict[str, Any] = {"way": Way.READ, "query": PageQuery, "problems": (_C.BAD_INPUT,)}
_ONE: dict[str, Any] = {"way": Way.READ, "problems": (_C.NOT_FOUND,)}
_EVERYBODY = (_O, _A, _U, _P)

OPERATIONS: tuple[Operation, ...] = (
    _op(
        "charge", "POST /v1/usage", "Charge usage records; each gets an answer of its own.", verbs.usage, (_O, _P),
        takes=list[Usage],
        more="A record is charged once for ever by (source, id). One that can not be charged yet, for want of value, is"
        " `pending` and tried again after a top-up. A key writes the sources that are bound to it; an operator's also"
        f" those bound to nobody. At most {RECORDS_MAX:,} records.",
        **_BATCH,
    ),
    _op(
        "charge_events", "POST /v1/events", "Charge usage that comes as CloudEvents 1.0, one or a batch.", verbs.usage,
        (_O, _P), takes=dict,
        media=("application/cloudevents+json", "application/cloudevents-batch+json"),
        more="`source` and `id` make the record unique, `type` names the service, `data` is the usage record without"
        " these; `time` is its start and `subject` its payer where `data` has none.",
        **_BATCH,
    ),
    _op(
        "top_up", "POST /v1/topups", "Add value to a payer's account, once per reference.", verbs.top_up, (_O,),
        takes=TopUpInput, way=Way.GROUP, told=verbs.top_up_told, gives=TopUpAnswer, once=Once.OPTIONAL, status=201,
        problems=_VALUE,
    ),
    _op(
        "hold", "POST /v1/holds", "Set value aside on a payer's account.", verbs.hold, (_O,), takes=HoldInput,
        status=201, problems=(*_VALUE, _C.BAD_TIME, _C.INSUFFICIENT_FUNDS), **_HOLD,
    ),
    _op(
        "capture", "POST /v1/holds/{id}/capture", "Capture a part of a hold, or end it with the last one.",
        verbs.capture, (_O,), takes=CaptureInput, problems=(*_HOLD_ENDS, _C.BAD_AMOUNT), **_HOLD,
    ),
    _op(
        "release", "POST /v1/holds/{id}/release", "End a hold; what is still open goes back.", verbs.release, (_O,),
        takes=Nothing, problems=_HOLD_ENDS, **_HOLD,
    ),
    _op(
        "accounts", "GET /v1/accounts", "List accounts as they stand.", verbs.accounts, _EVERYBODY, gives=AccountPage,
        more="Users and providers see their own.", **_PAGE,
    ),
    _op(
        "account", "GET /v1/accounts/{id}", "One account as it stands.", verbs.account, _EVERYBODY, gives=AccountView,
        **_ONE,
    ),
    _op(
        "entries", "GET /v1/accounts/{id}/entries", "List what moved on an account.", verbs.entries, _EVERYBODY,
        gives=EntryPage, way=Way.READ, query=PageQuery, problems=(_C.NOT_FOUND, _C.BAD_INPUT),
    ),
    _op(
        "charges", "GET /v1/charges", "List charges in booking order.", verbs.charges, _EVERYBODY, gives=ChargePage,
        more="Users see those they took part in, without wholesale prices; providers their own portions.", **_PAGE,
    ),
    _op("charge_of", "GET /v1/charges/{id}", "One charge.", verbs.charge, _EVERYBODY, gives=ChargeView, **_ONE),
    _op(
        "explain", "GET /v1/charges/{id}/explanation", "A charge in plain words with its arithmetic.",
        verbs.explanation, _EVERYBODY, gives=Explanation, way=Way.READ, query=ViewQuery,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT),
        more="For operators and auditors any other record too.",
    ),
    _op(
        "statements", "GET /v1/statements", "List statements and remittance advices.", verbs.statements, _EVERYBODY,
        gives=StatementPage, **_PAGE,
    ),
    _op(
        "statement", "GET /v1/statements/{id}", "One statement or remittance advice, by id or number.", verbs.statement,
        _EVERYBODY, gives=Document, **_ONE,
    ),
    _op(
        "issue", "POST /v1/statements", "Issue the statements of a period that has ended.", verbs.issue_statements,
        (_O,), takes=IssueInput, way=Way.ALONE, gives=IssueAnswer, once=Once.OPTIONAL,
        problems=(_C.NOT_FOUND, _C.PERIOD_OPEN, _C.CONFLICT),
    ),
    _op("catalog", "GET /v1/catalog", "The catalog in force.", verbs.catalog, (_O, _A), gives=CatalogAnswer, **_ONE),
    _op(
        "apply", "PUT /v1/catalog", "Put a catalog into force, opening its payers' accounts.", verbs.apply, (_O,),
        takes=Catalog, way=Way.ALONE, gives=AppliedAnswer, once=Once.OPTIONAL, body_max=BATCH_MAX,
        media=("application/json", "application/toml"), problems=(_C.CATALOG_INVALID, _C.ASSET_MISMATCH, _C.CONFLICT),
        more="The same catalog twice changes nothing. Price decks stand in the catalog itself, not in files beside it.",
    ),
    _op(
        "close_period", "POST /v1/periods/{id}/close", "Close a billing period for all payers.", verbs.close_period,
        (_O,), takes=CloseInput, way=Way.ALONE, gives=Closed, once=Once.OPTIONAL,
        problems=(_C.PERIOD_OPEN, _C.CONFLICT),
        more="A month (2026-11), a week (2026-W47), or the first day of a custom period. Closing again changes"
        " nothing.",
    ),
    _op(
        "export", "GET /v1/export", "The complete books as JSON Lines, provable offline with `apportion verify`.",
        verbs.lines, (_O, _A), way=Way.STREAM, gives=bytes, media=("application/jsonl",),
    ),
    _op("me", "GET /v1/me", "Whose key this is.", verbs.me, _EVERYBODY, gives=Me, way=Way.READ),
    _op("keys", "GET /v1/keys", "List the keys of the tenant.", verbs.keys, (_O,), gives=KeyPage, way=Way.READ),
    _op(
        "create_key", "POST /v1/keys", "Make a key; its secret is in this answer and never shown again.",
        verbs.create_key, (_O,), takes=KeyInput, way=Way.ALONE, gives=NewKey, status=201,
        problems=(_C.BAD_INPUT, _C.BAD_TIME),
    ),
    _op(
        "revoke_key", "DELETE /v1/keys/{id}", "End a key for ever.", verbs.revoke_key, (_O,), way=Way.ALONE,
        gives=KeyView, problems=(_C.NOT_FOUND,),
    ),
)  # fmt: skip

BY_NAME = {operation.name: operation for operation in OPERATIONS}
