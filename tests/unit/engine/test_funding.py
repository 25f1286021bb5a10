"""From where shares are drawn: buckets, own value, alternates within their caps, credit; allowances in units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from apportion.engine.billing import issue, listing
from apportion.engine.funding.purse import Purse
from apportion.engine.value import hold_line
from apportion.errors import RefusalCode, Refused
from apportion.ledger import holds
from apportion.model.calendar import Calendar
from apportion.model.charge import Charge
from apportion.model.command import BuyAllowance, Grant
from apportion.model.funding import AllowanceLine, AutoTopUp, BucketLine, CapLine, FundingLine
from apportion.model.hold import Hold
from apportion.model.party import Payer
from apportion.model.statement import Statement
from apportion.model.usage import PayerUse, UsageClass
from tests.funds import Funds, catalog, payer, short, use

Open = Callable[..., Funds]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Open]:
    made: list[Funds] = []

    def opened(*payers: Payer) -> Funds:
        made.append(Funds(tmp_path / "books.db", *payers))
        return made[-1]

    yield opened
    for funds in made:
        assert funds.proven() == []
        funds.engine.close()


def refusal(run: Callable[[], object]) -> RefusalCode:
    with pytest.raises(Refused) as caught:
        run()
    return caught.value.refusal.code


def last(funds: Funds, kind: type) -> object:
    return [line for _, line in funds.engine.books.lines() if isinstance(line, kind)][-1]


# ── the cascade ──


def test_sources_are_drawn_in_order_each_when_those_before_are_used_up(books: Open) -> None:
    funds = books(payer("ada", "5", "3", "family", ("firm", "4", "month")), payer("family", "2"), payer("firm", "100"))
    funds.grant("2", "welcome")
    one, two, three, four, five = funds.charge(
        use("1", "1"), use("2", "3"), use("3", "6"), use("4", "5"), use("5", "2")
    )
    assert funds.sources(one) == [("ada", "bucket", "1")]
    assert funds.sources(two) == [("ada", "bucket", "1"), ("ada", "", "2")]
    assert funds.sources(three) == [("ada", "", "3"), ("family", "alternate", "2"), ("firm", "alternate", "1")]
    assert funds.sources(four) == [("firm", "alternate", "3"), ("ada", "credit", "2")]
    assert five.state is UsageClass.PENDING and five.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    assert funds.balances() == {"ada": "-2", "family": "0", "firm": "96"}
    assert funds.balances("provider") == {"oak": "9"} and funds.balances("platform") == {"fees": "6"}
    assert funds.balances("bucket") == {"ada": "0"}


def test_nothing_is_drawn_when_all_together_have_too_little(books: Open) -> None:
    funds = books(payer("ada", "5", "0", "family"), payer("family", "2"))
    funds.grant("1", "welcome")
    [done] = funds.charge(use("1", "8.5"))
    assert done.state is UsageClass.PENDING
    assert funds.balances() == {"ada": "5", "family": "2"} and funds.balances("bucket") == {"ada": "1"}
    funds.engine.top_up("family", "0.5", "EUR", "t")
    [done] = funds.charge(use("1", "8.5"))
    assert funds.sources(done) == [("ada", "bucket", "1"), ("ada", "", "5"), ("family", "alternate", "2.5")]


def test_what_is_held_is_not_drawn(books: Open) -> None:
    funds = books(payer("ada", "5", "0", "family"), payer("family", "4"))
    funds.engine.hold("ada", "4", "EUR", "o", "2027-01-01T00:00:00Z")
    funds.engine.hold("family", "3", "EUR", "o", "2027-01-01T00:00:00Z")
    one, two = funds.charge(use("1", "2"), use("2", "0.01"))
    assert funds.sources(one) == [("ada", "", "1"), ("family", "alternate", "1")]
    assert two.state is UsageClass.PENDING


def test_an_alternate_gives_its_credit_line_too_and_no_alternates_of_its_own(books: Open) -> None:
    funds = books(payer("ada", "0", "0", "firm"), payer("firm", "1", "2", "bank"), payer("bank", "100"))
    one, two = funds.charge(use("1", "3"), use("2", "0.5"))
    assert funds.sources(one) == [("firm", "alternate", "3")] and funds.balances()["firm"] == "-2"
    assert two.state is UsageClass.PENDING and funds.balances()["bank"] == "100"


def test_a_payer_is_opened_after_those_who_name_it(books: Open) -> None:
    funds = books(payer("ada", "0", "0", "zoe"), payer("zoe", "7", "1"))
    [done] = funds.charge(use("1", "8"))
    assert funds.sources(done) == [("zoe", "alternate", "8")] and funds.balances() == {"ada": "0", "zoe": "-1"}


def test_value_that_comes_back_goes_to_the_payers_own_account(books: Open) -> None:
    funds = books(payer("ada", "1", "0", "family"), payer("family", "9"))
    one, two = funds.charge(use("1", "4"), use("2", "-2"))
    assert funds.sources(one) == [("ada", "", "1"), ("family", "alternate", "3")]
    assert funds.sources(two) == [("ada", "", "-2")]
    assert funds.balances() == {"ada": "2", "family": "6"}


def test_several_payers_draw_on_one_pool_within_one_record(books: Open) -> None:
    funds = books(
        payer("ada", "1", "0", ("pool", "2", "ever")),
        payer("ben", "0", "0", "pool"),
        payer("pool", "4"),
        payer("cy", "9"),
    )
    both = (PayerUse("ada", "1"), PayerUse("ben", "1"), PayerUse("cy", "1"))
    [done] = funds.charge(use("1", "9", *both, of="shared"))
    assert done.state is UsageClass.PENDING  # 2 + 3 of a pool of 4
    funds.engine.top_up("pool", "1", "EUR", "t")
    [done] = funds.charge(use("1", "9", *both, of="shared"))
    assert funds.sources(done) == [
        ("ada", "", "1"), ("pool", "alternate", "2"), ("pool", "alternate", "3"), ("cy", "", "3"),
    ]  # fmt: skip
    assert funds.balances() == {"ada": "0", "ben": "0", "pool": "0", "cy": "6"}
    bearers = [(funds.whose(share.bearer), short(share.amount)) for share in funds.charge_of(done).shares]
    assert bearers == [("ada", "1"), ("ada", "2"), ("ben", "3"), ("cy", "3")]


# ── pools and caps ──


def test_a_cap_counts_by_the_members_own_month(books: Open) -> None:
    tokyo = msgspec.structs.replace(payer("ada", "0", "0", ("pool", "5", "month")), calendar=Calendar("Asia/Tokyo"))
    funds = books(
        tokyo, payer("ben", "0", "0", ("pool", "1", "day")), payer("cy", "0", "0", "pool"), payer("pool", "100")
    )
    assert [o.state.value for o in funds.charge(use("1", "3"), use("2", "3"), use("3", "2"), use("4", "0.001"))] == [
        "charged", "pending", "charged", "pending",
    ]  # fmt: skip
    assert [o.state.value for o in funds.charge(use("b1", "1", "ben"), use("b2", "0.5", "ben"))] == [
        "charged",
        "pending",
    ]
    funds.at("2026-11-21T00:30:00.000000Z")
    assert funds.charge(use("b2", "0.5", "ben"))[0].state is UsageClass.CHARGED
    funds.at("2026-11-30T14:59:00.000000Z")
    assert funds.charge(use("2", "3"))[0].state is UsageClass.PENDING
    funds.at("2026-11-30T15:00:00.000000Z")  # midnight of 1 December in Tokyo
    assert funds.charge(use("2", "3"))[0].state is UsageClass.CHARGED
    assert funds.charge(use("c", "80", "cy"))[0].state is UsageClass.CHARGED  # no cap at all
    assert last(funds, CapLine).period == "2026-12" and last(funds, CapLine).drawn == "3.000000000"


def test_a_cap_survives_a_restart_and_a_new_catalog(books: Open) -> None:
    members = payer("ada", "0", "0", ("pool", "5", "ever")), payer("pool", "100")
    funds = books(*members)
    funds.charge(use("1", "4"))
    funds.again()
    assert funds.charge(use("2", "2"))[0].state is UsageClass.PENDING
    funds.engine.apply(catalog(payer("ada", "0", "0", ("pool", "6", "ever")), members[1]))
    assert funds.charge(use("2", "2"))[0].state is UsageClass.CHARGED
    funds.engine.apply(catalog(payer("ada", "0", "0", ("pool", "3", "ever")), members[1]))
    assert funds.charge(use("3", "0.1"))[0].state is UsageClass.PENDING
    funds.engine.apply(catalog(payer("ada", "0", "0"), members[1]))
    assert funds.charge(use("3", "0.1"))[0].state is UsageClass.PENDING
    assert last(funds, FundingLine).sources == ()


def test_what_is_reserved_counts_until_it_is_given_back(books: Open) -> None:
    funds = books(payer("ada", "0", "0", ("pool", "5", "month")), payer("pool", "100"))

    def purse(run: Callable[[Purse], object]) -> object:
        work = funds.engine.writer.work()
        found = run(Purse(work, work.numbered(1)))
        funds.engine.writer.land(work)
        return found

    def reserve(one: Purse) -> list:
        draws = one.draw(4 * 10**9)
        one.reserve(draws)
        return draws

    [draw] = purse(reserve)
    assert (draw.account.public, draw.source, draw.period) == ("acct_00002", "alternate", "2026-11")
    assert purse(Purse.available) == 10**9
    purse(lambda one: one.restore([draw._replace(atoms=3 * 10**9)]))
    assert purse(Purse.available) == 4 * 10**9
    funds.at("2026-12-01T00:00:00.000000Z")
    purse(lambda one: one.reserve(one.draw(2 * 10**9)))
    purse(lambda one: one.restore([draw._replace(atoms=10**9)]))  # of November: nothing to give back in December
    assert purse(Purse.available) == 3 * 10**9


# ── the catalog ──


def test_funding_is_written_when_it_differs_and_the_token_stays_outside(books: Open) -> None:
    fetched = msgspec.structs.replace(
        payer("ada", "1", "0", "family"), guarantor="oak", auto_topup=AutoTopUp("20", "tok_secret", "60")
    )
    funds = books(fetched, payer("family"))
    again = msgspec.structs.replace(catalog(fetched, payer("family")), name="other")
    funds.engine.apply(again)
    lines = [line for _, line in funds.engine.books.lines() if isinstance(line, FundingLine)]
    assert len(lines) == 1 and (lines[0].guarantor, lines[0].topup, lines[0].topup_limit) == ("oak", "20", "60")
    assert [(s.account, s.cap) for s in lines[0].sources] == [("acct_00003", "")]
    rows = [(p.field, p.value) for p in funds.store.people(funds.engine.tenant, 1)]
    assert ("method", "tok_secret") in rows
    exported = b"".join(body for _, body, _ in funds.store.journal(1, 0, 0, 1000))
    assert b"tok_secret" not in exported
    other = msgspec.structs.replace(fetched, auto_topup=AutoTopUp("20", "tok_other", "60"))
    funds.engine.apply(catalog(other, payer("family")))
    lines = [line for _, line in funds.engine.books.lines() if isinstance(line, FundingLine)]
    assert len(lines) == 2 and lines[0].method != lines[1].method
    assert ("method", "tok_other") in [(p.field, p.value) for p in funds.store.people(funds.engine.tenant, 1)]


def test_who_is_forgotten_is_named_by_nobody_and_the_books_stay_whole(books: Open) -> None:
    funds = books(payer("ada", "1", "0", "zzfamily"), payer("zzfamily", "9"))
    funds.grant("2", "gift", "zzfamily")
    funds.charge(use("1", "3"))
    funds.engine.forget("zzfamily")
    for version in funds.store.catalogs(funds.engine.tenant):
        assert b"zzfamily" not in funds.store.document(funds.engine.tenant, version)
    [done] = funds.charge(use("2", "1"))
    assert [(s.source, short(s.amount)) for s in funds.charge_of(done).shares] == [("alternate", "1")]


# ── buckets ──


def test_buckets_go_by_priority_then_expiry_and_only_for_their_services(books: Open) -> None:
    funds = books(payer("ada", "100"))
    funds.grant("1", "late", priority=10, expires="2027-02-01T00:00:00Z")
    funds.grant("1", "never", priority=10)
    funds.grant("1", "soon", priority=10, expires="2027-01-01T00:00:00+00:00")
    funds.grant("1", "first", priority=0)
    funds.grant("1", "visits", priority=1, services=("visit",))
    names = {b.account: b.name for _, b in funds.engine.books.lines() if isinstance(b, BucketLine)}
    [one] = funds.charge(use("1", "3.5"))
    assert [(names[s.account], s.amount[:3]) for s in funds.charge_of(one).shares] == [
        ("first", "1.0"), ("soon", "1.0"), ("late", "1.0"), ("never", "0.5"),
    ]  # fmt: skip
    [two] = funds.charge(use("2", "0.5", of="visit", gb="0"))
    assert [(names.get(s.account, "own"), s.amount[:3]) for s in funds.charge_of(two).shares] == [
        ("visits", "1.0"), ("never", "0.5"), ("own", "1.0"),
    ]  # fmt: skip


def test_an_expired_bucket_is_never_drawn_and_what_is_left_goes_where_it_came_from(books: Open) -> None:
    funds = books(payer("ada", "10"))
    funds.grant("3", "gift", expires="2026-11-21T00:00:00Z")
    funds.grant("5", "promo", expires="2026-11-21T00:00:00Z", funded="sponsor")
    assert funds.balances("sponsor") == {"marketing": "-5"} and funds.balances("cash") == {"outside": "-13"}
    funds.charge(use("1", "1"))
    funds.at("2026-11-21T00:00:00.000000Z")
    [done] = funds.charge(use("2", "1"))
    assert funds.sources(done) == [("ada", "", "1")]
    assert funds.engine.sweep() == 2 and funds.engine.sweep() == 0
    assert funds.balances("platform")["breakage"] == "2" and funds.balances("sponsor") == {"marketing": "0"}
    assert all(view.posted == "0.000000000" for view in funds.engine.books.accounts() if view.role == "bucket")
    assert last(funds, FundingLine).buckets == ()


def test_a_hold_on_an_expired_bucket_finishes_first(books: Open) -> None:
    funds = books(payer("ada"))
    funds.grant("5", "gift", expires="2026-11-21T00:00:00Z")
    work = funds.engine.writer.work()
    [draw] = Purse(work, work.numbered(1)).draw(2 * 10**9)
    hold = Hold(1, draw.account.id, "ses_1", draw.atoms, "9999-12-31T23:59:59.999999Z")
    holds.place(hold, draw.account)
    work.names.next_hold = 2
    work.append(hold_line(work, hold, draw.account))
    funds.engine.writer.land(work)
    funds.at("2026-11-21T00:00:01.000000Z")
    assert funds.engine.sweep() == 1 and funds.engine.sweep() == 0
    assert funds.balances("bucket") == {"ada": "2"} and funds.balances("platform") == {"breakage": "3"}
    funds.engine.end_hold(1)
    funds.at("2026-11-21T00:01:01.000000Z")
    assert funds.engine.sweep() == 1
    assert funds.balances("bucket") == {"ada": "0"} and funds.balances("platform") == {"breakage": "5"}
    assert last(funds, BucketLine).state == "ended"


def test_a_grant_is_made_once_per_reference_and_says_what_is_wrong(books: Open) -> None:
    funds = books(payer("ada", "1"))
    first = funds.grant("3", "gift")
    assert funds.grant("3", "gift") == first and funds.balances("bucket") == {"ada": "3"}
    assert refusal(lambda: funds.grant("4", "gift")) is RefusalCode.CONFLICT
    plain = Grant(payer="ada", amount="1", currency="EUR", reference="r")

    def asked(**more: object) -> RefusalCode:
        return refusal(lambda: funds.engine.grant(msgspec.structs.replace(plain, **more)))

    assert asked(name="gift") is RefusalCode.CONFLICT
    assert asked(name="A b") is RefusalCode.BAD_INPUT and asked(priority=1000) is RefusalCode.BAD_INPUT
    assert asked(funded="wind") is RefusalCode.BAD_INPUT and asked(amount="0") is RefusalCode.BAD_AMOUNT
    assert asked(services=("none",)) is RefusalCode.UNKNOWN_SERVICE and asked(payer="no") is RefusalCode.UNKNOWN_PAYER
    assert (
        asked(expires="2020-01-01T00:00:00Z") is RefusalCode.BAD_TIME and asked(expires="soon") is RefusalCode.BAD_TIME
    )
    assert len(list(funds.engine.books.accounts())) == 3


def test_a_payer_without_any_funding_asks_the_store_nothing_more(books: Open) -> None:
    funds = books(payer("ada", "0", "0", "pool"), payer("pool", "100"), payer("ben", "100"), payer("cy", "100"))
    funds.charge(use("0", "1", "ben"), use("00", "1", "cy"))
    asked: list[list[str]] = []
    courses = funds.store.courses

    def counted(tenant: int, ids):
        asked.append(list(ids))
        return courses(tenant, ids)

    funds.store.courses = counted
    funds.charge(*[use(f"b{i}", "0.1", "ben" if i % 2 else "cy") for i in range(50)])
    assert asked == []
    funds.charge(*[use(f"a{i}", "0.1") for i in range(50)])
    assert len(asked) <= 1


# ── allowances ──


def test_units_are_drawn_before_money_and_their_price_moves_out_to_the_last_atom(books: Open) -> None:
    funds = books(payer("ada", "20"))
    funds.buy("4", "7", "flat")
    assert funds.balances() == {"ada": "16"} and funds.balances("deferred") == {"ada": "4"}
    one, two, three = funds.charge(use("1", "3"), use("2", "2.5"), use("3", "4"))
    assert funds.sources(one) == [("ada", "allowance", "1.714285714")]
    assert funds.sources(two) == [("ada", "allowance", "1.428571429")]  # 4 × 5.5⁄7 less what was moved
    assert funds.sources(three) == [("ada", "allowance", "0.857142857"), ("ada", "", "2.5")]
    assert funds.balances() == {"ada": "13.5"} and funds.balances("deferred") == {"ada": "0"}
    assert funds.balances("provider") == {"oak": "5.7"}  # wholesale on all 9.5 minutes
    assert funds.balances("platform") == {"fees": "0.957142857"}
    assert funds.balances("sponsor") == {"marketing": "-0.157142857"}  # units sold below what they cost
    assert [(c.units, c.amount) for c in funds.charge_of(three).allowances] == [("1.5", "0.857142857")]
    line = last(funds, AllowanceLine)
    assert (line.left, line.deferred, line.state) == ("0", "0.000000000", "used")


def test_what_is_covered_in_full_owes_no_fee_per_use_and_the_rest_does(books: Open) -> None:
    funds = books(payer("ada", "50"))
    funds.buy("10", "10", "talk", services=("visit",))
    funds.buy("6", "3", "data", measure="gb")
    one, two = funds.charge(use("1", "4", of="visit", gb="1"), use("2", "4", of="visit", gb="2.5"))
    assert funds.sources(one) == [("ada", "allowance", "4"), ("ada", "allowance", "2")]
    assert funds.sources(two) == [("ada", "allowance", "4"), ("ada", "allowance", "4"), ("ada", "", "3.5")]
    assert funds.balances() == {"ada": "30.5"}  # 2 for the start and 0.5 GB at 3


def test_tax_falls_on_what_is_priced(books: Open) -> None:
    funds = books(payer("ada", "50"))
    funds.buy("5", "5", "talk")
    [one] = funds.charge(use("1", "8", of="taxed"))
    charge = funds.charge_of(one)
    assert (charge.amount[:4], charge.tax[:4], charge.total[:4]) == ("8.00", "0.60", "8.60")
    assert funds.sources(one) == [("ada", "allowance", "5"), ("ada", "", "3.6")]
    assert list(funds.balances("tax").values()) == ["0.6"]


def test_only_a_record_of_one_payer_draws_units(books: Open) -> None:
    funds = books(payer("ada", "50"), payer("ben", "50"))
    funds.buy("5", "5", "talk")
    [one] = funds.charge(use("1", "4", PayerUse("ada", "1"), PayerUse("ben", "1"), of="shared"))
    assert funds.sources(one) == [("ada", "", "2"), ("ben", "", "2")]
    assert funds.balances("deferred") == {"ada": "5"}


def test_an_allowance_is_paid_through_the_cascade_or_not_at_all(books: Open) -> None:
    funds = books(payer("ada", "1", "0", ("pool", "3", "month")), payer("pool", "100"))
    funds.grant("2", "gift")
    assert refusal(lambda: funds.buy("6.5", "5", "talk")) is RefusalCode.INSUFFICIENT_FUNDS
    assert funds.balances("deferred") == {}
    bought = funds.buy("6", "5", "talk")
    assert funds.buy("6", "5", "talk") == bought
    assert funds.balances() == {"ada": "0", "pool": "97"} and funds.balances("deferred") == {"ada": "6"}
    assert last(funds, CapLine).drawn == "3.000000000"


def test_an_expired_allowance_covers_nothing_and_its_price_is_breakage(books: Open) -> None:
    funds = books(payer("ada", "50"))
    funds.buy("9", "3", "talk", expires="2026-12-01T00:00:00Z")
    funds.charge(use("1", "1"))
    funds.at("2026-12-01T00:00:00.000000Z")
    [late] = funds.charge(use("2", "1"))
    assert funds.sources(late) == [("ada", "", "1")]
    assert funds.engine.sweep() == 1
    line = last(funds, AllowanceLine)
    assert (line.left, line.lapsed, line.deferred, line.state) == ("0", "2", "0.000000000", "ended")
    assert funds.balances("platform")["breakage"] == "6" and funds.balances("deferred") == {"ada": "0"}


def test_quantities_that_no_decimal_ends_leave_nothing_behind(books: Open) -> None:
    funds = books(payer("ada", "50"))
    funds.buy("3", "1", "talk")
    one, two, three = funds.charge(use("1", "1/3"), use("2", "1/3"), use("3", "1/3"))
    assert [funds.sources(o)[0][1] for o in (one, two)] == ["allowance"] * 2
    assert funds.balances("deferred") == {"ada": "0"} and last(funds, AllowanceLine).left == "0"
    assert three.state is UsageClass.CHARGED


def test_an_allowance_that_can_not_be_says_why(books: Open) -> None:
    funds = books(payer("ada", "50"))
    plain = BuyAllowance(payer="ada", currency="EUR", price="1", measure="minutes", units="1", reference="r")

    def asked(**more: object) -> RefusalCode:
        return refusal(lambda: funds.engine.buy_allowance(msgspec.structs.replace(plain, **more)))

    assert asked(units="0") is RefusalCode.BAD_QUANTITY and asked(units="1/3") is RefusalCode.BAD_QUANTITY
    assert asked(units="0.0000000000001") is RefusalCode.BAD_QUANTITY and asked(price="-1") is RefusalCode.BAD_AMOUNT
    assert asked(measure="km") is RefusalCode.MEASURE_MISSING and asked(price="51") is RefusalCode.INSUFFICIENT_FUNDS
    assert len(list(funds.engine.books.accounts())) == 2


def test_closing_a_period_leaves_draws_and_units_as_they_were(books: Open) -> None:
    funds = books(payer("ada", "5", "0", "family"), payer("family", "30"))
    funds.buy("2", "4", "talk")
    funds.grant("1", "gift")
    done = funds.charge(use("1", "12", of="stepped"), use("2", "6", of="stepped"))
    assert funds.sources(done[0]) == [
        ("ada", "allowance", "2"), ("ada", "bucket", "1"), ("ada", "", "3"), ("family", "alternate", "4"),
    ]  # fmt: skip
    before = funds.balances()
    closed = funds.engine.close_period("2026-11", force=True)
    assert closed.accounts == 1 and funds.balances() == before
    assert funds.balances("deferred") == {"ada": "0"}


def test_what_a_close_books_is_on_the_payers_own_account(books: Open) -> None:
    funds = books(payer("ada", "5", "0", "family"), payer("family", "30"), payer("ben", "1", "0", "family"))
    funds.buy("2", "4", "talk")
    funds.grant("1", "gift")
    funds.charge(use("1", "12", of="monthly"))  # 4 units, 1 of the gift, 3 of its own, 4 of the family
    both = (PayerUse("ada", "1"), PayerUse("ben", "2"))
    late, early = use("z", "10", *both, of="club"), use("a", "0.7", *both, of="club")
    funds.charge(late, early)
    assert funds.balances() == {"ada": "0", "family": "16.65", "ben": "0"}
    assert funds.engine.close_period("2026-11", force=True).accounts == 1
    assert funds.balances() == {"ada": "-2", "family": "16.65", "ben": "0"}
    adjusted = [c for _, c in funds.engine.books.lines() if isinstance(c, Charge) and c.origin]
    assert [(funds.whose(s.account), short(s.amount), s.source) for c in adjusted for s in c.shares] == [
        ("ada", "2", "")
    ]


# ── statements ──


def test_a_statement_shows_what_its_own_accounts_paid(books: Open) -> None:
    funds = books(payer("ada", "10", "0", "family"), payer("family", "30"))
    funds.buy("5", "5", "talk", services=("call",))
    funds.grant("2", "gift")
    funds.charge(use("1", "6", of="taxed"), use("2", "7"), use("3", "8", of="taxed"), use("4", "1", "family"))
    # 7.2 = 2 gift + 5 own + 0.2 family; 7 = 5 units + 2 family; 9.6 family; 1 family itself
    assert funds.balances() == {"ada": "0", "family": "17.2"}
    funds.at("2026-12-02T12:00:00.000000Z")
    made = {one.name: one for one in issue(funds.engine, "2026-11") if isinstance(one, Statement)}
    ada, family = made["ada"], made["family"]
    assert (ada.opening[:4], ada.charges, ada.closing) == ("0.00", "12.000000000", "0.000000000")  # 5 bought, 7 taxed
    assert {(r.kind, r.amount) for r in ada.received} == {("opening", "10.00"), ("bucket", "2.00")}
    assert [(i.label, i.total) for s in ada.sections for i in s.items if i.total != "0.00"] == [
        ("Allowance", "5.00"), ("Talk", "7.00"),
    ]  # fmt: skip
    assert (family.charges, family.closing, family.total) == ("12.800000000", "17.200000000", "12.80")
    drawn = {i.label: (i.total, i.quantity) for s in family.sections for i in s.items}
    assert drawn["Drawn for others: Call"] == ("2.00", "") and drawn["Drawn for others: Taxed"] == ("9.80", "")
    assert [tax.amount for one in (ada, family) for tax in one.taxes if tax.name] == ["1.17", "1.63"]  # of 2.80 booked
    line = next(one for one in listing(funds.engine) if one.id == ada.id)
    assert (line.payments, line.stocked) == ("12.00", "2")


def test_a_pool_does_not_wait_for_the_close_of_its_members(books: Open) -> None:
    funds = books(payer("ada", "1", "0", "family"), payer("family", "30"))
    funds.charge(use("1", "8", of="stepped"))
    funds.at("2026-12-02T12:00:00.000000Z")
    assert [one.name for one in issue(funds.engine, "2026-11", "family")] == ["family"]
    funds.engine.close_period("2026-11")
    [ada] = issue(funds.engine, "2026-11", "ada")
    assert isinstance(ada, Statement) and (ada.charges, ada.closing) == ("1.000000000", "0.000000000")
