"""What an insider can do to an export: edit lines and hash everything again; without the key they can not sign."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from apportion.adapters.outside import KeyFile, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.export import export
from apportion.engine.verify import Outside, Verdict, verify_export, verify_store
from apportion.engine.work import encode
from apportion.ledger import proof
from apportion.model.journal import Checkpoint, End, Genesis
from apportion.wiring import open_engine
from tests.book import fill, ride

SUFFIX = re.compile(rb',"n":(\d+),"hash":"([0-9a-f]{64})"\}$')


def make_book(path: Path, *, close: bool = False) -> None:
    """A store with two checkpoints at least."""
    with open_engine(str(path)) as engine:
        fill(engine, close=close)
    with open_engine(str(path)) as engine:
        engine.charge([ride(900, "ada"), ride(901, "ben", "cleo")])


def exported(path: Path) -> list[bytes]:
    """The export of a store, one line each without line feeds."""
    store = SqliteStore(path, writable=False)
    lines = [line[:-1] for line in export(store, 1)]
    store.close()
    return lines


def verified(
    lines: list[bytes], heads: list[bytes] | None = None, *, key: str = "", prefix_ok: bool = False
) -> Verdict:
    """The verdict on an export."""
    return verify_export([line + b"\n" for line in lines], Outside(signature_holds, heads, key, prefix_ok))


def verified_store(path: Path, heads: list[bytes] | None = None, *, prefix_ok: bool = False) -> Verdict:
    """The verdict on a store; by default against its own heads file."""
    given = Path(f"{path}.heads").read_bytes().splitlines() if heads is None else heads
    store = SqliteStore(path, writable=False)
    verdict = verify_store(store, 1, "main", Outside(signature_holds, given, prefix_ok=prefix_ok))
    store.close()
    return verdict


def body_of(line: bytes) -> bytes:
    """The stored bytes in an export's line."""
    return SUFFIX.sub(b"}", line)


def number_of(line: bytes) -> int:
    """The row number in an export's line."""
    found = SUFFIX.search(line)
    assert found is not None
    return int(found[1])


def place_of(lines: list[bytes], start: bytes, skip: int = 0) -> int:
    """Where the line with this beginning stands, counted from 0."""
    return [i for i, line in enumerate(lines) if line.startswith(start)][skip]


def rehash(lines: list[bytes], resign: KeyFile | None = None, tenant: str = "main") -> list[bytes]:
    """Hash an edited export again from the first line, as an insider would; with a key of their own, sign it too."""
    head, digest, n, was = proof.START, proof.blake3(), 0, -1
    before, previous = proof.START, ""
    last: Checkpoint | None = None
    out: list[bytes] = []
    for line in lines:
        if SUFFIX.search(line):
            if number_of(line) != was:
                n, was, before = n + 1, number_of(line), head
            body = body_of(line)
            if resign is not None and body.startswith(b'{"type":"genesis"'):
                genesis = msgspec.json.decode(body, type=Genesis)
                body = encode(msgspec.structs.replace(genesis, key=resign.public()))
            if body.startswith(b'{"type":"checkpoint"'):
                mark = msgspec.json.decode(body, type=Checkpoint)
                if resign is not None:
                    message = proof.checkpoint_message(tenant, 0, n - 1, before.hex(), mark.at, previous)
                    mark = Checkpoint(0, n - 1, before.hex(), mark.at, previous, resign.sign(message))
                body = encode(mark)
                previous, last = proof.blake3(body).hexdigest(16), mark
            head = proof.link(head, body)
            line = body[:-1] + b',"n":%d,"hash":"%s"}' % (n, head.hex().encode())
        elif line.startswith(b'{"type":"end"') and last is not None:
            line = encode(End(len(out), digest.hexdigest(), 0, last.n, last.head, last.at, last.signature))
        digest.update(line + b"\n")
        out.append(line)
    return out


def edited(lines: list[bytes], at: int, change: Callable[[bytes], bytes]) -> list[bytes]:
    """A copy with one line changed."""
    new = change(lines[at])
    assert new != lines[at], "the edit changed nothing"
    return [*lines[:at], new, *lines[at + 1 :]]


def places(verdict: Verdict) -> dict[str, set[str]]:
    """The places that a verdict names, by code."""
    found: dict[str, set[str]] = {}
    for finding in verdict.findings:
        found.setdefault(finding.code, set()).add(finding.place)
    return found
