"""The largest quantity that an amount pays for, in whole steps, under every kind of price."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apportion.errors import RefusalCode, Refused
from apportion.model.tariff import Use
from apportion.model.tariff_check import check
from apportion.money import Exact, Money, parse_asset
from apportion.stages.rate import Pricer, affordable, compile_tariff, grantable
from tests.tariffs import read_tariff

EUR = parse_asset("EUR/4")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def tariff(components: str, header: str = "") -> Pricer:
    text = f'id = "t"\ncurrency = "EUR"\n{header}\n{components}'
    found = read_tariff(tomllib.loads(text, parse_float=Decimal))
    assert check(found) == []
    return compile_tariff(found)


def pays(pricer: Pricer, amount: str, totals: dict[str, Exact] | None = None, start: datetime = NOON) -> str:
    found = affordable(pricer, Money.parse(amount, EUR), Use(start, None, {}, {}), "n", totals or {}, "p")
    return "no limit" if found is None else found.text()


def unit(extra: str = "", price: str = "0.06") -> str:
    return f'[[components]]\nkind = "unit"\nname = "c"\nmeasure = "n"\nprice = {price}\n{extra}\n'


FEE = '[[components]]\nkind = "flat"\nname = "fee"\nprice = 1\n'
LADDER = (
    '[[components]]\nkind = "{kind}"\nname = "c"\nmeasure = "n"\n'
    "tiers = [{{up_to = 10, price = 5}}, {{up_to = 20, price = 2}}, {{price = 1}}]\n{extra}"
)


@pytest.mark.parametrize(
    ("component", "amount", "quantity"),
    [
        (unit(), "1", "16"),  # 0.96, and 17 would be 1.02
        (unit(), "0.0599", "0"),
        (unit("step = 0.1"), "1", "16.6"),
        (unit("first = 30\nstep = 6", "0.01"), "0.30", "30"),
        (unit("first = 30\nstep = 6", "0.01"), "0.299", "0"),
        (unit("first = 30\nstep = 6", "0.01"), "0.41", "36"),
        (unit("per = 60\nstep = 60", "0.01"), "0.05", "300"),
        (unit("free = 5", "1"), "2", "7"),
        (unit('convert = "1/1000"\nstep = 1', "2"), "7", "3000"),
        (FEE + unit(), "1.05", "0"),
        (FEE + unit(), "1.06", "1"),
        (unit(price="0"), "1", "no limit"),
        (unit("maximum = 3", "1"), "2.99", "2"),
        (unit("maximum = 3", "1"), "3", "no limit"),
        (LADDER.format(kind="graduated", extra=""), "60", "15"),  # 10 × 5 + 5 × 2
        (LADDER.format(kind="graduated", extra="free = 2"), "60", "17"),
        (LADDER.format(kind="volume", extra=""), "19", "3"),
        (LADDER.format(kind="volume", extra=""), "20", "4"),
        (LADDER.format(kind="volume", extra=""), "22", "22"),  # 11 × 2 in the second tier, but 22 × 1 in the third
        (LADDER.format(kind="volume", extra="step = 4"), "24", "24"),  # 24 × 1, while 12 × 2 pays too
        ('[[components]]\nkind = "package"\nname = "c"\nmeasure = "n"\nsize = 100\nprice = 4\n', "9", "200"),
        ('[[components]]\nkind = "percentage"\nname = "c"\nmeasure = "n"\nrate = 2\nfixed = 1\n', "3", "100"),
    ],
)
def test_the_largest_quantity(component: str, amount: str, quantity: str) -> None:
    assert pays(tariff(component), amount) == quantity


def test_what_can_be_granted_is_paid_for_all_the_way() -> None:
    pricer, use = tariff(LADDER.format(kind="volume", extra="")), Use(NOON, None, {}, {})

    def granted(amount: str) -> str:
        found = grantable(pricer, Money.parse(amount, EUR), use, "n")
        return "no limit" if found is None else found.text()

    assert granted("22") == "4"  # 22 are affordable, but 5 to 10 would not be
    assert granted("49") == "9"
    assert granted("50") == "50"  # the dearest on the way, 10 × 5, is paid for
    assert granted("60") == "60"


def test_the_total_with_tax_has_to_fit() -> None:
    taxed = tariff(unit('tax = "vat"', "1"), "taxes = {vat = 25}")
    assert pays(taxed, "10") == "8"
    included = tariff(unit('tax = "vat"', "1"), "tax_included = true\ntaxes = {vat = 25}")
    assert pays(included, "10") == "10"


def test_running_totals_come_before() -> None:
    graduated = tariff(LADDER.format(kind="graduated", extra='scope = "period"'))
    assert pays(graduated, "12", {"t/c@p": Exact(8)}) == "3"  # 2 × 5 + 1 × 2
    volume = tariff(LADDER.format(kind="volume", extra='scope = "period"'))
    # 8 used cost 40; from 41 in all on, the total at 1 each is more than before: 8 + n ≤ 40 + 6
    assert pays(volume, "6", {"t/c@p": Exact(8)}) == "38"


def test_fees_before_the_first_unit_are_refused_when_not_paid() -> None:
    with pytest.raises(Refused) as error:
        pays(tariff(FEE + unit()), "0.99")
    assert error.value.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    with pytest.raises(Refused) as error:
        affordable(tariff(unit()), Money.parse("1", parse_asset("USD")), Use(NOON, None, {}, {}), "n")
    assert error.value.refusal.code is RefusalCode.ASSET_MISMATCH


def test_time_moves_the_end_across_the_bands() -> None:
    bands = "".join(
        f'[[components]]\nkind = "unit"\nname = "{band}"\nmeasure = "n"\ntime = true\n'
        f'price = {price}\nwhen = ["{band}"]\n'
        for band, price in (("other", "0.02"), ("evening", "0.01"))
    )
    pricer = tariff(bands, 'bands.evening = {times = ["18:00-24:00"]}')
    start = datetime(2026, 11, 20, 17, 59, tzinfo=UTC)
    assert pays(pricer, "1.2", start=start) == "60"
    assert pays(pricer, "1.25", start=start) == "65"
    # 60 × 0.02 + 6 h × 0.01 = 217.2, then 0.02 a second again
    assert pays(pricer, "217.24", start=start) == str(60 + 6 * 3600 + 2)


def test_the_step_at_the_end_can_make_longer_cheaper() -> None:
    bands = "".join(
        f'[[components]]\nkind = "unit"\nname = "{band}"\nmeasure = "n"\ntime = true\nper = 60\nprice = {price}\n'
        f'when = ["{band}"]\nstep = {step}\n'
        for band, price, step in (("other", "0.02", 1800), ("evening", "0.04", 900))
    )
    pricer = tariff(bands, 'bands.evening = {times = ["17:00-24:00"]}\nstep_at_end = true')
    start = datetime(2026, 11, 20, 16, 55, tzinfo=UTC)
    # ending by day costs half an hour, 0.60; ending in the evening 5 × 0.02 + 10 × 0.04 = 0.50 for 15 minutes
    assert pays(pricer, "0.5", start=start) == "900"


def test_amounts_of_any_size_end() -> None:
    assert pays(tariff(unit(price="0.000000000000000000000000000001")), "1") == "no limit"
    assert pays(tariff(unit(price="9999999999999999999")), "1") == "0"
    assert pays(tariff(unit(price="0.0001")), "900000000000000") == "9000000000000000000"
