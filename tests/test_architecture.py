"""The style guide as a test: each rule of the house is one small function that yields its findings.

A finding names the place, what is wrong and what to do. A rule is a function over a list of files, so the
second half of this file feeds every rule a small offender and sees that it bites.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import tokenize
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Lowest first. A room imports strictly lower floors only; rooms on one floor never meet.
FLOORS = (
    {"errors"},
    {"money"},
    {"model"},
    {"stages", "ledger", "ports"},
    {"engine", "adapters"},
    {"wiring"},
    {"faces"},
)
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
PURE = {room for rooms in FLOORS[:4] for room in rooms}
EXACT = {"money", "model", "stages", "ledger"}
FRONT_DOORS = {"apportion", "apportion.__main__"}

IMPURE_IMPORTS = set(
    "apsw asyncio concurrent http httpx2 logging multiprocessing os psycopg random secrets select selectors"
    " shutil signal socket sqlalchemy sqlite3 ssl subprocess tempfile threading time urllib uuid".split()
)
IMPURE_CALLS = {"open", "print", "input", "__import__"}
CLOCK_CALLS = {"now", "utcnow", "today"}

LINES_OF_A_FILE, LINES_OF_A_FILE_NEVER = 400, 600
LINES_OF_A_FUNCTION, LINES_OF_A_FUNCTION_NEVER = 60, 65
LINES_OF_AN_INIT = 39
# Ratchets: files of 401 to 600 lines and functions of 61 to 65, with the length they have. They only shrink.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}  # "stages/rate/price.py:price_usage"
# Presentation modules that may hand a float to a library that draws, with the reason. Only under faces/.
FLOATS_FOR_THE_EYE: dict[str, str] = {}

EMPTY_NAMES = set("util helper common misc base core manager service handler impl type".split())
REMINDER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME")) + r")\b")
REMINDER_IN_COMMENT = re.compile(r"\bX{3}\b")  # in a string it is the ISO code for no currency


@dataclass(frozen=True)
class Module:
    """One Python file of the package, read but not run; ``path`` is relative to ``src/apportion``."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, filename=self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def parts(self) -> list[str]:
        """The dotted name in pieces: ``stages/rate/price.py`` is apportion, stages, rate, price."""
        pieces = ["apportion", *self.path.removesuffix(".py").split("/")]
        return pieces[:-1] if pieces[-1] == "__init__" else pieces

    @property
    def name(self) -> str:
        return ".".join(self.parts)

    @property
    def room(self) -> str:
        return self.parts[1] if len(self.parts) > 1 else ""

    @property
    def is_init(self) -> bool:
        return self.path.rpartition("/")[2] == "__init__.py"

    def at(self, where: ast.AST | int) -> str:
        line = where if isinstance(where, int) else getattr(where, "lineno", 1)
        return f"src/apportion/{self.path}:{line}"

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every import as (line, full dotted name), also those for the type checker or inside a function."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = self.parts if self.is_init else self.parts[:-1]
                above = package[: len(package) - node.level + 1] if node.level else []
                start = ".".join([*above, *filter(None, [node.module])])
                yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)

    def named_modules(self, known: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Imports, and module names written as text, which is how a module is loaded by name."""
        yield from self.imports()
        for node in self.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known:
                yield node.lineno, node.value


Rule = Callable[[list[Module]], Iterator[str]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    RULES.append(function)
    return function


# ── floors ────────────────────────────────────────────────────────────────────────────────────────


@rule
def every_room_stands_on_a_floor(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        if module.name not in FRONT_DOORS and module.room not in HEIGHT:
            yield (
                f"{module.at(1)}: '{module.room}' stands on no floor. Put the file into an existing room; "
                f"a new one needs a decision note and a place in FLOORS and in pyproject.toml."
            )


@rule
def imports_run_strictly_downward(modules: list[Module]) -> Iterator[str]:
    known = {module.name for module in modules}
    for module in modules:
        if module.name in FRONT_DOORS:
            continue
        for line, name in module.named_modules(known):
            top, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if top != "apportion" or room == module.room:
                continue
            if room not in HEIGHT:
                yield f"{module.at(line)}: imports the front door. Import from the room that defines it."
            elif HEIGHT[room] >= HEIGHT.get(module.room, -1):
                yield (
                    f"{module.at(line)}: '{module.room}' may not know '{room}', which is not below it. "
                    f"Pass a record or a function in, or move what both need down."
                )


@rule
def stages_never_meet(modules: list[Module]) -> Iterator[str]:
    known = {module.name for module in modules}
    for module in modules:
        if module.room != "stages":
            continue
        for line, name in module.named_modules(known):
            if name.startswith("apportion.stages") and name.split(".")[2:3] != module.parts[2:3]:
                yield (
                    f"{module.at(line)}: a stage imports another ({name}). "
                    f"Stages exchange records; let the engine hand the result on."
                )


@rule
def floors_one_to_three_are_pure(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        if module.room not in PURE:
            continue
        for line, name in module.imports():
            if name.split(".")[0] in IMPURE_IMPORTS:
                yield (
                    f"{module.at(line)}: '{module.room}' imports {name.split('.')[0]}. "
                    f"Take time, ids and data as arguments; input and output live in engine and adapters."
                )
        for call in (node for node in module.nodes if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in IMPURE_CALLS:
                yield f"{module.at(call)}: calls {call.func.id}(). Take what it gives as an argument."
        for line, what in clock_readings(module):
            yield f"{module.at(line)}: reads the clock by {what}. Take the instant as an argument."


def clock_readings(module: Module) -> Iterator[tuple[int, str]]:
    called = {id(node.func) for node in module.nodes if isinstance(node, ast.Call)}
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_CALLS:
            owner = ast.unparse(node.value)
            if id(node) in called or owner.split(".")[-1] in {"date", "datetime"}:
                yield node.lineno, f"{owner}.{node.attr}"


@rule
def async_stays_at_the_edge(modules: list[Module]) -> Iterator[str]:
    colours = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    for module in modules:
        if module.room in {"faces", "adapters"}:
            continue
        lines = [node.lineno for node in module.nodes if isinstance(node, colours)]
        lines += [line for line, name in module.imports() if name.split(".")[0] in {"asyncio", "anyio", "trio"}]
        if lines:
            yield f"{module.at(min(lines))}: async outside faces and adapters. Keep one colour."


# ── money ─────────────────────────────────────────────────────────────────────────────────────────


@rule
def only_booking_writes_an_entry(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        if module.path == "ledger/booking.py":
            continue
        for node in module.nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Entry":
                yield f"{module.at(node)}: makes an Entry. Give ledger/booking.py the fact."
            if isinstance(node, ast.ImportFrom) and any(a.name == "Entry" and a.asname for a in node.names):
                yield f"{module.at(node)}: renames Entry on import. Keep its name: uses must be found."


@rule
def numbers_are_exact(modules: list[Module]) -> Iterator[str]:
    """No float in money, model, stages and ledger; round() and the division sign in money alone."""
    for module in modules:
        if module.room not in EXACT:
            continue
        guards = float_guards(module)
        for node in module.nodes:
            if isinstance(node, ast.Name) and node.id == "float" and id(node) not in guards:
                yield f"{module.at(node)}: names float. Use int, Decimal, Fraction, Exact or Money."
            elif isinstance(node, ast.Constant) and isinstance(node.value, float):
                yield f"{module.at(node)}: the float {node.value}. Write Decimal('…') or Fraction(p, q)."
            elif module.room == "money":
                continue
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "round":
                yield f"{module.at(node)}: calls round(). Only money/ rounds; pass the exact value on."
            elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
                yield f"{module.at(node)}: true division. Use Fraction(p, q), or // on integers."
            elif isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith("truediv"):
                yield f"{module.at(node)}: true division by another name. Use Fraction(p, q)."


def float_guards(module: Module) -> set[int]:
    """The word float inside isinstance(…): the check that refuses one."""
    checks = [n for n in module.nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "isinstance"]
    return {id(node) for check in checks for node in ast.walk(check)}


@rule
def nothing_becomes_a_float(modules: list[Module]) -> Iterator[str]:
    for path in FLOATS_FOR_THE_EYE:
        if not path.startswith("faces/") or path not in {module.path for module in modules}:
            yield f"{path} in FLOATS_FOR_THE_EYE is not a module under faces/. Remove it from the list."
    for module in modules:
        if module.path in FLOATS_FOR_THE_EYE:
            continue
        for call in (node for node in module.nodes if isinstance(node, ast.Call)):
            words = [call.func, *(call.args if ast.unparse(call.func) == "map" else [])]
            if any(isinstance(word, ast.Name) and word.id == "float" for word in words):
                yield (
                    f"{module.at(call)}: makes a float. Keep it exact; "
                    f"if a drawing needs one, name the module in FLOATS_FOR_THE_EYE."
                )


# ── size ──────────────────────────────────────────────────────────────────────────────────────────


@rule
def files_stay_short(modules: list[Module]) -> Iterator[str]:
    lines = {module.path: len(module.source.splitlines()) for module in modules}
    yield from stale_ratchets("LONG_FILES", LONG_FILES, lines, LINES_OF_A_FILE)
    for path, count in lines.items():
        cap = min(LONG_FILES.get(path, LINES_OF_A_FILE), LINES_OF_A_FILE_NEVER)
        if count > cap:
            yield f"src/apportion/{path}:{count}: {count} lines, at most {cap}. Split it by noun or verb."


@rule
def functions_stay_short(modules: list[Module]) -> Iterator[str]:
    lines: dict[str, int] = {}
    for module in modules:
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                key = f"{module.path}:{node.name}"
                lines[key] = max(count, lines.get(key, 0))
                cap = min(LONG_FUNCTIONS.get(key, LINES_OF_A_FUNCTION), LINES_OF_A_FUNCTION_NEVER)
                if count > cap:
                    yield f"{module.at(node)}: {node.name} has {count} lines, at most {cap}. Name its steps."
    yield from stale_ratchets("LONG_FUNCTIONS", LONG_FUNCTIONS, lines, LINES_OF_A_FUNCTION)


def stale_ratchets(name: str, ratchets: dict[str, int], lines: dict[str, int], cap: int) -> Iterator[str]:
    for key, allowed in ratchets.items():
        count = lines.get(key, 0)
        if count <= cap:
            yield f"{key} is no longer too long. Remove it from {name}."
        elif count < allowed:
            yield f"{key} has shrunk to {count} lines. Turn the ratchet in {name} from {allowed} to {count}."


@rule
def doors_are_thin(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        count = len(module.source.splitlines())
        if module.is_init and module.name != "apportion" and count > LINES_OF_AN_INIT:
            yield f"{module.at(count)}: {count} lines, at most {LINES_OF_AN_INIT}. Move the work inside."


# ── names and words ───────────────────────────────────────────────────────────────────────────────


@rule
def names_say_something(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        yield from empty_names(f"src/apportion/{module.path}", module.path)


def empty_names(shown: str, path: str) -> Iterator[str]:
    for piece in path.removesuffix(".py").split("/"):
        stem = piece.strip("_").lower()
        if {stem, stem.removesuffix("s")} & EMPTY_NAMES:
            yield f"{shown}:1: '{piece}' fits any project. Name it after what it holds."


@rule
def every_package_says_what_it_owns(modules: list[Module]) -> Iterator[str]:
    packages = {p.as_posix() for module in modules for p in PurePosixPath(module.path).parents} - {"."}
    docstrings = {m.path.rpartition("/")[0]: ast.get_docstring(m.tree) or "" for m in modules if m.is_init}
    for package in sorted(packages):
        if package not in docstrings:
            yield f"src/apportion/{package}/__init__.py:1: is missing. Add it, with what the package owns."
        elif not (re.search(r"\bOwns\b", docstrings[package]) and "Does not own" in docstrings[package]):
            yield (
                f"src/apportion/{package}/__init__.py:1: the docstring lacks 'Owns …' or 'Does not own …'. Say both."
            )


@rule
def no_reminder_is_left(modules: list[Module]) -> Iterator[str]:
    for module in modules:
        yield from reminders(f"src/apportion/{module.path}", module.source)


def reminders(shown: str, source: str) -> Iterator[str]:
    found = {number for number, line in enumerate(source.splitlines(), 1) if REMINDER.search(line)}
    if shown.endswith(".py"):
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = (token for token in tokens if token.type == tokenize.COMMENT)
        found |= {token.start[0] for token in comments if REMINDER_IN_COMMENT.search(token.string)}
    for line in sorted(found):
        yield f"{shown}:{line}: a leftover reminder. Do it, or open an issue and delete the line."


# ── nothing dead, one front door ──────────────────────────────────────────────────────────────────


@rule
def no_file_is_dead(modules: list[Module]) -> Iterator[str]:
    known = {module.name for module in modules}
    alive = FRONT_DOORS | {script.partition(":")[0] for script in SETTINGS["project"]["scripts"].values()}
    for module in modules:
        for _, name in module.named_modules(known):
            pieces = name.split(".")
            reached = {".".join(pieces[:end]) for end in range(1, len(pieces) + 1)}
            alive |= {r for r in reached if r != module.name and not module.name.startswith(f"{r}.")}
    for module in modules:
        only_words = module.is_init and len(module.tree.body) <= 1
        if module.name not in alive and not only_words:
            yield f"{module.at(1)}: nothing imports it. Use it, or delete it."


@rule
def front_door_lists_what_it_offers(modules: list[Module]) -> Iterator[str]:
    for module in (module for module in modules if module.name == "apportion"):
        offered, listed = set(), None
        for node in module.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                offered |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                offered.add(node.name)
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                listed = ast.literal_eval(node.value)
        public = {name for name in offered if not name.startswith("_")}
        if listed is None:
            if public:
                yield f"{module.at(1)}: has no __all__. List what the package offers."
            continue
        if list(listed) != sorted(set(listed)):
            yield f"{module.at(1)}: __all__ is not sorted. Write {sorted(set(listed))}."
        for name in sorted(public - set(listed)):
            yield f"{module.at(1)}: {name} is not in __all__. List it, or import it as _{name}."


# ── the house as it stands ────────────────────────────────────────────────────────────────────────


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


PACKAGE = ROOT / "src" / "apportion"
HOUSE = [Module(p.relative_to(PACKAGE).as_posix(), p.read_text()) for p in python_files("src/apportion")]


def report(findings: Iterable[str]) -> None:
    lines = list(findings)
    if lines:
        pytest.fail(f"{len(lines)} finding(s)\n  " + "\n  ".join(lines), pytrace=False)


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_house(check: Rule) -> None:
    report(check(HOUSE))


def test_tests_and_pages_keep_the_words_too() -> None:
    findings: list[str] = []
    for path in python_files("tests", "benchmarks", "examples"):
        shown = path.relative_to(ROOT).as_posix()
        findings += [*empty_names(shown, shown), *reminders(shown, path.read_text())]
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    for path in pages:
        findings += reminders(path.relative_to(ROOT).as_posix(), path.read_text())
    report(findings)


def test_import_linter_knows_the_same_floors() -> None:
    contracts = {contract["id"]: contract for contract in SETTINGS["tool"]["importlinter"]["contracts"]}
    layers = [set(re.findall(r"\w+", layer)) for layer in reversed(contracts["floors"]["layers"])]
    assert layers == list(FLOORS), "pyproject.toml and FLOORS differ; make them say the same"
    pure = {name.removeprefix("apportion.") for name in contracts["pure"]["source_modules"]}
    assert pure == PURE, "pyproject.toml and PURE differ; make them say the same"
    assert set(contracts["pure"]["forbidden_modules"]) == IMPURE_IMPORTS, "the lists of forbidden imports differ"


def test_everything_offered_is_explained() -> None:
    door = importlib.import_module("apportion")
    findings = []
    for name in getattr(door, "__all__", ()):
        thing = getattr(door, name, None)
        if thing is None:
            findings.append(f"src/apportion/__init__.py:1: __all__ names {name}, which does not exist. Remove it.")
        elif inspect.isclass(thing) or inspect.isroutine(thing):
            text = (thing.__doc__ or "").strip()
            if not text or text.startswith(f"{name}("):  # a dataclass writes its signature there
                findings.append(
                    f"{inspect.getsourcefile(thing)}: {name} is public and has no docstring. Say what it is."
                )
    report(findings)


# ── the rules bite ────────────────────────────────────────────────────────────────────────────────

LONG_BODY = "    x = 1\n" * 60
OFFENDERS = [
    (every_room_stands_on_a_floor, "plugins/first.py", "x = 1"),
    (imports_run_strictly_downward, "money/asset.py", "from apportion.model import tariff"),
    (imports_run_strictly_downward, "ledger/post.py", "from apportion.stages import rate"),
    (imports_run_strictly_downward, "engine/engine.py", "import apportion.adapters.stores"),
    (imports_run_strictly_downward, "errors.py", "if TYPE_CHECKING:\n    from apportion.money import Money"),
    (imports_run_strictly_downward, "stages/rate/price.py", "from ...engine import commit"),
    (imports_run_strictly_downward, "engine/commit.py", "from apportion import Money"),
    (stages_never_meet, "stages/rate/price.py", "from apportion.stages import credit"),
    (stages_never_meet, "stages/rate/price.py", "def f():\n    from ..settle.netting import net"),
    (floors_one_to_three_are_pure, "money/asset.py", "from os import environ"),
    (floors_one_to_three_are_pure, "ledger/proof.py", "def f(): return open('x')"),
    (floors_one_to_three_are_pure, "model/usage.py", "at = field(default_factory=datetime.now)"),
    (floors_one_to_three_are_pure, "stages/rate/price.py", "at = dt.datetime.now(UTC)"),
    (async_stays_at_the_edge, "engine/commit.py", "async def f(): pass"),
    (async_stays_at_the_edge, "wiring.py", "import asyncio"),
    (only_booking_writes_an_entry, "engine/commit.py", "e = journal.Entry(id=1)"),
    (only_booking_writes_an_entry, "ledger/post.py", "from apportion.model.journal import Entry as E"),
    (numbers_are_exact, "stages/rate/price.py", "x = a / b"),
    (numbers_are_exact, "stages/rate/price.py", "a /= b"),
    (numbers_are_exact, "ledger/post.py", "x = round(y)"),
    (numbers_are_exact, "model/tariff.py", "price: float"),
    (numbers_are_exact, "money/exact.py", "x = 0.5"),
    (nothing_becomes_a_float, "faces/cli.py", "x = float(y)"),
    (nothing_becomes_a_float, "engine/query.py", "x = list(map(float, y))"),
    (files_stay_short, "model/tariff.py", "x = 1\n" * 401),
    (functions_stay_short, "model/tariff.py", "def f():\n" + LONG_BODY),
    (doors_are_thin, "model/__init__.py", "x = 1\n" * 40),
    (names_say_something, "engine/utils.py", ""),
    (names_say_something, "faces/_handlers/pages.py", ""),
    (every_package_says_what_it_owns, "engine/__init__.py", '"""Owns: all."""'),
    (every_package_says_what_it_owns, "engine/commit.py", ""),
    (no_reminder_is_left, "engine/commit.py", "x = 1  # TO" + "DO later"),
    (no_reminder_is_left, "engine/commit.py", "x = 1  # XX" + "X"),
    (no_file_is_dead, "engine/commit.py", "x = 1"),
    (no_file_is_dead, "engine/__init__.py", '"""Owns."""\nx = 1'),
    (front_door_lists_what_it_offers, "__init__.py", "from apportion.money import Money"),
    (front_door_lists_what_it_offers, "__init__.py", "from a import B, C\n__all__ = ['C']"),
    (front_door_lists_what_it_offers, "__init__.py", "from a import B, C\n__all__ = ['C', 'B']"),
]
HONEST = [
    (
        imports_run_strictly_downward,
        "stages/rate/price.py",
        "from apportion import errors\nfrom . import apportion",
    ),
    (
        stages_never_meet,
        "stages/rate/price.py",
        "from apportion.stages.rate import tiers\nfrom .bands import Band",
    ),
    (
        floors_one_to_three_are_pure,
        "stages/rate/price.py",
        "from datetime import time\nx = frame.now\nf.open()",
    ),
    (numbers_are_exact, "model/usage.py", "if isinstance(x, (int, float)): pass"),
    (numbers_are_exact, "money/exact.py", "x = Fraction(1) / 3"),
    (no_reminder_is_left, "money/asset.py", "no_currency = 'XX" + "X'"),
    (only_booking_writes_an_entry, "ledger/booking.py", "e = Entry(id=1)"),
    (no_file_is_dead, "engine/__init__.py", '"""Owns."""'),
]


@pytest.mark.parametrize("check, path, source", OFFENDERS)
def test_rule_bites(check: Rule, path: str, source: str) -> None:
    findings = list(check([Module(path, source)]))
    assert any(path.rpartition("/")[0] in finding for finding in findings)


@pytest.mark.parametrize("check, path, source", HONEST)
def test_rule_lets_honest_code_pass(check: Rule, path: str, source: str) -> None:
    report(check([Module(path, source)]))


def test_every_rule_has_an_offender() -> None:
    assert {check.__name__ for check in RULES} == {check.__name__ for check, _, _ in OFFENDERS}
