"""How long does a statement take: of 200 lines in each form, and how many are issued in a second?

*Of 200 lines*: five services of forty components each, two tax categories, twelve providers; added up, rounded downward
and written, in each form from the sums on. *Issued*: payers with fifty charges each; every document is composed,
numbered, sealed and durable (SQLite, ``synchronous=FULL``). The peer of the second is the same pass without it:
reading and decoding every charge once.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apportion.engine.billing import issue
from apportion.faces.forms import formed
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.party import Provider, UnknownPayers
from apportion.model.statement import Seal, Statement
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.money import GRID, Asset, Exact
from apportion.stages.statement import Heading, PayerTally, compose_statement
from apportion.stages.statement.tally import CategorySum, ItemKey, ItemSum, ServiceSum
from apportion.wiring import open_engine

EUR = Asset("EUR", 9)
SEAL = Seal(70_000, "ab" * 32, "2026-11-20T06:00:00.000000Z", "cd" * 64, "ef" * 32)
HEADING = Heading(
    "stm_" + "0" * 32, "S-000001", "acct_00001", "pty_00001", "Ada", "power", "2026-10", "2026-09-30T22:00:00Z",
    "2026-10-31T23:00:00Z", "Europe/Berlin", "2026-11-20T06:00:00.000000Z", SEAL,
)  # fmt: skip


def tally(lines: int = 200) -> PayerTally:
    """What somebody used: ``lines`` components of five services."""
    found = PayerTally(EUR)
    rates = ("19", "7")
    for number in range(lines):
        service, category = f"service-{number % 5}", ("vat", rates[number % 2])
        atoms = 1_234_567_891 + 98_765_431 * number
        gross = atoms * (100 + int(category[1])) // 100
        key = ItemKey("", "", service, f"Component {number:03}", "kWh", category)
        found.items[key] = ItemSum(7 + number, 0, atoms * GRID, Exact(number + 1, 3), {"0.25"})
        sums = found.categories.setdefault(category, CategorySum())
        sums.gross, sums.tax, found.charges = sums.gross + gross, sums.tax + gross - atoms, found.charges + gross
        counted = found.services.setdefault(("", "", service), ServiceSum(f"Service {number % 5}", 9, 1))
        who = f"provider-{number % 12:02}"
        counted.took["delivery", who] = 3
        counted.names[who] = who.capitalize(), False, f"network-{number % 3}"
    return found


def seconds(run: Callable[[], object], times: int) -> float:
    """The mean of some runs; the first is not counted."""
    run()
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def forms(times: int) -> dict[str, object]:
    """Milliseconds for a statement of 200 lines, by form, composing included."""
    found: dict[str, object] = {}
    for form in ("json", "text", "csv", "html", "pdf"):

        def run(form: str = form) -> bytes:
            made = compose_statement(HEADING, tally()).statement
            assert isinstance(made, Statement) and sum(len(s.items) for s in made.sections) == 200
            return formed([made], form)

        found[f"{form}, ms"] = round(1000 * seconds(run, times), 1)
        found[f"{form}, bytes"] = len(run())
    return found


def catalog() -> Catalog:
    """Calls with tax, delivered by two."""
    fare = Tariff(
        id="fare", currency="EUR", taxes={"vat": "19"}, tax="vat",
        components=(Flat(name="call", price="0.02"), Unit(name="talk", measure="minutes", price="0.0731")),
    )  # fmt: skip
    cost = Tariff(id="cost", currency="EUR", components=(Unit(name="talk", measure="minutes", price="0.02"),))
    parts = {"near": Part("oak", {"oak": "cost"}), "far": Part("elm", {"elm": "cost"})}
    call = Service(id="call", retail="fare", measures={"minutes": "min"}, parts=parts)
    return Catalog(
        providers={name: Provider(name) for name in ("oak", "elm")}, services={"call": call},
        tariffs={"fare": fare, "cost": cost}, unknown_payers=UnknownPayers("EUR", credit="1000"),
    )  # fmt: skip


def usages(payers: int, each: int) -> Iterator[Usage]:
    """So many calls of so many payers in October."""
    start = datetime(2026, 10, 1, tzinfo=UTC)
    for number in range(payers * each):
        at = start + timedelta(minutes=number % 40_000)
        yield Usage(
            "m",
            str(number),
            "call",
            at,
            None,
            (PayerUse(f"payer {number % payers}"),),
            (),
            {"minutes": f"{number % 9}.5"},
        )


def issued(payers: int, each: int) -> dict[str, object]:
    """Documents a second, from books with so many charges."""
    with tempfile.TemporaryDirectory() as folder, open_engine(str(Path(folder) / "books.db")) as engine:
        engine.apply(catalog())
        batch = list(usages(payers, each))
        for at in range(0, len(batch), 5000):
            engine.charge(batch[at : at + 5000])
        start = time.perf_counter()
        charges = sum(1 for _ in engine.books.records())
        read = time.perf_counter() - start
        start = time.perf_counter()
        made = issue(engine)
        took = time.perf_counter() - start
        assert len(made) == payers + 2
    return {
        "charges": charges,
        "documents": len(made),
        "seconds": round(took, 2),
        "documents/s": round(len(made) / took),
        "charges/s": round(charges / took),
        "reading alone, seconds": round(read, 2),
        "times reading": round(took / read, 1),
    }


def measure(payers: int = 2000, each: int = 50, times: int = 20) -> dict[str, object]:
    """Both."""
    return {"a statement of 200 lines": forms(times), "issued": issued(payers, each)}
