"""Payers with more than an account: a small catalog, books under a clock that a test sets, and the proof of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Finding, Outside
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.command import BuyAllowance, Grant, Outcome
from apportion.model.funding import Alternate
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.tariff import Flat, Graduated, Tariff, Tier, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.ports import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _tariff(id: str, *components: Any, **more: Any) -> Tariff:
    return Tariff(id=id, currency="EUR", components=components, **more)


def _per_minute(price: str) -> Unit:
    return Unit(name="talk", measure="minutes", price=price)


TARIFFS = (
    _tariff("retail", _per_minute("1")),
    _tariff("wholesale", _per_minute("0.6")),
    _tariff("taxed", _per_minute("1"), taxes={"vat": "20"}, tax="vat"),
    _tariff("visit", Flat(name="start", price="2"), _per_minute("1"), Unit(name="data", measure="gb", price="3")),
    _tariff(
        "stepped",
        Graduated(
            name="talk", measure="minutes", scope="period", tiers=(Tier(up_to="10", price="1"), Tier(price="0.5"))
        ),
    ),
    _tariff("monthly", _per_minute("1"), Flat(name="line", price="2", scope="period")),
)  # fmt: skip


def service(id: str, retail: str, **more: Any) -> Service:
    parts = {"line": Part("oak", {"oak": "wholesale"})}
    return Service(id=id, retail=retail, measures={"minutes": "min", "gb": "GB"}, parts=parts, **more)


def catalog(*payers: Payer, unknown: str = "1000") -> Catalog:
    """Calls at 1 EUR a minute, of which oak earns 0.60; visits that also cost 2 EUR each; stepped ones by month."""
    services = (
        service("call", "retail"), service("taxed", "taxed"), service("visit", "visit"), service("stepped", "stepped"),
        service("monthly", "monthly"), service("club", "stepped", allocate="shares"),
        service("shared", "retail", allocate="shares"),
    )  # fmt: skip
    return Catalog(
        providers={"oak": Provider("oak")},
        services={one.id: one for one in services},
        tariffs={one.id: one for one in TARIFFS},
        payers={payer.id: payer for payer in payers},
        unknown_payers=UnknownPayers("EUR", credit=unknown),
    )


def payer(id: str, opening: str = "0", credit: str = "0", *alternates: tuple[str, str, str] | str) -> Payer:
    """A payer; an alternate is a name, or (name, cap, period)."""
    named = [(one, "", "month") if isinstance(one, str) else one for one in alternates]
    return Payer(id, "EUR", opening=opening, credit=credit, alternates=tuple(Alternate(*one) for one in named))


def use(id: str, minutes: str, *payers: str | PayerUse, of: str = "call", **more: str) -> Usage:
    who = tuple(one if isinstance(one, PayerUse) else PayerUse(one) for one in payers or ("ada",))
    return Usage("switch", id, of, NOON, None, who, (), {"minutes": minutes, **more})


class Watch:
    """A clock that stands where it is put."""

    at = "2026-11-20T12:00:00.000000Z"

    def now(self) -> str:
        return self.at


class Funds:
    """Books of the catalog above, in memory when ``path`` is None, or in a store that is given with its key."""

    def __init__(
        self, path: Path | None, *payers: Payer, given: tuple[Callable[[], Store], KeyFile] | None = None
    ) -> None:
        self.path, self.clock, self._given = path, Watch(), given
        self._open()
        if payers:
            self.engine.apply(catalog(*payers))

    def _open(self) -> None:
        if self._given is None:
            self.store: Store = SqliteStore(str(self.path or ":memory:"))
            signer = KeyFile(str(self.path) + ".key" if self.path else None)
        else:
            self.store, signer = self._given[0](), self._given[1]
        self.engine = Engine(self.store, "main", (self.clock, SystemRandom(), signer), lambda line: None)

    def again(self) -> None:
        """Close the books and open them anew: nothing is remembered."""
        self.engine.close()
        self._open()

    def at(self, instant: str) -> None:
        self.clock.at = instant

    def charge(self, *usages: Usage) -> list[Outcome]:
        return self.engine.charge(usages)

    def grant(self, amount: str, name: str, who: str = "ada", **more: Any) -> str:
        return self.engine.grant(
            Grant(payer=who, amount=amount, currency="EUR", reference=f"{who} {name}", name=name, **more)
        )

    def buy(self, price: str, units: str, name: str, who: str = "ada", measure: str = "minutes", **more: Any) -> str:
        return self.engine.buy_allowance(
            BuyAllowance(
                payer=who, currency="EUR", price=price, measure=measure, units=units, reference=f"{who} {name}",
                name=name, **more,
            )
        )  # fmt: skip

    def charge_of(self, outcome: Outcome) -> Charge:
        assert outcome.refusal is None, outcome.refusal
        return self.engine.books.record(outcome.id).charge

    def sources(self, outcome: Outcome) -> list[tuple[str, str, str]]:
        """(whose account, source, amount) of every share, in order."""
        return [(self.whose(s.account), s.source, short(s.amount)) for s in self.charge_of(outcome).shares]

    def whose(self, account: str) -> str:
        return next(view.owner for view in self.engine.books.accounts() if view.id == account)

    def balances(self, role: str = "payer") -> dict[str, str]:
        return {view.owner: short(view.posted) for view in self.engine.books.accounts() if view.role == role}

    def proven(self) -> list[Finding]:
        """What verify finds."""
        self.engine.writer.seal()
        return verify_store(self.store, self.engine.tenant, "main", Outside(signature_holds, prefix_ok=True)).findings


def short(amount: str) -> str:
    return f"{Decimal(amount):f}".rstrip("0").rstrip(".") if "." in amount else amount
