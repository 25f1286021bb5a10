"""The table of operations: everything a node can be asked, once; routes, OpenAPI, Client and reference come of it.

A row without roles would be open to nobody; a row whose permission is not declared can not be written.
"""

from __future__ import annotations

from typing import Any

from apportion.engine import holding, verbs
from apportion.engine.bargaining.operations import NEGOTIATIONS
from apportion.engine.broker.operations import PLANS
from apportion.engine.close import Closed
from apportion.engine.correcting.operations import CORRECTIONS
from apportion.engine.credit import door as credit_door
from apportion.engine.disputes.operations import DISPUTES
from apportion.engine.events import watching
from apportion.engine.events.webhooks import WebhookInput, WebhookPage
from apportion.engine.exchange import (
    AccountPage,
    AccountQuery,
    AppliedAnswer,
    CaptureInput,
    CatalogAnswer,
    ChargePage,
    ChargeView,
    CloseInput,
    EntryPage,
    HoldAnswer,
    HoldInput,
    HoldView,
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
    VersionQuery,
    ViewQuery,
)
from apportion.engine.exchanging.operations import EXCHANGING
from apportion.engine.explain import Explanation
from apportion.engine.funding import door as stocks
from apportion.engine.levels.operations import LEVELS
from apportion.engine.market.operations import MARKET
from apportion.engine.operation import BODY_MAX, Once, Operation, Way, op
from apportion.engine.payments import door as paying
from apportion.engine.payments.operations import CARDS
from apportion.engine.query import AccountView
from apportion.engine.reconciling.operations import RECONCILING
from apportion.engine.rerating.operations import RERATING
from apportion.engine.scheduling.operations import SCHEDULE
from apportion.engine.sessions import verbs as sessions
from apportion.engine.sessions.views import ReportsAnswer, SessionPage, SessionView
from apportion.engine.settling.operations import SETTLING
from apportion.engine.statements.operations import BILLING, FORMS, FormQuery
from apportion.engine.transfers.operations import TRANSFERS
from apportion.engine.whatif.operations import WHATIF
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole, KeyView, NewKey
from apportion.model.catalog import Catalog
from apportion.model.event import Event
from apportion.model.session_asked import Accepted, Change, Confirmed, Ended, Reports, SessionAsked
from apportion.model.statement import Document
from apportion.model.usage import Usage
from apportion.model.webhook import NewWebhook, WebhookView

BATCH_MAX, RECORDS_MAX = 16 << 20, 10_000
_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_C = RefusalCode
_VALUE = (_C.BAD_AMOUNT, _C.OVERFLOW, _C.UNKNOWN_ASSET, _C.UNKNOWN_PAYER, _C.CONFLICT)

_BATCH: dict[str, Any] = {
    "way": Way.GROUP, "told": verbs.usage_told, "gives": UsageAnswer, "once": Once.OPTIONAL, "body_max": BATCH_MAX,
}  # fmt: skip
_TERMS = (
    _C.BAD_INPUT, _C.UNKNOWN_FIELD, _C.BAD_QUANTITY, _C.BAD_WEIGHT, _C.UNKNOWN_SERVICE, _C.UNKNOWN_PART,
    _C.UNKNOWN_PROVIDER, _C.UNKNOWN_PAYER, _C.NO_PRICE, _C.MEASURE_MISSING, _C.SPONSOR_NEEDED, _C.OVERFLOW,
)  # fmt: skip
_STOCK: dict[str, Any] = {"way": Way.GROUP, "once": Once.OPTIONAL, "status": 201}
_STOCK_WRONG = (*_VALUE, _C.BAD_INPUT, _C.BAD_TIME, _C.UNKNOWN_SERVICE)
_HOLD: dict[str, Any] = {"way": Way.GROUP, "told": verbs.hold_told, "gives": HoldAnswer, "once": Once.REQUIRED}
_HOLD_ENDS = (_C.NOT_FOUND, _C.HOLD_ENDED, _C.CONFLICT)
_ASK = (_C.NOT_FOUND, _C.CONFLICT, _C.SESSION_CLOSED)
_SESSION: dict[str, Any] = {"way": Way.GROUP, "told": sessions.told, "gives": SessionView}
_PAGE: dict[str, Any] = {"way": Way.READ, "query": PageQuery, "problems": (_C.BAD_INPUT,)}
_ONE: dict[str, Any] = {"way": Way.READ, "problems": (_C.NOT_FOUND,)}
_EVERYBODY = (_O, _A, _U, _P)
_WATCH: dict[str, Any] = {
    "way": Way.WATCH, "query": watching.EventQuery, "gives": Event, "media": ("text/event-stream",),
    "problems": (_C.NOT_FOUND, _C.BAD_INPUT),
    "more": "Each `data` is an event as JSON, each `id` a cursor: sent back as `Last-Event-ID` (or `after`) the stream"
    " goes on behind it, with nothing lost and nothing twice. Without one it begins now; `after=start` begins with the"
    " books. Comments are signs of life. Who does not read is cut off.",
}  # fmt: skip

