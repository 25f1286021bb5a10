"""Closed periods priced again: one charge a payer, period and service, exact with all its fees, and proved."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine.statements.apart import credit_note
from apportion.model.catalog import Catalog
from apportion.model.tariff import Flat, Graduated, Tier, Unit
from apportion.model.usage import UsageClass
from apportion.stages.statement import as_text
from tests.adjusting import Books, changed, power
from tests.book import catalog
from tests.unit.engine.test_rerate import left


def energy(first: str = "0.3", rest: str = "0.2", meter: str = "2", sun: str = "0.07", **more: object) -> Catalog:
    """Energy at ``first`` for 9 kWh of a month and at ``rest``, and a meter; the sun earns ``sun`` for the first 5."""
    tiers = (Tier(up_to="9", price=first), Tier(price=rest))
    sunny = (Tier(up_to="5", price=sun), Tier(price="0.05"))
    return changed(
        catalog(credit="100000"),
        energy={
            "components": (
                Graduated(name="energy", measure="kwh", scope="period", tiers=tiers),
                Flat(name="meter", price=meter, scope="period"),
            ),
            **more,
        },
        sun={"components": (Graduated(name="sun", measure="kwh", scope="period", tiers=sunny),)},
        wire={"components": (Unit(name="wire", measure="kwh", price="0.03"),)},
    )


def october(books: Books) -> None:
    """12 kWh of ada's October, closed, billed 9 × 0.3 + 3 × 0.2 + 2 = 5.30."""
    books.now("11-02")
    books.charge(power(1, "6", "10-03"), power(2, "6", "10-02"))
    books.engine.close_period("2026-10")
    assert Decimal(books.statement("2026-10").total) == Decimal("5.30")


def test_a_closed_period_is_corrected_by_one_charge_with_its_tiers_and_fees(tmp_path: Path):
    """By 0.2 to 9 kWh, 0.1 beyond and 1 for the meter it is 3.10: 2.20 come back; the sun gets 0.02 more for 5."""
    books = Books(tmp_path / "b.db", energy())
    october(books)
    before = books.posted()
    books.engine.apply(energy("0.2", "0.1", "1", sun="0.074"))
    dry = books.rerate("power", dry_run=True)
    assert books.posted() == before
    done = books.rerate("power")
    assert [page.rows for page in done] == [page.rows for page in dry]
    assert [page.corrected for page in done] == [0, 2] and left(done) == {}
    rows = {row.who: row for row in done[-1].rows}
    assert {who: Decimal(row.change) for who, row in rows.items()} == {
        "ada": Decimal("-2.2"), "sun": Decimal("0.02"), "platform": Decimal("-2.22"), "wire": Decimal(0),
    }  # fmt: skip
    assert (Decimal(rows["ada"].before), Decimal(rows["ada"].after)) == (Decimal("5.3"), Decimal("3.1"))
    after = books.posted()
    assert after["payer", "ada"] - before["payer", "ada"] == Decimal("2.2")
    assert left(books.rerate("power")) == {"right": 2} and books.posted() == after
    charge = list(books.engine.books.records())[-1].charge
    assert charge.origin == "rerate 2026-10"
    note = credit_note(books.engine, "S-000001")
    assert Decimal(note.total) == Decimal("-2.20") and "Price correction" in as_text(note)
    assert books.proven() == []


def test_it_is_corrected_again_and_back(tmp_path: Path):
    books = Books(tmp_path / "b.db", energy())
    october(books)
    first, before = books.version, books.posted()
    for given_, total in ((energy("0.2"), "4.4"), (energy("0.4", meter="3"), "7.2")):
        books.engine.apply(given_)
        books.rerate("power")
        paid = books.posted()["payer", "ada"] - before["payer", "ada"]
        assert Decimal("5.3") - paid == Decimal(total)
    books.rerate("power", catalog=first)
    assert books.posted() == before and books.proven() == []


