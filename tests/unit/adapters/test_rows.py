"""Rows of files that others wrote: every cell as the text that stood there, whatever the columns are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.adapters.usage.rows import CELL_MAX, read_rows
from apportion.errors import RefusalCode, Refused


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_cells_are_text_and_bad_lines_do_not_stop_the_others(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path, "a.csv", '\ufeffid, gb ,note\n1,0.50,"a, b"\n2,1\n\n3,,x\n4,1e3,"open\n'), 10)
    assert rows.found == [(2, {"id": "1", "gb": "0.50", "note": "a, b"}), (5, {"id": "3", "note": "x"})]
    assert [line for line, _ in rows.bad] == [3, 6]
    lines = [
        '{"id": "1", "amount": 0.10000000000000000001, "quantities": {"gb": 1.50, "s": "7"}, "old": null}',
        '{"id": 2, "tags": ["a"], "ok": true}', '{"gb": 1, "quantities": {"gb": 2}}', '{"quantities": 3}', "[1]",
        '{"id": "1", "id": "2"}', '{"amount": NaN}', '{"id": "' + "x" * 999 + '"}',
    ]  # fmt: skip
    rows = read_rows(written(tmp_path, "a.jsonl", "\n".join(lines)), 10)
    assert rows.found == [
        (1, {"id": "1", "amount": "0.10000000000000000001", "gb": "1.50", "s": "7"}),
        (2, {"id": "2", "tags": "…", "ok": "…"}), (8, {"id": "x" * CELL_MAX}),
    ]  # fmt: skip
    assert [line for line, _ in rows.bad] == [3, 4, 5, 6, 7]


def test_a_file_is_read_within_bounds(tmp_path: Path) -> None:
    assert len(read_rows(written(tmp_path, "b.csv", "id,gb\n" + "1,2\n" * 10), 10).found) == 10
    for name, text in (("b.csv", "id,gb\n" + "1,2\n" * 11), ("c.csv", "id,gb\n" + ("1," + "9" * 900_000 + "\n") * 20)):
        with pytest.raises(Refused) as refused:
            read_rows(written(tmp_path, name, text), 10 if name == "b.csv" else 1000)
        assert refused.value.refusal.code is RefusalCode.BAD_INPUT and refused.value.refusal.field == "file"
