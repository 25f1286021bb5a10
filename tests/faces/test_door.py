"""The public door: ten lines of Python run usage through the books, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import apportion
from tests.faces.driving import QUICKSTART, ROOT


def test_ten_lines() -> None:
    catalog = apportion.load_catalog(QUICKSTART / "catalog.toml")
    with apportion.open(":memory:") as engine:
        engine.apply(catalog)
        summary = engine.run(apportion.read_usage(QUICKSTART / "usage.csv", catalog))
        owed = {account.owner: account.posted for account in engine.books.accounts()}
        charge = next(engine.books.records()).charge
        told = apportion.explain(engine, charge.id, apportion.View())
    assert summary.charged == 6
    assert owed["dora"] == "49.950000000"
    assert told.holds


def test_rejects_keep_their_place_between_the_records(tmp_path: Path) -> None:
    catalog = apportion.load_catalog(QUICKSTART / "catalog.toml")
    rows = (QUICKSTART / "usage.csv").read_text().splitlines()
    rows[3] = rows[3].replace("11.3", "far")
    (tmp_path / "u.csv").write_text("\n".join(rows) + "\n")
    commands = [one for batch in apportion.read_usage(tmp_path / "u.csv", catalog) for one in batch]
    kinds = [type(one).__name__ for one in commands]
    assert kinds == ["ChargeUsage", "ChargeUsage", "RejectUsage", "ChargeUsage", "ChargeUsage", "ChargeUsage"]


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import apportion; new = set(sys.modules) - before; "
        "print(sorted(name for name in new if name.split('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}, check=True
    )
    assert done.stdout.strip() == "['apportion']"


def test_every_name_can_be_had_and_others_can_not() -> None:
    assert sorted(apportion.__all__) == list(apportion.__all__) == dir(apportion)
    for name in apportion.__all__:
        assert getattr(apportion, name) is not None
    with pytest.raises(AttributeError, match="bogus"):
        _ = apportion.bogus  # type: ignore[attr-defined]
