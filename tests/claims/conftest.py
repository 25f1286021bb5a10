"""What the tests of the claims share: the program as a user runs it, and the books as an outsider reads them.

Nothing here imports the package. Commands run as processes of their own on real files; books are read from the export
and from ``balance``, and added up again with Python's own decimals and fractions.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DIRECT = ["-c", "import sys; from apportion.faces.cli import main; sys.exit(main())"]
ATOM = Decimal("0.000000001")  # the last unit: both EUR and USD are kept to nine decimals
Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a command wrote and its exit code."""

    out: str
    err: str
    code: int

    def json(self) -> Any:
        """The answer of a command that was given ``--json``."""
        return json.loads(self.out)


class Program:
    """``apportion ARGUMENTS`` in a folder of its own."""

    def __init__(self, folder: Path, command: list[str] | None = None, env: dict[str, str] | None = None) -> None:
        runs = (ROOT / "src/apportion/__main__.py").is_file()
        self.folder = folder
        self.command = command or [sys.executable, *(["-m", "apportion"] if runs else DIRECT)]
        self.env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **(env or {})}

    def __call__(self, *arguments: str | Path, code: int = 0, folder: Path | None = None) -> Result:
        """Run it; it must end with the exit code ``code``."""
        words, cwd = [*self.command, *map(str, arguments)], folder or self.folder
        done = subprocess.run(words, cwd=cwd, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return Result(done.stdout, done.stderr, done.returncode)


@dataclass
class Books:
    """A store after a run: ``summary`` of the run, and its accounts and export, read when asked for."""

    program: Program
    store: str
    summary: Json = field(default_factory=dict)

    @functools.cached_property
    def accounts(self) -> list[Json]:
        return self.program("balance", "--store", self.store, "--json").json()

    @functools.cached_property
    def lines(self) -> list[Json]:
        """Every line of the export."""
        return [json.loads(line) for line in self.program("export", "--store", self.store).out.splitlines()]

    @functools.cached_property
    def owners(self) -> dict[str, str]:
        """Account → whose it is (the books themselves hold no names of people)."""
        return {account["id"]: account["owner"] for account in self.accounts}

    def balances(self, role: str) -> dict[str, Decimal]:
        """Owner → posted balance, of the accounts of a role."""
        return {one["owner"]: Decimal(one["posted"]) for one in self.accounts if one["role"] == role}

    def of(self, kind: str) -> list[Json]:
        """The lines of one type."""
        return [line for line in self.lines if line["type"] == kind]

    @functools.cached_property
    def charges(self) -> dict[str, Json]:
        """The charges by the id that the usage file gave the record."""
        names = {line["key"]: line["id"] for line in self.of("usage")}
        return {names[charge["usage"]]: charge for charge in self.of("charge") if charge["usage"] in names}

    @functools.cached_property
    def _entries(self) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = defaultdict(list)
        for entry in self.of("entry"):
            found[entry["cause"]].append(entry)
        return found

    def legs(self, record: str) -> list[tuple[str, Decimal]]:
        """The one entry of a record as (whose account, amount); credits are positive. Empty when nothing moved."""
        entries = self._entries[self.charges[record]["id"]]
        assert len(entries) <= 1, f"{record} was booked {len(entries)} times"
        return [(self.owners[leg["account"]], Decimal(leg["amount"])) for entry in entries for leg in entry["legs"]]

    def portions(self, record: str) -> dict[str, Decimal]:
        """Provider → what the charge of a record credits to it."""
        return {one["provider"]: Decimal(one["amount"]) for one in self.charges[record]["portions"]}

    def earned(self, part: str) -> dict[str, Decimal]:
        """Provider → all that charges credited to it for one part."""
        found: dict[str, Decimal] = defaultdict(Decimal)
        for portion in (one for charge in self.of("charge") for one in charge["portions"] if one["part"] == part):
            found[portion["provider"]] += Decimal(portion["amount"])
        return dict(found)

    def add_up(self) -> None:
        """Everything that must sum does: each charge, each entry, each account; and value is neither made nor lost."""
        for charge in self.of("charge"):
            paid, portions = (sum(Decimal(one["amount"]) for one in charge.get(k, ())) for k in ("shares", "portions"))
            tax = Decimal(charge.get("tax", "0"))
            sponsored = Decimal(charge.get("sponsored", "0"))
            assert Decimal(charge["amount"]) + tax == Decimal(charge["total"])
            assert paid + sponsored == portions + Decimal(charge["platform"]) + tax, charge
        posted: dict[str, Decimal] = defaultdict(Decimal)
        for entry in self.of("entry"):
            assert sum(Decimal(leg["amount"]) for leg in entry["legs"]) == 0, entry
            for leg in entry["legs"]:
                posted[leg["account"]] += Decimal(leg["amount"])
        assert {one["id"]: Decimal(one["posted"]) for one in self.accounts} == {a: posted[a] for a in self.owners}
        for currency in {one["currency"] for one in self.accounts}:
            assert sum(Decimal(one["posted"]) for one in self.accounts if one["currency"] == currency) == 0


Write = Callable[[str, str], Path]
Book = Callable[..., Books]
Example = Callable[[str], Books]


@pytest.fixture
def apportion(tmp_path: Path) -> Program:
    """The program, in an empty folder."""
    return Program(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a small file into the folder."""

    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return written


def run_books(program: Program, catalog: Path, *usage: Path, store: str = "books.db", close: bool = False) -> Books:
    """``apportion run CATALOG USAGE… --store STORE``, and the books that it leaves."""
    words = ["run", catalog, *usage, "--store", store, "--json", *(["--close"] if close else [])]
    return Books(program, store, program(*words).json())


@pytest.fixture
def book(apportion: Program) -> Iterator[Book]:
    """``book(CATALOG, USAGE…)``: the books of a run, which must add up when the test ends."""
    made: dict[str, Books] = {}

    def run(catalog: Path, *usage: Path, store: str = "books.db", close: bool = False) -> Books:
        made[store] = run_books(apportion, catalog, *usage, store=store, close=close)
        return made[store]

    yield run
    for books in made.values():
        books.add_up()


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """``example("quickstart/usage.csv")``: the closed books of a shipped file, for all tests that only read them."""

    @functools.cache
    def run(name: str) -> Books:
        program = Program(tmp_path_factory.mktemp("example"))
        catalog = (EXAMPLES / name).parent / "catalog.toml"
        books = run_books(program, catalog, EXAMPLES / name, close=True)
        books.add_up()
        return books

    return run


@pytest.fixture
def sample(tmp_path: Path) -> Callable[..., Path]:
    """A shipped usage file, cut to the lines that ``keep`` takes and to the first ``count``."""

    def cut(name: str, count: int = 1_000_000, keep: Callable[[str], bool] = lambda line: True) -> Path:
        lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines(keepends=True)
        head = lines[:1] if name.endswith(".csv") else []
        target = tmp_path / Path(name).name
        target.write_text("".join(head + [line for line in lines[len(head) :] if keep(line)][:count]), encoding="utf-8")
        return target

    return cut


def rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
