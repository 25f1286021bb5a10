"""Forks processes that do what the schedule wants done, and kills some of them; run by test_kill_schedule.py.

Like settler.py: each line on standard input makes one child, store and after how many seconds to kill it.
"""

from __future__ import annotations

from apportion.engine.scheduling.running import Running
from apportion.wiring import open_engine
from tests.durability.settler import main


def work(store: str) -> None:
    """The child's life: open, do what is due, seal."""
    with open_engine(store) as engine:
        Running().run(engine)


if __name__ == "__main__":
    main(work)
