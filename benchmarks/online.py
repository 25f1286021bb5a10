"""How many charges a second does a node take over HTTP, how long does one wait, and how much would no engine take?

A node (``apportion serve``) and the bare path (``bare_http.py``: same server, decode, reply and grouped rows) are
loaded in turn by wrk on the same machine: one record a request over 64 connections, and batches of 1,000 over 4, each
on a store with ten thousand payers and little else, and on one grown to a million charges. Both are kept under
``build/bench`` for the next time; every run works on a copy of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.adapters.stores.tables import SCHEMA
from apportion.engine.access import new_key
from apportion.engine.engine import Engine
from apportion.engine.exchange import KeyInput
from apportion.model.access import AccessRole
from benchmarks import charges
from benchmarks.bare_http import GROUP, Bare

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "bench"
LOADS = {"one by one, 64 connections": (64, 1), "batches of 1,000, 4 connections": (4, 1000)}


def measure(seconds: float = 6, grown: int = 1_000_000, rounds: int = 3) -> dict[str, object]:
    """Charges a second, waiting times and ratios, on an empty store and on a grown one."""
    if shutil.which("wrk") is None:
        return {"skipped": "there is no wrk here (Debian: apt install wrk)"}
    results: dict[str, object] = {"seconds a run": seconds, "rounds": rounds}
    for name, count in (("empty", 0), (f"grown to {grown}", grown)):
        if name == "empty" or grown:
            stores = {"node": _grown_node(count), "bare": _grown_bare(count)}
            results[name] = {load: _compare(stores, load, seconds, rounds) for load in LOADS}
    return results


def _compare(stores: dict[str, Path], load: str, seconds: float, rounds: int) -> dict[str, object]:
    """Both sides in turn; the median round by rate."""
    connections, size = LOADS[load]
    found: dict[str, list[dict[str, Any]]] = {"node": [], "bare": []}
    for number in range(rounds):
        for side in ("node", "bare") if number % 2 == 0 else ("bare", "node"):
            found[side].append(run(side, stores[side], connections, size, seconds))
    told: dict[str, object] = {}
    for side, runs in found.items():
        runs = sorted(runs, key=lambda one: one["charges/s"])
        middle = runs[len(runs) // 2]
        told[side] = {**middle, "all charges/s": [one["charges/s"] for one in found[side]]}
    pairs = zip(found["node"], found["bare"], strict=True)
    ratios = sorted(node["charges/s"] / bare["charges/s"] for node, bare in pairs)
    return {**told, "ratio": round(ratios[len(ratios) // 2], 3)}


def run(side: str, store: Path, connections: int, size: int, seconds: float) -> dict[str, Any]:
    """One load on a fresh process over a copy of a store."""
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        path = Path(folder) / "books.db"
        for suffix in ("", ".key", ".token"):
            if Path(f"{store}{suffix}").exists():
                shutil.copy(f"{store}{suffix}", f"{path}{suffix}")
        os.sync()  # the copy's own writes should not meet those of the run
        token = Path(f"{path}.token").read_text() if side == "node" else "none"
        with serving(side, path) as url:
            load(url, token, connections, size, 1.0)  # the process warms up: forms, names, caches
            before = _settled(url, token) if side == "node" else 0
            told = load(url, token, connections, size, seconds)
            assert told["failed"] == 0, told
            if side == "node":  # a request that was under way when wrk stopped is charged, but was not counted
                charged = _charged(url, token) - before
                assert told["requests"] * size <= charged <= (told["requests"] + connections) * size + GROUP, told
    rate = round(told["requests"] * size / told["seconds"])
    return {"charges/s": rate, "p50 ms": told["p50"], "p99 ms": told["p99"], "max ms": told["max"]}


def load(url: str, token: str, connections: int, size: int, seconds: float) -> dict[str, Any]:
    """What wrk says of one run."""
    script = Path(__file__).with_name("online.lua")
    words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(script)]
    run_id = f"{time.time_ns():x}"
    told = subprocess.run(
        [*words, url, "--", token, str(size), run_id], capture_output=True, text=True, check=True, cwd=KEPT
    ).stdout
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


@contextlib.contextmanager
def serving(side: str, path: Path, *prefix: str) -> Iterator[str]:
    """A process that serves ``path``, and its address."""
    node = ["-m", "apportion", "serve", "--store", str(path), "--port", "0", "--log", "warning"]
    words = node if side == "node" else ["-m", "benchmarks.bare_http", str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        [*prefix, sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment, cwd=path.parent
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[\d.]+:\d+", line):
                break
        else:
            raise AssertionError(f"the {side} did not start")
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _settled(url: str, token: str) -> int:
    """The same once it grows no more: what was under way when wrk stopped is charged too."""
    known, count = -1, _charged(url, token)
    while known != count:
        time.sleep(0.5)
        known, count = count, _charged(url, token)
    return count


def _charged(url: str, token: str) -> int:
    """How many records the node says that it charged since it started."""
    line = http.client.HTTPConnection(url.partition("//")[2], timeout=30)
    line.request("GET", "/metrics", headers={"authorization": f"Bearer {token}"})
    text = line.getresponse().read().decode()
    line.close()
    found = re.search(r'apportion_usage_records_total\{state="charged"\} (\S+)', text)
    return int(float(found[1])) if found else 0


# stores to begin with


def _grown_node(count: int) -> Path:
    """A store with the catalog, an operator's key and so many charges, grown by batches through the engine.

    There are at least as many charges as payers, so that none of a run has to open an account.
    """
    path = KEPT / f"node-{SCHEMA}-{count}.db"
    if not Path(f"{path}.token").exists():
        for old in KEPT.glob(f"{path.name}*"):
            old.unlink()
        KEPT.mkdir(parents=True, exist_ok=True)
        outside = (SystemClock(), SystemRandom(), KeyFile(f"{path}.key"))
        engine = Engine(SqliteStore(path), "main", outside, lambda line: None)
        engine.apply(charges.catalog())
        for _ in engine.writer.stream(charges.groups(0, max(count, charges.PAYERS))):
            pass
        token = new_key(engine, KeyInput(AccessRole.OPERATOR))[0].secret
        engine.close()
        Path(f"{path}.token").write_text(token)
    return path


def _grown_bare(count: int) -> Path:
    """The same charges as bare rows."""
    path = KEPT / f"bare-{count}.db"
    if not Path(f"{path}.token").exists():
        for old in KEPT.glob(f"{path.name}*"):
            old.unlink()
        bare = Bare(str(path))
        for at in range(0, max(count, charges.PAYERS), GROUP):
            bare.write([(charges.usages(at, GROUP), "", b"")])
        bare.db.close()
        Path(f"{path}.token").write_text("")
    return path
