"""``kill -9`` at random moments of a settlement run: run again it gives the same documents, once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apportion.engine import billing
from apportion.engine.settling.decision import payouts_of
from apportion.engine.settling.standing import last_settlement, positions_of
from apportion.wiring import open_engine
from tests.book import catalog, usages
from tests.durability.processes import ROOT
from tests.forging import verified_store

RECORDS, KILLS = 1200, 10


class Settler:
    """The process that forks the ones to be killed."""

    def __init__(self, module: str = "tests.durability.settler") -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._line() == b"ready\n"

    def run(self, store: Path, kill_after: float = -1) -> bool:
        """Settle ``store``; whether it was killed."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{store}\t{kill_after}\n".encode())
        self.process.stdin.flush()
        status = int(self._line().split()[1])
        assert status in (0, signal.SIGKILL)
        return status != 0

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture
def settler() -> Iterator[Settler]:
    made = Settler()
    yield made
    made.close()


def documents(path: Path) -> tuple[object, ...]:
    """What a settlement left, without the instants at which it was made."""
    with open_engine(str(path), writable=False) as engine:
        line = last_settlement(engine)
        assert line is not None and line.previous == ""
        positions = [
            (one.account, one.credited, one.payable, one.residue_out, one.advice)
            for one in positions_of(engine.store, engine.tenant, line)
        ]
        advices = [(one.number, one.party, one.total) for one in billing.listing(engine) if one.kind == "remittance"]
        courses = engine.store.courses
        paid = payouts_of(line, lambda ids: {id: one.line for id, one in courses(engine.tenant, ids).items()})
        parts = [(pair, [one.amount for one in lines]) for pair, lines in sorted(paid.items())]
        return line.number, line.payable, line.payments, positions, advices, parts


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.parent.glob(f"{source.name}*"):
        shutil.copy(file, target / file.name)
    return target / source.name


def test_killed_at_any_point_it_settles_once(settler: Settler, tmp_path: Path) -> None:
    book = tmp_path / "books.db"
    with open_engine(str(book)) as engine:
        engine.apply(catalog(credit="100000"))
        engine.charge(usages(RECORDS))
    calm = copied(book, tmp_path / "calm")
    assert not settler.run(calm)
    expected, died = documents(calm), 0
    began = time.monotonic()
    assert not settler.run(copied(book, tmp_path / "warm"))
    whole = time.monotonic() - began
    chance, number = random.Random(5), 0
    while died < KILLS:
        number += 1
        path = copied(book, tmp_path / f"round-{number}")
        for _ in range(3):
            died += settler.run(path, chance.uniform(0.1, 1) * whole)
            verdict = verified_store(path, prefix_ok=True)
            assert verdict.ok, verdict.findings[:5]
        assert not settler.run(path)
        assert documents(path) == expected
        verdict = verified_store(path)
        assert verdict.ok, verdict.findings[:5]
