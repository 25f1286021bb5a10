"""The whole API from its own document, by schemathesis: no 5xx, no status and no shape that is not documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from apportion.engine.operations import OPERATIONS, Way
from tests.faces.api.nodes import ROLES, NodeProcess, catalog, ride

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
#: streams without an end, of which no answer is ever whole: test_events.py has them
ENDLESS = [operation.name for operation in OPERATIONS if operation.way is Way.WATCH]


def probed(folder: Path, role: str, examples: int, seed: int, phases: str = "examples,coverage,fuzzing") -> int:
    """Let it ask a real node as somebody of a role; how many requests it made."""
    node = NodeProcess(folder / f"{role}.db")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    assert node.ask("POST", "/v1/usage", [ride(n) for n in range(9)]).status == 200
    party = {"user": "ada", "provider": "dora"}.get(role, "")
    key = node.key(role, party)
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{node.url}/openapi.json",
        "--header", f"Authorization: Bearer {key}", "--phases", phases, "--max-examples", str(examples),
        "--seed", str(seed), "--workers", "1", "--generation-database", "none", "--checks", CHECKS,
        "--continue-on-failure", "--no-color", *(word for name in ENDLESS for word in ("--exclude-operation-id", name)),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    tested, made = re.search(r"Tested: (\d+)", ended.stdout), re.search(r"(\d+) generated, \1 passed", ended.stdout)
    assert tested is not None and int(tested[1]) == len(OPERATIONS) - len(ENDLESS), ended.stdout
    assert made is not None, ended.stdout
    assert node.ask("GET", "/ready").status == 200 and node.stop() == 0
    assert not [line for line in node.log if '"internal"' in line]
    return int(made[1])


def test_nothing_that_is_not_documented(tmp_path: Path) -> None:
    assert probed(tmp_path, "operator", examples=10, seed=1) > 100 * len(OPERATIONS)


@pytest.mark.torture
@pytest.mark.parametrize("role", ROLES)
def test_nothing_that_is_not_documented_for_long(tmp_path: Path, role: str) -> None:
    assert probed(tmp_path, role, examples=300, seed=2, phases="examples,coverage,fuzzing,stateful") > 10_000
