"""Forks processes that charge a few thousand records, and says what became of them; run by test_kill.py.

Starting Python costs more than the work, so it starts once. Each line on standard input makes one child: store,
records, group and after how many seconds to kill it (below zero: never). Lines out: ``ready``, ``ack N`` for every
durable group (N records so far), ``end STATUS``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback

from apportion.model.command import ChargeUsage
from apportion.wiring import open_engine
from tests.book import catalog, usages


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def charge(store: str, records: int, group: int) -> None:
    """The child's life: open, put the catalog into force, charge everything, seal."""
    commands = [ChargeUsage(usage) for usage in usages(records)]
    with open_engine(store) as engine:
        engine.apply(catalog(credit="1000" if records < 10_000 else "1000000000"))  # a few run out of it, or nobody
        batches = (commands[at : at + group] for at in range(0, records, group))
        engine.run(batches, lambda summary: say("ack", summary.received))


def main() -> None:
    say("ready")
    for line in iter(sys.stdin.readline, ""):
        store, records, group, seconds = line.split("\t")
        child = os.fork()
        if not child:
            status = 1
            try:
                charge(store, int(records), int(group))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        if float(seconds) >= 0:
            time.sleep(float(seconds))
            os.kill(child, signal.SIGKILL)  # nobody else has its number before it is waited for
        say("end", os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
