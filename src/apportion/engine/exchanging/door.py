"""What callers ask of currencies: which rates there are, new ones, and what lies on the exchange accounts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import AppliedAnswer, Input
from apportion.engine.query import AccountView
from apportion.engine.verbs import Call
from apportion.errors import Misconfigured, RefusalCode, refuse
from apportion.model.account import Role
from apportion.model.catalog import Catalog
from apportion.model.exchange_check import check_rates
from apportion.model.exchange_rate import ExchangeRate
from apportion.model.findings import Findings
from apportion.model.journal import Entry
from apportion.money import Asset, Exact, parse_asset, quantize
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.stages.rate.exchange import Rates

RATES_MAX = 1000
TRUE_UP = "true-up"
_ENTRIES = msgspec.json.Decoder(Entry)


class RatesInput(Input, frozen=True):
    """Rates to add to the catalog in force; what is there already is there once."""

    rates: Annotated[tuple[ExchangeRate, ...], Meta(min_length=1, max_length=RATES_MAX)]


class RatesAnswer(msgspec.Struct, frozen=True):
    """The rates of the catalog in force, in the order of their instants: those to come, and those that were."""

    data: tuple[ExchangeRate, ...]


class ExchangeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which ``currency`` the balances are to be compared; that of the first conversion, when empty."""

    currency: Annotated[str, Meta(max_length=15)] = ""


class ExchangeView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One exchange account: above zero, what conversions brought in of ``currency``; below zero, what they took.

    ``posted`` = ``converted`` (by charges) + ``rounding`` (paid back), which ``explained`` says. ``worth`` is the
    balance in the currency of the answer, by the rate in force now, or ``via`` the rates of a third currency; empty
    when there are none.
    """

    account: str
    currency: str
    posted: str
    converted: str
    rounding: str
    explained: bool
    worth: str = ""
    rate: str = ""
    base: str = ""
    source: str = ""
    at: str = ""
    via: str = ""


class ExchangeAnswer(msgspec.Struct, frozen=True):
    """All exchange accounts, compared in ``currency``.

    ``worth`` is what they come to together: what rates have gained since the conversions (below zero: lost). It is
    empty when some balance has no rate.
    """

    currency: str
    worth: str
    data: tuple[ExchangeView, ...]


def rates(engine: Engine, call: Call) -> RatesAnswer:
    """The rates of the catalog in force."""
    return RatesAnswer(tuple(sorted(engine.terms().catalog.rates, key=lambda one: (one.at, one.base, one.to))))


def add_rates(engine: Engine, call: Call) -> AppliedAnswer:
    """Put a version of the catalog into force that has more rates.

    Raises:
        Misconfigured: some rate means nothing.
        Refused: CONFLICT when another rate holds from the same instant on.
    """
    given: RatesInput = call.given
    catalog = engine.terms().catalog
    known = {(one.base, one.to, one.at): one for one in catalog.rates}
    fresh = []
    for place, one in enumerate(given.rates):
        before = known.get((one.base, one.to, one.at)) if one.at.tzinfo is not None else None
        if before is None:
            fresh.append(one)
        elif before != one:
            raise refuse(
                RefusalCode.CONFLICT,
                f"from {one.at.astimezone(UTC).isoformat()} on 1 {one.base} is {before.rate} {one.to} already.",
                field=f"rates.{place}",
                fix="What uses were charged by never changes: give the new rate a later instant.",
            )
    return AppliedAnswer(engine.apply(_checked(catalog, tuple(fresh))))


def _checked(catalog: Catalog, fresh: tuple[ExchangeRate, ...]) -> Catalog:
    found = Findings(msgspec.structs.replace(catalog, rates=fresh), ())
    check_rates(found)
    if found.refusals:
        raise Misconfigured(found.refusals[0].sentence(), tuple(found.refusals))
    return msgspec.structs.replace(catalog, rates=(*catalog.rates, *fresh))


def positions(engine: Engine, call: Call) -> ExchangeAnswer:
    """What lies on the exchange accounts, why, and what it is worth."""
    query = call.query
    assert isinstance(query, ExchangeQuery)
    accounts = engine.books.accounts(Role.EXCHANGE)
    first = accounts[0].currency if accounts else ""
    return compared(engine, accounts, engine.terms().rates, query.currency or first)


def compared(engine: Engine, accounts: list[AccountView], known: Rates, currency: str) -> ExchangeAnswer:
    """The accounts with what each is worth in one currency at this instant.

    Raises:
        Refused: UNKNOWN_ASSET.
    """
    asset = _shown(currency) if currency else Asset("", 0)
    causes = _causes(engine, {view.id for view in accounts})
    now = datetime.fromisoformat(engine.clock.now())
    data, total = list[ExchangeView](), Exact(0)
    whole = bool(accounts)
    for view in accounts:
        posted = Exact.parse(view.posted)
        converted, rounding = causes[view.id]
        scale = len(view.posted.partition(".")[2])
        made = ExchangeView(
            view.id, view.currency, view.posted, decimal_text(converted, scale), decimal_text(rounding, scale),
            converted + rounding == int(view.posted.replace(".", "")),
        )  # fmt: skip
        worth = _worth(known, view.currency, posted, asset, now)
        if worth is not None:
            total += worth[0]
            made = msgspec.structs.replace(made, worth=quantize(worth[0], asset).text(), **worth[1])
        whole = whole and worth is not None
        data.append(made)
    return ExchangeAnswer(asset.code, quantize(total, asset).text() if whole else "", tuple(data))


def _worth(known: Rates, code: str, posted: Exact, asset: Asset, now: datetime) -> tuple[Exact, dict[str, str]] | None:
    """A balance in another currency, and by which rate."""
    if code == asset.code:
        return posted, {}
    rate = known.known(code, asset.code, now)
    if rate is not None:
        return rate.of(posted, code), {"rate": rate.text, "base": rate.base, "source": rate.source, "at": rate.at}
    for middle in known.currencies:  # a report may go a long way round; a charge never does
        first, second = known.known(code, middle, now), known.known(middle, asset.code, now)
        if first is not None and second is not None:
            return second.of(first.of(posted, code), middle), {"via": middle}
    return None


def _causes(engine: Engine, accounts: set[str]) -> Mapping[str, tuple[int, int]]:
    """By account, what conversions moved and what rounding paid back, out of the entries."""
    found = dict.fromkeys(accounts, (0, 0))
    marks = [b'"account":"' + name.encode() + b'"' for name in accounts]
    last = engine.store.head(engine.tenant, 0)[0]
    for _, body, _ in engine.store.journal(engine.tenant, 0, 0, last) if accounts else ():
        if not any(mark in body for mark in marks):
            continue
        for line in body.split(b"\n"):
            if line.startswith(b'{"type":"entry"') and any(mark in line for mark in marks):
                entry = _ENTRIES.decode(line)
                for leg in entry.legs:
                    if leg.account in found:
                        converted, rounding = found[leg.account]
                        atoms = int(leg.amount.replace(".", ""))
                        back = entry.kind == TRUE_UP
                        found[leg.account] = converted + (0 if back else atoms), rounding + (atoms if back else 0)
    return found


def _shown(code: str) -> Asset:
    asset = parse_asset(code.partition("/")[0], store=True)
    return Asset(asset.code, minor_digits(asset.code) or 0)
