"""The operations on the market as it stands."""

from __future__ import annotations

from typing import Any

from apportion.engine.exchange import PageQuery
from apportion.engine.market import door, views
from apportion.engine.operation import Once, Operation, Way, op
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_EVERYBODY = (_O, _A, _U, _P)
_C = RefusalCode
_GROUP: dict[str, Any] = {"way": Way.GROUP}
_READ: dict[str, Any] = {"way": Way.READ, "problems": (_C.BAD_INPUT,)}
_EACH = "Each has an answer of its own: the good ones go on, and the others say what is wrong."

MARKET: tuple[Operation, ...] = (
    op(
        "put_offers", "PUT /v1/offers", "Make offers, or put others in their place.", door.put, (_O, _P),
        takes=door.OffersInput, told=door.answers, gives=door.OffersAnswer, **_GROUP,
        problems=(_C.BAD_INPUT, _C.UNKNOWN_FIELD),
        more=f"{_EACH} The same offer twice changes nothing. A provider makes its own. At most {door.MOST:,} offers.",
    ),
    op(
        "announce", "POST /v1/availability", "Say what offers have free now, and how good they are.", door.announce,
        (_O, _P), takes=door.AvailabilityInput, told=door.answers, gives=door.OffersAnswer, **_GROUP,
        problems=(_C.BAD_INPUT, _C.UNKNOWN_FIELD),
        more=f"{_EACH} What is not given stays; prices do not change by it. At most {door.MOST:,} offers.",
    ),
    op(
        "offers", "GET /v1/offers", "List what is offered: the catalog's, then what providers offer.", views.offers,
        _EVERYBODY, gives=views.OfferPage, query=views.OfferQuery, **_READ,
        more="Operators and auditors see all with their prices, providers their own, users all without what providers"
        " earn and have free.",
    ),
    op(
        "withdraw_offer", "DELETE /v1/offers/{id}", "Withdraw an offer; what runs by it goes on.", door.withdraw,
        (_O, _P), told=door.offer_told, gives=views.OfferView, problems=(_C.NOT_FOUND,), **_GROUP,
    ),
    op(
        "switch_provider", "POST /v1/providers/{id}/switch", "Switch a provider off for a while, or on again.",
        door.switch, (_O, _P), takes=door.SwitchInput, told=door.switch_told, gives=views.ProviderView,
        problems=(_C.NOT_FOUND, _C.UNKNOWN_PROVIDER, _C.BAD_INPUT, _C.BAD_TIME, _C.CONFLICT), **_GROUP,
        more="Its prices stay; it is not chosen meanwhile, and what runs goes on, unless the operator switches it off"
        " and the service has such sessions taken over (market.replace). A provider switches itself, and takes back"
        " what it said itself; the operator takes back what anybody said, also the circuit breaker.",
    ),
    op(
        "providers", "GET /v1/providers", "List providers: who is off and why, and how each is rated.",
        views.providers, _EVERYBODY, gives=views.ProviderPage, query=views.ProviderQuery, **_READ,
        more="What a rating is made of is for operators and auditors, and for the provider itself.",
    ),
    op(
        "approve", "POST /v1/approvals", "Approve a provider for a payer, or take that back.", door.approve, (_O, _U),
        takes=door.ApprovalInput, told=door.approve_told, gives=views.ApprovalView, **_GROUP,
        problems=(_C.UNKNOWN_PAYER, _C.UNKNOWN_PROVIDER),
        more="It counts where a service asks for approval. Users approve for themselves.",
    ),
    op(
        "approvals", "GET /v1/approvals", "List who is approved for whom.", views.list_approvals, (_O, _A, _U),
        gives=views.ApprovalPage, query=PageQuery, **_READ, more="Users see their own.",
    ),
    op(
        "rate", "POST /v1/ratings", "Give 1 to 5 stars for what was delivered and paid for.", door.rate, (_U,),
        takes=door.RatingInput, told=door.rate_told, gives=views.RatingView, status=201, **_GROUP,
        problems=(_C.NOT_FOUND, _C.UNKNOWN_PROVIDER, _C.UNKNOWN_PAYER, _C.CONFLICT, _C.BAD_INPUT),
        more="Each charge and each session once. However often a payer rates, it is one voice.",
    ),
    op(
        "measure", "POST /v1/measurements", "Say what was measured of providers and networks.", door.measure, (_O, _P),
        takes=door.MeasurementsInput, told=door.measure_told, gives=door.MeasurementsAnswer, once=Once.OPTIONAL,
        problems=(_C.BAD_INPUT, _C.UNKNOWN_FIELD, _C.CONFLICT), **_GROUP,
        more=f"{_EACH} A provider may report its own failures, and nothing that speaks for it. Failures in a row switch"
        f" a provider off, as the service's market says. At most {door.MOST:,} measurements.",
    ),
)  # fmt: skip
