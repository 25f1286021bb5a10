"""X6: What if: a past period with other providers, tariffs, shares or rules, beside what was booked; nothing is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import EXAMPLES, Book, Books, Json, Program, rows
from tests.claims.serving import Served

UNIT = 10**9
QUALITIES = {"s144": "0.0010", "s240": "0.0015", "s360": "0.0020", "s480": "0.0030", "s720": "0.0050"}
CLIPS = {"s144": "0.0004", "s240": "0.0006", "s360": "0.0008", "s480": "0.0012", "s720": "0.0020"}
MUSIC = {"s144": "0.0005", "s240": "0.00075", "s360": "0.0010", "s480": "0.0015", "s720": "0.0025"}
AGREED = "2015-09-15T22:00:00"  # the sixteenth in Berlin: Edge North has terms of its own from here


def largest(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Atoms by largest remainder."""
    mass = sum(weights)
    exact = [total * weight / mass for weight in weights]
    atoms = [share.__floor__() for share in exact]
    order = sorted(range(len(exact)), key=lambda i: (atoms[i] - exact[i], i))
    for i in order[: total - sum(atoms)]:
        atoms[i] += 1
    return atoms


def minutes(row: Json, prices: dict[str, str]) -> Fraction:
    return sum((Fraction(row[measure]) / 60 * Fraction(price) for measure, price in prices.items()), Fraction())


def viewings(used: list[Json], instead: dict[str, str], retail: dict[str, str]) -> dict[tuple[str, str], Decimal]:
    """Who pays and earns what, when others deliver ``instead`` and viewers pay ``retail`` prices: added up by hand."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in used:
        carrier = instead.get(row["provider.delivery"], row["provider.delivery"])
        gigabyte = {"budget-cdn": "0.035", "edge-south": "0.060"}.get(carrier, "0.060")
        if carrier == "edge-north" and row["start"] >= AGREED:
            gigabyte = "0.050"
        studio = row["provider.content"]
        fee = round(minutes(row, retail) * UNIT)
        content = minutes(row, MUSIC if studio == "encore" else CLIPS) * UNIT
        delivery = Fraction(row["bytes"]) / 10**9 * Fraction(gigabyte) * UNIT
        if fee:
            assert fee >= content + delivery, "the platform earns on each of them"
            portions = largest(fee, [content, delivery, fee - content - delivery])
            for party, atoms in zip((studio, carrier, "platform"), portions, strict=True):
                sums["platform" if party == "platform" else "provider", party] += atoms
        sums["payer", row["payer"]] += fee
    return {key: Decimal(atoms) / UNIT for key, atoms in sums.items() if atoms}


def compared(found: Json, column: str) -> dict[tuple[str, str], Decimal]:
    rows = {(one["side"], one["name"]): Decimal(one[column]) for one in found["parties"]}
    return {key: amount for key, amount in rows.items() if amount}


def ask(program: Program, *words: str | Path) -> Json:
    """A replay, after which the books are as they were, byte for byte, and whose columns add up."""
    before = (program.folder / "books.db").read_bytes()
    found = program("whatif", "--store", "books.db", "--json", *words).json()
    assert (program.folder / "books.db").read_bytes() == before
    for column in ("booked", "replayed"):
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for (side, _), amount in compared(found, column).items():
            sums[side] += amount
        assert sums["payer"] + sums["sponsor"] == sums["provider"] + sums["platform"] + sums["tax"]
    return found


def in_books(books: Books) -> dict[tuple[str, str], Decimal]:
    """What the charges of an export say, close and all."""
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for charge in books.of("charge"):
        for share in charge.get("shares", ()):
            sums["payer", books.owners[share["account"]]] += Decimal(share["amount"])
        for portion in charge["portions"]:
            sums["provider", portion["provider"]] += Decimal(portion["amount"])
        sums["platform", "platform"] += Decimal(charge["platform"])
    return {key: amount for key, amount in sums.items() if amount}


def good(row: str) -> bool:
    """Viewings of which enough was seen to pay whoever delivers them: fees below cost are another claim's."""
    field = row.rstrip().split(",")
    seen = dict(zip(QUALITIES, field[7:12], strict=True))
    dearest = Fraction(field[12]) / 10**9 * Fraction("0.060")
    return ",v100," not in row and minutes(seen, QUALITIES) >= minutes(seen, MUSIC) + dearest


