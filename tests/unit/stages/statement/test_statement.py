"""Composing and rendering: refunds, several taxes, shared uses, words and formula-safe CSV."""

from __future__ import annotations

from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge, Portion, PriceLine, Share, TaxLine
from apportion.model.journal import UsageLine
from apportion.model.party import Provider
from apportion.model.statement import Received, Seal, Statement
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PayerUse
from apportion.money import Asset
from apportion.stages.statement import (
    Heading,
    PayerTally,
    ProviderTally,
    Words,
    as_csv,
    as_text,
    compose_remittance,
    compose_statement,
    decimals,
    grouped,
    price_of,
    quantity,
    span,
)
from apportion.stages.statement.render import tame

USD = Asset("USD", 9)
SEAL = Seal(7, "ab" * 32, "2026-11-20T06:00:00.000000Z", "cd" * 64, "ef" * 32)
HEADING = Heading(
    "stm_1", "S-000001", "acct_00001", "pty_00001", "Ada", "power", "2026-10", "2026-09-30T22:00:00Z",
    "2026-10-31T23:00:00Z", "Europe/Berlin", "2026-11-20T06:00:00.000000Z", SEAL,
)  # fmt: skip
CATALOG = Catalog(
    providers={"sun": Provider("sun", "Sunny Side", invented=True)},
    services={
        "power": Service("power", "retail", {"source": Part("sun")}, name="electricity", measures={"kwh": "kWh"})
    },
    tariffs={
        "retail": Tariff(
            id="retail",
            currency="USD",
            taxes={"vat": "25"},
            tax="vat",
            components=(
                Unit(name="by-day", measure="kwh", price="0.20"),
                Unit(name="at-night", measure="kwh", price="0.1"),
            ),
        )
    },
)
WORDS = Words(CATALOG)


def charge(net: str, tax: str, lines: list[tuple[str, str, str]], shares: dict[str, str]) -> Charge:
    total = f"{int(net.replace('.', '')) + int(tax.replace('.', '')):010}"
    return Charge(
        "chg_1", "usg_1", "power", "2026-10-05T12:00:00Z", "USD", "retail", "cat_1", "wholesale", net, net,
        f"{total[:-9]}.{total[-9:]}", "0.000000000",
        lines=tuple(PriceLine(name, "kwh", kwh, "0.20", exact) for name, kwh, exact in lines),
        portions=(Portion("source", "sun", "acct_00009", "1/3", "0.333333333", "retail"),),
        shares=tuple(Share(account, amount) for account, amount in shares.items()),
        taxes=(TaxLine("vat", "25", net, tax),),
    )  # fmt: skip


def used(*payers: str) -> UsageLine:
    payers_used = tuple(PayerUse(payer) for payer in payers)
    return msgspec_usage(payers_used)


def msgspec_usage(payers: tuple[PayerUse, ...]) -> UsageLine:
    fields = {"source": "m", "service": "power", "start": "2026-10-05T12:00:00Z", "state": "charged", "digest": "00"}
    return UsageLine(id="usg_1", key="1", payers=payers, **fields)  # type: ignore[arg-type]


def tally(*charges: tuple[Charge, tuple[str, ...]]) -> PayerTally:
    found = PayerTally(USD)
    for one, payers in charges:
        mine = next(share for share in one.shares if share.account == "acct_00001")
        found.add(one, used(*payers), mine, WORDS)
    return found


def test_a_statement_with_one_charge() -> None:
    one = charge("1.234567890", "0.308641973", [("by-day", "6", "1.2"), ("at-night", "0.5", "0.03456789")],
                 {"acct_00001": "1.543209863"})  # fmt: skip
    found = tally((one, ("acct_00001",)))
    found.receive(Received("2026-11-02T09:00:00Z", "topup", "20.000000000", "top_1"))
    statement = compose_statement(HEADING, found).statement
    assert (statement.total, statement.net, statement.tax) == ("1.54", "1.23", "0.31")
    assert statement.residue_out == "0.003209863"
    assert (statement.brought, statement.payments, statement.balance, statement.due) == (
        "0.00",
        "20.00",
        "18.46",
        "0.00",
    )
    section = statement.sections[0]
    assert [(item.label, item.net, item.tax, item.quantity, item.unit) for item in section.items] == [
        ("By day", "1.20", "0.30", "6", "kWh"),
        ("At night", "0.03", "0.01", "0.5", "kWh"),
    ]
    assert [(took.part, took.name, took.invented) for took in section.providers] == [("source", "Sunny Side", True)]


def test_tax_moves_to_what_was_stated() -> None:
    one = charge("1.234567890", "0.308641973", [("by-day", "6", "1.23456789")], {"acct_00001": "1.543209863"})
    stated = compose_statement(HEADING, tally((one, ("acct_00001",))))
    assert stated.tax_moved == ((("vat", "25"), 310_000_000 - 308_641_973),)


