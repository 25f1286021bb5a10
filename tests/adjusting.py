"""Books whose clock stands where it is put, with power that counts in a month and rides that do not: to adjust them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine import billing
from apportion.engine.correcting.decision import corrected_id
from apportion.engine.engine import Engine
from apportion.engine.rerating.door import RerateAnswer, RerateInput, run
from apportion.engine.verbs import Call
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Outside
from apportion.model.access import AccessRole, Credential
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.command import Outcome
from apportion.model.correction import Correct, CorrectedLine
from apportion.model.statement import Statement
from apportion.model.usage import PayerUse, Usage
from apportion.ports import Store
from tests.book import catalog, ride
from tests.settling import Watch

OPERATOR = Credential("key_1", "main", AccessRole.OPERATOR, "", "")


def power(number: int, kwh: str, at: str, payer: str = "ada") -> Usage:
    """Energy of one meter; ``at`` is a day such as 10-30, of 2026."""
    start = datetime.fromisoformat(f"2026-{at}T12:00:00").replace(tzinfo=UTC)
    return Usage("grid", f"p{number}", "power", start, None, (PayerUse(payer),), (), {"kwh": kwh})


def changed(given: Catalog, **tariffs: dict[str, object]) -> Catalog:
    """The catalog with fields of some tariffs replaced."""
    made = {name: msgspec.structs.replace(given.tariffs[name], **fields) for name, fields in tariffs.items()}
    return msgspec.structs.replace(given, tariffs=given.tariffs | made)


class Books:
    """Books to adjust, and what one does with them."""

    def __init__(
        self, path: Path, given: Catalog | None = None, store: Store | None = None, key: KeyFile | None = None
    ) -> None:
        self.clock, self.key = Watch(), key or KeyFile(None)
        self.store: Store = store or SqliteStore(str(path))
        self.engine = Engine(self.store, "main", (self.clock, SystemRandom(), self.key), lambda line: None)
        self.catalog = given or catalog(credit="100000")
        self.version = self.engine.apply(self.catalog)

    def now(self, at: str) -> None:
        """Put the clock on a day such as 11-20 of 2026."""
        self.clock.at = f"2026-{at}T10:00:00.000000Z"

    def charge(self, *usages: Usage) -> list[Outcome]:
        return self.engine.charge(usages)

    def ride(self, number: int, *payers: str, km: str = "10", minutes: str = "14") -> str:
        """A ride that must be charged; its charge."""
        outcome = self.charge(ride(number, *payers, km=km, minutes=minutes))[0]
        assert outcome.refusal is None, outcome
        return outcome.id

    def posted(self) -> dict[tuple[str, str], Decimal]:
        """Balances by role and owner."""
        return {(one.role, one.owner): Decimal(one.posted) for one in self.engine.books.accounts()}

    def statement(self, period: str, who: str = "ada") -> Statement:
        made = billing.issue(self.engine, period, who)
        assert len(made) == 1 and isinstance(made[0], Statement)
        return made[0]

    def rerate(self, service: str = "ride", **more: object) -> list[RerateAnswer]:
        """A whole run, page by page."""
        pages = []
        given = RerateInput(service, **more)  # type: ignore[arg-type]
        while not pages or given.after:
            pages.append(run(self.engine, Call(OPERATOR, given=given)))
            given = msgspec.structs.replace(given, after=pages[-1].next, catalog=pages[-1].catalog)
        return pages

    def refund(self, charge: str, amount: str = "", **more: str) -> str:
        outcome = self.engine.writer.commit(
            [Correct(charge=charge, reference=f"r {charge} {amount}", amount=amount, **more)]
        )[0]
        assert outcome.refusal is None, outcome
        return outcome.id

    def standing(self, charge: str) -> Charge:
        """A charge as it stands."""
        found = self.store.courses(self.engine.tenant, [corrected_id(charge)])
        if not found:
            return self.engine.books.record(charge).charge
        return msgspec.json.decode(found[corrected_id(charge)].line, type=CorrectedLine).standing

    def proven(self) -> list[str]:
        """What verify finds."""
        self.engine.writer.seal()
        verdict = verify_store(self.store, self.engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        return [f"{finding.code} {finding.id}: {finding.message}" for finding in verdict.findings]
