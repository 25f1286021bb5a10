"""The operations of currencies: rates, and what conversions left in each currency."""

from __future__ import annotations

from apportion.engine.exchange import AppliedAnswer
from apportion.engine.exchanging import door
from apportion.engine.operation import Once, Operation, Way, op
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_O, _A, _P, _U = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.PROVIDER, AccessRole.USER
_C = RefusalCode

EXCHANGING: tuple[Operation, ...] = (
    op(
        "rates", "GET /v1/rates", "The exchange rates of the catalog in force.", door.rates, (_O, _A, _P, _U),
        gives=door.RatesAnswer, way=Way.READ, problems=(_C.NOT_FOUND,),
    ),
    op(
        "add_rates", "PUT /v1/rates", "Add exchange rates to the catalog in force.", door.add_rates, (_O,),
        takes=door.RatesInput, way=Way.ALONE, gives=AppliedAnswer, once=Once.OPTIONAL,
        problems=(_C.CONFLICT, _C.CATALOG_INVALID, _C.UNKNOWN_ASSET, _C.BAD_TIME, _C.NOT_FOUND),
        more="Makes a new version of the catalog, which counts from then on; the latest rate that is not after a use"
        " converts it. The same rates twice change nothing. PUT /v1/catalog puts in force exactly the rates in it.",
    ),
    op(
        "exchange", "GET /v1/exchange", "What conversions left in each currency, and what it is worth now.",
        door.positions, (_O, _A), gives=door.ExchangeAnswer, query=door.ExchangeQuery, way=Way.READ,
        problems=(_C.UNKNOWN_ASSET, _C.NOT_FOUND),
        more="Above zero a currency was brought in, below zero it was taken. `worth` is all of it in one currency, by"
        " the rates in force now: what the platform gained or lost by holding it.",
    ),
)  # fmt: skip
