"""The power fails at a random moment of a write: what was acknowledged is there, the file is sound, the books verify.

A VFS of our own lies between SQLite and the disk. It remembers every write since the last sync of its file; when the
power goes, each of those is kept, undone, or kept for its first sectors only, as the drive may have got to it or not.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom, signature_holds
from apportion.adapters.stores import sqlite
from apportion.adapters.stores.damage import damage
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.export import export, sealed
from apportion.engine.once import Once, under_key
from apportion.engine.verify import Outside, verify_store
from apportion.errors import StoreUnavailable
from apportion.model.command import ChargeUsage, EndHold, PlaceHold, TopUp
from tests.book import catalog, usages
from tests.racing import Facts

SECTOR = 512
RIDES = 5  # of a group
Told = dict[str, tuple[object, str]]  # by the name of a command: what was answered


def once(name: str, *commands: object) -> list[tuple[str, Once]]:
    """The commands of one request under its Idempotency-Key, each with a name."""
    print_ = name.encode().ljust(8, b".")[:8]
    wrapped = under_key("machine", name, commands, print_, usage=isinstance(commands[0], ChargeUsage))
    return [(f"{name}.{i}", one) for i, one in enumerate(wrapped)]


def groups(count: int) -> Iterator[list[tuple[str, Once]]]:
    """Groups of everything that moves value: usage, a top-up, a hold, and the end of the hold before it."""
    records = list(usages(count * RIDES))
    for g in range(count):
        found = once(f"usage-{g}", *map(ChargeUsage, records[g * RIDES : (g + 1) * RIDES]))
        found += once(f"topup-{g}", TopUp("ada", "1.5", "EUR", f"transfer {g}"))
        found += once(f"hold-{g}", PlaceHold("ada", "2", "EUR", f"session {g}", "2099-01-01T00:00:00Z"))
        if g:  # holds are numbered as they are placed, one a group
            found += once(f"end-{g}", EndHold(g, "1", final=g % 2 == 0))
        yield found


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

    def run(self, told: Told, count: int, streamed: bool) -> None:
        """Carry out all groups until they are done or the power goes; whoever asks again hears what was said before."""
        store = SqliteStore(self.path, vfs=self.name)
        try:
            engine = Engine(store, "main", (SystemClock(), SystemRandom(), self.key), self.heads.append)
            engine.apply(catalog())
            work = list(groups(count))
            sent = ([command for _, command in group] for group in work)
            answers = engine.writer.stream(sent) if streamed else map(engine.writer.commit, sent)
            for group, outcomes in zip(work, answers, strict=True):
                for (name, _), outcome in zip(group, outcomes, strict=True):
                    assert outcome.refusal is None, (name, outcome)
                    assert name not in told or outcome.replayed, f"{name} was done twice"
                    assert told.setdefault(name, (outcome.state, outcome.id)) == (outcome.state, outcome.id)
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


def check(machine: Machine, told: Told) -> None:
    """Whatever was acknowledged is in the books, once, and the books are sound."""
    store = SqliteStore(machine.path)  # whoever writes next brings the file in order
    try:
        assert list(damage(machine.path)) == []
        lines = [line for _, body, _ in store.journal(1, 0, 0, store.head(1, 0)[0]) for line in body.split(b"\n")]
        made = Counter(id for line in lines for id in (_made(line),) if id)
        wanted = {id for _, id in told.values()}
        missing = [id for id in wanted if id not in made]
        assert not missing, f"{len(missing)} acknowledged records are lost"
        assert max(made.values(), default=1) == 1, "something was done twice"
        if store.head(1, 0)[0]:
            heads = [line.encode() for line in machine.heads]
            verdict = verify_store(store, 1, "main", Outside(signature_holds, heads, prefix_ok=not heads))
            assert verdict.ok, verdict.findings
    finally:
        store.close()


def _made(line: bytes) -> str:
    """The id of the charge, top-up or hold that a line makes."""
    kind = line[9:].partition(b'"')[0]
    if kind == b"charge" or (kind == b"hold" and b'"state":"open"' in line and b'"captured":"0.000000000"' in line):
        return line.partition(b'"id":"')[2].partition(b'"')[0].decode()
    return line.partition(b'"cause":"')[2].partition(b'"')[0].decode() if b'"kind":"topup"' in line else ""


def cuts(folder: Path, seeds: range, count: int) -> Iterator[int]:
    """One machine a seed, cut several times on its way; yields how many cuts it saw."""
    for seed in seeds:
        chance = random.Random(seed)
        (folder / str(seed)).mkdir()
        machine = Machine(folder / str(seed))
        told: Told = {}
        seen = 0
        while True:
            machine.disk.cut_at = chance.randrange(1, 160)
            try:
                machine.run(told, count, streamed=seed % 2 == 1)
            except (apsw.Error, StoreUnavailable):
                assert machine.disk.off
            cut = machine.disk.off
            machine.restart(chance)
            check(machine, told)
            if not cut:
                break
            seen += 1
        assert len(told) == count * (RIDES + 3) - 1
        machine.vfs.unregister()
        settle(machine)
        yield seen


def settle(machine: Machine) -> None:
    """At the end every invariant holds over the export."""
    store = SqliteStore(machine.path)
    engine = Engine(store, "main", (SystemClock(), SystemRandom(), machine.key), machine.heads.append)
    sealed(engine)
    Facts(export(store, engine.tenant))
    engine.close()


@pytest.mark.parametrize("pages", [4000, 20])
def test_acknowledged_is_never_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    """With checkpoints as the store makes them, and with many, so that the power fails within those too."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", pages)
    assert sum(cuts(tmp_path, range(24), 9)) >= 100


@pytest.mark.torture
@pytest.mark.parametrize("pages", [4000, 20])
def test_acknowledged_is_never_lost_in_thousands_of_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", pages)
    total = 0
    for seen in cuts(tmp_path, range(1000, 100_000), 12):
        total += seen
        if total >= 1500:
            return


def test_the_simulation_loses_what_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test of the test: with synchronous=NORMAL acknowledged commits do get lost."""
    prepare = SqliteStore._prepare

    def careless(self: SqliteStore, writable: bool) -> None:
        prepare(self, writable)
        list(self._db.execute("PRAGMA synchronous=NORMAL"))

    monkeypatch.setattr(SqliteStore, "_prepare", careless)
    with pytest.raises(AssertionError, match="acknowledged records are lost|cut_tail"):
        list(cuts(tmp_path, range(18), 9))
