"""Tariffs that contradict themselves are told everything at once, with the field; none of them crashes."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apportion.errors import RefusalCode, Refused
from apportion.model.tariff import Unit, Use
from apportion.model.tariff_check import check
from apportion.money import Exact
from apportion.stages.rate import compile_tariff
from tests.tariffs import read_tariff

UNIT = {"kind": "unit", "name": "c", "measure": "n", "price": "1"}
TIERS = [{"up_to": "10", "price": "1"}, {"price": "2"}]


def fields(component: dict[str, Any] | None = None, **header: Any) -> set[str]:
    components = [UNIT] if component is None else [{"name": "c", "measure": "n", **component}]
    found = check(read_tariff({"id": "t", "currency": "EUR", "components": components, **header}))
    assert all(f.code is RefusalCode.CATALOG_INVALID and f.message and f.where == "tariff t" for f in found)
    return {f.field for f in found}


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ({"id": ""}, "id"),
        ({"currency": "euro"}, "currency"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"components": []}, "components"),
        ({"components": [UNIT, UNIT]}, "components[1].name"),
        ({"tax": "vat"}, "tax"),
        ({"taxes": {"vat": "-1"}}, "taxes.vat"),
        ({"taxes": {"a/b": "1"}}, "taxes.a/b"),
        ({"bands": {"other": {"days": ["mon"]}}}, "bands.other"),
        ({"bands": {"x": {}}}, "bands.x"),
        ({"bands": {"x": {"times": ["8-20"]}}}, "bands.x"),
        ({"bands": {"x": {"times": ["24:01-25:00"]}}}, "bands.x"),
        ({"bands": {"x": {"times": ["08:00-08:00"]}}}, "bands.x"),
        ({"bands": {"x": {"days": ["monday"]}}}, "bands.x"),
        ({"bands": {"x": {"seasons": ["13-01..14-01"]}}}, "bands.x"),
        ({"bands": {"x": {"dates": ["2026-12-26..2026-12-24"]}}}, "bands.x"),
        ({"rounding": {"at": "line"}}, "rounding.decimals"),
        ({"rounding": {"decimals": 19}}, "rounding.decimals"),
        ({"minimum": "2", "maximum": "1"}, "maximum"),
        ({"period_minimum": "-1"}, "period_minimum"),
        ({"valid_from": "tomorrow"}, "valid_from"),
        ({"valid_from": "2026-02-01", "valid_until": "2026-01-01"}, "valid_until"),
        ({"deck": {"by": "called", "rows": [{"key": "1"}]}}, "deck"),
    ],
)
def test_headers(header: dict[str, Any], field: str) -> None:
    assert field in {
        f.field for f in check(read_tariff({"id": "t", "currency": "EUR", "components": [UNIT], **header}))
    }


@pytest.mark.parametrize(
    ("component", "field"),
    [
        ({"kind": "unit"}, "price"),
        ({"kind": "unit", "price": "-1"}, "price"),
        ({"kind": "unit", "price": "one"}, "price"),
        ({"kind": "unit", "price": "1", "per": "0"}, "per"),
        ({"kind": "unit", "price": "1", "convert": "0"}, "convert"),
        ({"kind": "unit", "price": "1", "step": "0"}, "step"),
        ({"kind": "unit", "price": "1", "first": "30"}, "first"),
        ({"kind": "unit", "price": "1", "measure": ""}, "measure"),
        ({"kind": "unit", "price": "1", "name": "a/b"}, "name"),
        ({"kind": "unit", "price": "1", "tax": "vat"}, "tax"),
        ({"kind": "unit", "price": "1", "when": ["night"]}, "when"),
        ({"kind": "unit", "price": "1", "when": ["other"]}, "when"),
        ({"kind": "unit", "price": "1", "minimum": "3", "maximum": "2"}, "maximum"),
        ({"kind": "flat", "price": "1", "scope": "period"}, "scope"),
        ({"kind": "package", "price": "1", "size": "0"}, "size"),
        ({"kind": "percentage", "rate": "x"}, "rate"),
        ({"kind": "percentage", "rate": "1", "free_events": -1}, "free_events"),
        ({"kind": "graduated", "tiers": []}, "tiers"),
        ({"kind": "graduated", "tiers": [{"up_to": "1"}]}, "tiers[0].up_to"),
        ({"kind": "graduated", "tiers": [{"price": "1"}, {"price": "2"}]}, "tiers[0].up_to"),
        ({"kind": "volume", "tiers": [{"up_to": "5"}, {"up_to": "5"}, {}]}, "tiers[1].up_to"),
        ({"kind": "volume", "tiers": [{"up_to": "5", "step": "1"}, {}]}, "tiers"),
        ({"kind": "graduated", "tiers": [{"up_to": "5", "step": "2"}, {"step": "1"}]}, "tiers[0].up_to"),
        ({"kind": "graduated", "tiers": [{"up_to": "5", "step": "1"}, {}]}, "tiers[1].step"),
        ({"kind": "graduated", "step": "1", "tiers": [{"up_to": "5", "step": "1"}, {"step": "1"}]}, "tiers"),
        ({"kind": "graduated-percentage", "tiers": [{"rate": "-1"}]}, "tiers[0].rate"),
        ({"kind": "demand"}, "price"),
        ({"kind": "demand", "price": "1", "tiers": TIERS}, "price"),
    ],
)
def test_components(component: dict[str, Any], field: str) -> None:
    assert f"components[0].{field}" in fields(component)


def test_everything_at_once() -> None:
    assert fields({"kind": "unit", "price": "-1", "per": "0", "step": "x"}, currency="?", zone="?") == {
        "currency",
        "zone",
        "components[0].price",
        "components[0].per",
        "components[0].step",
    }


def test_rounding_increments_needs_increments() -> None:
    rule = {"at": "increment", "decimals": 2}
    assert "components[0].step" in fields({"kind": "unit", "price": "1"}, rounding=rule)
    assert "components[0].step" in fields({"kind": "unit", "price": "1", "step": "1", "scope": "period"}, rounding=rule)
    assert not fields({"kind": "unit", "price": "1", "step": "1"}, rounding=rule)


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "deck.rows"),
        ([{"key": "45"}, {"key": "+45"}], "deck.rows[1].key"),
        ([{"key": "4 5"}], "deck.rows[0].key"),
        ([{"key": "45", "price": "1."}], "deck.rows[0].price"),
        ([{"key": "45", "price": "."}], "deck.rows[0].price"),
        ([{"key": "45", "price": "-1"}], "deck.rows[0].price"),
        ([{"key": "45", "price": "1", "step": "0.0"}], "deck.rows[0].step"),
        ([{"key": "45", "price": "1", "first": "30"}], "deck.rows[0].first"),
        ([{"key": "45", "prices": {"nobody": "1"}}], "deck.rows[0].prices.nobody"),
        ([{"key": "45", "valid_from": "01/02/2026"}], "deck.rows[0].valid_from"),
    ],
)
def test_decks(rows: list[dict[str, Any]], field: str) -> None:
    assert field in fields({"kind": "unit"}, deck={"by": "called", "rows": rows})


def test_numbers_may_be_numbers_but_never_binary_ones() -> None:
    plain = {"id": "t", "currency": "EUR", "components": [{**UNIT, "price": Decimal("1E-7"), "per": 60}]}
    component = read_tariff(plain).components[0]
    assert isinstance(component, Unit) and (component.price, component.per) == ("0.0000001", "60")
    for wrong in (0.1, True, None, Decimal("NaN"), Decimal("Infinity"), [1]):
        with pytest.raises(Refused) as error:
            tariff = read_tariff({**plain, "components": [{**UNIT, "price": wrong}]})
            raise Refused(check(tariff)[0])
        assert error.value.refusal.field == "components[0].price"


@pytest.mark.parametrize("plain", [None, [], "x", 3, {}, {"id": "t", "currency": "EUR", "components": [{"kind": "?"}]}])
def test_what_is_no_tariff_is_refused(plain: object) -> None:
    with pytest.raises(Refused) as error:
        read_tariff(plain)
    assert error.value.refusal.code is RefusalCode.CATALOG_INVALID


ODD = st.sampled_from(
    ["", "0", "1", "-1", "0.5", "1/3", "1/0", "1e30", "9" * 40, "x", " 1", "٣", "other", "night", "2026-01-01", "24:00"]
)
KINDS = ["flat", "unit", "graduated", "volume", "package", "percentage", "graduated-percentage", "demand"]
COMPONENT = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "name": st.sampled_from(["a", "b", ""]),
        "measure": st.sampled_from(["n", "s", ""]),
    },
    optional={
        **dict.fromkeys(
            ("price", "per", "step", "first", "free", "size", "rate", "fixed", "convert", "minimum", "maximum"), ODD
        ),
        "scope": st.sampled_from(["charge", "period"]),
        "when": st.lists(st.sampled_from(["night", "other"]), max_size=2),
        "tiers": st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(("up_to", "price", "step", "rate"), ODD)), max_size=3
        ),
        "time": st.booleans(),
        "averaged": st.booleans(),
        "valid_from": ODD,
    },
)
HEADER = st.fixed_dictionaries(
    {},
    optional={
        "bands": st.fixed_dictionaries({"night": st.fixed_dictionaries({"times": st.lists(ODD, max_size=1)})}),
        "rounding": st.fixed_dictionaries(
            {"at": st.sampled_from(["charge", "line", "increment"]), "decimals": st.integers(-1, 4)}
        ),
        "minimum": ODD,
        "period_maximum": ODD,
        "step_at_end": st.booleans(),
        "deck": st.fixed_dictionaries(
            {
                "by": st.just("k"),
                "rows": st.lists(st.fixed_dictionaries({"key": ODD}, optional={"price": ODD, "first": ODD})),
            }
        ),
    },
)
AMOUNT = st.sampled_from([Exact(0), Exact(1), Exact(-1), Exact(7, 3), Exact(10**40), Exact(1, 10**30)])


@settings(max_examples=400, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(COMPONENT, max_size=3), HEADER, AMOUNT, AMOUNT, st.sampled_from([None, 0, 1, 10**6]))
def test_a_checked_tariff_prices_or_refuses_every_use(
    components: list[dict[str, Any]], header: dict[str, Any], n: Exact, s: Exact, lasting: int | None
) -> None:
    try:
        tariff = read_tariff({"id": "t", "currency": "EUR", "components": components, **header})
    except Refused:
        return
    if check(tariff):
        return
    pricer = compile_tariff(tariff)
    start = datetime(2026, 11, 20, tzinfo=UTC)
    end = None if lasting is None else start.fromtimestamp(start.timestamp() + lasting, UTC)
    use = Use(start, end, {"n": n, "s": s}, {"k": "1"})
    with contextlib.suppress(Refused):
        priced = pricer.price(use, {}, "p")
        assert all(line.exact for line in priced.lines) and priced.taxes == ()
        pricer.period_charge(priced.totals, "p")


@settings(max_examples=400, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_components_that_pass_the_check_price(kind: str, data: st.DataObject) -> None:
    """The same with fields that fit the kind, so that most tariffs do pass."""
    good = st.sampled_from(["1", "2", "0.5", "1/3"])
    tiers = [{"up_to": "2"}, {}]
    by_kind: dict[str, dict[str, Any]] = {
        "flat": {"price": good},
        "unit": {"price": good},
        "graduated": {"tiers": st.just(tiers)},
        "volume": {"tiers": st.just(tiers)},
        "package": {"price": good, "size": good},
        "percentage": {"rate": good},
        "graduated-percentage": {"tiers": st.just(tiers)},
        "demand": {"price": good},
    }
    extra: dict[str, Any] = {"when": st.just(["night"])}
    if kind not in ("flat", "percentage", "graduated-percentage"):
        extra |= {"step": good, "convert": good, "free": good, "minimum": st.just("1")}
    component = data.draw(st.fixed_dictionaries(by_kind[kind], optional=extra))
    header = {"bands": {"night": {"times": ["22:00-06:00"]}}, "step_at_end": data.draw(st.booleans())}
    tariff = read_tariff(
        {
            "id": "t",
            "currency": "EUR",
            "components": [{"kind": kind, "name": "c", "measure": "n", **component}],
            **header,
        }
    )
    assert check(tariff) == []
    start = datetime(2026, 11, 20, 21, tzinfo=UTC)
    use = Use(start, data.draw(st.sampled_from([None, start, start.replace(hour=23)])), {"n": data.draw(AMOUNT)}, {})
    with contextlib.suppress(Refused):
        assert compile_tariff(tariff).price(use, {}, "p").exact >= Exact(0) or use.quantities["n"] < Exact(0)
