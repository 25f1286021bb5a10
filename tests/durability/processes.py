"""Processes that charge, for tests that kill them or read beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """The process that forks the ones to be killed."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.nursery"],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.line() == b"ready\n"

    def run(self, store: Path, records: int, kill_after: float = -1) -> tuple[int, bool]:
        """Charge into ``store``, killed after so many seconds (below zero: never); (acknowledged, was it killed)."""
        assert self.process.stdin is not None
        group = max(50, records // 100)
        self.process.stdin.write(f"{store}\t{records}\t{group}\t{kill_after}\n".encode())
        self.process.stdin.flush()
        acknowledged = 0
        while True:
            word, number = self.line().split()
            if word == b"ack":
                acknowledged = int(number)
            else:
                assert word == b"end" and int(number) in (0, signal.SIGKILL)
                return acknowledged, int(number) != 0

    def line(self) -> bytes:
        """The next thing it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
