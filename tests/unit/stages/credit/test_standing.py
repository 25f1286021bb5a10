"""Histories out of real books, under a clock that the test turns: statements, payments, due dates, credit lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apportion.adapters.outside import KeyFile, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.billing import issue
from apportion.engine.credit.standing import default_model, history_of, standing
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, Refused
from apportion.faces.cli import main
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.credit import History, TrustPolicy
from apportion.model.party import Payer, Provider
from apportion.model.statement import Statement
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.stages.credit import decide, features, limit, predict


class Turned:
    """A clock that shows what the test sets."""

    def __init__(self) -> None:
        self.at = datetime(2025, 1, 1, tzinfo=UTC)

    def now(self) -> str:
        return self.at.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def day(self, day: int) -> None:
        self.at = self.at.replace(day=day)

    def next_month(self) -> None:
        self.at = (self.at.replace(day=1) + timedelta(days=32)).replace(day=1)


class Books:
    """Ada rides on the tenth, is billed on the first, due on the fifteenth, and pays on the fifth or not."""

    place = ":memory:"

    def __init__(self, currency: str = "EUR", price: str = "2", credit: str = "1000", scale: int | None = None) -> None:
        self.clock = Turned()
        outside = (self.clock, SystemRandom(), KeyFile(None))
        self.engine = Engine(SqliteStore(self.place), "main", outside, lambda line: None)
        self.currency, self.price, self.scale = currency, price, scale
        self.bills: list[Statement] = []
        self.apply(credit)

    def apply(self, credit: str) -> None:
        tariffs = {
            name: Tariff(id=name, currency=self.currency, components=(Unit(name="way", measure="km", price=price),))
            for name, price in (("retail", self.price), ("cost", "0.01"))
        }
        service = Service(
            id="ride", retail="retail", measures={"km": "km"}, parts={"car": Part("dora", {"dora": "cost"})}
        )
        self.engine.apply(
            Catalog(
                providers={"dora": Provider("dora")},
                services={"ride": service},
                tariffs=tariffs,
                payers={"ada": Payer("ada", self.currency, credit=credit)},
                currencies={self.currency: self.scale} if self.scale else {},
            )
        )

    def ride(self, km: str = "50") -> None:
        self.clock.day(10)
        usage = Usage("m", f"r{len(self.bills)}", "ride", self.clock.at, None, (PayerUse("ada"),), (), {"km": km})
        assert self.engine.charge([usage])[0].refusal is None

    def bill(self) -> None:
        self.clock.next_month()
        self.bills = [d for d in issue(self.engine, who="ada") if isinstance(d, Statement)]

    def pay(self, amount: str = "") -> None:
        self.engine.top_up("ada", amount or self.bills[-1].due, self.currency, f"bank {self.clock.now()}")

    def months(self, count: int, *, pays: bool = True) -> Books:
        for _ in range(count):
            self.ride()
            self.bill()
            self.clock.day(5)
            if pays:
                self.pay()
        return self

    def history(self) -> History:
        return history_of(self.engine, "ada")

    def limit(self) -> int:
        return limit(TrustPolicy(self.currency, "1000000"), default_model(), self.history()).atoms


def test_months_are_the_statements_newest_first() -> None:
    books = Books().months(2)
    books.ride("10")
    books.bill()
    euro = 10**9
    newest, middle, oldest = books.history().months
    assert (newest.billed, newest.paid, newest.used) == (20 * euro, 100 * euro, 20 * euro)
    assert (middle.billed, middle.paid, middle.used) == (100 * euro, 100 * euro, 100 * euro)
    assert (oldest.billed, oldest.paid, oldest.limit) == (100 * euro, 0, 1000 * euro)
    assert books.history().overdue == 0 and books.history().asset == "EUR/9"


def test_paying_raises_the_limit_at_once_and_missing_lowers_it() -> None:
    books = Books().months(6)
    six = books.limit()
    assert six == (600 * 10**9 * 25 * predict(default_model(), books.history()).num) // (
        100 * predict(default_model(), books.history()).den
    )
    books.ride()
    books.bill()
    billed = books.limit()
    books.clock.day(14)
    assert books.limit() == billed == six  # not due yet
    books.clock.day(16)
    missing = books.limit()
    assert missing < six
    books.clock.day(14)
    books.pay()
    assert books.limit() > six
    books.clock.day(16)
    assert books.limit() > six


def test_each_further_month_without_payment_lowers_it_to_nothing() -> None:
    books, limits = Books().months(6), []
    for _ in range(3):
        books.ride()
        books.bill()
        books.clock.day(20)
        limits.append(books.limit())
    assert limits[0] > limits[1] >= limits[2] == 0
    assert [month.months_late for month in books.history().months[:4]] == [3, 1, 0, 0]
    assert books.history().overdue == 3


def test_paying_late_is_remembered_and_forgiven() -> None:
    books, punctual = Books().months(6), Books().months(6).months(4)
    books.ride()
    books.bill()
    books.clock.day(25)
    books.pay()
    late = books.limit()
    books.months(3)
    assert books.history().overdue == 0 and sum(month.months_late for month in books.history().months) == 1
    assert late < books.limit() < punctual.limit()


@pytest.mark.parametrize("other", [("JPY", "2", "1000"), ("USD", "2000", "1000000"), ("EUR", "2", "1000", 4)])
def test_another_currency_or_scale_changes_nothing(other: tuple[str, str, str]) -> None:
    model = default_model()
    for pays in (True, False):
        ours, theirs = (books.months(4).months(2, pays=pays) for books in (Books(), Books(*other)))
        for books in (ours, theirs):
            books.clock.day(20)
        assert features(ours.history()) == features(theirs.history())
        assert predict(model, ours.history()) == predict(model, theirs.history())


def test_paying_in_advance_is_a_history_too() -> None:
    books = Books(credit="0")
    books.pay("600")
    books.months(6, pays=False)
    assert all(month.billed == 0 and month.used for month in books.history().months)
    assert books.limit() > 100 * 10**9


def test_the_credit_line_of_each_month_is_the_one_then_in_force() -> None:
    books = Books().months(2)
    books.apply("500")
    books.ride()
    books.bill()
    assert [month.limit // 10**9 for month in books.history().months] == [500, 1000, 1000]


def test_no_statement_is_no_history() -> None:
    books = Books()
    books.pay("10")
    assert books.history() == History((), 0, "EUR/9")
    assert standing(books.engine, "ada", TrustPolicy("EUR", "100", "7")).limit == "7.000000000"


def test_a_past_instant_gives_the_history_of_then() -> None:
    books = Books().months(3)
    then, before = books.clock.now(), books.history()
    books.months(2, pays=False)
    assert history_of(books.engine, "ada", at=then) == before != books.history()


def test_the_decision_holds_all_that_it_was_made_of() -> None:
    books = Books().months(6)
    policy = TrustPolicy("EUR", "1000")
    made = standing(books.engine, "ada", policy)
    assert made == decide(policy, default_model(), books.history()) and made.history == books.history()


def test_a_payer_must_be_known() -> None:
    books = Books()
    for name, currency, code in (("eve", "", RefusalCode.NOT_FOUND), ("ada", "USD", RefusalCode.BAD_INPUT)):
        with pytest.raises(Refused) as refused:
            history_of(books.engine, name, currency=currency)
        assert refused.value.refusal.code is code


def test_the_command_tells_the_limit_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class OnDisk(Books):
        place = str(tmp_path / "books.db")

    books = OnDisk().months(6)
    books.engine.close()
    words = ["trust", "show", "ada", "--store", books.place]
    assert main([*words, "--cap", "70"]) == 0
    assert "The limit is the most that the policy allows, 70 EUR" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["decision"]["limit"] and len(answer["words"]) > 5
    assert main(["trust", "show", "eve", "--store", books.place]) == 1
