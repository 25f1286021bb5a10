"""Prices and shares without books: ``rate`` and ``allocate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apportion.faces.cli.options import ANSWER, Answer, BadUsage, Live, Words
from apportion.faces.progress import Progress
from apportion.faces.tables import Table, json_text, write_json, write_table

if TYPE_CHECKING:
    from apportion.adapters.usage import Batch
    from apportion.engine.quote import Quote, Quotes
    from apportion.errors import Refusal
    from apportion.model.tariff import Tariff


def allocate(
    amount: Words,
    asset: str,
    /,
    *weights: Words,
    rule: str = "largest-remainder",
    step: str = "",
    answer: Answer = ANSWER,
) -> int:
    """Split an amount by weights into shares that always sum to it.

    Such as: apportion allocate 1.00 USD/2 2 1 1 1

    Args:
        amount: What is split, such as 1.00; a negative amount is split as the mirror image.
        asset: What is counted and how finely: USD/2 counts cents; USD alone means the same.
        weights: One for each party: a decimal or a fraction such as 1/3, with or without a name (alice=2). A lone -
            reads them from standard input, @FILE from a file, parted by spaces or lines.
        rule: Who takes the spare units: largest-remainder, in-order, largest-weight, to-party=NAME, or separate
            (nobody: the remainder is shown beside the shares).
        step: Shares come in multiples of this amount, such as 0.05 where no smaller coins are left.
    """
    from apportion.money import Exact, Money, parse_asset
    from apportion.money import allocate as split_by

    unit = parse_asset(asset)
    total = Money.parse(amount, unit)
    names, words = _parties(_given(weights))
    exacts = [Exact.parse(word, field=f"weights[{at}]") for at, word in enumerate(words, 1)]
    coin = Money.parse(step, unit, field="step").atoms if step else 1
    split = split_by(total.atoms, exacts, names, rule, coin)
    shares = [Money(atoms, unit).text() for atoms in split.shares]
    found: dict[str, Any] = {"total": total.text(), "asset": str(unit), "shares": shares}
    if names is not None:
        found["parties"] = names
    if rule == "separate":
        found["remainder"] = Money(split.remainder, unit).text()
    if answer.json:
        write_json(found)
        return 0
    parties = names or [str(number) for number in range(1, len(words) + 1)]
    rows = list(zip(parties, words, shares, strict=True))
    if rule == "separate":
        rows.append(("(remainder)", "", found["remainder"]))
    write_table(Table(("party", "weight", "share"), rows, ("total", "", f"{total.text()}")))
    return 0


def _given(weights: tuple[str, ...]) -> list[str]:
    """The weights, those of standard input and of files put where their mark stands."""
    found: list[str] = []
    for word in weights:
        if word == "-":
            found += sys.stdin.read().split()
        elif word.startswith("@"):
            found += Path(word[1:]).read_text(encoding="utf-8").split()
        else:
            found.append(word)
    return found


def _parties(words: list[str]) -> tuple[list[str] | None, list[str]]:
    """Names and weights out of ``alice=2 bob=1``; no names when there are none."""
    if not any("=" in word for word in words):
        return None, words
    pairs = [word.rpartition("=") for word in words]
    if not all(name for name, _, _ in pairs):
        from apportion.errors import RefusalCode, refuse

        raise refuse(
            RefusalCode.BAD_INPUT, "some parties have a name and some have none.", field="weights", fix="Name them all."
        )
    return [name for name, _, _ in pairs], [weight for _, _, weight in pairs]


def rate(
    tariff: Words,
    usage: Words,
    /,
    *,
    asset: str = "",
    zone: str = "",
    calendar_zone: str = "UTC",
    summary: bool = False,
    answer: Answer = ANSWER,
    progress: Live = False,
) -> int:
    """Price usage by one tariff; nothing is booked.

    Such as: apportion rate catalog.toml#fare usage.csv

    Exit code 1 when a record could not be priced; it is listed with the reason. Running totals are kept over the file,
    for each payer and month.

    Args:
        tariff: A TOML or JSON file that holds one tariff, or CATALOG#ID for one of a catalog.
        usage: A file of usage records (.csv, .jsonl, .parquet); - reads JSON Lines from standard input.
        asset: How finely amounts are counted, such as USD/9; the currency's own minor unit when not given.
        zone: The time zone of times in the usage that have none; the catalog's, or the tariff's, when not given.
        calendar_zone: The time zone in which a month of running totals begins.
        summary: Only the last line, with the totals.
    """
    from apportion.engine.quote import Quotes, asset_for
    from apportion.model.calendar import Calendar, zone_of

    tariff_, batches = _opened(tariff, usage, zone)
    zone_of(calendar_zone)
    quotes = Quotes(tariff_, asset_for(tariff_, asset), Calendar(zone=calendar_zone))
    lines = _Lines(quotes, answer.json)
    rejected = 0
    with Progress("rate", live=progress) as bar:
        for batch in batches:
            rejected += _price(batch, quotes, lines, summary)
            bar.update(quotes.records)
    lines.total(rejected)
    return 1 if rejected else 0


def _opened(spec: str, usage: str, zone: str) -> tuple[Tariff, Iterator[Batch]]:
    """The tariff, and the usage as it can be read for it."""
    from apportion.adapters.catalog_file import load_catalog, read_tariff
    from apportion.adapters.usage import read_usage
    from apportion.faces.reading import any_service

    if spec == usage == "-":
        raise BadUsage("Standard input can hold the tariff or the usage, not both.")
    file, mark, name = spec.rpartition("#")
    catalog = load_catalog(file) if mark and not Path(spec).exists() else None
    if catalog is not None and name in catalog.tariffs:
        tariff = catalog.tariffs[name]
    else:
        tariff = read_tariff(spec)
    there(usage)
    zone = zone or (catalog.zone if catalog is not None else tariff.zone)
    return tariff, read_usage(usage, any_service(tariff, catalog), service=tariff.id, source="usage", zone=zone)


def there(file: str) -> None:
    """Refuse a usage file that is not there, before anything is done."""
    if file != "-" and (not Path(file).exists() or Path(file).is_dir()):
        from apportion.errors import RefusalCode, refuse

        raise refuse(RefusalCode.BAD_INPUT, f"there is no usage file {file!r}.", field="usage", fix="Check the path.")


def _price(batch: Batch, quotes: Quotes, lines: _Lines, summary: bool) -> int:
    """Price a batch; how many of its records were rejected."""
    from apportion.errors import Refused

    rejected = len(batch.rejects)
    for reject in batch.rejects:
        lines.reject(reject.id, reject.refusal)
    if summary:
        lines_of: Callable[[str, Quote], None] | None = None
    else:
        lines_of = lines.record
    count, add = quotes.count, quotes.add
    for place, record in enumerate(batch.records):
        try:
            if lines_of is None:
                count(record)
            else:
                lines_of(record.id, add(record))
        except Refused as error:
            rejected += 1
            lines.reject(record.id, error.refusal, f"{batch.file}:{batch.lines[place]}")
    return rejected


class _Lines:
    """Writes one line a record, then the totals; as JSON Lines or for a person."""

    def __init__(self, quotes: Quotes, as_json: bool) -> None:
        self._quotes = quotes
        self._json = as_json
        self._code = quotes.asset.code

    def record(self, name: str, quote: Quote) -> None:
        if not self._json:
            terms = " + ".join(f"{line.component} {line.exact}" for line in quote.priced.lines)
            tax = f" + tax {quote.tax.text()} = {quote.total.text()}" if self._quotes.taxed else ""
            sys.stdout.write(f"{name}  {quote.net.text()} {self._code}{tax}  ({terms})\n")
            return
        found: dict[str, Any] = {
            "id": name,
            "exact": quote.priced.exact.text(),
            "amount": quote.net.text(),
            "currency": self._code,
        }
        if self._quotes.taxed:
            found |= {"tax": quote.tax.text(), "total": quote.total.text()}
        sys.stdout.write(json_text(found | {"lines": list(quote.priced.lines)}) + "\n")

    def reject(self, name: str, refusal: Refusal, where: str = "") -> None:
        import msgspec

        from apportion.faces.cli.failure import refusal_data

        placed = msgspec.structs.replace(refusal, where=refusal.where or where)
        if self._json:
            write_json({"id": name, "error": refusal_data(placed)})
        else:
            sys.stdout.write(f"{name or '(no id)'}  rejected: {placed.sentence()}\n")

    def total(self, rejected: int) -> None:
        from apportion.money import Money

        quotes = self._quotes
        net, tax = Money(quotes.net, quotes.asset), Money(quotes.tax, quotes.asset)
        found = {
            "records": quotes.records,
            "rejected": rejected,
            "amount": net.text(),
            "tax": tax.text(),
            "total": (net + tax).text(),
            "currency": self._code,
            "exact": quotes.exact.reduced().text(),
        }
        if self._json:
            write_json(found)
            return
        rest = f", {rejected} rejected" if rejected else ""
        taxed = f" + tax {tax.text()} = {found['total']}" if quotes.taxed else ""
        print(f"{quotes.records} records{rest}: {net.text()}{taxed} {self._code} (exactly {found['exact']})")
        if not quotes.net and quotes.exact:
            print(f"Each record rounds to less than a unit of {quotes.asset}; count finer with --asset {self._code}/9.")
        if quotes.at_close:
            print("What only a period has (monthly fees, minimum, maximum, peaks) is booked at its close, not here.")
