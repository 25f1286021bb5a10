"""How much of the bare store's speed is left when it is charged through the commit loop?

Both sides write the same rows to SQLite with synchronous=FULL in groups of 1,000: the engine decodes nothing but does
all the rest (dedup, two tariffs, two portions, funds check, entry, hash chain); the bare store replays the very
``Writes`` that the engine produced. Rounds alternate, on an empty store and on one grown to a million charges.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage
from apportion.model.party import Provider, UnknownPayers
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.ports import Writes

PAYERS = 10_000
HOSTS = 50
GROUP = 1000


def catalog() -> Catalog:
    """A gateway and fifty hosts: retail by two measures, each side with a price of its own."""

    def tariff(name: str, price_in: str, price_out: str) -> Tariff:
        return Tariff(
            id=name,
            currency="USD",
            components=(
                Unit(name="input", measure="input_tokens", price=price_in, per="1000000"),
                Unit(name="output", measure="output_tokens", price=price_out, per="1000000"),
            ),
        )

    hosts = [f"host-{n:02}" for n in range(HOSTS)]
    tariffs = [tariff("retail", "0.60", "2.40"), tariff("gateway", "0.02", "0.05")]
    tariffs += [tariff(host, f"0.{20 + n}", f"1.{n:02}") for n, host in enumerate(hosts)]
    return Catalog(
        name="bench",
        providers={name: Provider(name) for name in ["gate", *hosts]},
        services={
            "chat": Service(
                id="chat",
                retail="retail",
                measures={"input_tokens": "token", "output_tokens": "token"},
                parts={
                    "gateway": Part(provider="gate", wholesale={"gate": "gateway"}),
                    "model": Part(wholesale={host: host for host in hosts}),
                },
            )
        },
        tariffs={one.id: one for one in tariffs},
        unknown_payers=UnknownPayers("USD", credit="1000000"),
    )


def usages(first: int, count: int) -> list[Usage]:
    """Deterministic requests; nothing in them is random."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Usage(
            "bench",
            f"r{n}",
            "chat",
            start + timedelta(milliseconds=n),
            None,
            (PayerUse(f"u{n * 7919 % PAYERS}"),),
            (PartUse("model", f"host-{n * 31 % HOSTS:02}"),),
            {"input_tokens": str(200 + n % 1800), "output_tokens": str(20 + n % 500)},
        )
        for n in range(first, first + count)
    ]


def groups(first: int, count: int) -> Iterator[list[ChargeUsage]]:
    """The requests as commands, a thousand at a time."""
    for at in range(first, first + count, GROUP):
        yield [ChargeUsage(usage) for usage in usages(at, GROUP)]


class Spy(SqliteStore):
    """The real store, remembering what it was told to write."""

    told: list[Writes]

    def stage(self, writes: Writes) -> None:
        self.told.append(writes)
        super().stage(writes)


def _engine(path: Path, kind: type[SqliteStore] = SqliteStore) -> Engine:
    store = kind(path)
    if isinstance(store, Spy):
        store.told = []
    outside = (SystemClock(), SystemRandom(), KeyFile(str(path) + ".key"))
    engine = Engine(store, "main", outside, lambda line: None)
    engine.apply(catalog())
    return engine


def _charge(path: Path, first: int, count: int, kind: type[SqliteStore] = SqliteStore) -> tuple[float, list[Writes]]:
    """Seconds for ``count`` charges through the commit loop."""
    ready = list(groups(first, count))
    engine = _engine(path, kind)
    told = getattr(engine.store, "told", [])
    told.clear()
    begin = time.perf_counter()
    for outcomes in engine.writer.stream(ready):
        assert all(outcome.total > 0 for outcome in outcomes)
    seconds = time.perf_counter() - begin
    written = list(told)
    engine.close()
    return seconds, written


def _replay(path: Path, told: list[Writes]) -> float:
    """Seconds for the bare store to write the same rows."""
    store = SqliteStore(path)
    begin = time.perf_counter()
    for writes in told:
        store.write(writes)
    seconds = time.perf_counter() - begin
    store.close()
    return seconds


def _copy(source: Path, target: Path) -> Path:
    for old in target.parent.glob(target.name + "*"):
        old.unlink()
    for suffix in ("", ".key"):
        if Path(str(source) + suffix).exists():
            shutil.copy(str(source) + suffix, str(target) + suffix)
    return target


def measure(count: int = 100_000, grown: int = 1_000_000, rounds: int = 3) -> dict[str, object]:
    """Charges per second of both sides and their ratio, median of ``rounds``, empty and grown."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        base = Path(folder)
        results: dict[str, object] = {"group": GROUP, "count": count, "rounds": rounds}
        empty = base / "empty.db"
        _engine(empty).close()
        results["empty"] = _compare(base, empty, 0, count, rounds)
        if grown:
            big = base / "grown.db"
            _charge(big, 0, grown)
            results[f"grown to {grown}"] = _compare(base, big, grown, count, rounds)
        return results


def _compare(base: Path, start: Path, first: int, count: int, rounds: int) -> dict[str, object]:
    _, told = _charge(_copy(start, base / "spy.db"), first, count, Spy)
    engine_rates, bare_rates = [], []
    for _ in range(rounds):
        seconds, _ = _charge(_copy(start, base / "engine.db"), first, count)
        engine_rates.append(count / seconds)
        bare_rates.append(count / _replay(_copy(start, base / "bare.db"), told))
    ratios = sorted(e / b for e, b in zip(engine_rates, bare_rates, strict=True))
    return {
        "engine charges/s": [round(rate) for rate in engine_rates],
        "bare store charges/s": [round(rate) for rate in bare_rates],
        "ratio": round(ratios[len(ratios) // 2], 3),
    }
