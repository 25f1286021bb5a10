"""A long request under its key: whatever groups it was cut into, its repetition is told what it was told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import apportion
from apportion.engine.blocks import BLOCK, Block, Run
from apportion.engine.engine import Engine
from apportion.engine.once import Once, under_key
from apportion.model.command import ChargeUsage, Outcome
from apportion.model.usage import PayerUse, Usage, UsageClass
from tests.book import START
from tests.faces.api.nodes import catalog

COUNT = 2 * BLOCK + 100
PRINT = b"a print."


def usage(name: str, payer: str = "eve") -> Usage:
    return Usage("m", name, "ride", START, None, (PayerUse(payer),), (), {"km": "1"})


def request(*usages: Usage, key: str = "k", fingerprint: bytes = PRINT) -> list[Once]:
    return under_key("credential", key, [ChargeUsage(one) for one in usages], fingerprint, usage=True)


def sent(engine: Engine, commands: list[Once], cuts: random.Random) -> list[Outcome]:
    """Carry out a request in groups of any size."""
    found: list[Outcome] = []
    while len(found) < len(commands):
        found += engine.writer.commit(commands[len(found) : len(found) + cuts.randrange(1, 400)])
    return found


def told(outcomes: list[Outcome]) -> list[tuple[object, str, object]]:
    return [(outcome.state, outcome.id, outcome.refusal) for outcome in outcomes]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = apportion.open(str(tmp_path / "books.db"))
    engine.apply(catalog())
    return engine


@pytest.mark.parametrize("seed", range(4))
def test_the_same_answer_whatever_the_cuts(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    engine.charge([usage(f"r{n}") for n in range(0, COUNT, 7)])  # some were charged before, by others
    commands = request(*[usage(f"r{n}", f"rider-{n % 40}" if n % 7 else "eve") for n in range(COUNT)])
    first = sent(engine, commands, chance)
    states = {outcome.state for outcome in first}
    assert states == {UsageClass.CHARGED, UsageClass.DUPLICATE} and not any(outcome.replayed for outcome in first)
    row = engine.store.head(engine.tenant, 0)[0]
    for _ in range(3):
        again = sent(engine, commands, chance)
        assert told(again) == told(first) and all(outcome.replayed for outcome in again)
    assert engine.store.head(engine.tenant, 0)[0] == row
    keys = sorted({command.key for command in commands})
    assert len(keys) == 3 == len(engine.store.answered(engine.tenant, keys))
    engine.close()


def test_a_repetition_at_once_and_another_request_under_the_key(engine: Engine) -> None:
    commands = request(*[usage(f"r{n}", f"rider-{n % 40}") for n in range(300)])
    both = engine.writer.commit([*commands, *commands])
    assert told(both[:300]) == told(both[300:]) and all(outcome.replayed for outcome in both[300:])
    other = request(*[usage(f"s{n}") for n in range(300)], fingerprint=b"another.")
    for group in (other, other[260:], request(usage("alone"), fingerprint=b"another.")):
        outcomes = engine.writer.commit(group)
        assert {outcome.refusal.field for outcome in outcomes if outcome.refusal} == {"Idempotency-Key"}
        assert all(outcome.refusal for outcome in outcomes)
    engine.close()


def test_one_request_under_the_key_of_a_single_record(engine: Engine) -> None:
    engine.writer.commit(request(usage("alone")))
    outcomes = engine.writer.commit(request(usage("r1"), usage("r2"), fingerprint=b"another."))
    assert all(outcome.refusal is not None for outcome in outcomes)
    engine.close()


def test_what_was_refused_is_tried_again_and_then_remembered(engine: Engine) -> None:
    long = [usage(f"r{n}", "ada") for n in range(20)]  # a hundred is enough for fourteen of them
    commands = request(*long)
    first = engine.writer.commit(commands)
    assert [outcome.state for outcome in first].count(UsageClass.CHARGED) == 14
    assert told(engine.writer.commit(commands)) == told(first)
    engine.top_up("ada", "14", "EUR", "more")
    second = engine.writer.commit(commands)
    assert [outcome.state for outcome in second] == [UsageClass.CHARGED] * 16 + [UsageClass.PENDING] * 4
    assert told(engine.writer.commit(commands)) == told(second)
    engine.close()


def test_a_request_of_which_nothing_was_accepted_binds_nothing(engine: Engine) -> None:
    refused = engine.writer.commit(request(usage("a", ""), usage("b", "")))
    assert all(outcome.refusal is not None for outcome in refused)
    again = engine.writer.commit(request(usage("c"), usage("d"), fingerprint=b"another."))
    assert [outcome.state for outcome in again] == [UsageClass.CHARGED] * 2
    engine.close()


def test_a_row_reads_as_it_was_written() -> None:
    block = Block(b"key", None)
    block.fingerprint = PRINT
    for at, after in ((3, 10), (4, 11), (9, 14)):
        block.take(at, after, after + 1, again=False)
    block.take(5, 40, 41, again=True)
    read = Block(b"key", block.row())
    assert read.runs == [Run(3, 7, 10, 15), Run(5, 1, 40, 41)]
    assert read.run_of(5) == Run(5, 1, 40, 41) and read.run_of(6) == read.runs[0] and read.run_of(2) is None