def test_another_carrier_and_another_price(
    apportion: Program, book: Book, sample: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    cut = sample("video-on-demand/usage.csv", 300, good)
    used = rows(cut)
    books = book(EXAMPLES / "video-on-demand/catalog.toml", cut, close=True)
    booked = viewings(used, {}, QUALITIES)
    control = ask(apportion)
    assert compared(control, "booked") == compared(control, "replayed") == booked == in_books(books)
    assert control["records"] == control["replayed"] == len(used) and control["apart"] == []

    swapped = ask(apportion, "--provider", "edge-north=budget-cdn", "--provider", "budget-cdn=edge-south")
    assert compared(swapped, "booked") == booked
    instead = {"edge-north": "budget-cdn", "budget-cdn": "edge-south"}
    assert compared(swapped, "replayed") == viewings(used, instead, QUALITIES) != booked

    text = (EXAMPLES / "video-on-demand/catalog.toml").read_text(encoding="utf-8")
    assert text.count('price = "0.0050"') == 1
    dearer = write("dearer.toml", text.replace('price = "0.0050"', 'price = "0.0077"'))
    found = ask(apportion, dearer)
    assert compared(found, "replayed") == viewings(used, {}, {**QUALITIES, "s720": "0.0077"}) != booked
    (total,) = (one for one in found["totals"] if one["side"] == "payer")
    assert Decimal(total["difference"]) > 0 and Decimal(total["percent"]) > 0


def gas(used: list[Json], source: int) -> dict[tuple[str, str], Decimal]:
    """Each day's gas at 0.58, and 4.50 a month and home; source, pipes and platform share by weight."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    months = {(row["payer"], row["start"][:7]) for row in used}
    fees = [(row["payer"], round(Fraction(row["m3"]) * Fraction("0.58") * UNIT)) for row in used]
    for payer, fee in [*fees, *((payer, round(Fraction("4.5") * UNIT)) for payer, _ in months)]:
        sums["payer", payer] += fee
        pipes, field, platform = largest(fee, [Fraction(40), Fraction(source), Fraction(5)])
        sums["provider", "city-pipes"] += pipes
        sums["provider", "north-field"] += field
        sums["platform", "platform"] += platform
    return {key: Decimal(atoms) / UNIT for key, atoms in sums.items() if atoms}


def test_other_shares_and_another_rule(apportion: Program, book: Book, sample: Callable[..., Path]) -> None:
    cut = sample("electricity/usage-gas-water.csv", keep=lambda line: ",gas-" in line)
    used = rows(cut)
    books = book(EXAMPLES / "electricity/catalog.toml", cut, close=True)
    found = ask(apportion, "--share", "gas.source=60", "--period", "2016-08")
    assert compared(found, "booked") == gas(used, 55) == in_books(books)
    assert compared(found, "replayed") == gas(used, 60)
    rule = ask(apportion, "--rule", "gas=wholesale", "--platform", "gas=0", "--tariff", "gas.source.north-field=lake",
               "--tariff", "gas.distribution.city-pipes=mains", "--tariff", "gas=water")  # fmt: skip
    cubic = sum(Decimal(row["m3"]) for row in used)
    assert compared(rule, "replayed")["provider", "north-field"] == cubic * Decimal("0.45")
    assert compared(rule, "replayed")["provider", "city-pipes"] == cubic * Decimal("0.60")
    blocks: dict[str, Decimal] = defaultdict(Decimal)
    for row in used:
        blocks[row["payer"]] += Decimal(row["m3"])
    for home, units in blocks.items():
        due = min(units, Decimal(10)) * Decimal("1.2") + max(units - 10, Decimal(0)) * Decimal("2.6") + 9
        assert compared(rule, "replayed")["payer", home] == due
    refused = apportion("whatif", "--store", "books.db", "--share", "gas.sauce=60", code=1)
    assert "sauce" in refused.err and "source" in refused.err
    apportion("whatif", "--store", "books.db", "--share", "gas.source", code=2)


def test_a_node_answers_operators_and_auditors_alone(
    apportion: Program, book: Book, sample: Callable[..., Path]
) -> None:
    cut = sample("electricity/usage-gas-water.csv", 40, lambda line: ",gas-" in line)
    book(EXAMPLES / "electricity/catalog.toml", cut)
    node = Served(apportion, "")
    given = {"period": "2016-08", "changes": [{"kind": "share", "what": "gas.source", "to": "60"}]}
    keys = {role: node.ask("POST", "/v1/keys", {"role": role, "party": party})["secret"]
            for role, party in (("auditor", ""), ("user", "home-01"), ("provider", "north-field"))}  # fmt: skip
    found = node.ask("POST", "/v1/whatif", given)
    assert node.ask("POST", "/v1/whatif", given, key=keys["auditor"]) == found and found["records"] == 40
    assert found["n"] == json.loads(json.dumps(node.ask("POST", "/v1/whatif", given)))["n"]  # nothing was booked
    for role in ("user", "provider"):
        node.ask("POST", "/v1/whatif", given, key=keys[role], status=403)
    given["changes"][0]["to"] = "much"
    problem = node.ask("POST", "/v1/whatif", given, status=422)
    assert (problem["code"], problem["field"]) == ("bad_weight", "share")
    node.stop()