def test_a_refund_beside_charges_keeps_signs() -> None:
    more = charge("1.004000000", "0.251000000", [("by-day", "5", "1.004")], {"acct_00001": "1.255000000"})
    less = charge("-0.804000000", "-0.201000000", [("at-night", "-8", "-0.804")], {"acct_00001": "-1.005000000"})
    statement = compose_statement(HEADING, tally((more, ("acct_00001",)), (less, ("acct_00001",)))).statement
    assert statement.total == "0.25"
    assert [(item.label, item.net) for item in statement.sections[0].items] == [
        ("By day", "1.00"),
        ("At night", "-0.80"),
    ]


def test_a_statement_of_refunds_alone() -> None:
    less = charge("-0.804000000", "-0.201000000", [("at-night", "-8", "-0.804")], {"acct_00001": "-1.005000000"})
    statement = compose_statement(HEADING, tally((less, ("acct_00001",)))).statement
    assert (statement.total, statement.due, statement.residue_out) == ("-1.00", "0.00", "-0.005000000")


def test_shared_uses_bear_a_part_and_say_so() -> None:
    one = charge("2.000000000", "0.500000000", [("by-day", "10", "2")],
                 {"acct_00001": "1.666666667", "acct_00002": "0.833333333"})  # fmt: skip
    statement = compose_statement(HEADING, tally((one, ("acct_00001", "acct_00002")))).statement
    item = statement.sections[0].items[0]
    assert (statement.total, item.quantity, item.shared) == ("1.67", "10", 1)


def test_what_a_forerunner_left_is_carried_in() -> None:
    heading = Heading(
        **{name: getattr(HEADING, name) for name in HEADING.__struct_fields__[:-1]}, before=(-4, 4_000_000)
    )
    one = charge("0.010000000", "0.002500000", [("by-day", "1", "0.01")], {"acct_00001": "0.012500000"})
    statement = compose_statement(heading, tally((one, ("acct_00001",)))).statement
    assert (statement.total, statement.residue_in, statement.residue_out) == ("0.02", "0.004000000", "-0.003500000")


def test_text_fits_80_columns_and_hides_what_providers_earn() -> None:
    one = charge("1.234567890", "0.308641973", [("by-day", "6", "1.23456789")], {"acct_00001": "1.543209863"})
    text = as_text(compose_statement(HEADING, tally((one, ("acct_00001",)))).statement)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "1 to 31 October 2026" in text and "0.333333333" not in text and "VAT 25 %" in text


def test_remittance_rounds_once_and_keeps_the_exact_dues() -> None:
    found = ProviderTally(USD)
    for _ in range(4):
        found.add(charge("1.000000000", "0.250000000", [], {"acct_00001": "1.250000000"}), 0, WORDS)
    remittance = compose_remittance(HEADING, found)
    assert (remittance.exact, remittance.credited, remittance.total) == ("4/3", "1.333333332", "1.33")
    assert remittance.residue_out == "0.003333332"
    text = as_text(remittance)
    assert "exact 1.333333333333…" in text and max(map(len, text.splitlines())) <= 80


def test_csv_runs_nowhere() -> None:
    assert tame("=1+1") == "'=1+1" and tame("@x") == "'@x" and tame("-cmd") == "'-cmd"
    assert tame("-0.50") == "-0.50" and tame("plain") == "plain"
    one = charge("-0.804000000", "-0.201000000", [("at-night", "-8", "-0.804")], {"acct_00001": "-1.005000000"})
    statement = compose_statement(HEADING, tally((one, ("acct_00001",)))).statement
    header, line = as_csv(statement).splitlines()
    assert header.count(",") == line.count(",") and "-1.00" in line


def test_numbers_for_people() -> None:
    assert grouped("-1234567.50") == "−1,234,567.50" and grouped("0.05") == "0.05"
    assert quantity("12107", "s") == "3:21:47 h" and quantity("93621", "token") == "93,621 tokens"
    assert quantity("41.0881", "m3") == "41.088 m³" and quantity("1", "call") == "1 call"
    assert decimals("23/7500") == "0.003066666667…" and decimals("14.87515") == "14.87515"
    assert span("2016-08-01T07:00:00Z", "2016-09-01T07:00:00Z", "America/Los_Angeles") == "1 to 31 August 2016"
    assert (
        span("2016-08-14T22:00:00Z", "2016-09-14T22:00:00Z", "Europe/Berlin") == "15 August 2016 to 14 September 2016"
    )


def test_units_follow_a_conversion() -> None:
    unit = Unit(name="delivered", measure="bytes", convert="1/1000000000", price="0.06")
    terms = Tariff(id="cdn", currency="USD", components=(unit,))
    service = Service("v", "cdn", {}, measures={"bytes": "B"})
    words = Words(Catalog(services={"v": service}, tariffs={"cdn": terms}))
    assert words.component("v", "cdn", "delivered", "bytes").unit == "GB"


def test_prices_say_their_unit() -> None:
    one = charge("1.000000000", "0.250000000", [("by-day", "5", "1")], {"acct_00001": "1.250000000"})
    statement = compose_statement(HEADING, tally((one, ("acct_00001",)))).statement
    assert isinstance(statement, Statement) and price_of(statement.sections[0].items[0]) == "0.20 / kWh"
