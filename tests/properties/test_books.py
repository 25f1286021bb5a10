"""Whatever happens to one byte of an export is found; whatever the engine writes, in any order, verifies."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from apportion.adapters.outside import signature_holds
from apportion.engine.export import export
from apportion.engine.verify import Outside, verify_export, verify_store
from apportion.wiring import open_engine
from tests.book import catalog, usages
from tests.forging import exported, make_book


@functools.cache
def book() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        make_book(Path(folder) / "books.db", close=True)
        return b"".join(line + b"\n" for line in exported(Path(folder) / "books.db"))


def ok(export: bytes) -> bool:
    return verify_export(export.splitlines(keepends=True), Outside(signature_holds)).ok


def test_the_book_is_sound() -> None:
    assert ok(book())


@settings(max_examples=150, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@example(where=0.0, value=ord("["))
@example(where=0.999999999, value=ord(" "))
def test_any_changed_byte_is_caught(where: float, value: int) -> None:
    whole = bytearray(book())
    at = int(where * len(whole))
    if whole[at] == value:
        value ^= 1
    whole[at] = value
    assert not ok(bytes(whole))


@settings(max_examples=40, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), length=st.integers(1, 3), insert=st.booleans())
def test_any_lost_or_added_byte_is_caught(where: float, length: int, insert: bool) -> None:
    whole = book()
    at = int(where * (len(whole) - length - 1))
    changed = whole[:at] + (whole[at : at + length] + whole[at:] if insert else whole[at + length :])
    assert changed == whole or not ok(changed)


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(24)), cuts=st.lists(st.integers(1, 23), max_size=4, unique=True), close=st.booleans()
)
def test_any_order_and_any_groups_verify(order: list[int], cuts: list[int], close: bool) -> None:
    records = list(usages(24))
    with open_engine(":memory:") as engine:
        engine.apply(catalog())
        edges = [0, *sorted(cuts), 24]
        for start, end in zip(edges, edges[1:], strict=False):
            engine.charge([records[i] for i in order[start:end]])
        if close:
            engine.close_period(force=True)
        assert engine.committer is not None
        engine.committer.seal()
        store, tenant = engine.store, engine.tenant
        verdict = verify_export(export(store, tenant), Outside(signature_holds))
        assert verdict.ok, verdict.findings
        verdict = verify_store(store, tenant, "main", Outside(signature_holds, prefix_ok=True))
        assert verdict.ok, verdict.findings
