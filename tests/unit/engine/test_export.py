"""An export is the stored bytes, signed to its end, the same whenever it is taken."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.export import export, last_checkpoint, sealed
from apportion.engine.work import encode
from apportion.errors import NotFound
from apportion.ledger import proof
from apportion.model.journal import Checkpoint, End
from apportion.ports import Writes
from apportion.wiring import open_engine
from tests.book import fill, ride
from tests.forging import body_of, exported, number_of, verified, verified_store


def test_stored_bytes_and_their_hashes(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with open_engine(str(path)) as engine:
        fill(engine)
    lines = exported(path)
    store = SqliteStore(path, writable=False)
    head = proof.START
    books = [line for line in lines if not line.startswith((b'{"type":"balance"', b'{"type":"end"'))]
    for line in books:
        assert body_of(line) in store.row(1, 0, number_of(line)).split(b"\n")
        head = proof.link(head, body_of(line))
        assert line.endswith(head.hex().encode() + b'"}')
    assert head == store.head(1, 0)[1]
    for _, account in store.all_accounts(1):
        mark = b'{"type":"balance","account":"%b"' % account.public.encode()
        balance = next(line for line in lines if line.startswith(mark))
        assert msgspec.json.decode(balance)["posted"].replace(".", "").lstrip("-0") == str(abs(account.posted) or "")
    end = msgspec.json.decode(lines[-1], type=End)
    assert end.hash == blake3(b"".join(line + b"\n" for line in lines[:-1])).hexdigest() and end.count == len(lines) - 1
    store.close()
    assert exported(path) == lines


def test_a_later_export_begins_with_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with open_engine(str(path)) as engine:
        fill(engine)
    before = [line for line in exported(path) if b'"n":' in line[-90:]]
    with open_engine(str(path)) as engine:
        engine.charge([ride(901)])
    after = exported(path)
    assert after[: len(before) - 1] == before[:-1]


def test_what_a_killed_writer_left_is_signed_first(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with open_engine(str(path)) as engine:
        fill(engine)
    if not (child := os.fork()):
        engine = open_engine(str(path))
        engine.charge([ride(901)])
        os._exit(0)
    os.waitpid(child, 0)
    verdict = verified_store(path)
    assert verdict.ok and "not signed yet" in verdict.notes[0]
    rows = verdict.n
    with open_engine(str(path)) as engine:
        assert sealed(engine) == rows + 1 == sealed(engine)
    assert verified(exported(path)).n == rows + 1 and not verified_store(path).notes


def test_books_without_a_signed_head_can_not_be_exported(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "books.db")
    assert last_checkpoint(store, store.tenant("main")) is None
    with pytest.raises(NotFound, match="no signed head"):
        list(export(store, 1))
    store.close()


def test_the_latest_head_is_found_many_pages_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "books.db")
    tenant = store.tenant("main")
    mark = encode(Checkpoint(0, 6, "", "", "", ""))
    rows = [(n, mark if n in (3, 7) else b"{}", bytes(32)) for n in range(1, 2000)]
    store.write(Writes(tenant, 0, journal=rows))
    found = last_checkpoint(store, tenant)
    assert found is not None and found[0] == 7 and found[1].n == 6
    store.close()


def test_a_damaged_store_is_still_exported_for_its_judge(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with open_engine(str(path)) as engine:
        fill(engine)
    store = SqliteStore(path)
    store._db.execute("UPDATE journal SET body = CAST('not json' AS BLOB) WHERE n = 9")
    store.close()
    verdict = verified(exported(path))
    assert not verdict.ok and verdict.found >= 1
