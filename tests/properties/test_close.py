"""After close the totals do not depend on the order, the batches or the repetitions in which usage came (I5)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.party import Provider, UnknownPayers
from apportion.model.tariff import Flat, Graduated, Tariff, Tier, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.wiring import open_engine


def catalog() -> Catalog:
    """Retail with tiers on the month's total, a monthly fee and a cap; wholesale with tiers of its own."""
    retail = Tariff(
        id="retail",
        currency="USD",
        taxes={"vat": "7.5"},
        tax="vat",
        components=(
            Graduated(
                name="energy",
                measure="kwh",
                scope="period",
                tiers=(Tier(up_to="10", price="0.3333"), Tier(up_to="25", price="0.21"), Tier(price="0.1111111111")),
            ),
            Flat(name="meter", price="3.99", scope="period"),
        ),
        period_maximum="12",
    )
    source = Tariff(
        id="source",
        currency="USD",
        components=(
            Graduated(
                name="energy", measure="kwh", scope="period", tiers=(Tier(up_to="15", price="0.07"), Tier(price="0.05"))
            ),
        ),
    )
    grid = Tariff(
        id="grid",
        currency="USD",
        components=(
            Unit(name="wires", measure="kwh", price="1", per="30"),
            Flat(name="connection", price="1", scope="period"),
        ),
    )
    return Catalog(
        providers={"sun": Provider("sun"), "wire": Provider("wire")},
        services={
            "power": Service(
                id="power",
                retail="retail",
                measures={"kwh": "kWh"},
                parts={
                    "source": Part(provider="sun", wholesale={"sun": "source"}),
                    "grid": Part(provider="wire", wholesale={"wire": "grid"}),
                },
            )
        },
        tariffs={"retail": retail, "source": source, "grid": grid},
        unknown_payers=UnknownPayers("USD", credit="1000"),
    )


def usage(n: int, payer: str, kwh: str, hours: int) -> Usage:
    return Usage(
        "meter", f"r{n}", "power", datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours), None,
        (PayerUse(payer),), (), {"kwh": kwh},
    )  # fmt: skip


def books(batches: list[list[Usage]], closes: int = 1) -> dict[tuple[str, str], str]:
    """Balances by role and owner after charging ``batches`` and closing."""
    with open_engine(":memory:") as engine:
        engine.apply(catalog())
        for batch in batches:
            engine.charge(batch)
        for _ in range(closes):
            engine.close_period()
        accounts = engine.books.accounts()
        assert sum(int(a.posted.replace(".", "")) for a in accounts) == 0
        return {(a.role, a.owner): a.posted for a in accounts}


RECORDS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), st.decimals("0.001", "9.999", places=3).map(str), st.integers(0, 700)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.randoms(use_true_random=False))
def test_order_batches_and_repetition_change_nothing_after_close(rows, chance: random.Random):
    records = [usage(n, *row) for n, row in enumerate(rows)]
    straight = books([records])
    again = records + chance.sample(records, len(records) // 2)
    chance.shuffle(again)
    cuts = sorted(chance.sample(range(len(again)), min(2, len(again) - 1)))
    pieces = [again[a:b] for a, b in zip([0, *cuts], [*cuts, len(again)], strict=True)]
    assert books([piece for piece in pieces if piece]) == straight
    assert books([records], closes=3) == straight


def test_a_month_is_billed_by_its_total_and_its_own_fees():
    """30 kWh: 10 × 0.3333 + 15 × 0.21 + 5 × 0.1111111111 = 7.0385555555, + 3.99 meter = 11.0285555555; 7.5 % tax."""
    records = [usage(n, "ann", "6", n * 24) for n in range(5)]
    end = books([records[::-1]])
    assert end[("provider", "wire")] == "2.000000000"  # 30 × 1/30 + 1 connection
    assert end[("provider", "sun")] == "1.800000000"  # 15 × 0.07 + 15 × 0.05
    assert end[("platform", "fees")] == "7.228555556"  # what is left of 11.028555556
    payer, tax = end[("payer", "ann")], end[("tax", "vat@7.5")]
    assert tax == "0.827141667"  # 7.5 % of each rounded base, record by record
    assert payer == "-11.855697223"


def test_what_was_given_back_earlier_than_it_was_used_does_not_stop_a_close():
    """The refund bears an earlier time than the use; the month counts 6 kWh."""
    end = books([[usage(1, "ann", "9", 5), usage(2, "ann", "-3", 1)]])
    assert end[("provider", "wire")] == "1.200000000" and end[("provider", "sun")] == "0.420000000"
    assert end == books([[usage(1, "ann", "9", 5)], [usage(2, "ann", "-3", 1)]])


def test_the_cap_of_the_period_gives_back_what_exceeds_it():
    """60 kWh would cost 6.48 + 35 × 0.1111111111 + 3.99 = 14.3588888885; the month is capped at 12."""
    end = books([[usage(n, "ann", "6", n * 24) for n in range(10)]])
    assert end[("provider", "wire")] == "3.000000000"
    assert end[("provider", "sun")] == "3.300000000"
    assert end[("platform", "fees")] == "5.700000000"
    assert end[("payer", "ann")] == "-12.900000000"
