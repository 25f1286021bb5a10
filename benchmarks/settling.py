"""How long does it take to settle a million portions, and how long does bare SQL take for the same sums?

The books hold rides of two parts, so half as many charges as portions. *Ours* is a whole settlement run: every row read
and decoded, every charge sorted to its provider and part with what was measured, legs and advices held against each
other, advices with their lines, netting, and the transaction that keeps it all. The *peer* is SQLite over a plain table
of the same portions (row, provider, part, atoms): one SELECT of sums and counts by provider and part, and one by
provider alone, read from the file. The *second run* finds nothing new.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import apsw

from apportion.engine.engine import Engine
from apportion.engine.settling.run import settle
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.command import ChargeUsage
from apportion.model.party import Payer, Provider
from apportion.model.settlement import Mode
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.wiring import open_engine

PROVIDERS, GROUP = 50, 1000


def catalog() -> Catalog:
    """Rides that a driver and a car deliver, each one of fifty."""
    names = [f"p{number:02}" for number in range(PROVIDERS)]
    drivers, cars = names[::2], names[1::2]
    tariffs = (
        Tariff(id="fare", currency="EUR", components=(Flat(name="start", price="7"),)),
        Tariff(id="driving", currency="EUR", components=(Flat(name="time", price="1.7371"),)),
        Tariff(id="car", currency="EUR", components=(Unit(name="way", measure="km", price="0.31415"),)),
    )
    parts = {
        "driver": Part(wholesale=dict.fromkeys(drivers, "driving")),
        "car": Part(wholesale=dict.fromkeys(cars, "car")),
    }
    return Catalog(
        providers={name: Provider(name) for name in names},
        services={"ride": Service(id="ride", retail="fare", measures={"km": "km"}, parts=parts)},
        tariffs={tariff.id: tariff for tariff in tariffs},
        payers={"ada": Payer("ada", "EUR", opening="1000000000")},
    )


def ride(number: int) -> Usage:
    """A ride of so many kilometres by the next driver and car."""
    start = datetime(2026, 10, 16, 8, 5, tzinfo=UTC)
    parts = (PartUse("driver", f"p{number % 25 * 2:02}"), PartUse("car", f"p{number * 7 % 25 * 2 + 1:02}"))
    return Usage("meter", str(number), "ride", start, None, (PayerUse("ada"),), parts, {"km": str(1 + number % 40)})


def fill(engine: Engine, charges: int) -> None:
    """Charge so many rides."""
    engine.apply(catalog())
    groups = (
        [ChargeUsage(ride(number)) for number in range(at, min(at + GROUP, charges))] for at in range(0, charges, GROUP)
    )
    summary = engine.run(groups)
    assert summary.charged == charges, summary


def plain(engine: Engine, path: Path) -> int:
    """The portions of the books as a plain table; how many."""
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE portion (n INTEGER, provider INTEGER, part TEXT, atoms INTEGER)")
    rows = [
        (n, int(portion.account[5:]), portion.part, int(portion.amount.replace(".", "")))
        for n, line in engine.books.lines()
        if isinstance(line, Charge)
        for portion in line.portions
    ]
    with db:
        db.executemany("INSERT INTO portion VALUES (?,?,?,?)", rows)
    db.close()
    return len(rows)


def summed(path: Path) -> tuple[float, dict[int, int]]:
    """Seconds of the bare sums, and what each provider earned."""
    db = apsw.Connection(str(path))
    begin = time.perf_counter()
    list(db.execute("SELECT provider, part, sum(atoms), count(*) FROM portion GROUP BY provider, part"))
    found = dict(db.execute("SELECT provider, sum(atoms) FROM portion GROUP BY provider"))
    took = time.perf_counter() - begin
    db.close()
    return took, found


def measure(portions: int) -> dict[str, object]:
    """Seconds of both, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path, bare = Path(folder) / "books.db", Path(folder) / "bare.db"
        with open_engine(str(path)) as engine:
            fill(engine, portions // 2)
            count = plain(engine, bare)
        with open_engine(str(path)) as engine:
            engine.writer  # noqa: B018 - the catalog is compiled before the clock runs
            begin = time.perf_counter()
            run = settle(engine, Mode.NET)
            took = time.perf_counter() - begin
            begin = time.perf_counter()
            assert run.made and not settle(engine, Mode.NET).made
            again = time.perf_counter() - begin
        peer, sums = summed(bare)
    line = run.settlements[0]
    assert int(line.credited.replace(".", "")) == sum(sums.values()), "both add up the same portions"
    return {
        "portions": count,
        "providers": line.providers,
        "settlement, s": round(took, 2),
        "portions a second": round(count / took),
        "bare SQL, s": round(peer, 3),
        "ratio": round(took / peer, 1),
        "second run, s": round(again, 3),
    }
