"""The power fails at a random moment of a write: what was acknowledged is there, the file is sound, the books verify.

A VFS of our own lies between SQLite and the disk. It remembers every write since the last sync of its file; when the
power goes, each of those is kept, undone, or kept for its first sectors only, as the drive may have got to it or not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom, signature_holds
from apportion.adapters.stores import sqlite
from apportion.adapters.stores.damage import damage
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.verify import Outside, verify_store
from apportion.errors import StoreUnavailable
from tests.book import catalog, usages

SECTOR = 512
GROUP = 8


class Disk:
    """The drive's side: what is not synced yet, and when the power goes."""

    def __init__(self) -> None:
        self.ticks = 0
        self.cut_at: int | None = None
        self.off = False
        self.unsynced: dict[str, list[tuple[int, bytes, bytes, int]]] = {}

    def tick(self) -> None:
        self.ticks += 1
        if self.off or self.ticks == self.cut_at:
            self.off = True
            raise apsw.IOError("the power is gone")

    def power_off(self, chance: random.Random) -> None:
        """Decide for every unsynced write, newest first, whether the drive got to it."""
        for path, writes in self.unsynced.items():
            with open(path, "r+b") as file:
                for offset, old, new, size in reversed(writes):
                    fate = chance.random()
                    if fate < 0.4:
                        continue
                    kept = 0 if fate < 0.8 else chance.randrange(0, len(new) // SECTOR + 1) * SECTOR
                    file.seek(offset + kept)
                    file.write(old[kept:])
                    if size < offset + len(new) and not kept:
                        file.truncate(max(size, 0))
        self.unsynced.clear()


class CuttingFile(apsw.VFSFile):
    """A file whose writes the drive may lose until they are synced."""

    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)  # type: ignore[arg-type]

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.tick()
        size = super().xFileSize()
        old = super().xRead(min(len(data), size - offset), offset) if offset < size else b""
        self.disk.unsynced.setdefault(self.path, []).append((offset, old.ljust(len(data), b"\0"), bytes(data), size))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.tick()
        super().xSync(flags)
        self.disk.unsynced.pop(self.path, None)

    def xTruncate(self, size: int) -> None:
        self.disk.tick()
        super().xTruncate(size)


class CuttingDisk(apsw.VFS):
    """The VFS, registered under a name of its own."""

    def __init__(self, disk: Disk, name: str) -> None:
        self.disk = disk
        super().__init__(name, "")

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        return CuttingFile(self.disk, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        self.disk.tick()
        self.disk.unsynced.pop(name, None)
        super().xDelete(name, syncdir)


class Machine:
    """A computer with one store, a drive that may lose power, and people who remember what they were told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "books.db"
        self.disk = Disk()
        self.name = f"cut-{folder.name}"
        self.vfs = CuttingDisk(self.disk, self.name)
        self.heads: list[str] = []
        self.key = KeyFile(folder / "key")

    def run(self, acknowledged: list[str], count: int) -> None:
        """Charge records in groups until all are charged or the power goes."""
        store = SqliteStore(self.path, vfs=self.name)
        try:
            engine = Engine(store, "main", (SystemClock(), SystemRandom(), self.key), self.heads.append)
            engine.apply(catalog())
            records = list(usages(count))
            for at in range(0, count, GROUP):
                acknowledged += [outcome.id for outcome in engine.charge(records[at : at + GROUP])]
            engine.close()
        finally:
            if self.disk.off:
                abandon(store)

    def restart(self, chance: random.Random) -> None:
        """Lose what the drive had not got to, and switch on again."""
        self.disk.power_off(chance)
        self.disk.off, self.disk.cut_at, self.disk.ticks = False, None, 0


def abandon(store: SqliteStore) -> None:
    """A dead machine closes nothing properly; only the handles of this process go."""
    try:
        store._db.close(True)
    except apsw.Error:
        pass
    store._drop_lock()


def check(machine: Machine, acknowledged: list[str]) -> None:
    """Whatever was acknowledged is in the books, and the books are sound."""
    store = SqliteStore(machine.path)  # whoever writes next brings the file in order
    try:
        assert list(damage(machine.path)) == []
        charged = {seen.n for _, seen in store.all_seen(1)}
        bodies = b"".join(store.row(1, 0, n) for n in charged)
        missing = [name for name in acknowledged if name.encode() not in bodies]
        assert not missing, f"{len(missing)} acknowledged charges are lost"
        if store.head(1, 0)[0]:
            heads = [line.encode() for line in machine.heads]
            verdict = verify_store(store, 1, "main", Outside(signature_holds, heads, prefix_ok=not heads))
            assert verdict.ok, verdict.findings
    finally:
        store.close()


def cuts(folder: Path, seeds: range, records: int) -> Iterator[int]:
    """One machine a seed, cut several times on its way; yields how many cuts it saw."""
    for seed in seeds:
        chance = random.Random(seed)
        (folder / str(seed)).mkdir()
        machine = Machine(folder / str(seed))
        acknowledged: list[str] = []
        count = 0
        while True:
            machine.disk.cut_at = chance.randrange(1, 160)
            try:
                machine.run(acknowledged, records)
            except (apsw.Error, StoreUnavailable):
                assert machine.disk.off
            cut = machine.disk.off
            machine.restart(chance)
            check(machine, acknowledged)
            if not cut:
                break
            count += 1
        machine.vfs.unregister()
        yield count


@pytest.mark.parametrize("pages", [4000, 20])
def test_acknowledged_is_never_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    """With checkpoints as the store makes them, and with many, so that the power fails within those too."""
    monkeypatch.setattr(sqlite, "_CHECKPOINT_PAGES", pages)
    assert sum(cuts(tmp_path, range(18), 72)) >= 60


@pytest.mark.torture
@pytest.mark.parametrize("pages", [4000, 20])
def test_acknowledged_is_never_lost_in_thousands_of_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(sqlite, "_CHECKPOINT_PAGES", pages)
    total = 0
    for seen in cuts(tmp_path, range(1000, 100_000), 96):
        total += seen
        if total >= 2500:
            return


def test_the_simulation_loses_what_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test of the test: with synchronous=NORMAL acknowledged commits do get lost."""
    prepare = SqliteStore._prepare

    def careless(self: SqliteStore, writable: bool) -> None:
        prepare(self, writable)
        list(self._db.execute("PRAGMA synchronous=NORMAL"))

    monkeypatch.setattr(SqliteStore, "_prepare", careless)
    with pytest.raises(AssertionError, match="acknowledged charges are lost|cut_tail"):
        list(cuts(tmp_path, range(18), 72))
