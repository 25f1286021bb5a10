"""What does a report cost? Sixty-four sessions report in turn, in groups, through the whole commit loop into a file.

Each report is charged, credited to three parties, captured from holds and granted anew. Beside it, in the same groups,
usage records of the same service: one charge each, nothing held, nothing granted.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage
from apportion.model.party import Payer, Provider
from apportion.model.session import SessionTerms
from apportion.model.session_asked import Report, SessionAsked, SessionCommand
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PayerUse, Usage

SESSIONS = 64
PRICES = {"retail": "0.01", "near": "0.003", "far": "0.002"}


def catalog() -> Catalog:
    """A call of two parts, by the second."""

    def tariff(name: str, price: str) -> Tariff:
        return Tariff(id=name, currency="EUR", components=(Unit(name="s", measure="seconds", price=price),))

    service = Service(
        "call", "retail", {"near": Part("a", {"a": "near"}), "far": Part("b", {"b": "far"})},
        measures={"seconds": "s"}, session=SessionTerms({"seconds": "10"}),
    )  # fmt: skip
    return Catalog(
        providers={name: Provider(name) for name in "ab"}, services={"call": service},
        tariffs={name: tariff(name, price) for name, price in PRICES.items()},
        payers={f"payer-{n}": Payer(f"payer-{n}", "EUR", opening="100000") for n in range(SESSIONS)},
    )  # fmt: skip


def measure(rounds: int) -> dict[str, object]:
    """Reports and usage records per second, in groups of sixty-four, rounds of both in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        outside = (SystemClock(), SystemRandom(), KeyFile(f"{path}.key"))
        engine = Engine(SqliteStore(path), "main", outside, lambda line: None)
        engine.apply(catalog())
        ids = [f"ses_{n:032x}" for n in range(SESSIONS)]
        writer = engine.writer
        for n, id in enumerate(ids):
            asked = SessionAsked("call", (PayerUse(f"payer-{n}"),))
            assert writer.commit([SessionCommand(id, asked)])[0].refusal is None
        reports, records = [], []
        at = datetime(2026, 11, 20, tzinfo=UTC)
        for number in range(1, rounds + 1):
            used = str(10 * number)
            begin = time.perf_counter()
            done = writer.commit([SessionCommand(id, Report(number, {"seconds": used})) for id in ids])
            reports.append(SESSIONS / (time.perf_counter() - begin))
            assert not any(outcome.refusal for outcome in done)
            group = [
                ChargeUsage(
                    Usage("m", f"{number}/{n}", "call", at, None, (PayerUse(f"payer-{n}"),), (), {"seconds": "10"})
                )
                for n in range(SESSIONS)
            ]
            begin = time.perf_counter()
            done = writer.commit(group)
            records.append(SESSIONS / (time.perf_counter() - begin))
            assert not any(outcome.refusal for outcome in done)
        engine.close()
    mine, theirs = statistics.median(reports), statistics.median(records)
    return {
        "group": SESSIONS,
        "reports per second": round(mine),
        "usage records per second": round(theirs),
        "ratio": round(mine / theirs, 3),
        "rounds": rounds,
    }
