"""The books of a month as an outsider checks them: nothing but the lines of the export, and Python's own decimals.

What it finds wrong is an AssertionError. Names in brackets are those of the invariants that it looks at: ledger (L),
settlement and billing (S).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
ZERO = Decimal(0)
#: kinds by which value came in on a payer's account, or went back
CAME_IN = {"opening", "topup", "payment", "refund", "chargeback", "collected"}
#: kinds that move a provider's balance without being earned
PAID_OUT = {"payout", "payout-failed", "collection", "direct"}
GONE = {"failed"}  # states of payouts that moved nothing in the end
DONE = {"succeeded"}


class Ledger:
    """The lines by type, and every leg as (row, kind, amount) by account."""

    def __init__(self, lines: Iterable[Json]) -> None:
        self.of: dict[str, list[Json]] = defaultdict(list)
        self.legs: dict[str, list[tuple[int, str, Decimal]]] = defaultdict(list)
        for line in lines:
            self.of[line["type"]].append(line)
        self.accounts = {line["id"]: line for line in self.of["account"]}
        for entry in self.of["entry"]:
            for leg in entry["legs"]:
                self.legs[leg["account"]].append((entry["n"], entry["kind"], Decimal(leg["amount"])))

    def posted(self, account: str, upto: int | None = None) -> Decimal:
        """The balance of an account, after a row."""
        return sum((a for n, _, a in self.legs[account] if upto is None or n <= upto), ZERO)

    def moved(
        self, account: str, kinds: set[str], *, but: bool = False, after: int = 0, upto: int = 1 << 60
    ) -> Decimal:
        """What entries of some kinds (``but``: of all others) moved in the rows after one up to another."""
        return sum((a for n, kind, a in self.legs[account] if (kind in kinds) is not but and after < n <= upto), ZERO)

    def role(self, *roles: str) -> list[str]:
        """Accounts by their role."""
        return [id for id, line in self.accounts.items() if line["role"] in roles]

    def last(self, kind: str) -> dict[str, Json]:
        """How everything of a type that goes on stands now."""
        return {line["id"]: line for line in self.of[kind]}


def check_books(lines: Iterable[Json], *, billed: bool = True, settled: bool = True, paid: bool = True) -> Ledger:
    """All of it; ``billed``: all use is on statements, ``settled``: all portions are, ``paid``: all was paid out."""
    ledger = Ledger(lines)
    entries(ledger)
    charges(ledger)
    numbers(ledger)
    statements(ledger, billed=billed)
    settlements(ledger, whole=settled)
    payouts(ledger, whole=paid)
    clearing(ledger, empty=paid)
    return ledger


def entries(ledger: Ledger) -> None:
    """Every entry sums to zero in one currency, every currency to zero, balances are sums of legs (L1 L2 L3 L6)."""
    for entry in ledger.of["entry"]:
        assert len(entry["legs"]) > 1 and sum(Decimal(leg["amount"]) for leg in entry["legs"]) == 0, entry
        assert {ledger.accounts[leg["account"]]["asset"] for leg in entry["legs"]} == {entry["asset"]}, entry
    for asset in {line["asset"] for line in ledger.accounts.values()}:
        assert sum(ledger.posted(id) for id, line in ledger.accounts.items() if line["asset"] == asset) == 0
    for line in ledger.of["balance"]:
        assert Decimal(line["posted"]) == ledger.posted(line["account"]), line


def charges(ledger: Ledger) -> None:
    """Each fee is its portions, the platform's part and tax, and its one entry moves exactly that (L8 P1)."""
    booked: dict[str, dict[str, Decimal]] = {}
    for entry in ledger.of["entry"]:
        if entry["cause"].startswith("chg_"):
            assert entry["cause"] not in booked, f"{entry['cause']} was booked twice"
            booked[entry["cause"]] = {leg["account"]: Decimal(leg["amount"]) for leg in entry["legs"]}
    taxed = {(line.get("name"), line["asset"]): id for id, line in ledger.accounts.items() if line["role"] == "tax"}
    known = set()
    for charge in ledger.of["charge"]:
        known.add(charge["id"])
        legs: dict[str, Decimal] = defaultdict(Decimal)
        for share in charge.get("shares", ()):
            legs[share["account"]] -= Decimal(share["amount"])
        legs[charge.get("sponsor", "")] -= Decimal(charge.get("sponsored", "0"))
        for portion in charge.get("portions", ()):
            legs[portion["account"]] += Decimal(portion["amount"])
        legs[charge["platform_account"]] += Decimal(charge["platform"])
        asset = ledger.accounts[charge["platform_account"]]["asset"]
        for tax in charge.get("taxes", ()):
            if Decimal(tax["amount"]):
                legs[taxed[f"{tax['name']}@{tax['rate']}", asset]] += Decimal(tax["amount"])
        assert Decimal(charge["amount"]) + Decimal(charge.get("tax", "0")) == Decimal(charge["total"]), charge
        assert {id: atoms for id, atoms in legs.items() if atoms} == booked.get(charge["id"], {}), charge
    assert booked.keys() <= known, "an entry names a charge that is not there"


