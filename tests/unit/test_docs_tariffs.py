"""The reference page of tariffs is true: every example is a file, passes the check, and costs what the page says."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from apportion.adapters.catalog_file import read_tariff
from apportion.model.tariff import Use
from apportion.money import Exact, parse_asset
from apportion.stages.rate import Pricer, charge_amounts, compile_tariff

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/tariffs.md").read_text()
BLOCK = re.compile(
    r"```toml\n# (?P<file>\S+)\n(?P<toml>.*?)```"
    r"|```json\n(?P<json>.*?)```\n\n→ exact (?P<exact>\S+) amount (?P<amount>\S+) ",
    re.S,
)


def examples() -> list[tuple[str, str, str, str]]:
    found, file = [], ""
    for match in BLOCK.finditer(PAGE):
        if match["toml"]:
            file = match["file"]
        else:
            found.append((file, match["json"], match["exact"], match["amount"]))
    return found


def cost(pricer: Pricer, records: list[dict[str, Any]]) -> tuple[Exact, str]:
    """Exact and amount of the records of one payer in one period, and of its close where they end in one."""
    totals: dict[str, Exact] = {}
    exact, amount = Exact(0), None
    for record in records:
        if "close" in record:
            priced = pricer.period_charge(totals, "2026-11")
        else:
            end = record.get("end")
            use = Use(
                datetime.fromisoformat(record["start"]),
                datetime.fromisoformat(end) if end else None,
                {name: Exact.parse(text) for name, text in record["quantities"].items()},
                record.get("attributes", {}),
            )
            priced = pricer.price(use, totals, "2026-11")
            totals |= priced.totals
        total = charge_amounts(priced, parse_asset(pricer.currency), pricer.tariff.rounding)[2]
        exact, amount = exact + priced.exact, total if amount is None else amount + total
    assert amount is not None
    return exact, amount.text()


@pytest.mark.parametrize(("file", "usage", "exact", "amount"), examples())
def test_example_costs_what_the_page_says(file: str, usage: str, exact: str, amount: str) -> None:
    records = json.loads(usage)
    found = cost(compile_tariff(read_tariff(ROOT / file)), records if isinstance(records, list) else [records])
    assert (found[0].text(), found[1]) == (exact, amount)


def test_every_example_is_a_file_and_every_file_an_example() -> None:
    shown = {match["file"]: match["toml"] for match in BLOCK.finditer(PAGE) if match["toml"]}
    files = {f"examples/tariffs/{path.name}": path.read_text() for path in (ROOT / "examples/tariffs").glob("*.toml")}
    assert shown == files
    assert len(examples()) >= len(shown) >= 20
