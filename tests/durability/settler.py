"""Forks processes that settle and order payouts, and kills some of them; run by test_kill_settle.py.

Starting Python costs more than the work, so it starts once. Each line on standard input makes one child: store and
after how many seconds to kill it (below zero: never). Lines out: ``ready``, ``end STATUS``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

from apportion.engine.settling.run import settle
from apportion.model.settlement import Mode, OrderPayouts
from apportion.wiring import open_engine


def work(store: str) -> None:
    """The child's life: open, settle, order what is to be paid, seal."""
    with open_engine(store) as engine:
        for line in settle(engine, Mode.MULTILATERAL).settlements:
            engine.writer.commit([OrderPayouts(line.id)])


def main(work: Callable[[str], None] = work) -> None:
    os.write(1, b"ready\n")
    for line in iter(sys.stdin.readline, ""):
        store, seconds = line.split("\t")
        child = os.fork()
        if not child:
            status = 1
            try:
                work(store)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        if float(seconds) >= 0:
            time.sleep(float(seconds))
            os.kill(child, signal.SIGKILL)  # nobody else has its number before it is waited for
        os.write(1, f"end {os.waitpid(child, 0)[1]}\n".encode())


if __name__ == "__main__":
    main()
