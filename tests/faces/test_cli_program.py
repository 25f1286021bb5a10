"""The program as a whole: help, speed of start, exit codes, and errors that are sentences."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apportion.faces.cli.program import CATALOG, GROUPS, KEYS
from apportion.faces.cli.sessions import COMMANDS as SESSION
from tests.faces.driving import QUICKSTART, ROOT, Cli, process

COMMANDS = [command.__name__.replace("_", "-") for commands in GROUPS.values() for command in commands]
HEAVY = ("apsw", "cryptography", "jinja2", "rich", "pyarrow", "blake3")


def test_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, apportion.faces.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_help_costs_little_more_than_the_libraries_that_write_it() -> None:
    libraries = [sys.executable, "-c", "import cyclopts, msgspec, rich.console"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # compiled, as installed

    def cpu(run: Callable[[], subprocess.CompletedProcess[bytes]]) -> float:
        before = os.times()
        assert run().returncode == 0
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    both = [
        (
            cpu(lambda: process("--help", env={"PYTHONDONTWRITEBYTECODE": ""})),
            cpu(lambda: subprocess.run(libraries, capture_output=True, env=environment)),
        )
        for _ in range(4)
    ]
    assert min(mine for mine, _ in both) < 3 * min(theirs for _, theirs in both), both  # 0.14 s to 0.09 s when alone


def test_help_names_every_command(cli: Cli) -> None:
    text = cli("--help").out
    for command in [*COMMANDS, "catalog", "key", "session", "trust"]:
        assert re.search(rf"[│|] {command} ", text), command


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["catalog", c.__name__] for c in CATALOG])
def test_every_command_has_help_and_json(cli: Cli, command: list[str]) -> None:
    done = cli(*command, "--help")
    assert done.code == 0
    assert done.err == ""
    if command not in (["serve"], ["fake-payments"]):
        assert "--json" in done.out


def test_every_argument_is_explained() -> None:
    more = [*CATALOG, *KEYS.values(), *SESSION]
    for function in [command for commands in GROUPS.values() for command in commands] + more:
        words = inspect.getdoc(function) or ""
        for name, one in inspect.signature(function).parameters.items():
            if "Answer" not in str(one.annotation) and str(one.annotation) not in (
                "Place",
                "Live",
                "Paying",
                "Hearing",
                "Mailing",
            ):
                assert re.search(rf"^ +{name}: ", words, re.MULTILINE), f"{function.__name__} {name}"


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert done.code == 0
    assert done.out.startswith("apportion")


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["allocate"],
        ["allocate", "1.00"],
        ["allocate", "1.00", "USD", "1", "--bogus"],
        ["balance", "--role", "king"],
        ["balance", "a", "b"],
        ["run", "catalog.toml"],
        ["rate", "-", "-"],
        ["rate", "t.toml", "--bogus"],
        ["run", "c.toml", "u.csv", "--bogus"],
        ["allocate", "--bogus", "USD", "1"],
        ["topup", "ada", "--bogus", "EUR"],
        ["trace"],
        ["trace", "ada", "--limit", "many"],
        ["catalog", "bogus"],
        ["forget", "ada"],
        ["serve", "--port", "many"],
        ["key", "create", "king"],
        ["session", "bogus"],
        ["plan"],
    ],
)
def test_bad_usage_exits_with_two_and_one_sentence(cli: Cli, words: list[str]) -> None:
    done = cli(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("apportion: ")
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1
    as_json = cli(*words, *([] if "--json" in words else ["--json"]))
    assert as_json.code == 2
    assert as_json.error["code"] == "bad_usage"


def test_two_formats_at_once_are_bad_usage(cli: Cli) -> None:
    done = cli("balance", "--json", "--csv")
    assert done.code == 2
    assert done.error["code"] == "bad_usage"


@pytest.mark.parametrize(
    "words",
    [
        ["balance"],
        ["trace", "ada"],
        ["explain", "chg_x"],
        ["close", "2026-11"],
        ["topup", "ada", "1", "EUR"],
        ["statement"],
        ["export"],
        ["verify"],
        ["forget", "ada", "--yes"],
        ["catalog", "show"],
    ],
)
def test_without_a_store_every_command_says_how_to_make_one(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    done = cli(*words, "--store", tmp_path / "none.db", "--json")
    assert done.code == 1
    assert done.error["code"] == "store_unavailable"
    assert "apportion run" in done.error["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_server_as_store_is_refused_in_words(cli: Cli) -> None:
    done = cli("balance", "--store", "http://localhost:8000", "--json")
    assert done.code == 1
    assert done.error["code"] == "misconfigured"


def test_a_tenant_that_the_store_does_not_have(cli: Cli, rides: Path) -> None:
    done = cli("balance", "--store", rides, "--tenant", "nobody", "--json")
    assert done.code == 1
    assert done.error["code"] == "not_found"
    assert "main" in done.error["message"]


def test_a_file_that_is_no_store(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is not a database, but long enough to look like one" * 100)
    done = cli("balance", "--store", tmp_path / "x.db", "--json")
    assert done.code == 1
    assert done.error["code"] == "store_unavailable"


def test_an_error_nobody_expected_is_still_a_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: object, **more: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("apportion.wiring.open_engine", broken)
    done = cli("balance", "--json")
    assert done.code == 1
    assert done.error["code"] == "internal"
    assert "boom" in done.error["message"]


def test_streams_of_a_real_process(tmp_path: Path) -> None:
    store = tmp_path / "r.db"
    done = process("run", QUICKSTART / "catalog.toml", QUICKSTART / "usage.csv", "--store", store, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["charged"] == 6
    refused = process("explain", "chg_none", "--store", store)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert refused.stderr.count(b"\n") == 1


def test_names_that_are_no_text_do_not_break_it(tmp_path: Path) -> None:
    done = process("balance", b"\xff\xfe".decode(errors="surrogateescape"), "--store", tmp_path / "r.db")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_progress_is_shown_on_demand_and_only_on_standard_error(tmp_path: Path) -> None:
    words = ("run", QUICKSTART / "catalog.toml", QUICKSTART / "usage.csv", "--store", tmp_path / "r.db", "--json")
    done = process(*words, "--progress")
    assert done.returncode == 0
    json.loads(done.stdout)


def test_a_reader_that_goes_away_is_no_error() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    program = "import sys; from apportion.faces.cli import main; sys.exit(main())"
    usage = ROOT / "examples" / "model-gateway" / "usage.csv"
    tariff = f"{ROOT}/examples/model-gateway/catalog.toml#host-wandb"
    with subprocess.Popen(
        [sys.executable, "-c", program, "rate", tariff, str(usage)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()