_TABLE: tuple[Operation, ...] = (
    op(
        "charge", "POST /v1/usage", "Charge usage records; each gets an answer of its own.", verbs.usage, (_O, _P),
        takes=list[Usage],
        more="A record is charged once for ever by (source, id). One that can not be charged yet, for want of value, is"
        " `pending` and tried again after a top-up. A key writes the sources that are bound to it; an operator's also"
        f" those bound to nobody. At most {RECORDS_MAX:,} records.",
        **_BATCH,
    ),
    op(
        "charge_events", "POST /v1/events", "Charge usage that comes as CloudEvents 1.0, one or a batch.", verbs.usage,
        (_O, _P), takes=dict,
        media=("application/cloudevents+json", "application/cloudevents-batch+json"),
        more="`source` and `id` make the record unique, `type` names the service, `data` is the usage record without"
        " these; `time` is its start and `subject` its payer where `data` has none.",
        **_BATCH,
    ),
    op(
        "top_up", "POST /v1/topups", "Add value to a payer's account, once per reference.", verbs.top_up, (_O,),
        takes=TopUpInput, way=Way.GROUP, told=verbs.top_up_told, gives=TopUpAnswer, once=Once.OPTIONAL, status=201,
        problems=_VALUE,
    ),
    op(
        "grant", "POST /v1/grants", "Put value into a bucket of a payer, once per reference.", stocks.grant, (_O,),
        takes=stocks.GrantInput, told=stocks.grant_told, gives=stocks.GrantAnswer, problems=_STOCK_WRONG, **_STOCK,
        more="It is drawn before the payer's other value. What expires goes to the platform, or back to the sponsor.",
    ),
    op(
        "buy_allowance", "POST /v1/allowances", "Buy units for a payer, once per reference.", stocks.buy, (_O,),
        takes=stocks.AllowanceInput, told=stocks.buy_told, gives=stocks.AllowanceAnswer,
        problems=(*_STOCK_WRONG, _C.INSUFFICIENT_FUNDS, _C.BAD_QUANTITY, _C.MEASURE_MISSING), **_STOCK,
        more="Usage that one payer bears alone draws them before money; what they cover is not priced again.",
    ),
    op(
        "funding", "GET /v1/accounts/{id}/funding", "What a payer's account may draw on, in order.", stocks.funding,
        (_O, _A, _U), gives=stocks.FundingView, **_ONE,
    ),
    op(
        "hold", "POST /v1/holds", "Set value aside on a payer's account.", verbs.hold, (_O,), takes=HoldInput,
        status=201, problems=(*_VALUE, _C.BAD_TIME, _C.INSUFFICIENT_FUNDS), **_HOLD,
    ),
    op(
        "capture", "POST /v1/holds/{id}/capture", "Capture a part of a hold, or end it with the last one.",
        verbs.capture, (_O,), takes=CaptureInput, problems=(*_HOLD_ENDS, _C.BAD_AMOUNT), **_HOLD,
    ),
    op(
        "release", "POST /v1/holds/{id}/release", "End a hold; what is still open goes back.", verbs.release, (_O,),
        takes=Nothing, problems=_HOLD_ENDS, **_HOLD,
    ),
    op(
        "pay", "POST /v1/payments", "Fetch value for a payer by a payment, once per reference.", paying.pay, (_O, _U),
        takes=paying.PaymentInput, way=Way.GROUP, told=paying.pay_told, gives=paying.PaymentAnswer, once=Once.OPTIONAL,
        status=201, problems=(*_VALUE, _C.BAD_INPUT, _C.NOT_FOUND, _C.PAYMENT_LIMIT),
        more="By the payer's stored means of payment, or by `method`: a token, never a card number. The answer says"
        " that the payment is wanted; value is in when GET /v1/payments/{id} says `succeeded`. An account has one"
        " payment under way at a time. Users pay for their own accounts.",
    ),
    op(
        "payment", "GET /v1/payments/{id}", "One payment as it stands.", paying.payment, (_O, _A, _U),
        gives=paying.PaymentView, **_ONE,
    ),
    op(
        "payments", "GET /v1/accounts/{id}/payments", "List an account's payments, newest first.", paying.payments,
        (_O, _A, _U), gives=paying.PaymentPage, way=Way.READ, query=PageQuery, problems=(_C.NOT_FOUND, _C.BAD_INPUT),
    ),
    op(
        "holds", "GET /v1/holds", "List holds as they stand, of all accounts or of one.", holding.holds, (_O, _A, _U),
        gives=holding.HoldPage, way=Way.READ, query=holding.HoldQuery, problems=(_C.NOT_FOUND, _C.BAD_INPUT),
        more="Users see those on their own accounts.",
    ),
    op(
        "hold_of", "GET /v1/holds/{id}", "One hold as it stands.", holding.hold_of, (_O, _A, _U),
        gives=HoldView, **_ONE,
    ),
    op(
        "open_session", "POST /v1/sessions", "Open a charging session: value is held, the first units are granted.",
        sessions.open_session, (_O, _U, _P), takes=SessionAsked, once=Once.REQUIRED, status=201,
        problems=(*_TERMS, _C.INSUFFICIENT_FUNDS, _C.MARGIN_GUARD, _C.CONFLICT),
        more="A user's key opens sessions that it pays alone, a provider's those in which it delivers a part.",
        **_SESSION,
    ),
    op(
        "report", "POST /v1/sessions/{id}/reports", "Report what was used so far; it is charged, and more is granted.",
        sessions.report, (_O, _P), takes=Reports, way=Way.GROUP, told=sessions.reports_told, gives=ReportsAnswer,
        once=Once.OPTIONAL, problems=(*_ASK, _C.COUNTER_DECREASED),
        more="Counters never go down and each part numbers its reports, so one that comes twice or late changes"
        " nothing. A provider reports its own parts. Each report has an answer of its own.",
    ),
    op(
        "change_session", "POST /v1/sessions/{id}/changes", "Change provider, quality, price or payers while it runs.",
        sessions.alter, (_O,), takes=Change, once=Once.OPTIONAL, **_SESSION,
        problems=(*_ASK, *_TERMS, _C.INSUFFICIENT_FUNDS, _C.MARGIN_GUARD),
        more="What was used so far is charged on the old terms. What the payers could not fund changes nothing.",
    ),
    op(
        "confirm", "POST /v1/sessions/{id}/confirmations", "Confirm what a part still delivered before it fell silent.",
        sessions.alter, (_O, _U), takes=Confirmed, once=Once.OPTIONAL, **_SESSION,
        problems=(*_ASK, _C.BAD_INPUT, _C.BAD_QUANTITY, _C.UNKNOWN_PART, _C.UNKNOWN_FIELD),
    ),
    op(
        "accept", "POST /v1/sessions/{id}/acceptances", "Accept a session's offer: fetch value, so that it goes on.",
        sessions.alter, (_O, _U), takes=Accepted, once=Once.OPTIONAL, **_SESSION,
        problems=(*_ASK, *_VALUE, _C.BAD_INPUT, _C.PAYMENT_LIMIT),
        more="By the payer's stored means of payment, once however often it is accepted.",
    ),
    op(
        "end_session", "POST /v1/sessions/{id}/end", "End a session; what is held and not charged goes back.",
        sessions.alter, (_O, _U, _P), takes=Ended, once=Once.OPTIONAL, problems=_ASK, **_SESSION,
    ),
    op(
        "sessions", "GET /v1/sessions", "List sessions as they stand.", sessions.sessions, _EVERYBODY,
        gives=SessionPage, more="Users see those they pay for, providers those they deliver in.", **_PAGE,
    ),
    op(
        "session", "GET /v1/sessions/{id}", "One session as it stands.", sessions.session, _EVERYBODY,
        gives=SessionView, **_ONE,
    ),
    op(
        "accounts", "GET /v1/accounts", "List accounts as they stand, of everybody, of one party or of one role.",
        verbs.accounts, _EVERYBODY, gives=AccountPage, way=Way.READ, query=AccountQuery, problems=(_C.BAD_INPUT,),
        more="Users and providers see their own. `owner` is a name as the catalog and the usage have it, or an id.",
    ),
    op(
        "account", "GET /v1/accounts/{id}", "One account as it stands.", verbs.account, _EVERYBODY, gives=AccountView,
        **_ONE,
    ),
    op(
        "trust", "GET /v1/accounts/{id}/trust", "A payer's credit as it stands, what it has earned, and why.",
        credit_door.trust, (_O, _A, _U), gives=credit_door.TrustView, **_ONE,
        more="`declined` says why a request on credit need not be negotiated at all; users see their own.",
    ),
    op(
        "set_credit", "POST /v1/accounts/{id}/credit", "Decide a payer's credit line anew, by what its history earns.",
        credit_door.set_credit, (_O,), takes=Nothing, way=Way.GROUP, told=credit_door.set_credit_told,
        gives=credit_door.CreditAnswer, once=Once.OPTIONAL, problems=(_C.NOT_FOUND, _C.CONFLICT),
        more="It is decided by itself whenever a statement is issued, value comes in or a due date passes.",
    ),
    op(
        "write_off", "POST /v1/accounts/{id}/write-off", "Move a payer's debt to who stands for its credit line.",
        credit_door.write_off, (_O,), takes=credit_door.WriteOffInput, way=Way.GROUP, told=credit_door.write_off_told,
        gives=credit_door.WriteOffAnswer, once=Once.REQUIRED, problems=(_C.NOT_FOUND, _C.BAD_AMOUNT, _C.CONFLICT),
        more="The guarantor is debited, providers keep what they earned, and the line goes to zero. Value that comes in"
        " later makes it good first.",
    ),
    op(
        "entries", "GET /v1/accounts/{id}/entries", "List what moved on an account.", verbs.entries, _EVERYBODY,
        gives=EntryPage, way=Way.READ, query=PageQuery, problems=(_C.NOT_FOUND, _C.BAD_INPUT),
    ),
    op(
        "charges", "GET /v1/charges", "List charges in booking order.", verbs.charges, _EVERYBODY, gives=ChargePage,
        more="Users see those they took part in, without wholesale prices; providers their own portions.", **_PAGE,
    ),
    op("charge_of", "GET /v1/charges/{id}", "One charge.", verbs.charge, _EVERYBODY, gives=ChargeView, **_ONE),
    op(
        "explain", "GET /v1/charges/{id}/explanation", "A charge in plain words with its arithmetic.",
        verbs.explanation, _EVERYBODY, gives=Explanation, way=Way.READ, query=ViewQuery,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT),
        more="For operators and auditors any other record too. `part` asks for the portion of one part.",
    ),
    op(
        "statements", "GET /v1/statements", "List statements and remittance advices.", verbs.statements, _EVERYBODY,
        gives=StatementPage, **_PAGE,
    ),
    op(
        "statement", "GET /v1/statements/{id}", "One statement or remittance advice, by id or number.", verbs.statement,
        _EVERYBODY, gives=Document, query=FormQuery, forms=tuple(FORMS.values())[1:], way=Way.READ,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT),
        more="A provider's key also reads the statements that the provider sends: as a user's face, or for itself.",
    ),
    op(
        "issue", "POST /v1/statements", "Issue the statements of a period or a session that has ended.",
        verbs.issue_statements, (_O,), takes=IssueInput, way=Way.ALONE, gives=IssueAnswer, once=Once.OPTIONAL,
        problems=(_C.NOT_FOUND, _C.PERIOD_OPEN, _C.CONFLICT, _C.BAD_INPUT, _C.BAD_TIME),
        more="One for a payer, or one for each provider, as its agreement or profile says; what departments use is on"
        " the statement of who pays for them.",
    ),
    op(
        "catalog", "GET /v1/catalog", "The catalog in force, or another version of it.", verbs.catalog, (_O, _A),
        gives=CatalogAnswer, query=VersionQuery, **_ONE,
    ),
    op(
        "apply", "PUT /v1/catalog", "Put a catalog into force, opening its payers' accounts.", verbs.apply, (_O,),
        takes=Catalog, way=Way.ALONE, gives=AppliedAnswer, once=Once.OPTIONAL, body_max=BATCH_MAX,
        media=("application/json", "application/toml"), problems=(_C.CATALOG_INVALID, _C.ASSET_MISMATCH, _C.CONFLICT),
        more="The same catalog twice changes nothing. Price decks stand in the catalog itself, not in files beside it.",
    ),
    op(
        "close_period", "POST /v1/periods/{id}/close", "Close a billing period for all payers.", verbs.close_period,
        (_O,), takes=CloseInput, way=Way.ALONE, gives=Closed, once=Once.OPTIONAL,
        problems=(_C.PERIOD_OPEN, _C.CONFLICT),
        more="A month (2026-11), a week (2026-W47), the first day of a custom period, or `all` that usage names."
        " Closing again changes nothing.",
    ),
    op(
        "export", "GET /v1/export", "The complete books as JSON Lines, provable offline with `apportion verify`.",
        verbs.lines, (_O, _A), way=Way.STREAM, gives=bytes, media=("application/jsonl",),
    ),
    op(
        "watch_all", "GET /v1/events/stream", "Follow everything that happens, as it happens.", watching.watch_all,
        (_O, _A), **_WATCH,
    ),
    op(
        "watch_account", "GET /v1/accounts/{id}/events", "Follow what happens to an account, as it happens.",
        watching.watch_account, _EVERYBODY, **_WATCH,
    ),
    op(
        "watch_session", "GET /v1/sessions/{id}/events", "Follow a session, as it happens.", watching.watch_session,
        _EVERYBODY, **_WATCH,
    ),
    op(
        "webhooks", "GET /v1/webhooks", "List webhooks as they stand.", watching.list_webhooks, _EVERYBODY,
        gives=WebhookPage, way=Way.READ, more="Users and providers see their own.",
    ),
    op(
        "create_webhook", "POST /v1/webhooks", "Have an address told of events from now on.", watching.create_webhook,
        (_O, _U, _P), takes=WebhookInput, way=Way.ALONE, gives=NewWebhook, status=201,
        problems=(_C.BAD_INPUT, _C.CONFLICT),
        more="It is told what the key that makes it may see, signed by Standard Webhooks with the secret in this"
        " answer, which is never shown again; in order, at least once. It outlives the key.",
    ),
    op(
        "delete_webhook", "DELETE /v1/webhooks/{id}", "Tell an address no more.", watching.delete_webhook, (_O, _U, _P),
        way=Way.ALONE, gives=WebhookView, problems=(_C.NOT_FOUND,),
    ),
    op(
        "resume_webhook", "POST /v1/webhooks/{id}/resume", "Try a webhook again now, from where the telling stopped.",
        watching.resume_webhook, (_O, _U, _P), takes=Nothing, way=Way.ALONE, gives=WebhookView,
        problems=(_C.NOT_FOUND,),
    ),
    op("me", "GET /v1/me", "Whose key this is.", verbs.me, _EVERYBODY, gives=Me, way=Way.READ),
    op("keys", "GET /v1/keys", "List the keys of the tenant.", verbs.keys, (_O,), gives=KeyPage, way=Way.READ),
    op(
        "create_key", "POST /v1/keys", "Make a key; its secret is in this answer and never shown again.",
        verbs.create_key, (_O,), takes=KeyInput, way=Way.ALONE, gives=NewKey, status=201,
        problems=(_C.BAD_INPUT, _C.BAD_TIME),
    ),
    op(
        "revoke_key", "DELETE /v1/keys/{id}", "End a key for ever.", verbs.revoke_key, (_O,), way=Way.ALONE,
        gives=KeyView, problems=(_C.NOT_FOUND,),
    ),
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    *_TABLE, *PLANS, *NEGOTIATIONS, *TRANSFERS, *MARKET, *SETTLING, *CARDS, *BILLING, *CORRECTIONS, *RERATING,
    *DISPUTES,
    *RECONCILING,
    *LEVELS,
    *SCHEDULE,
    *WHATIF,
    *EXCHANGING,
)  # fmt: skip
BY_NAME = {operation.name: operation for operation in OPERATIONS}

__all__ = ["BATCH_MAX", "BODY_MAX", "BY_NAME", "OPERATIONS", "RECORDS_MAX", "Once", "Operation", "Way"]
