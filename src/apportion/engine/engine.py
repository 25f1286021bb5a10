"""Engine: the verbs, in the order in which a service is sold, delivered and billed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

from apportion.engine.catalogs import apply_catalog, load_terms, note_zones
from apportion.engine.close import Closed, close_periods
from apportion.engine.commit import Committer
from apportion.engine.credit.policy import refresh_model
from apportion.engine.forget import forget
from apportion.engine.intake import RunSummary, take_in
from apportion.engine.query import Books
from apportion.engine.terms import Terms
from apportion.engine.turns import check_key
from apportion.errors import Refused
from apportion.model.catalog import Catalog
from apportion.model.command import (
    BuyAllowance,
    ChargeUsage,
    EndHold,
    Grant,
    Lapse,
    Outcome,
    PlaceHold,
    RejectUsage,
    SweepHold,
    TopUp,
)
from apportion.model.usage import Usage
from apportion.ports import Bank, Clock, Outside, PaymentPort, ProviderPort, Random, Signer, Store
from apportion.stages.broker.choosing.program import Solver


class Engine:
    """One tenant's books, open for work. Use it as a context manager, or ``close`` it: that seals the chain."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        outside: tuple[Clock, Random, Signer],
        announce: Callable[[str], None],
        *,
        writable: bool = True,
    ) -> None:
        self.store = store
        self.tenant_name = tenant
        self._versions: dict[str, Terms] = {}
        self.writable = writable
        self.tenant = store.tenant(tenant)
        self.clock, _, self.signer = outside
        self.private = False  # whether addresses inside of networks may be called
        self.solver: Solver | None = None  # proves large choices; without it they are searched as far as that goes
        self.bank: Bank | None = None  # writes files for the bank
        self.providers: ProviderPort | None = None  # who asks provider nodes, on the thread of ``outside``
        self.payments: PaymentPort | None = None  # who asks the payment processor, on the same thread
        self.outside: Outside | None = None
        self.running: Any = None  # how the schedule goes on the node that this belongs to
        if writable:
            check_key(store, self.tenant, outside[2])
        self.committer = Committer(store, tenant, outside, announce) if writable else None
        if self.committer is not None:
            self.committer.reload = self.terms

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Seal what was written since the last checkpoint and release the store."""
        if self.committer is not None:
            self.committer.close()
        self.store.close()

    @property
    def writer(self) -> Committer:
        """The writing half, with the catalog in force."""
        assert self.committer is not None, "the books were opened for reading"
        if self.committer.terms is None:
            self.committer.terms = self.terms()
            note_zones(self.committer, self.store)
            refresh_model(self.committer, self.committer.terms)
        return self.committer

    def terms(self, version: str = "") -> Terms:
        """A catalog version, compiled; the one in force when none is named."""
        assets = self.committer.names.assets if self.committer is not None else None
        return load_terms(self.store, self.tenant, version, assets)

    def version(self, version: str) -> Terms:
        """A catalog version that things were agreed on, compiled and kept.

        Raises:
            NotFound: nobody ever applied it.
        """
        if self.committer is not None:
            return self.committer.version(version)
        if version not in self._versions:
            self._versions[version] = self.terms(version)
        return self._versions[version]

    @property
    def books(self) -> Books:
        """Questions to the books as they stand."""
        return Books(self.store, self.tenant)

    def apply(self, catalog: Catalog) -> str:
        """Put a catalog into force; its version id."""
        assert self.committer is not None, "the books were opened for reading"
        version = apply_catalog(self.committer, self.store, catalog)
        note_zones(self.committer, self.store)
        return version

    def run(
        self,
        batches: Iterable[Sequence[ChargeUsage | RejectUsage]],
        progress: Callable[[RunSummary], None] = lambda summary: None,
    ) -> RunSummary:
        """Charge everything that comes, group by group."""
        return take_in(self.writer, self.store, batches, progress)

    def charge(self, usages: Iterable[Usage]) -> list[Outcome]:
        """Charge a handful of records and answer each."""
        return self.writer.commit([ChargeUsage(usage) for usage in usages])

    def top_up(self, payer: str, amount: str, currency: str, reference: str) -> str:
        """Add value to a payer's account once per ``reference``; the id of the top-up.

        Raises:
            Refused: UNKNOWN_PAYER, BAD_AMOUNT, CONFLICT.
        """
        return self._one(TopUp(payer, amount, currency, reference)).id

    def grant(self, grant: Grant) -> str:
        """Value for a payer in a bucket of its own; the id of the grant.

        Raises:
            Refused: UNKNOWN_PAYER, BAD_AMOUNT, BAD_INPUT, BAD_TIME, UNKNOWN_SERVICE, CONFLICT.
        """
        return self._one(grant).id

    def buy_allowance(self, bought: BuyAllowance) -> str:
        """Units for a payer, paid for now; the id of the purchase.

        Raises:
            Refused: as ``grant``; INSUFFICIENT_FUNDS, BAD_QUANTITY, MEASURE_MISSING.
        """
        return self._one(bought).id

    def hold(self, payer: str, amount: str, currency: str, owner: str, expires: str) -> str:
        """Set value aside; the id of the hold."""
        return self._one(PlaceHold(payer, amount, currency, owner, expires)).id

    def end_hold(self, hold: int, amount: str = "0", *, final: bool = True) -> str:
        """Capture part of a hold, or end it and give back the rest."""
        return self._one(EndHold(hold, amount, final)).id

    def sweep(self) -> int:
        """End every hold, bucket and allowance whose expiry has come; how many."""
        now = self.clock.now()
        stock = [id for kind in ("bkt_", "alw_") for id in self.store.due_courses(self.tenant, now, 500, kind)]
        if stock:
            self.writer.commit([Lapse(id) for id in stock])
        due = self.store.expired_holds(self.tenant, now, 1000)
        if due:
            self.writer.commit([SweepHold(hold) for hold in due])
        return len(due) + len(stock)

    def close_period(self, period: str = "", *, force: bool = False) -> Closed:
        """Close a period (every one that usage names, when empty): re-rate, book period fees, true up rounding.

        Raises:
            Refused: PERIOD_OPEN when it has not ended, unless ``force``.
        """
        return close_periods(self.writer, self.store, period, now="" if force else self.clock.now())

    def forget(self, party: str) -> int:
        """Delete everything personal of a party (by the name that usage calls them); how many rows went.

        The books stay whole: they hold an opaque id, and MACs whose salt is gone.

        Raises:
            Refused: NOT_FOUND.
        """
        return forget(self.writer, self.store, party)

    def _one(self, command: object) -> Outcome:
        outcome = self.writer.commit([command])[0]
        if outcome.refusal is not None:
            raise Refused(outcome.refusal)
        return outcome