def numbers(ledger: Ledger) -> None:
    """The documents of each series are numbered without a gap, and none is there twice (S4)."""
    series: dict[str, int] = defaultdict(int)
    for line in ledger.of["statement"]:
        letter, number = line["number"].split("-")
        series[letter] += 1
        assert int(number) == series[letter], line
    assert len({line["id"] for line in ledger.of["statement"]}) == len(ledger.of["statement"])
    settled = [line["number"] for line in ledger.of["settlement"]]
    assert settled == [f"SET-{number:06}" for number in range(1, len(settled) + 1)]


def statements(ledger: Ledger, *, billed: bool) -> None:
    """Each document goes on from the one before it and adds up; together they are the ledger's charges (S3)."""
    found: dict[str, list[Json]] = defaultdict(list)
    for line in ledger.of["statement"]:
        found[line["account"]].append(line)
    for account, documents in found.items():
        closing = residue = ZERO
        for line in documents:
            charged, came, total = (Decimal(line.get(name, "0")) for name in ("charges", "payments", "total"))
            before, after = (Decimal(line.get(name, "0")) for name in ("residue_in", "residue_out"))
            grain = Decimal(1).scaleb(Decimal(line["total"]).as_tuple().exponent)  # type: ignore[arg-type]
            assert total + after - before == charged, line
            assert (Decimal(line["opening"]), before) == (closing, residue), line
            assert abs(after) < grain or line.get("more"), line  # of several, the last one rounds for all
            moved = charged - came if line["kind"] == "remittance" else came - charged
            closing, residue = Decimal(line["closing"]), after
            assert closing == Decimal(line["opening"]) + moved, line
        if documents[0]["kind"] != "remittance":
            stocked = sum((Decimal(line.get("stocked", "0")) for line in documents), ZERO)
            came = sum((Decimal(line.get("payments", "0")) for line in documents), ZERO) - stocked
            charged = sum((Decimal(line.get("charges", "0")) for line in documents), ZERO) - stocked
            upto = documents[-1]["n"]
            assert came == ledger.moved(account, CAME_IN, upto=upto), account
            if billed:
                assert charged == -ledger.moved(account, CAME_IN, but=True), account
                assert closing == ledger.posted(account, upto), account
    if billed:
        for account in ledger.role("payer"):
            assert account in found or not ledger.moved(account, CAME_IN, but=True), f"{account} was never billed"


def settlements(ledger: Ledger, *, whole: bool) -> None:
    """Each portion is in one settlement; what it comes to is what was booked in its window, and no more (S1)."""
    rows: dict[int, list[Json]] = defaultdict(list)
    for line in ledger.of["position"]:
        rows[line["n"]].append(line)
    until: dict[str, int] = defaultdict(int)
    last: dict[str, Json] = {}
    for line in ledger.of["settlement"]:
        positions = [one for one in rows[line["n"]] if one["settlement"] == line["id"]]
        after, until[line["asset"]] = until[line["asset"]], line["upto"]
        assert line["after"] >= after and line["upto"] < line["n"] and line["providers"] == len(positions), line
        for one in positions:
            account = one["account"]
            opening, credited, closing, payable = (
                Decimal(one[name]) for name in ("opening", "credited", "closing", "payable")
            )
            more, less, obliged, paid = (Decimal(one[name]) for name in ("credits", "debits", "obliged", "paid"))
            before, kept = Decimal(one["residue_in"]), Decimal(one["residue_out"])
            assert credited == more - less + obliged and closing == opening + credited - paid, one
            assert payable + kept - before == credited, one
            previous = last.get(account)
            assert opening == (Decimal(previous["closing"]) if previous else 0), one
            assert before == (Decimal(previous["residue_out"]) if previous else 0), one
            window = {"after": _settled(ledger, previous), "upto": line["upto"]}
            assert credited == ledger.moved(account, PAID_OUT, but=True, **window), one
            assert closing == ledger.posted(account, line["upto"]), one
            last[account] = one
        for name in ("credited", "payable"):
            assert Decimal(line[name]) == sum(Decimal(one[name]) for one in positions), line
    for account in ledger.role("provider") if whole else ():
        upto = _settled(ledger, last.get(account))
        assert not ledger.moved(account, PAID_OUT, but=True, after=upto), f"{account} has earned what is not settled"


