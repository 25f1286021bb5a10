"""The writer thread by itself: a bounded queue, pieces in turn, a drain, and what happens when things break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import apportion
from apportion.engine.engine import Engine
from apportion.engine.gather import Full, Gatherer, Job
from apportion.errors import StoreUnavailable, Unwritten
from apportion.model.command import ChargeUsage, OpenPayer, TopUp
from apportion.model.party import Payer
from apportion.model.usage import PayerUse, Usage, UsageClass
from tests.book import START
from tests.faces.api.nodes import catalog, proven
from tests.postgres.server import dsn_of


def charges(name: str, count: int) -> list[object]:
    return [
        ChargeUsage(Usage("m", f"{name}-{i}", "ride", START, None, (PayerUse("eve"),), (), {"km": "1"}))
        for i in range(count)
    ]


class Desk:
    """A gatherer on a fresh store that remembers in which order jobs were done, and in which groups."""

    def __init__(self, path: Path, **more: Any) -> None:
        self.path = path
        self.engine: Engine = apportion.open(str(path))
        self.engine.apply(catalog())
        self.done: list[Job] = []
        self.woken = self.broken = 0
        self.some = threading.Condition()
        self.gatherer = Gatherer({"main": self.engine}, self._wake, self._break, **more)

    def _wake(self, jobs: list[Job]) -> None:
        with self.some:
            self.woken += 1
            self.done += jobs
            self.some.notify_all()

    def _break(self) -> None:
        self.broken += 1

    def wait(self, count: int) -> None:
        with self.some:
            assert self.some.wait_for(lambda: len(self.done) >= count, 20)


Made = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> Made:
    return lambda **more: Desk(tmp_path / "books.db", **more)


def test_what_waits_is_one_group_and_one_waking(desk: Made) -> None:
    one = desk()
    jobs = [Job("main", charges(f"j{n}", 3), lambda engine, outcomes: len(outcomes)) for n in range(50)]
    for job in jobs:
        one.gatherer.submit(job)
    one.gatherer.start()
    one.gatherer.stop()
    assert one.done == jobs and one.woken == 1 and {job.result for job in jobs} == {3}
    assert one.gatherer.waiting == 0
    one.engine.close()


def test_a_full_queue_refuses_before_it_accepts(desk: Made) -> None:
    one = desk(waiting=100)
    one.gatherer.submit(Job("main", charges("a", 90)))
    with pytest.raises(Full) as full:
        one.gatherer.submit(Job("main", charges("b", 20)))
    assert full.value.mine
    one.gatherer.submit(Job("main", charges("c", 10)))
    one.gatherer.start()
    one.wait(2)
    one.gatherer.submit(Job("main", charges("d", 500)))  # longer than the queue, but nothing waits
    one.gatherer.stop()
    assert [len(job.outcomes) for job in one.done] == [90, 10, 500]
    with pytest.raises(StoreUnavailable, match="stopping"):
        one.gatherer.submit(Job("main", charges("e", 1)))
    one.engine.close()


def test_long_jobs_take_turns_with_short_ones(desk: Made) -> None:
    one = desk()
    long, short = Job("main", charges("long", 5000)), Job("main", charges("short", 1))
    alone = Job("main", act=lambda engine: engine.tenant_name)
    for job in (long, short, alone):
        one.gatherer.submit(job)
    one.gatherer.start()
    one.gatherer.stop()
    assert one.done == [short, alone, long] and alone.result == "main" and len(long.outcomes) == 5000
    one.engine.close()


def test_a_job_that_no_decision_can_be_made_of_fails_alone(desk: Made) -> None:
    one = desk()
    good, bad, told = (
        Job("main", charges("a", 2)),
        Job("main", [ChargeUsage(None)]),
        Job("main", charges("b", 1), lambda *_: 1 // 0),
    )
    acting = Job("main", act=lambda engine: 1 // 0)
    for job in (good, bad, told, acting):
        one.gatherer.submit(job)
    one.gatherer.start()
    one.gatherer.stop()
    assert good.error is None and len(good.outcomes) == 2
    assert bad.error is not None and isinstance(told.error, ZeroDivisionError) and acting.error is not None
    assert not one.gatherer.failed and one.broken == 0
    one.engine.close()


class Trap(str):
    """A name that breaks whoever writes it down: its party and its currency are numbered by then."""

    def encode(self, *_: Any) -> bytes:
        raise ValueError("trap")


def test_a_decision_that_breaks_half_way_fails_its_command_alone(desk: Made) -> None:
    one = desk()
    half = charges("half", 2)
    traps = [OpenPayer(Payer(Trap(f"trap {n}"), "USD")) for n in range(4)]
    jobs = [
        Job("main", charges("a", 2)), Job("main", [traps[0]]), Job("main", charges("b", 100)),
        Job("main", [traps[1], traps[2]]), Job("main", [half[0], traps[3], half[1]]), Job("main", charges("c", 2)),
        Job("main", [OpenPayer(Payer("uma", "USD", opening="5"))]), Job("main", [TopUp("ada", "1", "EUR", "t")]),
    ]  # fmt: skip
    for job in jobs:
        one.gatherer.submit(job)
    one.gatherer.start()
    one.gatherer.stop()
    assert [str(job.error) if job.error else "" for job in jobs] == ["", "trap", "", "trap", "trap", "", "", ""]
    assert not one.gatherer.failed and one.broken == 0 and len(one.done) == len(jobs)
    posted = {view.owner: view.posted for view in one.engine.books.accounts() if view.role == "payer"}
    assert posted == {
        "ada": "101.000000000", "ben": "100.000000000", "eve": "-742.000000000", "uma": "5.000000000",
    }  # fmt: skip
    parties = sorted(account.party for _, account in one.engine.store.all_accounts(one.engine.tenant) if account.party)
    assert parties == [1, 2, 3, 4]
    one.engine.close()
    proven(one.path).close()


def test_a_store_that_breaks_answers_everybody_and_stops(desk: Made) -> None:
    one = desk()

    def broken() -> None:
        raise OSError("the disk is gone")

    one.engine.store.commit = broken  # type: ignore[method-assign]
    jobs = [Job("main", charges(f"j{n}", 400)) for n in range(5)]
    for job in jobs:
        one.gatherer.submit(job)
    one.gatherer.start()
    one.gatherer.stop()
    assert one.gatherer.failed and one.broken == 1
    assert sorted(map(id, one.done)) == sorted(map(id, jobs))
    assert all(isinstance(job.error, StoreUnavailable) for job in jobs)
    with pytest.raises(StoreUnavailable, match="failed"):
        one.gatherer.submit(Job("main", charges("late", 1)))


def test_the_next_group_is_prepared_during_commit_but_nobody_is_answered(desk: Made) -> None:
    one = desk()
    first, later = [Job("main", charges(f"j{n}", 250)) for n in range(4)], Job("main", charges("later", 100))
    commit, seen = one.engine.store.commit, []

    def slow() -> None:
        if not seen:
            patience = time.monotonic() + 20
            while not later.taken and time.monotonic() < patience:
                time.sleep(0.001)
            seen.append((threading.current_thread().name.startswith("commit"), later.taken, len(one.done)))
        commit()

    one.engine.store.commit = slow  # type: ignore[method-assign]
    for job in (*first, later):
        one.gatherer.submit(job)
    one.gatherer.start()
    one.gatherer.stop()
    assert seen == [(True, 100, 0)] and one.done == [*first, later]
    one.engine.close()
    proven(one.path).close()


def test_what_was_not_written_is_decided_again_though_the_next_group_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with apportion.open(dsn_of()) as engine:
        engine.apply(catalog())
        commit, lost = engine.store.commit, []

        def unsure() -> None:
            if not lost:
                lost.append(threading.current_thread().name.startswith("commit"))
                engine.store.drop()
                raise Unwritten("lost")
            commit()

        engine.store.commit = unsure  # type: ignore[method-assign]
        done: list[Job] = []
        gatherer = Gatherer({"main": engine}, done.extend)
        jobs = [Job("main", charges("long", 1500)), *(Job("main", charges(f"j{n}", 250)) for n in range(4))]
        jobs.append(Job("main", [OpenPayer(Payer(Trap("trap"), "USD"))]))
        for job in jobs:
            gatherer.submit(job)
        gatherer.start()
        gatherer.stop()
        assert lost == [True] and len(done) == len(jobs)
        assert [str(job.error or len(job.outcomes)) for job in jobs] == ["1500", "250", "250", "250", "250", "trap"]
        states = [outcome.state for job in jobs for outcome in job.outcomes]
        assert states.count(UsageClass.CHARGED) == 142 and states.count(UsageClass.PENDING) == 2500 - 142
        posted = {view.owner: view.posted for view in engine.books.accounts() if view.role == "payer"}
        assert posted["eve"] == "-994.000000000"  # 142 at 7; the next would pass the credit of 1,000


def test_the_same_where_others_write_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the key of a database lies where the writer runs
    with apportion.open(dsn_of()) as engine:
        engine.apply(catalog())
        traps = [OpenPayer(Payer(Trap(f"trap {n}"), "USD")) for n in range(2)]
        commands = [*charges("a", 2), traps[0], *charges("b", 3), traps[1], OpenPayer(Payer("uma", "USD", opening="5"))]
        outcomes, broken = engine.writer.salvage(commands)
        assert {place: str(error) for place, error in broken.items()} == {2: "trap", 6: "trap"}
        assert len(outcomes) == len(commands) and not engine.writer.failed
        posted = {view.owner: view.posted for view in engine.books.accounts() if view.role == "payer"}
        assert (posted["eve"], posted["uma"]) == ("-35.000000000", "5.000000000")
        assert not any("trap" in owner for owner in posted)
