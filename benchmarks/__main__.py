"""`make bench`: run every measurement and write its results to ``benchmarks/results``.

``--quick`` takes a tenth and keeps nothing; ``--only NAME`` takes one.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from benchmarks import charges, choosing, markets, online, postgres, rating, sessions, settling, statements

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load before": round(os.getloadavg()[0], 2),
    }


def main(quick: bool, only: str) -> None:
    """Run, print and keep."""
    tasks: dict[str, Callable[[], dict[str, object]]] = {
        "rating": lambda: rating.scalar(20_000 if quick else 200_000),
        "rating-file": lambda: rating.file(1_000_000 if quick else 10_000_000),
        "charges": lambda: charges.measure(20_000 if quick else 100_000, 0 if quick else 1_000_000),
        "choosing": lambda: choosing.measure(5 if quick else 50),
        "online": lambda: online.measure(2, 0, 1) if quick else online.measure(),
        "sessions": lambda: sessions.measure(20 if quick else 200),
        "markets": lambda: markets.measure(500 if quick else 0),
        "statements": lambda: statements.measure(200, 10, 5) if quick else statements.measure(),
        "settling": lambda: settling.measure(50_000 if quick else 1_000_000),
        "postgres": lambda: postgres.measure(10_000 if quick else 50_000, 1 if quick else 3),
    }
    RESULTS.mkdir(exist_ok=True)
    for name, task in tasks.items() if not only else [(only, tasks[only])]:
        print(f"{name} …", file=sys.stderr, flush=True)
        begin = time.time()
        result = {"machine": machine(), "result": task(), "seconds": 0.0}
        result["seconds"] = round(time.time() - begin, 1)
        text = json.dumps(result, indent=2)
        print(f"{name}: {text}", flush=True)
        if not quick:
            (RESULTS / f"{name}.json").write_text(text + "\n")


words = sys.argv[1:]
main("--quick" in words, words[words.index("--only") + 1] if "--only" in words else "")