def test_an_open_period_is_left_until_it_is_closed(tmp_path: Path):
    books = Books(tmp_path / "b.db", energy())
    october(books)
    books.charge(power(3, "4", "11-01"), power(4, "4", "10-01"))  # both count in November
    books.engine.apply(energy("0.2"))
    done = books.rerate("power", only_credits=True)
    assert left(done) == {"period": 2} and "apportion close 2026-11" in done[-1].left[0].words
    assert sum(page.corrected for page in done) == 2
    books.now("12-01")
    books.engine.close_period("2026-11")
    assert sum(page.corrected for page in books.rerate("power")) == 2
    assert books.proven() == []


def test_a_dearer_period_and_one_that_was_given_back_are_left(tmp_path: Path):
    books = Books(tmp_path / "b.db", energy())
    october(books)
    books.engine.apply(energy("0.4"))
    assert left(books.rerate("power", only_credits=True)) == {"dearer": 2}
    for record in list(books.engine.books.records()):
        if record.usage.period and Decimal(record.charge.total) > 0:
            books.refund(record.charge.id)
    books.engine.apply(energy("0.1", "0", "0"))
    assert left(books.rerate("power")) == {"given_back": 2}
    books.engine.apply(energy("0.4"))
    assert sum(page.corrected for page in books.rerate("power")) == 2  # 0.90 more; what was given back stays so
    assert books.proven() == []


def test_terms_that_refuse_a_use_leave_its_period(tmp_path: Path):
    books = Books(tmp_path / "b.db", energy())
    october(books)
    books.engine.apply(changed(energy("0.2"), wire={"components": (Unit(name="wire", measure="amp", price="1"),)}))
    assert left(books.rerate("power")) == {"refused": 2}


@pytest.mark.parametrize(
    "change",
    [
        (b'"count":2', b'"count":3'),
        (b'"n":1,"at"', b'"n":2,"at"'),
        (b'"period":"2026-10","account"', b'"period":"2026-09","account"'),
    ],
)
def test_what_says_otherwise_than_the_period_is_found(tmp_path: Path, change: tuple[bytes, bytes]):
    from tests.forging import edited, exported, rehash, verified

    path = tmp_path / "b.db"
    books = Books(path, energy())
    october(books)
    books.engine.apply(energy("0.2"))
    books.rerate("power")
    books.engine.writer.seal()
    books.engine.close()
    lines = exported(path)
    at = next(n for n, line in enumerate(lines) if line.startswith(b'{"type":"repriced"'))
    found = verified(rehash(edited(lines, at, lambda line: line.replace(*change)))).findings
    assert "repriced" in {one.code for one in found}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ada", "ben"]), st.decimals("0.001", "9.999", places=3).map(str), st.integers(1, 28),
        st.sampled_from(["10", "11"]),
    ),
    min_size=1, max_size=8,
)  # fmt: skip
PRICES = st.tuples(*(st.decimals("0.05", "0.6", places=3).map(str) for _ in range(4)))


@settings(max_examples=20, deadline=None)
@given(ROWS, PRICES, PRICES, st.sampled_from(["", "3"]))
def test_corrected_books_stand_as_if_the_right_prices_had_been_in_force(rows, wrong, right, most: str):
    """Tiers, fee, cap and tax of the month on both sides; whatever was booked first, the end is the same."""
    records = [power(n, kwh, f"{month}-{day:02}", who) for n, (who, kwh, day, month) in enumerate(rows)]
    taxed = {"taxes": {"vat": "7.5"}, "tax": "vat", "period_maximum": most}

    def closed(given_: Catalog) -> Books:
        books = Books(Path(":memory:"), given_)
        books.now("12-01")
        assert all(one.state is UsageClass.CHARGED for one in books.charge(*records))
        books.engine.close_period()
        return books

    corrected = closed(energy(*wrong))
    corrected.engine.apply(energy(*right, **taxed))
    corrected.rerate("power")
    assert corrected.proven() == []
    found, wanted = corrected.posted(), closed(energy(*right, **taxed)).posted()
    rounding = Decimal("0.000000010")  # what rounding kept was paid out by other terms
    assert all(abs(found.get(key, Decimal(0)) - wanted.get(key, Decimal(0))) <= rounding for key in {**found, **wanted})
    assert found["payer", "ada"] == wanted["payer", "ada"]
