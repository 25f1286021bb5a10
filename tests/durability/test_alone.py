"""Work that is done alone is safe to repeat: killed after any of its commits, the same request under the same key ends
in the same books."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.durability.processes import ROOT


def test_killed_after_any_commit_and_asked_again(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [sys.executable, "-m", "tests.durability.alone", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert (
        len(found["apply"]["killed"]) >= 3 and len(found["close"]["killed"]) >= 5 and len(found["issue"]["killed"]) >= 3
    )
    for name, one in found.items():
        assert one["state"]["proven"], one["state"]["findings"]
        for at, killed in enumerate(one["killed"]):
            assert killed["state"] == one["state"], (name, at)
            assert stated(killed["answer"]) == stated(one["answer"]) or name == "close", (name, at)


def stated(answer: dict[str, object]) -> object:
    """An answer without the time of its making."""
    rows = answer.get("data", [answer])
    assert isinstance(rows, list)
    return [{name: value for name, value in row.items() if name != "at"} for row in rows]
