"""Conversions in the books: at the rate in force, given back at the same rate, on a statement, settled, and proved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction

import msgspec
import pytest

from apportion.adapters.bank import SepaBank
from apportion.engine import billing
from apportion.engine.reconciling.door import ReconcileInput
from apportion.engine.reconciling.door import run as reconcile
from apportion.engine.rerating.door import RerateInput
from apportion.engine.rerating.door import run as rerate
from apportion.engine.settling.run import settle
from apportion.engine.statements.apart import credit_note
from apportion.engine.verbs import Call
from apportion.errors import RefusalCode, Refused
from apportion.model.agreement import Agreement
from apportion.model.correction import Correct, Resplit
from apportion.model.dispute import DecideDispute, OpenDispute
from apportion.model.funding import Alternate
from apportion.model.party import Payer, UnknownPayers
from apportion.model.profile import Billing
from apportion.model.settlement import Mode
from apportion.model.statement import Statement
from apportion.model.tariff import Unit
from apportion.stages.statement import as_text
from tests.adjusting import OPERATOR
from tests.currencies import NOON, Cinema, catalog, film
from tests.forging import exported, rehash, verified

replace = msgspec.structs.replace


@pytest.fixture
def cinema() -> Iterator[Cinema]:
    books = Cinema()
    yield books
    books.engine.close()


def fraction(cinema: Cinema, owner: str, currency: str) -> Fraction:
    return cinema.balances()[owner, currency]


def test_each_is_charged_and_credited_in_its_own_currency(cinema: Cinema) -> None:
    outcome = cinema.charge(film(1, "eva"))[0]
    assert outcome.refusal is None
    total = (1 + 97 * Fraction("0.07")) * Fraction("1.077")
    assert fraction(cinema, "eva", "EUR") == 1000 - total * Fraction("0.92")
    assert fraction(cinema, "toho", "JPY") == 97 * Fraction("3.3")
    assert round(fraction(cinema, "wire", "EUR"), 9) == round(97 * Fraction("0.01") / 7, 9)
    assert cinema.charge(film(1, "eva"))[0].state.value == "duplicate"
    share = cinema.charges()[0].shares[0]
    assert share.converted is not None and share.amount == "8.389830000"
    assert (share.converted.rate, share.converted.base, share.converted.source) == ("0.92", "USD", "ECB")
    kinds = [(entry.kind, entry.asset) for entry in cinema.entries() if entry.cause == outcome.id]
    assert kinds == [("charge", "USD/9"), ("conversion", "EUR/9"), ("conversion", "JPY/6")]
    assert cinema.engine.books.record(outcome.id).entry is not None
    assert cinema.verify().findings == []


def test_value_may_come_before_the_first_use_in_a_currency() -> None:
    agreed = Agreement("ada-film", "film", tariff="film", payer="ada", billing=Billing(currency="GBP"))
    cinema = Cinema(given=catalog(agreements={"ada-film": agreed}))
    cinema.engine.top_up("ada", "50", "GBP", "t1")
    with pytest.raises(Refused):
        cinema.engine.top_up("ada", "50", "JPY", "t2")
    assert fraction(cinema, "ada", "GBP") == 50


def test_the_rate_is_that_of_the_use(cinema: Cinema) -> None:
    cinema.charge(film(1, "eva"), film(2, "eva", at=NOON + timedelta(days=1)))
    paid = [charge.shares[0].converted for charge in cinema.charges()]
    assert [one.rate for one in paid if one is not None] == ["0.92", "0.95"]
    early = cinema.charge(film(3, "eva", at=NOON - timedelta(days=2)))[0].refusal
    assert early is not None and early.code is RefusalCode.NO_RATE and early.field == "rates"


def test_an_agreement_says_in_which_currency_one_is_charged() -> None:
    agreed = Agreement("ada-film", "film", tariff="film", payer="ada", billing=Billing(currency="GBP"))
    cinema = Cinema(given=catalog(agreements={"ada-film": agreed}))
    short = cinema.charge(film(1, "ada"))[0].refusal  # no value on that account yet
    assert short is not None and short.code is RefusalCode.INSUFFICIENT_FUNDS
    cinema.engine.top_up("ada", "50", "GBP", "t1")
    assert cinema.charge(film(2, "ada"))[0].refusal is None
    assert fraction(cinema, "ada", "GBP") < 50 and fraction(cinema, "ada", "USD") == 1000
    assert cinema.verify().findings == []


def test_unknown_payers_are_opened_in_their_currency_and_may_draw_on_credit() -> None:
    cinema = Cinema(given=catalog(unknown_payers=UnknownPayers("GBP", credit="5")))
    assert cinema.charge(film(1, "new", minutes="10"))[0].refusal is None
    assert -5 < fraction(cinema, "new", "GBP") < 0
    short = cinema.charge(film(2, "new", minutes="200"))[0]
    assert short.refusal is not None and short.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    assert cinema.verify().findings == []


def test_what_is_given_back_goes_back_at_its_own_rate_and_nothing_stays(cinema: Cinema) -> None:
    cinema.charge(film(1, "ada=1", "eva=2", "gil=1/3"))
    before = cinema.balances()
    made = cinema.charge(film(2, "ada=1", "eva=2", "gil=1/3"))[0]
    for number, amount in enumerate(("0.000000001", "1.333333333", "0.77", "")):
        outcome = cinema.tell(Correct(charge=made.id, reference=f"r{number}", amount=amount))
        assert outcome.refusal is None
    now = cinema.balances()
    assert {key: now[key] - before[key] for key in before if now[key] != before[key]} == {}
    assert cinema.verify().findings == []


def test_a_share_can_move_to_a_provider_of_another_currency(cinema: Cinema) -> None:
    made = cinema.charge(film(1, "eva"))[0]
    had = fraction(cinema, "toho", "JPY")
    command = Resplit(charge=made.id, reference="r1", part="studio", provider="toho", amount="0.64", against="")
    assert cinema.tell(command).refusal is None
    assert fraction(cinema, "toho", "JPY") == had + 100
    assert cinema.verify().findings == []


def test_a_dispute_is_decided_in_each_currency(cinema: Cinema) -> None:
    before = cinema.balances()
    made = cinema.charge(film(1, "eva"))[0]
    opened = cinema.tell(OpenDispute(charge=made.id, reference="d1", payer="eva"))
    assert opened.refusal is None and cinema.verify().findings == []
    assert cinema.tell(DecideDispute(id=opened.id)).refusal is None
    now = cinema.balances()
    assert {key: amount for key, amount in now.items() if amount != before.get(key, 0)} == {}
    made = cinema.charge(film(2, "eva"))[0]
    command = OpenDispute(
        charge=made.id, reference="d2", provider="toho", part="studio", against="host", amount="0.32"
    )  # fmt: skip
    opened = cinema.tell(command)
    assert opened.refusal is None and cinema.tell(DecideDispute(id=opened.id)).refusal is None
    assert fraction(cinema, "toho", "JPY") == 97 * Fraction("3.3") + 50
    assert cinema.verify().findings == []


def test_a_wrong_price_is_put_right_in_each_currency(cinema: Cinema) -> None:
    cinema.charge(film(1, "eva"), film(2, "ada", "gil"))
    base = catalog()
    dearer = replace(base.tariffs["studio"], components=(Unit(name="licence", measure="minutes", price="3.5"),))
    cheaper = replace(base.tariffs["film"], components=(Unit(name="watch", measure="minutes", price="0.07"),))
    cinema.engine.apply(replace(base, tariffs={**base.tariffs, "studio": dearer, "film": cheaper}))
    done = rerate(cinema.engine, Call(OPERATOR, given=RerateInput("film")))
    assert done.corrected == 2
    assert abs(fraction(cinema, "toho", "JPY") - 2 * 97 * Fraction("3.5")) < Fraction(1, 1000)
    share = 97 * Fraction("0.07") * Fraction("1.077")
    assert abs(1000 - fraction(cinema, "eva", "EUR") - share * Fraction("0.92")) < Fraction(1, 10**8)
    assert cinema.verify().findings == []


def test_a_credit_note_is_in_the_currency_of_its_statement(cinema: Cinema) -> None:
    made = cinema.charge(film(1, "eva"))[0]
    cinema.clock.at = "2026-12-03T10:00:00.000000Z"
    found = {one.name: one for one in billing.issue(cinema.engine, "2026-11")}
    assert cinema.tell(Correct(charge=made.id, reference="r1", amount="2")).refusal is None
    note = credit_note(cinema.engine, found["eva"].id)
    assert (note.currency, note.total, note.charges) == ("EUR", "-1.84", "-1.840000000")
    assert cinema.verify().findings == []


def test_the_statement_is_in_one_currency_and_says_what_was_converted(cinema: Cinema) -> None:
    cinema.charge(film(1, "eva"), film(2, "eva", at=NOON + timedelta(days=1)), film(3, "ada"))
    cinema.clock.at = "2026-12-03T10:00:00.000000Z"
    found = {made.name: made for made in billing.issue(cinema.engine, "2026-11")}
    made = found["eva"]
    assert isinstance(made, Statement) and made.currency == "EUR"
    total = (1 + 97 * Fraction("0.07")) * Fraction("1.077")
    assert Fraction(made.charges) == total * Fraction("1.87")
    assert [(one.rate, one.converted) for one in made.conversions] == [("0.92", "7.718643600"), ("0.95", "7.970338500")]
    watch = made.sections[0].items[0]
    assert watch.exchanged == "USD 13.58 (1 USD = 0.92 EUR, ECB 2026-11-15; 1 more rate)"
    assert watch.exchanged in " ".join(as_text(made).split())
    assert found["toho"].currency == "JPY" and found["toho"].total == "960"
    ada = found["ada"]
    assert isinstance(ada, Statement) and ada.conversions == () and ada.sections[0].items[0].exchanged == ""
    assert cinema.verify().findings == []


def test_each_currency_is_settled_by_itself(cinema: Cinema) -> None:
    cinema.engine.bank = SepaBank()
    cinema.charge(film(1, "eva"), film(2, "gil"))
    run = settle(cinema.engine, Mode("net"))
    assert {line.asset: line.payable for line in run.settlements} == {
        "EUR/9": "0.28", "JPY/6": "640", "USD/9": "0.71",
    }  # fmt: skip
    assert cinema.verify().findings == []


def test_buckets_and_alternates_pay_in_the_payers_currency() -> None:
    payers = {"eva": Payer("eva", "EUR", opening="3"), "pool": Payer("pool", "EUR", opening="50")}
    given = catalog(payers=payers)
    payers["eva"] = replace(payers["eva"], alternates=(Alternate("pool"),))
    cinema = Cinema(given=replace(given, payers=payers))
    cinema.grant("eva", "2", "EUR")
    assert cinema.charge(film(1, "eva"))[0].refusal is None
    charge = cinema.charges()[0]
    paid = [(share.source, share.converted.amount) for share in charge.shares if share.converted is not None]
    assert paid == [("bucket", "2.000000000"), ("", "3.000000000"), ("alternate", "2.718643600")]
    assert sum(Fraction(share.amount) for share in charge.shares) == Fraction(charge.total)
    assert cinema.verify().findings == []


def test_what_counts_over_a_period_is_not_converted() -> None:
    base = catalog()
    film_ = replace(base.tariffs["film"], period_minimum="5")
    service = replace(base.services["film"], parts={"host": base.services["film"].parts["host"]})
    given = replace(base, tariffs={**base.tariffs, "film": film_}, services={"film": service})
    cinema = Cinema(given=given)
    assert cinema.charge(film(1, "ada"))[0].refusal is None
    refused = cinema.charge(film(2, "eva"))[0].refusal
    assert refused is not None and refused.code is RefusalCode.ASSET_MISMATCH and "period" in refused.message


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("cinema") / "books.db"
    cinema = Cinema(path)
    made = cinema.charge(film(1, "ada=1", "eva=2", "gil=1/3"), film(2, "eva"))[0]
    cinema.tell(Correct(charge=made.id, reference="r1", amount="2"))
    cinema.engine.close_period()
    cinema.engine.close()
    return exported(path)


def found(book: list[bytes], start: bytes, old: bytes, new: bytes) -> set[str]:
    place = next(i for i, line in enumerate(book) if line.startswith(start) and old in line)
    lines = list(book)
    lines[place] = lines[place].replace(old, new, 1)
    codes = {finding.code for finding in verified(rehash(lines)).findings}
    return codes - {"signature", "head_mismatch", "completeness", "end"}


def test_the_book_itself_is_right(book: list[bytes]) -> None:
    assert found(book, b'{"type":"charge"', b'"total"', b'"total"') == set()


@pytest.mark.parametrize(
    ("start", "old", "new", "code"),
    [
        (b"charge", b'"rate":"0.92"', b'"rate":"0.93"', "conversion"),
        (b"charge", b'"source":"ECB"', b'"source":"me"', "conversion"),
        (b"charge", b'"at":"2026-11-15T12:00:00Z"', b'"at":"2026-11-14T12:00:00Z"', "conversion"),
        (b"charge", b'"amount":"320.100000"', b'"amount":"320.200000"', "conversion"),
        (b"charge", b'"exact":"320.1"', b'"exact":"320.2"', "conversion"),
        (b"charge", b'"base":"GBP"', b'"base":"USD"', "conversion"),
        (b"entry", b'"kind":"conversion"', b'"kind":"charge"', "entry"),
        (b"entry", b'"asset":"JPY/6"', b'"asset":"EUR/9"', "bad_amount"),
        (b"corrected", b'"rate":"0.92"', b'"rate":"0.91"', "correction"),
    ],
)
def test_a_lie_is_found(book: list[bytes], start: bytes, old: bytes, new: bytes, code: str) -> None:
    assert code in found(book, b'{"type":"' + start + b'"', old, new)


def test_a_providers_own_records_are_held_against_its_own_currency(cinema: Cinema) -> None:
    cinema.charge(film(1, "eva"))
    rows = [
        {"id": "f1", "source": "player", "quantities": {"minutes": "97"}, "amount": amount, "currency": code}
        for amount, code in (("0.138571429", "EUR"), ("320.1", "JPY"), ("320.2", "JPY"))
    ]
    held = (("wire", rows[0], "matched"), ("toho", rows[1], "matched"), ("toho", rows[2], "different"))
    for provider, row, verdict in held:
        given = msgspec.convert({"provider": provider, "rows": [row]}, ReconcileInput)
        found = reconcile(cinema.engine, Call(OPERATOR, "", given)).tallies
        assert [(one.verdict, one.currency) for one in found] == [(verdict, row["currency"])]
