"""Books to settle: rides that dora and otto deliver, a clock that stands where it is put, and what verify finds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

from apportion.adapters.bank import SepaBank
from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.settling.decision import payouts_of
from apportion.engine.settling.payees import put_payee
from apportion.engine.settling.run import Run, settle
from apportion.engine.settling.standing import find_payout, find_settlement, positions_of
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Outside
from apportion.model.account import Role
from apportion.model.catalog import Catalog
from apportion.model.command import Outcome
from apportion.model.payee import Payee
from apportion.model.settlement import (
    EndPayout,
    Mode,
    Oblige,
    OrderPayouts,
    PayoutLine,
    PositionLine,
    SettlementLine,
    Wanted,
)
from apportion.ports import Store
from tests.book import catalog, ride

IBAN = {
    "platform": "DE89370400440532013000", "dora": "GB82WEST12345698765432", "otto": "CH9300762011623852957",
    "sun": "FR1420041010050500013M02606", "wire": "NL91ABNA0417164300",
}  # fmt: skip


class Watch:
    """A clock that stands where it is put."""

    at = "2026-11-20T10:00:00.000000Z"

    def now(self) -> str:
        return self.at


def capped(given: Catalog, **caps: str) -> Catalog:
    """The catalog with net debit caps in EUR."""
    providers = {
        name: msgspec.structs.replace(one, debit_caps={"EUR": caps[name]} if name in caps else {})
        for name, one in given.providers.items()
    }
    return msgspec.structs.replace(given, providers=providers)


class Counting:
    """Books of rides, and what one does with them."""

    def __init__(self, path: Path, store: Store | None = None, key: KeyFile | None = None) -> None:
        self.clock = Watch()
        self.store: Store = store or SqliteStore(str(path))
        self.key = key or KeyFile(None)
        self.engine = Engine(self.store, "main", (self.clock, SystemRandom(), self.key), lambda line: None)
        self.engine.bank = SepaBank()
        self.engine.apply(capped(catalog(credit="100000"), wire="20"))
        self.rides = 0

    def ride(self, count: int = 1, km: str = "6.4", minutes: str = "18", payer: str = "ada") -> None:
        """Charge some rides: dora earns minutes / 7, otto 0.7 a km."""
        made = [ride(self.rides + one, payer, km=km, minutes=minutes) for one in range(count)]
        self.rides += count
        assert all(outcome.refusal is None for outcome in self.engine.charge(made))

    def settle(self, mode: str = "net") -> Run:
        return settle(self.engine, Mode(mode))

    def one(self, mode: str = "net") -> SettlementLine:
        """A settlement that must be made, in the only currency."""
        run = self.settle(mode)
        assert run.made and len(run.settlements) == 1
        return run.settlements[0]

    def tell(self, command: object) -> Outcome:
        return self.engine.writer.commit([command])[0]

    def oblige(self, debtor: str, creditor: str, amount: str, reference: str) -> Outcome:
        return self.tell(Oblige(debtor, creditor, amount, "EUR", reference))

    def order(self, line: SettlementLine, by: str = "file", *wanted: Wanted) -> Outcome:
        return self.tell(OrderPayouts(line.id, by, wanted))

    def end(self, id: str, outcome: str) -> Outcome:
        return self.tell(EndPayout(id, 0, outcome, word="operator"))

    def payouts(self, line: SettlementLine) -> list[PayoutLine]:
        """What was ordered of a settlement, by creditor and debtor."""
        found = payouts_of(
            line, lambda ids: {id: one.line for id, one in self.store.courses(self.engine.tenant, ids).items()}
        )
        return [part for _, parts in sorted(found.items()) for part in parts]

    def payout(self, id: str) -> PayoutLine:
        return find_payout(self.engine, id)

    def positions(self, line: SettlementLine) -> dict[str, PositionLine]:
        """Positions of a settlement by provider."""
        owners = self.engine.books.owners()
        return {owners[one.account]: one for one in positions_of(self.store, self.engine.tenant, line)}

    def pays(self, line: SettlementLine) -> dict[tuple[str, str], Decimal]:
        """Who pays whom in a settlement, by name; the platform has none."""
        owners = self.engine.books.owners() | {"": ""}
        return {(owners[one.debtor], owners[one.creditor]): Decimal(one.amount) for one in line.payments}

    def found(self, id: str) -> SettlementLine:
        return find_settlement(self.engine, id)

    def posted(self, role: Role = Role.PROVIDER) -> dict[str, Decimal]:
        return {view.owner: Decimal(view.posted) for view in self.engine.books.accounts(role)}

    def account(self, provider: str) -> str:
        return self.engine.books.find_account(provider).id

    def keep_payees(self) -> None:
        """Say where everybody has their money."""
        for name, iban in IBAN.items():
            put_payee(self.engine, name, Payee(f"{name.capitalize()} Ltd", iban, destination="tok_ok"))

    def proven(self) -> list[str]:
        """What verify finds."""
        self.engine.writer.seal()
        verdict = verify_store(self.store, self.engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        return [f"{finding.code} {finding.id}: {finding.message}" for finding in verdict.findings]
