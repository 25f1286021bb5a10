"""Books in several currencies: a service in USD, parts priced in JPY and EUR, payers who have EUR, GBP or USD."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import msgspec

from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Outside, Verdict
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.command import Grant, Outcome
from apportion.model.exchange_rate import ExchangeRate
from apportion.model.journal import Entry
from apportion.model.party import Payer, Provider
from apportion.model.profile import Billing, Profile
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.ports import Store

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
RATES = (
    ("USD", "EUR", "0.92", "ECB", NOON - timedelta(days=1)),
    ("USD", "EUR", "0.95", "ECB", NOON + timedelta(days=1)),
    ("JPY", "USD", "0.0064", "BOJ", NOON - timedelta(days=1)),
    ("GBP", "USD", "1.31", "BoE", NOON - timedelta(days=1)),
)


def rates(rows: Sequence[tuple[str, str, str, str, datetime]] = RATES) -> tuple[ExchangeRate, ...]:
    """Rows as the catalog holds them."""
    return tuple(ExchangeRate(*row) for row in rows)


def catalog(given: tuple[ExchangeRate, ...] | None = None, **more: object) -> Catalog:
    """Films at 0.07 USD a minute and 1 to start; the studio is paid in JPY, the network in EUR, the host in USD."""
    tariffs = (
        Tariff(
            id="film", currency="USD", taxes={"vat": "7.7"}, tax="vat",
            components=(Flat(name="start", price="1"), Unit(name="watch", measure="minutes", price="0.07")),
        ),
        Tariff(id="studio", currency="JPY", components=(Unit(name="licence", measure="minutes", price="3.3"),)),
        Tariff(id="wire", currency="EUR", components=(Unit(name="carry", measure="minutes", price="0.01", per="7"),)),
        Tariff(id="host", currency="USD", components=(Unit(name="keep", measure="minutes", price="0.011", per="3"),)),
    )  # fmt: skip
    service = Service(
        id="film", retail="film", measures={"minutes": "min"}, allocate="shares", sponsor="marketing",
        parts={
            "studio": Part("toho", {"toho": "studio"}),
            "network": Part("wire", {"wire": "wire"}),
            "host": Part("host", {"host": "host"}),
        },
    )  # fmt: skip
    payers = (
        Payer("ada", "USD", opening="1000"),
        Payer("eva", "EUR", opening="1000", profile="euro"),
        Payer("gil", "GBP", opening="1000"),
    )
    found = Catalog(
        name="films",
        rates=rates() if given is None else given,
        providers={name: Provider(name) for name in ("toho", "wire", "host")},
        tariffs={tariff.id: tariff for tariff in tariffs},
        services={"film": service},
        payers={payer.id: payer for payer in payers},
        profiles={"euro": Profile("euro", billing=Billing(currency="EUR"))},
    )
    return msgspec.structs.replace(found, **more)


def film(number: int, *payers: str, minutes: str = "97", at: datetime = NOON) -> Usage:
    """One film that payers watch together."""
    return Usage(
        "player", f"f{number}", "film", at, None, tuple(PayerUse(*name.split("=")) for name in payers),
        quantities={"minutes": minutes},
    )  # fmt: skip


class Watch:
    """A clock that stands where it is put."""

    at = "2026-11-20T10:00:00.000000Z"

    def now(self) -> str:
        return self.at


class Cinema:
    """An engine over such books."""

    def __init__(
        self, path: Path | str = ":memory:", given: Catalog | None = None, store: Store | None = None,
        key: KeyFile | None = None,
    ) -> None:  # fmt: skip
        self.clock = Watch()
        self.store: Store = store or SqliteStore(str(path))
        self.key = key or KeyFile(None)
        self.engine = Engine(self.store, "main", (self.clock, SystemRandom(), self.key), lambda line: None)
        self.engine.apply(given or catalog())

    def charge(self, *usages: Usage) -> list[Outcome]:
        """Charge records."""
        return list(self.engine.charge(usages))

    def charges(self) -> list[Charge]:
        """All charges of the books."""
        return [line for _, line in self.engine.books.lines() if isinstance(line, Charge)]

    def entries(self) -> list[Entry]:
        """All entries of the books."""
        return [line for _, line in self.engine.books.lines() if isinstance(line, Entry)]

    def balances(self) -> dict[tuple[str, str], Fraction]:
        """What is posted, by owner and currency."""
        found: dict[tuple[str, str], Fraction] = {}
        for view in self.engine.books.accounts():
            found[view.owner, view.currency] = found.get((view.owner, view.currency), Fraction(0)) + Fraction(
                view.posted
            )
        return found

    def verify(self) -> Verdict:
        """What a proof of the store says."""
        return verify_store(self.store, self.engine.tenant, "main", Outside(signature_holds, prefix_ok=True))

    def tell(self, command: object) -> Outcome:
        """Decide one command."""
        return self.engine.writer.commit([command])[0]

    def grant(self, payer: str, amount: str, currency: str) -> None:
        """Give a payer a bucket."""
        assert (
            self.tell(Grant(payer=payer, amount=amount, currency=currency, reference=f"grant-{payer}")).refusal is None
        )
