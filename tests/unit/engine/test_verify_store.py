"""Every table of a store is held against the journal, and the journal against the heads kept outside."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from apportion.adapters.stores.damage import damage
from apportion.wiring import open_engine
from tests.book import fill, ride
from tests.forging import exported, make_book, places, verified, verified_store


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "books.db"
    make_book(path, close=True)
    return path


@pytest.fixture
def copy(book: Path, tmp_path: Path) -> Path:
    for suffix in ("", ".heads"):
        shutil.copy(f"{book}{suffix}", tmp_path / f"books.db{suffix}")
    return tmp_path / "books.db"


def tamper(path: Path, *statements: str) -> None:
    """Edit a store behind the engine's back; each statement must change something."""
    database = apsw.Connection(str(path))
    for statement in statements:
        database.execute(statement)
        assert database.changes() > 0, statement
    database.close()


def test_sound_store(copy: Path) -> None:
    verdict = verified_store(copy)
    assert verdict.ok and not verdict.notes and verdict.charges > 60


def test_without_outside_heads_completeness_is_not_proven(copy: Path) -> None:
    verdict = verified_store(copy, [])
    assert not verdict.ok and [f.code for f in verdict.findings] == ["completeness"]
    assert "prefix proven" in verdict.findings[0].message
    verdict = verified_store(copy, [], prefix_ok=True)
    assert verdict.ok and verdict.notes


@pytest.mark.parametrize("statement, code, place", [
    ("UPDATE account SET posted = posted + 1 WHERE id = 4", "account", "account 4"),
    ("UPDATE account SET held = held + 1 WHERE id = 8", "account", "account 8"),
    ("UPDATE account SET credit = credit + 1 WHERE id = 3", "account", "account 3"),
    ("UPDATE account SET key = 'provider:eve:EUR/9' WHERE key = 'provider:otto:EUR/9'", "account", "account 4"),
    ("DELETE FROM account WHERE id = 4", "account", "account 4"),
    ("INSERT INTO account SELECT tenant, 99, role, asset, 99, 'payer:99:EUR/9', credit, posted, held FROM account"
     " WHERE id = 3", "account", "account 99"),
    ("DELETE FROM seen WHERE n = {n}", "seen_missing", "row {n}"),
    ("UPDATE seen SET state = 'rejected' WHERE n = {n}", "seen", "row {n}"),
    ("UPDATE seen SET digest = x'0011223344556677' WHERE n = {n}", "seen", "row {n}"),
    ("UPDATE seen SET n = {n} + 1 WHERE n = {n}", "seen", "row {n}"),
    ("INSERT INTO seen VALUES (1, x'00112233445566778899aabbccddeeff', 'charged', x'00', {n})", "seen_extra",
     "seen 00112233445566778899aabbccddeeff"),
    ("UPDATE residue SET value = value + 1 WHERE account = 5", "residue", "residue 5"),
    ("DELETE FROM residue WHERE account = 5", "residue", "residue 5"),
    ("UPDATE running SET num = num + 1 WHERE account = 1 AND key LIKE 'energy%'", "running",
     "running 1 energy/energy@2026-11"),
    ("UPDATE hold SET amount = amount + 1 WHERE id = 3", "hold", "hold 3"),
    ("UPDATE hold SET state = 'open' WHERE id = 1", "hold", "hold 1"),
    ("DELETE FROM closed WHERE account = 1", "closed", "closed 2026-11"),
    ("UPDATE pending SET payload = CAST(replace(CAST(payload AS TEXT), '6.4', '0.4') AS BLOB)", "pending", None),
    ("DELETE FROM pending", "pending", "pending"),
    ("UPDATE personal SET value = 'ben2' WHERE field = 'handle' AND value = 'ada'", "personal", "personal 1"),
    ("UPDATE fact SET value = 'EUR/2' WHERE name = 'asset:1'", "fact", "fact asset:1"),
    ("UPDATE fact SET value = 'cat_0' WHERE name = 'catalog'", "fact", "fact catalog"),
    ("UPDATE fact SET value = '0' WHERE name = 'checkpoint'", "fact", "fact checkpoint"),
    ("UPDATE document SET body = CAST(replace(CAST(body AS TEXT), '1.2333333333', '0.1') AS BLOB)", "document", None),
    ("DELETE FROM document", "document", None),
])  # fmt: skip
def test_an_edited_table(copy: Path, statement: str, code: str, place: str | None) -> None:
    n = list(apsw.Connection(str(copy)).execute("SELECT min(n) FROM seen WHERE state = 'charged'"))[0][0]
    tamper(copy, statement.format(n=n))
    found = places(verified_store(copy))
    assert code in found and (place is None or place.format(n=n) in found[code])


