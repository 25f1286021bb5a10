"""X7: ``verify``: anyone with the export proves the books, offline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.claims.conftest import EXAMPLES, Book, Books, Example, Program, Write

NO_NETWORK = "import socket; socket.socket = socket.create_connection = None"
CATALOG = """
payers.adeline = { currency = "EUR", name = "Mrs Canary", credit = "5" }
unknown_payers = { currency = "EUR", credit = "5" }
providers = { studio = {} }
[services.film]
retail = "film"
allocate = "cost"
measures = { minutes = "min" }
attributes = ["title"]
personal = ["title"]
parts.content = { provider = "studio", wholesale = { studio = "licence" } }
[tariffs]
film = { currency = "EUR", components = [{ kind = "unit", name = "time", measure = "minutes", price = 0.05 }] }
licence = { currency = "EUR", components = [{ kind = "unit", name = "time", measure = "minutes", price = 0.03 }] }
"""
PERSONAL = (b"adeline", b"Canary", b"secret-title", b"waiting-title")


def film(record: str, payers: list[str], title: str, minutes: int = 30, own: bool = True) -> str:
    """A viewing; with ``own`` the minutes are those of each payer."""
    used = {"quantities": {"minutes": str(minutes)}}
    who = [{"payer": one, **(used if own else {})} for one in payers]
    line = {"source": "box", "id": record, "service": "film", "start": "2026-01-05T20:00:00Z", "payers": who}
    return json.dumps({**line, **({} if own else used), "attributes": {"title": title}}) + "\n"


@pytest.fixture
def offline(tmp_path: Path) -> Program:
    """The program on a machine without network, in an empty folder elsewhere."""
    for folder in ("blocked", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "blocked/sitecustomize.py").write_text("import socket; socket.socket.__init__ = None", encoding="utf-8")
    program = Program(tmp_path / "elsewhere")
    program.env["PYTHONPATH"] = f"{tmp_path / 'blocked'}:{program.env['PYTHONPATH']}"
    return program


def exported(books: Books, folder: Path, name: str = "books.jsonl") -> Path:
    books.program("export", "--store", books.store, "--out", folder / name)
    return folder / name


def test_the_export_alone_proves_every_domain(offline: Program, book: Book, sample: Callable[..., Path]) -> None:
    flats, pipes = sample("electricity/usage-building.jsonl", 5), sample("electricity/usage-gas-water.csv", 90)
    for name, usage in (("telephone", [sample("telephone/usage-telecom.csv", 200)]), ("electricity", [flats, pipes])):
        books = book(EXAMPLES / name / "catalog.toml", *usage, store=f"{name}.db", close=True)
        file = exported(books, offline.folder)
        verdict = offline("verify", file.name, "--json").json()
        assert verdict["ok"] is True and verdict["findings"] == []
        assert (verdict["charges"], verdict["entries"]) == (len(books.of("charge")), len(books.of("entry")))
        assert [one.name for one in offline.folder.iterdir()] == [file.name]


def tampered(lines: list[str], how: str) -> tuple[list[str], int]:
    """The export after somebody was at it, and the line (from 1) at which it is no longer what was signed."""
    at = next(n for n, line in enumerate(lines) if '"type":"entry"' in line)
    last = next(n for n, line in enumerate(lines) if '"type":"balance"' in line)
    less = lines[at].replace('"-16.080000000"', '"-16.070000000"').replace('"3.500000000"', '"3.490000000"')
    return {
        "amount": ([*lines[:at], less, *lines[at + 1 :]], at + 1),  # a cent less of both: the entry still balances
        "dropped": ([*lines[:at], *lines[at + 1 :]], at + 1),
        "swapped": ([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]], at + 1),
        "balance": ([*lines[:last], lines[last].replace('"-', '"-1', 1), *lines[last + 1 :]], last + 1),
        "cut": (lines[:-1], len(lines) - 1),
    }[how]


@pytest.mark.parametrize("how", ["amount", "dropped", "swapped", "cut", "balance"])
def test_what_was_tampered_with_is_named(offline: Program, example: Example, how: str) -> None:
    file = exported(example("quickstart/usage.csv"), offline.folder)
    lines, at = tampered(file.read_text(encoding="utf-8").splitlines(), how)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    findings = offline("verify", file.name, "--json", code=1).json()["findings"]
    assert f"line {at}" in [one["place"] for one in findings] or (how == "cut" and findings), findings


def test_a_store_is_held_against_the_head_kept_outside(apportion: Program, tmp_path: Path) -> None:
    apportion("run", EXAMPLES / "quickstart/catalog.toml", EXAMPLES / "quickstart/usage.csv", "--store", "books.db")
    shutil.copy(tmp_path / "books.db", tmp_path / "yesterday.db")
    apportion("topup", "ada", "5.00", "EUR", "--store", "books.db")
    apportion("verify", "--store", "books.db")
    apportion("verify", "yesterday.db", "--heads", "books.db.heads", code=1)
    apportion("verify", "yesterday.db", code=1)  # nothing from outside says that it is complete
    apportion("verify", "yesterday.db", "--prefix-ok")


@pytest.mark.parametrize("also", ["waiting", "waiting with a friend", "rejected"])
def test_forgetting_a_person_keeps_the_proof_and_no_byte(offline: Program, book: Book, write: Write, also: str) -> None:
    more = {
        "waiting": film("f2", ["adeline"], "waiting-title", 900),
        "waiting with a friend": film("f2", ["zoe", "adeline"], "waiting-title", 900),
        "rejected": film("f2", ["adeline", "zoe"], "secret-title", own=False),  # whose minutes were they?
    }
    usage = film("f1", ["adeline"], "secret-title") + more[also]
    books = book(write("films.toml", CATALOG), write("films.jsonl", usage))
    books.program("statement", "--period", "2026-01", "--store", books.store)
    before = exported(books, offline.folder, "before.jsonl")
    assert [word for word in PERSONAL if word in before.read_bytes()] == []  # the chain never held a name
    balances = sorted(one["posted"] for one in books.accounts)
    books.program("forget", "adeline", "--yes", "--store", books.store)
    books.program("verify", "--store", books.store)
    offline("verify", before.name)
    assert sorted(one["posted"] for one in Books(books.program, books.store).accounts) == balances
    for file in books.program.folder.glob("books.db*"):
        assert [word for word in PERSONAL if word in file.read_bytes()] == [], file.name
