"""``kill -9`` at random moments of an import: what was acknowledged stays, and the rerun ends where none was killed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from apportion.adapters.outside import signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.query import record_of
from apportion.engine.verify import Outside, verify_store
from apportion.ledger import proof
from tests.book import usages
from tests.durability.processes import Nursery

RECORDS = 1500
Outcome = tuple[dict[str, tuple[int, int]], dict[str, bytes]]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def outcome(path: Path) -> Outcome:
    """Balances by owner, and every charge by its id; nothing in either knows when it was booked."""
    store = SqliteStore(path, writable=False)
    names = store.all_handles(1)
    balances = {}
    for key, account in store.all_accounts(1):
        owner = f"payer:{names[account.party]}" if account.party else key
        balances[owner] = (account.posted, account.held)
    charges = {}
    for n, body, _ in store.journal(1, 0, 0, store.head(1, 0)[0]):
        if b'"type":"charge"' in body:
            charge = record_of(n, body).charge
            charges[charge.id] = msgspec.json.encode(charge)
    store.close()
    return balances, charges


def check(path: Path, acknowledged: int) -> None:
    """Everything acknowledged is in the books, and the books verify as the dead process left them."""
    store = SqliteStore(path, writable=False)
    keys = [proof.record_key(usage.source, usage.id) for usage in usages(acknowledged)]
    assert len(store.seen(1, keys)) == acknowledged
    file = Path(f"{path}.heads")
    heads = file.read_bytes().splitlines() if file.exists() else []
    verdict = verify_store(store, 1, "main", Outside(signature_holds, heads, prefix_ok=not heads))
    store.close()
    assert verdict.ok, verdict.findings[:5]


def torment(nursery: Nursery, folder: Path, kills: int, seed: int) -> None:
    """Kill until so many have died; whenever one gets through, compare and begin anew."""
    chance = random.Random(seed)
    began = time.monotonic()
    assert nursery.run(folder / "calm.db", RECORDS) == (RECORDS, False)
    whole = time.monotonic() - began
    calm = outcome(folder / "calm.db")
    check(folder / "calm.db", RECORDS)
    died, book, longest = 0, 0, 0
    while died < kills:
        book += 1
        path = folder / f"book-{book}.db"
        for _ in range(chance.randrange(1, 5)):
            acknowledged, killed = nursery.run(path, RECORDS, chance.uniform(0, whole))
            died += killed
            longest = max(longest, acknowledged)
            if path.exists() and path.stat().st_size > 0 and acknowledged:
                check(path, acknowledged)
        assert nursery.run(path, RECORDS) == (RECORDS, False)
        check(path, RECORDS)
        assert outcome(path) == calm
    assert longest > 0, "no process lived long enough to acknowledge anything"


def test_kills(nursery: Nursery, tmp_path: Path) -> None:
    torment(nursery, tmp_path, 20, seed=7)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_kills(nursery: Nursery, tmp_path: Path, seed: int) -> None:
    torment(nursery, tmp_path, 100, seed=1000 + seed)