def test_one_byte_of_the_file_flipped_in_a_journal_body(copy: Path) -> None:
    raw = bytearray(copy.read_bytes())
    database = apsw.Connection(str(copy))
    n, body = list(database.execute('SELECT n, body FROM journal WHERE CAST(body AS TEXT) LIKE \'%id":"m13"%\''))[0]
    database.close()
    at = raw.index(body[:300]) + 250
    raw[at] ^= 1
    copy.write_bytes(bytes(raw))
    assert places(verified_store(copy))["chain"] == {f"row {n}"}


def test_a_cut_tail(copy: Path) -> None:
    last = list(apsw.Connection(str(copy)).execute("SELECT max(n) FROM journal"))[0][0]
    tamper(copy, f"DELETE FROM journal WHERE n > {last - 3}")
    assert f"row {last - 3}" in places(verified_store(copy))["cut_tail"]
    assert "cut_tail" in places(verified_store(copy, prefix_ok=True)), "a store is never older than its heads"


def test_a_tail_cut_at_a_signed_head_with_every_table_set_back(book: Path, tmp_path: Path) -> None:
    """The state of an earlier day is sound in itself; only a head from outside tells."""
    path = tmp_path / "books.db"
    shutil.copy(book, path)
    shutil.copy(f"{book}.key", f"{path}.key")
    shutil.copy(f"{book}.heads", f"{path}.heads")
    earlier = tmp_path / "earlier.db"
    shutil.copy(path, earlier)
    with open_engine(str(path)) as engine:
        engine.charge([ride(950)])
    heads = Path(f"{path}.heads").read_bytes().splitlines()
    assert verified_store(path, heads).ok
    assert verified_store(earlier, heads[:-1]).ok
    assert places(verified_store(earlier, heads)).keys() == {"cut_tail"}


def test_a_rewritten_history_fails_against_an_older_head(copy: Path) -> None:
    """Also when the insider holds the key and signs every checkpoint again."""
    heads = Path(f"{copy}.heads").read_bytes().splitlines()
    fresh = copy.with_name("fresh.db")
    make_book(fresh, close=True)
    assert "head_mismatch" in places(verified_store(fresh, heads))


def test_rows_that_nobody_signed_yet_are_noted(copy: Path) -> None:
    last = list(apsw.Connection(str(copy)).execute("SELECT max(n) FROM journal"))[0][0]
    tamper(copy, f"DELETE FROM journal WHERE n = {last}", "UPDATE fact SET value = 'x' WHERE name = 'checkpoint'")
    heads = Path(f"{copy}.heads").read_bytes().splitlines()[:-1]
    verdict = verified_store(copy, heads)
    assert any("not signed" in note for note in verdict.notes)


def test_books_of_another_tenant(copy: Path) -> None:
    tamper(copy, "UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), 'main', 'prod') AS BLOB) WHERE n = 1")
    found = places(verified_store(copy))
    assert found["genesis"] == found["chain"] == {"row 1"}


def test_forgotten_people_leave_books_that_verify(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with open_engine(str(path)) as engine:
        fill(engine, close=True)
        assert engine.forget("ben") > 0 and engine.forget("poor") > 0
        engine.charge([ride(960, "ben")])
    verdict = verified_store(path)
    assert verdict.ok, verdict.findings
    assert verified(exported(path)).ok


def test_tenants_share_a_store_and_its_heads(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    for tenant in ("main", "other"):
        with open_engine(str(path), tenant=tenant) as engine:
            fill(engine)
    assert len(Path(f"{path}.heads").read_bytes().splitlines()) >= 2
    assert verified_store(path).ok


def test_a_damaged_file_is_named(copy: Path) -> None:
    copy = copy.rename(copy.with_name("50% of my books?.db"))
    assert list(damage(copy)) == []
    raw = bytearray(copy.read_bytes())
    for page in range(3, len(raw) // 4096):
        raw[page * 4096 : page * 4096 + 16] = b"\xff" * 16
    copy.write_bytes(bytes(raw))
    found = list(damage(copy))
    assert found and found[0][0].startswith("file 50% of my books?.db")
    verdict = verified_store(copy, [])
    assert not verdict.ok and verdict.findings[0].code == "damaged"


def test_a_write_ahead_log_of_another_file(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    database = apsw.Connection(str(other))
    list(database.execute("PRAGMA journal_mode=WAL"))
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("CREATE TABLE x (y)")
    for _i in range(50):
        database.execute("INSERT INTO x VALUES (?)", ("z" * 3000,))
    shutil.copy(f"{other}-wal", f"{copy}-wal")
    database.close()
    assert any("-wal" in place for place, _ in damage(copy))
