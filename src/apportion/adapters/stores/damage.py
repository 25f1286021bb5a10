"""What is wrong with a store's file itself, before anybody looks at what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw

_SHOWN = 20


def damage(path: str | Path) -> Iterator[tuple[str, str]]:
    """(place, message) for everything that SQLite's own check finds in the file; nothing when it is sound.

    A write-ahead log that was left beside a copy by another file is told from real damage: without it the file is
    sound, with it it is not.
    """
    path = Path(path).absolute()
    place = f"file {path.name}"
    found = _check(f"{path.as_uri()}?mode=ro")
    if not found:
        return
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size and not _check(f"{path.as_uri()}?mode=ro&immutable=1"):
        yield (
            f"file {log.name}",
            "belongs to another file: without it the store is sound. Move it away and verify again.",
        )
        return
    for message in found:
        yield place, message


def _check(uri: str) -> list[str]:
    try:
        database = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            rows = [str(row[0]) for row in database.execute(f"PRAGMA integrity_check({_SHOWN})")]
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        finally:
            database.close()
    except apsw.Error as error:
        return [f"{type(error).__name__}: {error}"]
    if rows == ["ok"]:
        return ["is a database, but not a store of apportion."] if tables and "journal" not in tables else []
    return rows
