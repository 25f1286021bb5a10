"""How many simple records does one core rate, and how much memory does a file of ten million need?

*Scalar*: usage records already in memory, a tariff of one, two and three components, priced and rounded one by one.
*File*: a Parquet file of N records through `apportion rate --summary` in a process of its own, with its peak memory.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apportion.engine.quote import Quotes
from apportion.model.calendar import Calendar
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.money import parse_asset

TARIFF = """\
id = "tokens"
currency = "USD"
components = [
  { kind = "unit", name = "input", measure = "input_tokens", price = 0.60, per = 1000000 },
  { kind = "unit", name = "output", measure = "output_tokens", price = 2.40, per = 1000000 },
]
"""


def tariff(components: int) -> Tariff:
    """A tariff of so many components: two unit prices and a connection fee."""
    every = (
        Unit(name="input", measure="input_tokens", price="0.60", per="1000000"),
        Unit(name="output", measure="output_tokens", price="2.40", per="1000000"),
        Flat(name="connection", price="0.0001"),
    )
    return Tariff(id="tokens", currency="USD", components=every[:components])


def scalar(count: int = 200_000, rounds: int = 3) -> dict[str, object]:
    """Records a second on one core, best of ``rounds``, by the number of components."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    usages = [
        Usage("b", str(n), "chat", start + timedelta(seconds=n), None, (PayerUse("u"),), (),
              {"input_tokens": str(100 + n % 900), "output_tokens": str(n % 300)})
        for n in range(count)
    ]  # fmt: skip
    gc.freeze()  # the records wait in memory for the benchmark's sake; no collection should walk them again and again
    found: dict[str, object] = {}
    for components in (1, 2, 3):
        best = 0.0
        for _ in range(rounds):
            quotes = Quotes(tariff(components), parse_asset("USD/9"), Calendar())
            begin = time.perf_counter()
            for usage in usages:
                quotes.count(usage)
            best = max(best, count / (time.perf_counter() - begin))
            assert quotes.records == count and quotes.net > 0
        found[f"{components} components, records/s"] = round(best)
    return found


def write_parquet(path: Path, count: int) -> None:
    """A file of ``count`` records in row groups of 250,000."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("source", pa.string()), ("id", pa.string()), ("start", pa.timestamp("us", tz="UTC")), ("payer", pa.string()),
         ("input_tokens", pa.int64()), ("output_tokens", pa.int64())]
    )  # fmt: skip
    with pq.ParquetWriter(path, schema) as writer:
        for at in range(0, count, 250_000):
            rows = range(at, min(at + 250_000, count))
            columns = [
                ["bench"] * len(rows),
                [f"r{n}" for n in rows],
                [1_767_225_600_000_000 + n * 1000 for n in rows],
                [f"u{n % 10_000}" for n in rows],
                [100 + n % 900 for n in rows],
                [n % 300 for n in rows],
            ]
            arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _peak(pid: int) -> int:
    """The most memory that a running process has had resident, in kB; not what it inherited from this one."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def file(count: int = 10_000_000) -> dict[str, object]:
    """Seconds, records a second and peak resident memory of rating a Parquet file by the command line."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path, prices = Path(folder) / "usage.parquet", Path(folder) / "tokens.toml"
        prices.write_text(TARIFF)
        write_parquet(path, count)
        command = [sys.executable, "-m", "apportion", "rate", str(prices), str(path), "--summary", "--json"]
        command += ["--asset", "USD/9"]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _peak(process.pid))
            time.sleep(0.2)
        seconds = time.perf_counter() - begin
        assert process.returncode == 0 and process.stdout is not None, "apportion rate failed"
        out = process.stdout.read()
        told = json.loads(out.splitlines()[-1])
        assert told["records"] == count and told["rejected"] == 0
        expected = sum(60 * (100 + n % 900) + 240 * (n % 300) for n in range(count)) * 10
        assert int(told["amount"].replace(".", "")) == expected
        return {
            "records": count,
            "seconds": round(seconds, 1),
            "records/s": round(count / seconds),
            "peak memory MB": round(peak / 1024),
        }
