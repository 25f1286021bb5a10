"""A store that is away for longer than a request may wait: refused, said, and gone on with as soon as it is back."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.access import Keyring, all_keys, new_key, revoke_key
from apportion.engine.engine import Engine
from apportion.engine.exchange import KeyInput
from apportion.engine.gather import Gatherer, Job
from apportion.errors import RefusalCode, StoreUnavailable
from apportion.model.access import AccessRole
from apportion.model.command import ChargeUsage, TopUp
from apportion.model.usage import UsageClass
from tests.book import catalog, ride, usages
from tests.postgres.server import PostgresServer, dsn_of, server


def opened(dsn: str, key: Path, patience: float = 30.0) -> Engine:
    outside = (SystemClock(), SystemRandom(), KeyFile(key))
    return Engine(PostgresStore(dsn, patience=patience), "main", outside, lambda line: None)


class Desk:
    """A gatherer in this process, asked and waited for."""

    def __init__(self, engine: Engine) -> None:
        self.gatherer = Gatherer({"main": engine}, self._wake, pause=0.1)
        self._done: dict[int, threading.Event] = {}
        self.gatherer.start()

    def _wake(self, jobs: list[Job]) -> None:
        for job in jobs:
            job.waiter.set()

    def ask(self, job: Job) -> Job:
        job.waiter = threading.Event()
        self.gatherer.submit(job)
        assert job.waiter.wait(30)
        return job

    def until(self, down: bool) -> float:
        began = time.monotonic()
        while self.gatherer.down is not down:
            assert time.monotonic() - began < 10
            time.sleep(0.01)
        return time.monotonic() - began


def test_away_for_longer_than_the_patience_and_back(tmp_path: Path) -> None:
    own = PostgresServer()
    try:
        engine = opened(own.fresh(), tmp_path / "key", patience=1)
        engine.apply(catalog())
        desk = Desk(engine)
        done = desk.ask(Job("main", [ChargeUsage(ride(1))]))
        assert done.error is None and done.outcomes[0].state is UsageClass.CHARGED
        own.kill()
        lost = desk.ask(Job("main", [ChargeUsage(ride(2))]))
        assert isinstance(lost.error, StoreUnavailable) and not lost.outcomes
        assert desk.gatherer.down and not desk.gatherer.failed
        with pytest.raises(StoreUnavailable, match="can not be reached"):
            desk.gatherer.submit(Job("main", act=lambda engine: None))
        own.start()
        assert desk.until(False) < 5
        done = desk.ask(Job("main", [ChargeUsage(ride(1)), ChargeUsage(ride(2))]))
        assert [outcome.state for outcome in done.outcomes] == [UsageClass.DUPLICATE, UsageClass.CHARGED]
        own.kill()
        desk.until(True)  # noticed though nobody writes
        own.start()
        desk.until(False)
        assert desk.ask(Job("main", act=lambda engine: engine.top_up("ada", "1", "EUR", "x"))).result
        desk.gatherer.stop()
        engine.close()
    finally:
        own.stop()


def cut(dsn: str) -> None:
    """End every session of a database."""
    name = dsn.split("/")[3].split("?")[0]
    server().sql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_every_kind_of_write_is_repeated_after_a_lost_connection(tmp_path: Path) -> None:
    dsn = dsn_of()
    engine = opened(dsn, tmp_path / "key")
    steps = (
        lambda: engine.apply(catalog()),
        lambda: engine.charge([ride(1), ride(2, "ben")]),
        lambda: engine.top_up("ada", "5", "EUR", "once"),
        lambda: engine.hold("ben", "1", "EUR", "x", "2020-01-01T00:00:00Z"),
        lambda: new_key(engine, KeyInput(AccessRole.OPERATOR)),
        lambda: engine.sweep(),
        lambda: list(engine.writer.stream([[ChargeUsage(ride(n))] for n in range(3, 9)])),
        lambda: engine.close_period("2026-11", force=True),
        lambda: engine.committer.seal(),  # type: ignore[union-attr]
        lambda: engine.forget("ben"),
    )
    for step in steps:
        cut(dsn)
        step()
    n = engine.store.head(1, 0)[0]
    assert sum(1 for _ in engine.books.records()) >= 8 and engine.store.handles(1, ["ben"]) == {}
    assert engine.top_up("ada", "5", "EUR", "once") and engine.store.head(1, 0)[0] == n, "once is once"
    engine.close()


def test_a_connection_that_is_lost_while_a_stream_runs(tmp_path: Path) -> None:
    dsn = dsn_of()
    engine = opened(dsn, tmp_path / "key")
    engine.apply(catalog())
    found = []
    for n, outcomes in enumerate(engine.writer.stream([ChargeUsage(ride(i))] for i in range(40))):
        found += [outcome.state for outcome in outcomes]
        if n % 5 == 0:
            cut(dsn)
    assert found == [UsageClass.CHARGED] * 40
    engine.close()


def test_what_a_writer_remembers_is_looked_up_again_after_another_one_wrote(tmp_path: Path) -> None:
    dsn = dsn_of()
    one, two = (opened(dsn, tmp_path / "key") for _ in range(2))
    one.apply(catalog())
    keyring = Keyring([two])
    for n in range(4):
        for engine in (one, two):
            assert engine.charge([ride(n, "ada", f"new-{n}")])[0].state is not None
            engine.top_up(f"new-{n}", "1", "EUR", f"{n}")
    assert two.charge([ride(3, "ada", "new-3")])[0].state is UsageClass.DUPLICATE
    made, _ = new_key(one, KeyInput(AccessRole.OPERATOR))
    keyring.renew("main", all_keys(two))
    assert keyring.find(made.secret, "2026-01-01T00:00:00Z") is not None
    revoke_key(two, made.key.id)
    keyring.renew("main", all_keys(one))
    assert keyring.find(made.secret, "2026-01-01T00:00:00Z") is None
    power = [usage for usage in usages(99) if usage.service == "power" and usage.payers[0].payer == "ada"]
    assert two.charge(power[:1])[0].state is UsageClass.CHARGED
    assert one.close_period("2026-11", force=True).accounts == 1
    late = two.charge(power[1:2])[0]
    if late.refusal is not None:  # it waits while that period lasts; later it counts in the one that began since
        assert (late.state, late.refusal.code) == (UsageClass.PENDING, RefusalCode.PERIOD_CLOSED)
    else:
        assert two.books.record(late.id).usage.period > "2026-11"
    assert two.close_period("2026-11", force=True).accounts == 0
    outcome = two.writer.commit([TopUp("new-0", "1", "EUR", "last")])[0]
    assert outcome.refusal is None
    assert len({account.id for _, account in one.store.all_accounts(1)}) == len(list(two.store.all_accounts(1)))
    one.close()
    two.close()
