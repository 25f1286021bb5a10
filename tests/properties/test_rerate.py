"""Whatever was wrong with a price, corrected books stand as if the right one had been in force from the start."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.catalog import Catalog
from apportion.model.tariff import Flat, Unit
from apportion.model.usage import PayerUse, Usage
from tests.adjusting import Books, changed
from tests.book import START, catalog

prices = st.decimals("0.01", "4", places=9).map(str)  # what costs nothing can not be given back
Prices = tuple[str, ...]


def rides(start: str, km: str, driver: str, car: str, vat: str, rule: str = "wholesale") -> Catalog:
    """Rides below cost are permitted, so that a sponsor comes and goes with the price."""
    made = changed(
        catalog(credit="100000"),
        fare={
            "components": (Flat(name="start", price=start), Unit(name="way", measure="km", price=km)),
            "taxes": {"vat": vat},
        },
        driving={"components": (Unit(name="time", measure="minutes", price=driver),)},
        car={"components": (Unit(name="way", measure="km", price=car),)},
    )
    service = msgspec.structs.replace(made.services["ride"], guard=False, apportion=rule, allocate="shares")  # type: ignore[arg-type]
    return msgspec.structs.replace(made, services=made.services | {"ride": service})


CATALOGS = st.builds(
    rides, prices, prices, prices, prices, st.sampled_from(["7.7", "20"]), st.sampled_from(["wholesale", "cost"])
)
USES = st.lists(
    st.tuples(
        st.decimals("0.001", "99", places=6).map(str),
        st.integers(1, 60).map(str),
        st.lists(st.sampled_from(["ada", "ben", "cyd"]), min_size=1, max_size=3, unique=True),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def charged(given_: Catalog, uses: list) -> Books:
    books = Books(Path(":memory:"), given_)
    for n, (km, minutes, payers, weight, back) in enumerate(uses):
        sign = "-" if back else ""
        named = tuple(PayerUse(payer, str(weight + at)) for at, payer in enumerate(payers))
        quantities = {"km": sign + km, "minutes": sign + minutes}
        outcome = books.charge(Usage("meter", f"u{n}", "ride", START, None, named, (), quantities))[0]
        assert outcome.refusal is None, outcome
    return books


@settings(max_examples=40, deadline=None)
@given(USES, CATALOGS, CATALOGS)
def test_corrected_books_stand_as_if_the_right_price_had_been_in_force(uses, wrong: Catalog, right: Catalog):
    books = charged(wrong, uses)
    books.engine.apply(right)
    pages = books.rerate()
    assert books.proven() == []
    wanted, found = charged(right, uses).posted(), books.posted()
    atoms = Decimal(len(uses)) * Decimal("0.000000001")  # of equal remainders another may have the atom
    assert not any(one.reason in ("refused", "given_back") for page in pages for one in page.left)
    for key in {**wanted, **found}:
        bound = atoms if key[0] == "payer" else 0
        assert abs(found.get(key, Decimal(0)) - wanted.get(key, Decimal(0))) <= bound, key
    assert sum(found.values()) == 0
    again = books.rerate()
    assert sum(page.corrected for page in again) == 0 and books.posted() == found


@settings(max_examples=15, deadline=None)
@given(USES, CATALOGS, CATALOGS, st.data())
def test_refunds_and_corrections_in_any_order_keep_every_sum(uses, wrong: Catalog, right: Catalog, data: st.DataObject):
    """What was given back in pieces, between and after corrections there and back, is never more than stands."""
    books = charged(wrong, uses)
    ids = [record.charge.id for record in books.engine.books.records()]
    for step in range(6):
        if data.draw(st.booleans()):
            books.engine.apply(right if step % 2 else wrong)
            books.rerate()
            continue
        charge = data.draw(st.sampled_from(ids))
        standing = Decimal(books.standing(charge).total)
        if standing > 1:
            books.refund(charge, str((standing / 3).quantize(Decimal("0.001"))))
    assert books.proven() == []
    for charge in ids:
        first = Decimal(books.engine.books.record(charge).charge.total)
        assert Decimal(books.standing(charge).total) * (1 if first >= 0 else -1) >= 0 or not first
    assert sum(books.posted().values()) == 0
