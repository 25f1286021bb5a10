"""Lines = statement, and statement + residue out − residue in = the ledger's charges, refunds and all."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.adapters.outside import signature_holds
from apportion.engine.billing import issue, listing
from apportion.engine.engine import Engine
from apportion.engine.verify import Outside, verify_store
from apportion.model.agreement import Part, Service
from apportion.model.calendar import Calendar
from apportion.model.catalog import Catalog
from apportion.model.journal import StatementLine
from apportion.model.party import Provider, UnknownPayers
from apportion.model.statement import Remittance, Statement
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.stages.statement.downward import hand_down, state
from apportion.wiring import open_engine

START = datetime(2024, 3, 29, 22, tzinfo=UTC)  # two days before the clock changes in Berlin


def catalog(included: bool, prices: list[str]) -> Catalog:
    """A service with three taxes (one line untaxed), billed by the local day; another without tax."""
    first, second, third, due = prices
    taxed = Tariff(
        id="taxed",
        currency="EUR",
        taxes={"vat": "19", "low": "7.7"},
        tax="vat",
        tax_included=included,
        components=(
            Unit(name="energy", measure="kwh", price=first),
            Unit(name="heat", measure="kwh", price=second, tax="low"),
            Flat(name="call-out", price="0.333333333", measure="kwh"),
        ),
    )
    plain = Tariff(id="plain", currency="EUR", components=(Unit(name="water", measure="m3", price=third),))
    cost = Tariff(id="cost", currency="EUR", components=(Unit(name="all", measure="kwh", price=due),))
    services = (
        Service(
            id="power",
            retail="taxed",
            measures={"kwh": "kWh"},
            guard=False,
            parts={"source": Part("sun", {"sun": "cost"}), "grid": Part("wire", {"wire": "cost"})},
        ),
        Service(id="water", retail="plain", measures={"m3": "m3"}, apportion="shares", platform="1",
                parts={"lake": Part("lake", share="2"), "pipes": Part("wire", share="3")}),
    )  # fmt: skip
    return Catalog(
        zone="Europe/Berlin",
        providers={name: Provider(name) for name in ("sun", "wire", "lake")},
        services={service.id: service for service in services},
        tariffs={tariff.id: tariff for tariff in (taxed, plain, cost)},
        unknown_payers=UnknownPayers("EUR", credit="100000", calendar=Calendar("Europe/Berlin", "day")),
    )


quantities = st.decimals("0.001", "40", places=3).map(str)
prices = st.lists(st.decimals("0.000001", "3", places=6).map(str), min_size=4, max_size=4)
records = st.tuples(
    st.sampled_from(["power", "water"]),
    st.booleans(),  # a refund
    quantities,
    st.lists(st.sampled_from(["ada", "ben", "cyd"]), min_size=1, max_size=3, unique=True),
    st.integers(0, 95),
    st.integers(0, 2),  # booked before which of the billing runs
)


def usage(number: int, record: tuple[str, bool, str, list[str], int, int]) -> Usage:
    service, refund, quantity, payers, hours, _ = record
    measure = "kwh" if service == "power" else "m3"
    amount = f"-{quantity}" if refund else quantity
    start = START + timedelta(hours=hours)
    return Usage("t", str(number), service, start, None, tuple(PayerUse(p) for p in payers), (), {measure: amount})


@settings(max_examples=25, deadline=None)
@given(included=st.booleans(), price=prices, used=st.lists(records, min_size=1, max_size=25))
def test_statements_say_what_the_books_say(included: bool, price: list[str], used: list) -> None:
    with open_engine(":memory:") as engine:
        engine.apply(catalog(included, price))
        for run in range(3):
            engine.charge([usage(n, record) for n, record in enumerate(used) if record[5] == run])
            if run == 1:
                engine.close_period()
                if "ada" in engine.books.owners().values():
                    engine.top_up("ada", "12.345678901", "EUR", "bank-1")
            for document in issue(engine):
                check(document)
        assert listing(engine)
        before = [line.id for line in listing(engine)]
        again = issue(engine)
        assert sorted(d.id for d in again) == sorted(before) == sorted(line.id for line in listing(engine))
        chains(engine)
        verdict = verify_store(engine.store, engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        assert verdict.ok, verdict.findings


def check(document: Statement | Remittance) -> None:
    """Everything that one document says adds up."""
    number = Decimal
    total, residues = number(document.total), number(document.residue_out) - number(document.residue_in)
    assert abs(number(document.residue_out)) <= number("0.005")
    if isinstance(document, Remittance):
        assert total + residues == number(document.credited)
        assert sum(number(due.payable) for due in document.dues) == total
        assert sum(number(due.credited) for due in document.dues) == number(document.credited)
        return
    items = [item for section in document.sections for item in section.items]
    assert total + residues == number(document.charges)
    assert sum(number(item.total) for item in items) == total
    assert all(number(item.net) + number(item.tax) == number(item.total) for item in items)
    assert sum(number(s.total) for s in document.sections) == total
    assert number(document.net) + number(document.tax) == total
    assert sum(number(tax.base) + number(tax.amount) for tax in document.taxes) == total
    assert sum(number(item.tax) for item in items) == number(document.tax)
    for tax in document.taxes:
        contained = (number(tax.base) + number(tax.amount)) * number(tax.rate or 0) / (100 + number(tax.rate or 0))
        assert abs(number(tax.amount) - contained) <= number("0.005")
    assert number(document.brought) + number(document.payments) - total == number(document.balance)


def chains(engine: Engine) -> None:
    """Documents of an account follow one another without gap, and together cover what the account was charged."""
    by: dict[str, list[StatementLine]] = defaultdict(list)
    numbers: dict[str, list[str]] = defaultdict(list)
    for line in listing(engine):
        by[line.account].append(line)
        numbers[line.number[0]].append(line.number)
    for initial, found in numbers.items():
        assert found == [f"{initial}-{n:06}" for n in range(1, len(found) + 1)]
    for account, lines in by.items():
        for earlier, later in zip(lines, lines[1:], strict=False):
            assert (later.opening, later.residue_in) == (earlier.closing, earlier.residue_out)
            assert earlier.end <= later.start
        charged = sum(Decimal(line.charges) for line in lines)
        sign = -1 if lines[0].kind == "statement" else 1
        moved: dict[bool, Decimal] = {True: Decimal(0), False: Decimal(0)}
        for entry in engine.books.entries(account):
            for leg in entry.legs:
                if leg.account == account and entry.kind not in ("opening", "topup"):
                    moved[entry.kind == "true-up"] += sign * Decimal(leg.amount)
        assert charged - moved[False] in (0, moved[True])  # the one true-up waits for a document after it


@given(charges=st.lists(st.integers(-(10**12), 10**12), max_size=40))
def test_residue_stays_within_half_a_minor_unit(charges: list[int]) -> None:
    grain, residue, stated = 10**7, 0, 0
    for charge in charges:
        total, residue = state(charge, residue, grain)
        stated += total
        assert 2 * abs(residue) <= grain
    assert stated * grain + residue == sum(charges)


@given(weights=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12), data=st.data())
def test_parts_add_up_and_keep_their_sign(weights: list[int], data: st.DataObject) -> None:
    grain = 10**6
    total = data.draw(st.sampled_from([(sum(weights) + shift) // grain for shift in (0, grain // 2, grain - 1)]))
    if (total < 0) != (sum(weights) < 0):
        total = 0
    parts = hand_down(total, weights, [str(n) for n in range(len(weights))], grain)
    assert sum(parts) == total
    if any(weights):
        assert all(part * weight >= 0 for part, weight in zip(parts, weights, strict=True))
