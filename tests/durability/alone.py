"""Work that the writer does alone, killed after each of its commits and asked for again under the same key.

``python -m tests.durability.alone FOLDER`` writes one JSON object: for every operation what the books hold when it was
never killed, and what they hold after each kill and the repeated request.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import apportion
from apportion.adapters.outside import signature_holds
from apportion.engine import verbs
from apportion.engine.alone import act_once
from apportion.engine.engine import Engine
from apportion.engine.exchange import CloseInput, IssueInput
from apportion.engine.once import request_keys
from apportion.engine.verbs import Call
from apportion.engine.verify import Outside, verify_store
from apportion.model.access import AccessRole, Credential
from apportion.model.command import ChargeUsage
from apportion.model.party import Payer
from apportion.model.profile import Billing, Profile
from tests.book import catalog, usages

OPERATOR = Credential("k", "main", AccessRole.OPERATOR, "", "")
OPERATIONS: dict[str, Callable[[Engine], Any]] = {
    "apply": lambda engine: verbs.apply(engine, Call(OPERATOR, given=catalog(fare="4"))),
    "close": lambda engine: verbs.close_period(engine, Call(OPERATOR, "2026-10", CloseInput())),
    "issue": lambda engine: verbs.issue_statements(engine, Call(OPERATOR, given=IssueInput("2026-10"))),
}


def begin(store: Path) -> None:
    """Books with a month of five people, its running totals not closed yet; one gets several bills and pays for two."""
    apart = Profile("apart", billing=Billing(statements="per-provider"))
    found = catalog()
    ada = msgspec.structs.replace(found.payers["ada"], profile="apart")
    ben = Payer("ben", "EUR", credit="1000", parent="ada")
    billed = msgspec.structs.replace(found, payers={**found.payers, "ada": ada, "ben": ben}, profiles={"apart": apart})
    with apportion.open(str(store)) as engine:
        engine.apply(billed)
        october = [msgspec.structs.replace(one, start=one.start.replace(month=10)) for one in usages(30)]
        engine.writer.commit([ChargeUsage(one) for one in october])


def asked(store: Path, name: str, kill_after: int = -1) -> tuple[int, bytes]:
    """Ask in a process of its own, killed after so many commits (below zero: never); (signal, answer)."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with apportion.open(str(store)) as engine:
            _die_after(engine, kill_after)
            body, _ = act_once(engine, request_keys("k", name, 1)[0], b"8 bytes!", lambda: OPERATIONS[name](engine))
            os.write(writer, body)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status, answer


def _die_after(engine: Engine, commits: int) -> None:
    """Pull the plug when so many transactions are durable."""
    kept, commit = 0, engine.store.commit

    def counting() -> None:
        nonlocal kept
        commit()
        kept += 1
        if kept == commits:
            os.kill(os.getpid(), signal.SIGKILL)

    if not commits:
        os.kill(os.getpid(), signal.SIGKILL)
    engine.store.commit = counting  # type: ignore[method-assign]


def state(store: Path) -> dict[str, Any]:
    """What the books say, without times and checkpoints; and whether they are proven."""
    with apportion.open(str(store)) as engine:
        lines: dict[str, int] = {}
        for _, line in engine.books.lines():
            name = type(line).__name__
            lines[name] = lines.get(name, 0) + (name != "Checkpoint")
        posted = {f"{view.role} {view.owner}": view.posted for view in engine.books.accounts()}
        documents = {name for name in engine.store.documents(engine.tenant) if name[:4] in ("stm_", "cat_")}
        found = {
            "lines": lines, "posted": posted, "documents": sorted(documents),
            "catalog": engine.terms().version, "closed": sorted(engine.store.closed_periods(engine.tenant)),
            "answered": len(engine.store.answered(engine.tenant, [request_keys("k", n, 1)[0] for n in OPERATIONS])),
        }  # fmt: skip
    with apportion.open(str(store), writable=False) as engine:
        heads = Path(f"{store}.heads").read_bytes().splitlines()
        verdict = verify_store(engine.store, engine.tenant, "main", Outside(signature_holds, heads))
    return found | {"proven": verdict.ok, "findings": [one.message for one in verdict.findings]}


def main(folder: Path) -> dict[str, Any]:
    """Every operation, killed at every place."""
    begin(folder / "begun.db")
    found: dict[str, Any] = {}
    for name in OPERATIONS:
        if name == "issue":
            asked(folder / "begun.db", "close")
        whole = _copy(folder, f"{name}-whole")
        _, answer = asked(whole, name)
        found[name] = {"answer": json.loads(answer), "state": state(whole), "killed": []}
        for commits in range(100):
            store = _copy(folder, f"{name}-{commits}")
            status, _ = asked(store, name, commits)
            _, first = asked(store, name)
            _, again = asked(store, name)
            assert first == again
            found[name]["killed"].append({"answer": json.loads(again), "state": state(store)})
            if not status:
                break
    return found


def _copy(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    for file in folder.glob("begun.db*"):
        shutil.copy(file, folder / name / file.name)
    return folder / name / "begun.db"


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
