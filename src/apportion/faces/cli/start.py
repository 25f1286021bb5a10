"""First steps: ``demo`` and ``init``."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from apportion.faces.cli.options import ANSWER, Answer
from apportion.faces.invoked import program


def demo(*, into: str = "demo", serve_free: bool = False, limit: int = 0, answer: Answer = ANSWER) -> None:
    """The whole story on real data: four domains charged, apportioned, billed and proven, in a folder of its own.

    Leaves the books, statements and one page to look at, and names three commands to go on with.

    Args:
        into: The folder, demo when not given; it must be empty, or an earlier demo's.
        serve_free: Only write files, serve nothing; this release never serves.
        limit: Read only so many records of each file.
    """
    from apportion.faces.demo import run_demo

    def say(line: str) -> None:
        print(line, file=sys.stderr if answer.json else sys.stdout, flush=True)

    done = run_demo(Path(into), say, limit or None)
    if answer.json:
        proven = [one.tenant for one in done.proven if one.ok]
        fields = ("folder", "store", "page", "commands", "seconds")
        answer.give({name: getattr(done, name) for name in fields} | {"proven": proven}, "")


def init(folder: str = ".", /, *, answer: Answer = ANSWER) -> None:
    """Write a small commented catalog and a usage file to start from.

    Such as: apportion init rides

    Args:
        folder: Where to; here when not given. Files that are there already are never overwritten.
    """
    from apportion.errors import RefusalCode, refuse
    from apportion.faces.samples import sample

    target, source = Path(folder), sample("quickstart")
    files = [target / "catalog.toml", target / "usage.csv"]
    for file in files:
        if file.exists():
            raise refuse(
                RefusalCode.CONFLICT,
                f"{file} is there already, and is not overwritten.",
                field="folder",
                fix="Name another folder: apportion init DIR.",
            )
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(source / file.name, file)
    paths = [str(file) for file in (*files, target / "books.db")]
    catalog, usage, store = map(shlex.quote, paths)
    following = f"{program()} run {catalog} {usage} --store {store} --close"
    answer.give(
        {"files": paths[:2], "next": following},
        f"Wrote {paths[0]} (who delivers a ride, at what price) and {paths[1]} (six rides).\n\nNext:\n  {following}",
    )
