"""``kill -9`` at random moments of what a schedule does: started again it goes on, and everything was done once."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from apportion.engine import billing
from apportion.engine.access import new_key
from apportion.engine.engine import Engine
from apportion.engine.exchange import KeyInput
from apportion.engine.query import Books
from apportion.engine.scheduling.running import Running
from apportion.engine.settling.decision import payouts_of
from apportion.engine.settling.payees import put_payee
from apportion.engine.settling.standing import find_line, last_settlement, positions_of
from apportion.model.access import AccessRole
from apportion.model.journal import Entry
from apportion.model.payee import Payee
from apportion.model.schedule import Schedule
from apportion.model.settlement import SettlementLine
from apportion.model.usage import Usage
from apportion.wiring import open_engine
from tests.book import catalog, usages
from tests.durability.test_kill_settle import Settler, copied
from tests.faces.api.nodes import NodeProcess
from tests.faces.api.processor import until
from tests.forging import verified_store
from tests.settling import IBAN

ALL = Schedule(close="0s", statements="0s", settle="1s", mode="multilateral", payout="file")
RECORDS = 150


def past(count: int) -> Iterator[Usage]:
    """Usage of months that are over."""
    for number, usage in enumerate(usages(count)):
        start = usage.start - timedelta(days=60 + 31 * (number % 2))
        yield replace(usage, start=start, end=None)


def make(path: Path) -> Path:
    """Books with two months to be closed, billed, settled and paid out; nothing of it is done."""
    with open_engine(str(path)) as engine:
        engine.apply(replace(catalog(credit="100000"), schedule=ALL))
        engine.charge(past(RECORDS))
        for name, iban in IBAN.items():
            put_payee(engine, name, Payee(f"{name.capitalize()} Ltd", iban))
    made = int(time.time())
    until(lambda: int(time.time()) > made)  # what was earned in this second is for the next settlement
    return path


def settlements(engine: Engine) -> list[SettlementLine]:
    """All of them, oldest first."""
    found: list[SettlementLine] = []
    line = last_settlement(engine)
    while line is not None:
        found.insert(0, line)
        line = find_line(engine.store, engine.tenant, line.previous) if line.previous else None
    return found


def documents(path: Path) -> tuple[Any, ...]:
    """Everything that went out, without instants."""
    with open_engine(str(path), writable=False) as engine:
        read = engine.store.courses
        issued = [(one.number, one.account, one.period, one.total, one.closing) for one in billing.listing(engine)]
        settled = [
            (line.number, line.payable, line.payments,
             [(one.account, one.credited, one.payable) for one in positions_of(engine.store, 1, line)],
             [(one.creditor, one.amount, one.batch)
              for parts in payouts_of(line, lambda ids: {id: it.line for id, it in read(1, ids).items()}).values()
              for one in parts])
            for line in settlements(engine)
        ]  # fmt: skip
        return sorted(engine.store.closed_periods(1)), issued, settled


def gap_free(numbers: list[str]) -> bool:
    """Whether each series is counted from 1 without a gap."""
    series: dict[str, list[int]] = {}
    for number in numbers:
        initial, _, count = number.partition("-")
        series.setdefault(initial, []).append(int(count))
    return all(counts == list(range(1, len(counts) + 1)) for counts in series.values())


def check(path: Path) -> None:
    """No number is missing, nobody has two statements of a period, each portion is in exactly one settlement."""
    verdict = verified_store(path)
    assert verdict.ok, verdict.findings[:5]
    with open_engine(str(path), writable=False) as engine:
        lines = billing.listing(engine)
        assert gap_free([one.number for one in lines])
        billed = [(one.account, one.period) for one in lines if one.kind == "statement"]
        assert len(billed) == len(set(billed)) > 0
        windows = [(one.after, one.upto) for one in settlements(engine)]
        assert windows[0][0] == 0 and all(a[1] == b[0] for a, b in zip(windows, windows[1:], strict=False))
        earned = [n for n, line in Books(engine.store, 1).lines() if isinstance(line, Entry) and line.kind == "charge"]
        assert all(sum(after < n <= upto for after, upto in windows) == 1 for n in earned)


@pytest.fixture
def scheduler() -> Iterator[Settler]:
    made = Settler("tests.durability.scheduler")
    yield made
    made.close()


def kill(scheduler: Settler, folder: Path, kills: int, seed: int) -> None:
    """Kill so many runs, each store a few times, and compare what they come to with a calm run."""
    book = make(folder / "books.db")
    calm = copied(book, folder / "calm")
    assert not scheduler.run(calm)
    expected, died, number = documents(calm), 0, 0
    check(calm)
    began = time.monotonic()
    assert not scheduler.run(copied(book, folder / "warm"))
    whole, chance = time.monotonic() - began, random.Random(seed)
    while died < kills:
        number += 1
        path = copied(book, folder / f"round-{number}")
        for _ in range(2):
            died += scheduler.run(path, chance.uniform(0.1, 1) * whole)
        assert not scheduler.run(path)
        assert documents(path) == expected
        check(path)


def test_killed_at_any_point_a_schedule_goes_on_where_it_was(scheduler: Settler, tmp_path: Path) -> None:
    kill(scheduler, tmp_path, 5, 7)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(3))
def test_a_schedule_is_killed_again_and_again(scheduler: Settler, tmp_path: Path, seed: int) -> None:
    kill(scheduler, tmp_path, 60, seed)


def shoot(folder: Path, kills: int) -> None:
    """Kill a node that keeps its schedule while usage comes in; the last one is left to finish."""
    store, chance = folder / "books.db", random.Random(9)
    with open_engine(str(store)) as engine:
        engine.apply(replace(catalog(credit="100000"), schedule=ALL))
        for name, iban in IBAN.items():
            put_payee(engine, name, Payee(f"{name.capitalize()} Ltd", iban))
        key = new_key(engine, KeyInput(AccessRole.OPERATOR))[0].secret
    sent = [msgspec.to_builtins(one) for one in past(60 * (kills + 1))]
    for life in range(kills + 1):
        node = NodeProcess(store, "--log", "warning")
        some = sent[60 * life : 60 * (life + 1)]
        answer = node.ask("POST", "/v1/usage", some, key)
        assert {one["state"] for one in answer.json["records"]} <= {"charged", "pending", "zero-rated"}, answer.body
        if life < kills:
            time.sleep(chance.uniform(0.0, 0.9))
            assert node.stop(signal.SIGKILL) == -signal.SIGKILL
            continue

        def rests() -> bool:
            with open_engine(str(store), writable=False) as engine:
                return Running().look(engine) is None

        until(rests)
        assert node.stop() == 0 and not node.log, node.log[-5:]
    check(store)


def test_a_node_that_is_killed_at_its_schedule_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    shoot(tmp_path, 2)


@pytest.mark.torture
def test_a_node_is_killed_at_its_schedule_many_times(tmp_path: Path) -> None:
    shoot(tmp_path, 40)