def _settled(ledger: Ledger, position: Json | None) -> int:
    """The row up to which a position covers its account; 0 before the first."""
    lines = ledger.last("settlement")
    return int(lines[position["settlement"]]["upto"]) if position else 0


def payouts(ledger: Ledger, *, whole: bool) -> None:
    """Nobody is paid more than a settlement says, nor twice; with ``whole`` exactly that (S2)."""
    ways: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for one in ledger.last("payout").values():
        if one["state"] in DONE if whole else one["state"] not in GONE:
            ways[one["settlement"], one["debtor"], one["creditor"]] += Decimal(one["amount"])
    allowed: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for line in ledger.of["settlement"]:
        for one in line.get("payments", ()):
            allowed[line["id"], one["debtor"], one["creditor"]] += Decimal(one["amount"])
    assert all(amount <= allowed[way] for way, amount in ways.items())
    assert not whole or ways == allowed, "payouts are positions"
    for line in ledger.of["settlement"] if whole else ():
        net: dict[str, Decimal] = defaultdict(Decimal)
        for one in line.get("payments", ()):
            net[one["creditor"]] += Decimal(one["amount"])
            net[one["debtor"]] -= Decimal(one["amount"])
        for one in (one for one in ledger.of["position"] if one["settlement"] == line["id"]):
            assert net[one["account"]] == Decimal(one["payable"]), "in every mode each ends up with its position"
    for account in ledger.role("provider") if whole else ():
        assert abs(ledger.posted(account)) < Decimal("0.01"), "what is left is what rounding carries on"


def clearing(ledger: Ledger, *, empty: bool) -> None:
    """What lies in clearing is the payouts under way; in transit, what a processor still owes (L10)."""
    under_way: dict[str, Decimal] = defaultdict(Decimal)
    for one in ledger.last("payout").values():
        if one["by"] in ("file", "transfer") and one["state"] not in DONE | GONE:
            under_way[one["asset"]] += Decimal(one["amount"])
    for account in ledger.role("clearing"):
        assert ledger.posted(account) == under_way[ledger.accounts[account]["asset"]], account
        assert not empty or not ledger.posted(account)
    for account in ledger.role("transit") if empty else ():
        assert not ledger.posted(account), account


def check_document(document: Json) -> None:
    """The lines of a statement are its total, those of tax its tax; each line with tax is its net and tax (S3)."""
    if document["kind"] == "remittance":
        assert sum(Decimal(one["payable"]) for one in document["dues"]) == Decimal(document["total"])
        return
    items = [item for section in document["sections"] for item in section["items"]]
    assert sum(Decimal(item["total"]) for item in items) == Decimal(document["total"]), document["number"]
    assert sum(Decimal(item["tax"]) for item in items) == Decimal(document["tax"]), document["number"]
    assert sum(Decimal(section["total"]) for section in document["sections"]) == Decimal(document["total"])
    sums = [(Decimal(one["base"]), Decimal(one["amount"])) for one in document["taxes"]]
    assert sum(base for base, _ in sums) == Decimal(document["net"]), document["number"]
    assert sum(amount for _, amount in sums) == Decimal(document["tax"]), document["number"]
    assert Decimal(document["net"]) + Decimal(document["tax"]) == Decimal(document["total"])
    balance = Decimal(document["brought"]) + Decimal(document["payments"]) - Decimal(document["total"])
    assert balance == Decimal(document["balance"]), document["number"]


def whole_of(documents: Iterable[Json]) -> dict[tuple[str, str], tuple[Decimal, ...]]:
    """What documents of a payer and period come to together: totals, charges, dues, and tax by category."""
    found: dict[tuple[str, str], tuple[Decimal, ...]] = {}
    taxes: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for one in documents:
        key = one["name"], one["period"]
        for tax in one["taxes"]:
            taxes[key][f"{tax['name']}@{tax['rate']}"] += Decimal(tax["amount"])
            taxes[key][f"base {tax['name']}@{tax['rate']}"] += Decimal(tax["base"])
        sums = tuple(Decimal(one[name]) for name in ("total", "charges", "due", "payments"))
        before = found.get(key, (ZERO,) * len(sums))
        found[key] = tuple(a + b for a, b in zip(before, sums, strict=True))
    return {key: (*sums, *(amount for _, amount in sorted(taxes[key].items()))) for key, sums in found.items()}


#: how the numbers of the usual cards look
CARD = re.compile(r"(?<![\w.])(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6\d{15})(?![\w.])")


def no_card(text: str) -> None:
    """No card number stands anywhere (S8)."""
    for digits in CARD.findall(text):
        doubled = [sum(divmod(int(one) * (1 + at % 2), 10)) for at, one in enumerate(reversed(digits))]
        assert sum(doubled) % 10, digits
