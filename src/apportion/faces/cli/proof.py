"""The proof: ``export`` the complete books, ``verify`` an export or a store."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from apportion.faces.cli.options import ANSWER, PLACE, Answer, Live, Place
from apportion.faces.cli.reach import sealing
from apportion.faces.invoked import program
from apportion.faces.progress import Progress

if TYPE_CHECKING:
    from apportion.engine.verify import Outside, Verdict

_SQLITE = b"SQLite format 3\x00"


def export(*, out: str = "", place: Place = PLACE, answer: Answer = ANSWER, progress: Live = False) -> None:
    """The complete books as JSON Lines, every line chained, ending in one signed line.

    Such as: apportion export --out books.jsonl

    Args:
        out: The file to write; standard output when not given.
    """
    with sealing(place) as books, Progress("export", live=progress) as bar:
        lines = books.lines(lambda done, of: bar.update(done, f"of {of:,} rows" if of else "lines"))
        if not out:
            for line in lines:
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            return
        target = Path(out)
        part = target.with_name(target.name + ".part")
        with part.open("wb") as file:
            count = _write(lines, file)
        os.replace(part, target)
    check = f"{program()} verify {out}"
    answer.give({"file": out, "lines": count}, f"Wrote {count:,} lines to {out}.\n\nNext:\n  {check}")


def _write(lines: Iterator[bytes], file: IO[bytes]) -> int:
    count = 0
    for line in lines:
        file.write(line)
        count += 1
    file.flush()
    os.fsync(file.fileno())
    return count


def verify(
    file: str = "",
    /,
    *,
    heads: str = "",
    key: str = "",
    prefix_ok: bool = False,
    place: Place = PLACE,
    answer: Answer = ANSWER,
    progress: Live = False,
) -> int:
    """Prove books: compute everything again, from an export or a store, offline.

    Such as: apportion verify books.jsonl --heads books.db.heads

    The chain, the signatures, the balance of every entry, every price, portion and share, every derived balance. Exit
    code 1 when anything is off; each finding says where it stands.

    Args:
        file: An export or a copied store, told apart by content; the books themselves when not given.
        heads: Signed heads kept elsewhere, which prove that nothing is missing at the end. A store is held against
            the file STORE.heads beside it when this is not given.
        key: The public key (hexadecimal) that must have signed.
        prefix_ok: Accept that nothing from outside proves completeness.
    """
    from apportion.adapters.outside import signature_holds
    from apportion.engine.verify import Outside, verify_export

    is_store = not file or _is_store(file)
    known = heads or (_beside(file or place.store) if is_store else "")
    with Progress("verify", live=progress) as bar:
        outside = Outside(
            signature_holds, _raw(known) if known else None, key, prefix_ok, (), lambda done: bar.update(done)
        )
        if is_store:
            verdict = _verified_store(Place(file, place.tenant) if file else place, outside)
        else:
            verdict = verify_export(_Lines(file), outside)
    answer.give(verdict, _words(verdict, file or place.store))
    return 0 if verdict.ok else 1


def _verified_store(place: Place, outside: Outside) -> Verdict:
    """The proof of a store; one that is too damaged to be opened still gets its findings."""
    from apportion.adapters.stores.damage import damage
    from apportion.engine.verify import Finding, Verdict, verify_store
    from apportion.errors import StoreUnavailable

    found = list(damage(place.store)) if Path(place.store).is_file() else []
    outside.damage = found
    try:
        with place.read() as engine:
            return verify_store(engine.store, engine.tenant, engine.tenant_name, outside)
    except StoreUnavailable:
        if not found:
            raise
    findings = [Finding("damaged", where, "", message) for where, message in found]
    return Verdict(False, findings, 0, 0, 0, 0, "", 0, len(findings))


def _is_store(file: str) -> bool:
    with Path(file).open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE


def _beside(store: str) -> str:
    """The heads file of a store, when there is one; that of a database lies in the current folder."""
    name = urlsplit(store).path.strip("/") if "://" in store else store
    return name + ".heads" if Path(name + ".heads").is_file() else ""


class _Lines:
    """The lines of a file, which can be read again."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        return _raw(self._file)


def _raw(file: str) -> Iterator[bytes]:
    """Lines of a file as they are; ``.gz`` is unpacked."""
    import gzip

    with gzip.open(file, "rb") if file.endswith(".gz") else Path(file).open("rb") as stream:
        yield from stream


def _words(verdict: Verdict, name: str) -> str:
    lines = [
        f"{name}: {'proven' if verdict.ok else 'NOT PROVEN'}. {verdict.records:,} usage records, {verdict.charges:,} "
        f"charges and {verdict.entries:,} entries in {verdict.n:,} rows, signed until row {verdict.signed_until:,}.",
        f"head {verdict.head}",
    ]
    lines += [f"  {one.code}  {one.place}{' ' if one.id else ''}{one.id}: {one.message}" for one in verdict.findings]
    if verdict.found > len(verdict.findings):
        lines.append(f"  and {verdict.found - len(verdict.findings):,} more findings.")
    return "\n".join([*lines, *verdict.notes])
