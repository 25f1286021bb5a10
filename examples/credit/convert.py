"""Make the credit history out of the original: the UCI file of credit card clients.

    python examples/credit/convert.py UCI_Credit_Card.csv
    python examples/credit/convert.py card_clients.csv.gz --share 1.0 --out all.csv.gz

Only the credit line, statements, payments, months late and the outcome are read; the columns about the person (sex,
education, marriage, age) are not looked at. Which clients are taken is drawn from a hash of their number, so that
every run writes the same bytes. Amounts are rounded to hundreds, which keeps the file small.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

HEADER = ("client", "limit", "billed", "paid", "months_late", "outcome")
HUNDRED = 100


def drawn(client: str) -> float:
    """A number from 0 to 1 that depends on the client's number alone."""
    return int.from_bytes(hashlib.sha256(f"trust/{client}".encode()).digest()[:8], "big") / 2**64


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of the original with their column names in lower case."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {(name or "").lower(): value for name, value in row.items()}


def whole(text: str) -> int:
    """An amount in hundreds, from 0."""
    return max(0, round(float(text) / HUNDRED))


def months(row: dict[str, str]) -> Iterator[tuple[object, ...]]:
    """A client's six months, newest first; an empty cell means the one above it."""
    newest = "pay_1" if "pay_1" in row else "pay_0"  # the UCI file numbers them 0, 2, 3 …
    missed = row.get("defaulted") or row["default.payment.next.month"]
    outcome = "missed" if int(float(missed)) else "paid"
    for month in range(1, 7):
        late = max(0, int(float(row[newest if month == 1 else f"pay_{month}"])))
        billed, paid = whole(row[f"bill_amt{month}"]), whole(row[f"pay_amt{month}"])
        if month == 1:
            yield row["id"], whole(row["limit_bal"]), billed, paid, late, outcome
        else:
            yield "", "", billed, paid, late, ""


def main() -> None:
    """Read the original, write the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("original", type=Path)
    parser.add_argument("--share", type=float, default=0.55, help="which share of the clients is taken")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "history.csv.gz")
    given = parser.parse_args()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows(given.original):
        if drawn(row["id"]) < given.share:
            writer.writerows(months(row))
    raw = text.getvalue().encode()
    given.out.write_bytes(gzip.compress(raw, 9, mtime=0) if given.out.suffix == ".gz" else raw)
    print(f"{given.out.stat().st_size:>9,} bytes  {given.out}")


if __name__ == "__main__":
    main()
