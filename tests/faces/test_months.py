"""A month of each shipped domain: closed, billed in one statement and in several, paid, settled, and paid out.

What comes of it is checked by the export alone (``tests/books_hold.py``), and against the documents.
"""

from __future__ import annotations

import copy
import itertools
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.books_hold import Json, Ledger, check_books, check_document, no_card, whole_of
from tests.faces.driving import ROOT, Cli

#: domain → its usage files, how it is settled, and of how many records of each file a quick month is made
MONTHS: dict[str, tuple[tuple[str, ...], str, int]] = {
    "quickstart": (("usage.csv",), "net", 6),
    "telephone": (("usage-telecom.csv", "usage-internet.csv"), "multilateral", 14),
    "electricity": (("usage.csv", "usage-building.jsonl", "usage-gas-water.csv"), "gross", 30),
    "model-gateway": (("usage.csv", "usage-code.csv"), "net", 30),
    "video-on-demand": (("usage.csv",), "multilateral", 50),
}
PAYERS = 8  # of a quick month: those of the first records
IBAN = "GB82WEST12345698765432"
APART = '\n[profiles.apart]\nbilling = { statements = "per-provider" }\n'


def month(domain: str, folder: Path, count: int) -> tuple[Path, Path, list[Path]]:
    """Two catalogs (payers get one statement, or one of each provider) and the usage, every so often a record of it."""
    there = ROOT / "examples" / domain
    files = []
    for one in there.iterdir():
        shutil.copy(one, folder)
    for name in MONTHS[domain][0]:
        lines = (there / name).read_text().splitlines(keepends=True)
        head = lines[:1] if name.endswith(".csv") else []
        some = lines[len(head) :]
        if count:
            few = set(itertools.islice(dict.fromkeys(_payer(head[0], line) for line in some), PAYERS)) if head else ()
            some = [line for line in some if not head or _payer(head[0], line) in few]
            some = some[:: max(1, len(some) // count)][:count]
        (folder / name).write_text("".join(head + some).replace("2026-11-", "2026-10-"))  # a month that is over
        files.append(folder / name)
    text = (folder / "catalog.toml").read_text()
    text = text.replace("[unknown_payers]", '[unknown_payers]\nprofile = "apart"')
    text = text.replace("unknown_payers = {", 'unknown_payers = { profile = "apart",')
    assert text.count('profile = "apart"') == 1
    (folder / "apart.toml").write_text(text + APART)
    return folder / "catalog.toml", folder / "apart.toml", files


def _payer(head: str, line: str) -> str:
    return line.split(",")[head.strip().split(",").index("payer")]


class Month:
    """The books of one month, and what an operator does with them on the command line."""

    def __init__(self, cli: Cli, catalog: Path, files: list[Path], store: Path) -> None:
        self._cli, self.place = cli, ("--store", store)
        done = json.loads(self.do("run", catalog, *files, *self.place, "--close", "--json"))
        assert done["charged"], done
        self.pending = done["pending"]

    def do(self, *words: object) -> str:
        done = self._cli(*words)
        assert done.code == 0, (words, done.err)
        return str(done.out)

    def books(self) -> list[Json]:
        """The lines of the export."""
        return [json.loads(line) for line in self.do("export", *self.place).splitlines()]

    def documents(self) -> list[Json]:
        """All documents; issued now, where they were not before."""
        found: list[Json] = json.loads(self.do("statement", *self.place, "--json"))
        for one in found:
            check_document(one)
        return found

    def pay(self, bills: list[Json]) -> Decimal:
        """Every payer pays what its statements ask for, by a transfer that names them."""
        dues: dict[tuple[str, str], Decimal] = {}
        for one in bills:
            key = one["name"], one["currency"]
            dues[key] = Decimal(one["due"])
        for (name, currency), due in dues.items():
            if due:
                self.do("topup", name, due, currency, "--reference", f"for {name}", *self.place)
        return sum(dues.values(), Decimal(0))

    def pay_out(self, mode: str) -> Json:
        """Settle, pay out by a file for the bank, and say that all of it has arrived."""
        made = json.loads(self.do("settle", "--mode", mode, *self.place, "--json"))
        again = json.loads(self.do("settle", "--mode", mode, *self.place, "--json"))
        assert made["made"] and not again["made"] and again["settlements"] == made["settlements"]
        for line in made["settlements"]:
            for one in line["positions"]:
                self.do("payee", one["provider"], "--holder", "It Ltd", "--iban", IBAN, *self.place)
            file = Path(str(self.place[1])).with_suffix(f".{line['number']}.csv")
            words = ("payout", line["number"], "--format", "csv", "--out", file, *self.place, "--json")
            while open_ := [one for one in json.loads(self.do(*words))["payouts"] if one["state"] == "created"]:
                for one in open_:  # what waits for others to pay is ordered then
                    self.do("payout", one["id"], "--confirm", *self.place)
        return made


def through(cli: Cli, domain: str, folder: Path, count: int) -> None:
    """The whole month of a domain."""
    catalog, apart, files = month(domain, folder, count)
    one, several = Month(cli, catalog, files, folder / "one.db"), Month(cli, apart, files, folder / "several.db")
    bills = [document for document in one.documents() if document["kind"] == "statement"]
    others = [document for document in several.documents() if document["kind"] == "statement"]
    assert len(bills) < len(others) and whole_of(bills) == whole_of(others), "several are the one"
    check_books(several.books(), settled=False, paid=False)
    before = check_books(one.books(), settled=False, paid=False)
    owed = {document["account"]: Decimal(document["due"]) for document in bills}
    assert all(abs(due + min(before.posted(id), Decimal(0))) < Decimal("0.01") for id, due in owed.items())

    assert one.pay(bills) == sum(owed.values())
    made = one.pay_out(MONTHS[domain][1])
    lines = one.books()
    after = check_books(lines, billed=not one.pending)
    assert all(after.posted(id) > Decimal("-0.01") for id in after.role("payer")) or one.pending
    earned = sum(Decimal(position["payable"]) for line in made["settlements"] for position in line["positions"])
    assert earned == sum(leg for _, kind, leg in legs(after, "cash") if kind == "payout-paid")
    no_card(json.dumps(lines))
    assert IBAN not in json.dumps(lines)
    assert cli("verify", *one.place[1:], "--heads", f"{one.place[1]}.heads").code == 0


def legs(ledger: Ledger, role: str) -> list[tuple[int, str, Decimal]]:
    return list(itertools.chain.from_iterable(ledger.legs[id] for id in ledger.role(role)))


def test_what_is_wrong_in_the_books_is_found(cli: Cli, tmp_path: Path) -> None:
    """The checks are worth something: each small change of a line is seen."""
    catalog, _, files = month("quickstart", tmp_path, 6)
    made = Month(cli, catalog, files, tmp_path / "one.db")
    made.pay([one for one in made.documents() if one["kind"] == "statement"])
    made.pay_out("net")
    lines = made.books()
    check_books(lines)
    for kind, path in (
        ("entry", ("legs", 0, "amount")), ("charge", ("portions", 0, "amount")), ("charge", ("platform",)),
        ("statement", ("total",)), ("statement", ("charges",)), ("statement", ("payments",)),
        ("statement", ("number",)), ("settlement", ("payments", 0, "amount")), ("settlement", ("payable",)),
        ("position", ("credits",)), ("position", ("closing",)), ("payout", ("amount",)), ("balance", ("posted",)),
    ):  # fmt: skip
        forged = copy.deepcopy(lines)
        place = next(line for line in reversed(forged) if line["type"] == kind)
        for step in path[:-1]:
            place = place[step]
        text = place[path[-1]]
        place[path[-1]] = f"S-{999:06}" if path == ("number",) else str(Decimal(text) + Decimal("0.01"))
        with pytest.raises(AssertionError):
            check_books(forged)
    for kind in ("entry", "charge", "statement", "position", "payout"):
        last = max(at for at, line in enumerate(lines) if line["type"] == kind)
        with pytest.raises(AssertionError):
            check_books(lines[:last] + lines[last + 1 :])


PARCELS = """
unknown_payers = { currency = "EUR", credit = "100" }
providers = { pick = {}, road = {}, hand = {} }
[services.parcel]
retail = "post"
measures = { kg = "kg" }
parts.collect = { provider = "pick", wholesale = { pick = "each" } }
parts.carry = { provider = "road", wholesale = { road = "each" } }
parts.deliver = { provider = "hand", wholesale = { hand = "each" } }
[tariffs]
post = { currency = "EUR", components = [{ kind = "unit", name = "weight", measure = "kg", price = 4 }] }
each = { currency = "EUR", components = [{ kind = "unit", name = "weight", measure = "kg", price = 1 }] }
"""
USE = "source,id,service,start,payer,kg\ndepot,p1,parcel,2026-03-02T08:00:00Z,ada,2\n"


def test_a_circle_of_debts_falls_to_the_net_and_positions_stay(cli: Cli, tmp_path: Path) -> None:
    """pick → road → hand → pick: 85 EUR of debts and 6 of earnings; in every mode all end up with the same."""
    (tmp_path / "catalog.toml").write_text(PARCELS)
    (tmp_path / "usage.csv").write_text(USE)
    moved, ended = dict[str, Decimal](), list[dict[str, Decimal]]()
    for mode in ("gross", "net", "multilateral"):
        books = Month(cli, tmp_path / "catalog.toml", [tmp_path / "usage.csv"], tmp_path / f"{mode}.db")
        for debtor, creditor, amount in (("pick", "road", 30), ("road", "hand", 30), ("hand", "pick", 25)):
            books.do("oblige", debtor, creditor, f"{amount}.00", "EUR", "--reference", debtor, *books.place)
        (line,) = books.pay_out(mode)["settlements"]
        moved[mode] = sum(Decimal(one["amount"]) for one in line["payments"])
        ended.append({one["provider"]: Decimal(one["payable"]) for one in line["positions"]})
        check_books(books.books(), billed=False)
    assert ended == [{"pick": Decimal(-3), "road": Decimal(2), "hand": Decimal(7)}] * 3
    # all debts and 2 to each; the three debts, of which nothing is set off between two; what is left of each
    assert moved == {"gross": Decimal(91), "net": Decimal(91), "multilateral": Decimal(12)}


@pytest.mark.parametrize("domain", MONTHS)
def test_a_month_of_each_domain_is_closed_billed_paid_and_paid_out(cli: Cli, tmp_path: Path, domain: str) -> None:
    through(cli, domain, tmp_path, MONTHS[domain][2])


@pytest.mark.torture
@pytest.mark.parametrize("domain", MONTHS)
def test_and_with_every_record_of_it(cli: Cli, tmp_path: Path, domain: str) -> None:
    through(cli, domain, tmp_path, 0)
