"""An export taken while a writer commits as fast as it can: consistent, a prefix of the next, in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apportion.adapters.outside import signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.export import export, last_checkpoint
from apportion.engine.verify import Outside, verify_export
from tests.durability.processes import Nursery

WAL_MAX = 256 << 20


class Watch:
    """Samples the size of the write-ahead log until it is told to stop."""

    def __init__(self, path: Path) -> None:
        self.path = Path(f"{path}-wal")
        self.largest = 0
        self.going = True
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while self.going:
            if self.path.exists():
                self.largest = max(self.largest, self.path.stat().st_size)
            time.sleep(0.005)

    def stop(self) -> int:
        self.going = False
        self.thread.join()
        return self.largest


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def export_while_charging(nursery: Nursery, path: Path, records: int) -> tuple[int, int]:
    """Export again and again into one file until the writer is done; (exports taken, largest log)."""
    writer = threading.Thread(target=nursery.run, args=(path, records))
    writer.start()
    out, before = path.with_suffix(".jsonl"), path.with_suffix(".before")
    watch, taken, books = Watch(path), 0, 0
    try:
        while writer.is_alive():
            if not signed(path):
                time.sleep(0.02)
                continue
            store = SqliteStore(path, writable=False)
            with out.open("wb") as file:
                file.writelines(export(store, 1))
            store.close()
            taken += 1
            with out.open("rb") as file:
                verdict = verify_export(file, Outside(signature_holds))
            assert verdict.ok, verdict.findings[:5]
            assert verdict.n >= books
            books = verdict.n
            if before.exists():
                assert is_prefix(before, out)
            out.rename(before)
    finally:
        writer.join()
        largest = watch.stop()
    return taken, largest


def signed(path: Path) -> bool:
    """Whether there is a checkpoint to export up to."""
    if not Path(f"{path}.heads").exists():
        return False
    store = SqliteStore(path, writable=False)
    found = last_checkpoint(store, 1)
    store.close()
    return found is not None


def is_prefix(before: Path, after: Path) -> bool:
    """Whether the stored lines of an export begin the later one, byte for byte."""
    with before.open("rb") as old, after.open("rb") as new:
        for line in old:
            if line.startswith((b'{"type":"balance"', b'{"type":"end"')):
                return True
            if new.readline() != line:
                return False
    return True


def test_export_under_load(nursery: Nursery, tmp_path: Path) -> None:
    taken, largest = export_while_charging(nursery, tmp_path / "books.db", 25_000)
    assert taken >= 1 and largest < WAL_MAX


@pytest.mark.torture
def test_a_million_entries_under_load(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    taken, largest = export_while_charging(nursery, path, 1_000_000)
    assert taken >= 3 and largest < WAL_MAX
    store = SqliteStore(path, writable=False)
    began = time.monotonic()
    with path.with_suffix(".all").open("wb") as file:
        file.writelines(export(store, 1))
    assert time.monotonic() - began < 60
    store.close()
