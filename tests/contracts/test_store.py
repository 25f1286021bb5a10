"""What every store must do, whichever it is; a new one is added to STORES and has to pass all of this."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apportion.adapters.stores.postgres import PostgresStore
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.errors import StoreUnavailable
from apportion.model.account import Account, Role
from apportion.model.hold import Hold, HoldState
from apportion.ports import Course, Opened, Person, Seen, Store, Writes
from tests.postgres.server import dsn_of

STORES: dict[str, Callable[[Path], Store]] = {
    "file": lambda folder: SqliteStore(folder / "books.db"),
    "memory": lambda folder: SqliteStore(":memory:"),
    "postgres": lambda folder: PostgresStore(dsn_of()),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = STORES[request.param](tmp_path)
    yield store
    store.close()


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def account(number: int, posted: int = 0, *, role: Role = Role.PAYER, party: int = 0) -> Account:
    return Account(number, f"acct_{number:05}", role, 1, posted, 0, 100 if party else None, party)


def group(tenant: int, n: int = 1) -> Writes:
    """One of everything, in row ``n``."""
    payer = account(n, party=n)
    return Writes(
        tenant, 0,
        journal=[(n, b'{"type":"usage"}\n{"type":"charge"}', bytes([n % 256]) * 32)],
        seen=[(key(n), "charged", b"8 bytes!", n)],
        opened=[Opened(payer, f"payer:{n}:EUR/9")],
        accounts=[account(n, -5 * n, party=n)],
        people=[Person(n, "handle", f"name {n}"), Person(n, "salt", bytes(32)), Person(n, "called", "4930", key(n))],
        totals=[(n, "energy@2026-11", 10**30, 3)],
        residues=[(n, -333_333_333)],
        holds=[Hold(n, n, "session", 900, f"2026-11-{n % 28 + 1:02}T00:00:00Z")],
        pending=[(key(1000 + n), n, b"parked")],
        closed=[("2026-10", n, n)],
        documents=[(f"cat_{n}", 0, b"{}"), (f"stm_{n}", n, b"statement")],
        facts=[("assets", str(n))],
        courses=[Course(f"ses_{n}", f"2026-11-{n % 28 + 1:02}T00:00:00Z", b"line")],
    )  # fmt: skip


def test_an_empty_store(store: Store) -> None:
    tenant = store.tenant("main")
    assert store.tenant("main") == tenant != store.tenant("other")
    assert store.head(tenant, 0) == (0, bytes(32))
    assert store.fact(tenant, "assets") == store.fact(tenant, "") == ""
    assert store.row(tenant, 0, 1) == store.document(tenant, "cat_1") == b""
    assert store.next_numbers(tenant) == (1, 1, 1)
    assert list(store.journal(tenant, 0, 0, 10)) == list(store.all_accounts(tenant)) == store.pending(tenant, 10) == []


def test_everything_written_comes_back(store: Store) -> None:
    tenant = store.tenant("main")
    store.write(group(tenant))
    head, body = bytes([1]) * 32, b'{"type":"usage"}\n{"type":"charge"}'
    assert store.head(tenant, 0) == (1, head) and store.row(tenant, 0, 1) == body
    assert list(store.journal(tenant, 0, 0, 1)) == [(1, body, head)]
    assert (
        store.seen(tenant, [key(1), key(2)])
        == {key(1): Seen("charged", b"8 bytes!", 1)}
        == dict(store.all_seen(tenant))
    )
    assert store.accounts(tenant, [1, 2]) == {1: account(1, -5, party=1)}
    assert list(store.all_accounts(tenant)) == [("payer:1:EUR/9", account(1, -5, party=1))]
    assert store.some_accounts(tenant, 0, 5) == list(store.all_accounts(tenant))
    assert store.some_accounts(tenant, 1, 5) == store.some_accounts(tenant, 0, 0) == []
    assert store.accounts_under(tenant, "payer:1:") == list(store.all_accounts(tenant))
    assert store.accounts_under(tenant, "payer:11:") == store.accounts_under(tenant, "payer:1.") == []
    assert store.account_keys(tenant, ["payer:1:EUR/9", "payer:2:EUR/9"]) == {"payer:1:EUR/9": 1}
    assert store.handles(tenant, ["name 1", "name 2"]) == {"name 1": 1} and store.all_handles(tenant) == {1: "name 1"}
    assert store.handles_of(tenant, [1, 2]) == {1: "name 1"} and store.handles_of(tenant, []) == {}
    assert store.salts(tenant, [1, 2]) == {1: bytes(32)}
    assert Person(1, "called", "4930", key(1)) in list(store.people(tenant, 1))
    assert store.totals(tenant, [(1, "energy@2026-11"), (1, "x")]) == {(1, "energy@2026-11"): (10**30, 3)}
    assert list(store.all_totals(tenant)) == [(1, "energy@2026-11", 10**30, 3)]
    assert store.residues(tenant, [1, 2]) == {1: -333_333_333} == store.all_residues(tenant)
    hold = Hold(1, 1, "session", 900, "2026-11-02T00:00:00Z")
    assert store.holds(tenant, [1, 2]) == {1: hold} and list(store.all_holds(tenant)) == [hold]
    assert store.some_holds(tenant, 0, 0, 9, 5) == store.some_holds(tenant, 1, 0, 1, 5) == [hold]
    assert store.some_holds(tenant, 2, 0, 9, 5) == store.some_holds(tenant, 0, 1, 9, 5) == []
    assert store.pending(tenant, 10) == [(key(1001), b"parked")] and store.pending(tenant, 10, key(1001)) == []
    assert store.closed_periods(tenant) == {("2026-10", 1)}
    assert store.document(tenant, "stm_1") == b"statement" and store.catalogs(tenant) == ["cat_1"]
    assert set(store.documents(tenant)) == {"cat_1", "stm_1"}
    course = Course("ses_1", "2026-11-02T00:00:00Z", b"line")
    assert store.courses(tenant, ["ses_1", "ses_2"]) == {"ses_1": course} and list(store.all_courses(tenant)) == [
        course
    ]
    assert store.due_courses(tenant, "2026-11-02T00:00:00Z", 5) == ["ses_1"]
    assert store.due_courses(tenant, "2026-11-01", 5) == [] == list(store.all_courses(tenant, "ses_1"))
    assert store.fact(tenant, "assets") == "1" and store.facts(tenant)["assets"] == "1"
    assert store.next_numbers(tenant) == (2, 2, 2)


def test_later_groups_change_what_may_change(store: Store) -> None:
    tenant = store.tenant("main")
    store.write(group(tenant))
    ended = Hold(1, 1, "session", 900, "2026-11-02T00:00:00Z", 300, 600, HoldState.CAPTURED)
    store.write(
        Writes(
            tenant,
            0,
            journal=[(2, b"{}", bytes(32))],
            seen=[(key(1), "pending", b"other", 2)],
            accounts=[account(1, 7, party=1)],
            totals=[(1, "energy@2026-11", 1, 2)],
            residues=[(1, 5)],
            holds=[ended],
            pending=[(key(1001), 0, None)],
            facts=[("assets", "2")],
            documents=[("stm_1", 1, b"again")],
            courses=[Course("ses_1", "", b"the end")],
        )  # fmt: skip
    )
    assert store.seen(tenant, [key(1)]) == {key(1): Seen("pending", b"other", 2)}
    assert store.accounts(tenant, [1])[1].posted == 7 and store.residues(tenant, [1]) == {1: 5}
    assert store.totals(tenant, [(1, "energy@2026-11")]) == {(1, "energy@2026-11"): (1, 2)}
    assert store.holds(tenant, [1]) == {1: ended} and store.expired_holds(tenant, "2027", 10) == []
    assert store.pending(tenant, 10) == [] and store.fact(tenant, "assets") == "2"
    assert store.document(tenant, "stm_1") == b"again"
    assert store.courses(tenant, ["ses_1"]) == {"ses_1": Course("ses_1", "", b"the end")}
    assert store.due_courses(tenant, "9999", 5) == []


@pytest.mark.parametrize("broken", [
    {"journal": [(1, b"{}", bytes(32))]},
    {"opened": [Opened(account(1), "another:key")]},
    {"opened": [Opened(account(9), "payer:1:EUR/9")]},
    {"accounts": [Account(1, "", Role.PAYER, 1, 0, -1)]},
    {"accounts": [Account(1, "", Role.PAYER, 1, 2**63)]},
    {"holds": [Hold(1, 1, "session", 900, "", 901)]},
    {"closed": [("2026-10", 1, 2)]},
    {"facts": [("x", None)]},
], ids=str)  # fmt: skip
def test_a_group_is_written_whole_or_not_at_all(store: Store, broken: dict[str, list[object]]) -> None:
    tenant = store.tenant("main")
    store.write(group(tenant))
    before = snapshot(store, tenant)
    second = group(tenant, 2)
    for field, rows in broken.items():
        setattr(second, field, [*getattr(second, field), *rows])
    with pytest.raises(Exception):  # noqa: B017  each driver has errors of its own
        store.write(second)
    assert snapshot(store, tenant) == before
    store.write(group(tenant, 2))
    assert store.head(tenant, 0)[0] == 2, "the store works on after a refused group"


def snapshot(store: Store, tenant: int) -> list[object]:
    return [
        list(store.journal(tenant, 0, 0, 100)), dict(store.all_seen(tenant)), list(store.all_accounts(tenant)),
        list(store.all_holds(tenant)), list(store.all_totals(tenant)), store.all_residues(tenant), store.facts(tenant),
        store.pending(tenant, 100), store.closed_periods(tenant), sorted(store.documents(tenant)),
        list(store.people(tenant, 1)), list(store.people(tenant, 2)),
    ]  # fmt: skip


def test_tenants_never_meet(store: Store) -> None:
    one, two = store.tenant("one"), store.tenant("two")
    store.write(group(one))
    assert snapshot(store, two) == [[], {}, [], [], [], {}, {}, [], set(), [], [], []]
    store.write(group(two))
    assert snapshot(store, one) == snapshot(store, two), "the same keys, numbers and names, side by side"
    assert store.forget(two, 1) > 0
    assert store.handles(one, ["name 1"]) == {"name 1": 1} and store.handles(two, ["name 1"]) == {}


def test_many_keys_at_once(store: Store) -> None:
    tenant = store.tenant("main")
    count = 3000
    store.write(Writes(tenant, 0, seen=[(key(n), "done", b"", n) for n in range(count)]))
    for asked in (1, 31, 32, 33, 257, 1025, count):
        assert len(store.seen(tenant, [key(n) for n in range(asked)])) == asked
    assert store.seen(tenant, []) == store.accounts(tenant, []) == store.handles(tenant, []) == {}


def test_the_journal_comes_in_order_and_between_bounds(store: Store) -> None:
    tenant = store.tenant("main")
    rows = [(n, b"%d" % n, bytes(32)) for n in range(1, 1302)]
    store.write(Writes(tenant, 0, journal=rows))
    store.write(Writes(tenant, 1, journal=rows[:3]))
    assert list(store.journal(tenant, 0, 0, 1301)) == rows
    assert list(store.journal(tenant, 0, 499, 1000)) == rows[499:1000]
    assert list(store.journal(tenant, 0, 1301, 9999)) == []
    assert store.head(tenant, 1)[0] == 3


def test_expired_holds_come_oldest_first_and_only_open_ones(store: Store) -> None:
    tenant = store.tenant("main")
    holds = [Hold(n, 1, "s", 5, f"2026-11-{9 - n:02}T00:00:00Z") for n in range(1, 5)]
    holds[1].state, holds[1].released = HoldState.RELEASED, 5
    store.write(Writes(tenant, 0, holds=holds))
    assert store.expired_holds(tenant, "2026-11-08T00:00:00Z", 9) == [4, 3, 1]
    assert store.expired_holds(tenant, "2026-11-06T00:00:00Z", 1) == [4]


def test_forgotten_people_are_gone_from_the_bytes_too(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    tenant = store.tenant("main")
    writes = group(tenant)
    writes.people.append(Person(1, "address", "Nowhere Lane 12345"))
    store.write(writes)
    assert store.forget(tenant, 1) >= 4
    store.close()
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Nowhere Lane" not in left and b"name 1" not in left


def test_a_second_writer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    first = SqliteStore(path)
    program = f"from apportion.adapters.stores.sqlite import SqliteStore; SqliteStore({str(path)!r})"
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert second.returncode == 1 and "being written by another process" in second.stderr
    with pytest.raises(StoreUnavailable, match="Wait for it to end"):
        SqliteStore(path)
    SqliteStore(path, writable=False).close()
    first.close()
    SqliteStore(path).close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    store._db.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")
    store.close()
    for writable in (True, False):
        with pytest.raises(StoreUnavailable, match="newer"):
            SqliteStore(path, writable=writable)


@pytest.mark.parametrize("content", [b"not a database " * 100, b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "books.db"
    path.write_bytes(content)
    for writable in (True, False):
        with pytest.raises(StoreUnavailable):
            SqliteStore(path, writable=writable)
    assert path.read_bytes() == content


def test_reading_never_writes(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    tenant = store.tenant("main")
    store.write(group(tenant))
    store.close()
    before = hashlib.sha256(path.read_bytes()).digest()
    reader = SqliteStore(path, writable=False)
    snapshot(reader, tenant)
    with pytest.raises(Exception):  # noqa: B017  as above
        reader.write(group(tenant, 2))
    reader.close()
    assert hashlib.sha256(path.read_bytes()).digest() == before
    with pytest.raises(StoreUnavailable):
        SqliteStore(tmp_path / "none.db", writable=False)
    assert not (tmp_path / "none.db").exists()


def test_a_reader_sees_whole_groups_while_a_writer_works(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    writer = SqliteStore(path)
    tenant = writer.tenant("main")
    reader = SqliteStore(path, writable=False)
    for n in range(1, 20):
        writer.stage(group(tenant, n))
        assert reader.head(tenant, 0)[0] == n - 1, "nothing is seen before it is committed"
        writer.commit()
        assert reader.head(tenant, 0)[0] == n and len(reader.accounts(tenant, list(range(1, 50)))) == n
    reader.close()
    writer.close()
