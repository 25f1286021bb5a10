"""Whatever is granted, bought, topped up and used: draws sum to the charge, in order, within caps, never below zero.

A model of its own draws cent by cent; the books must have drawn the same, and verify must agree with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine.billing import issue
from apportion.errors import Refused
from apportion.model.statement import Statement
from apportion.model.usage import PayerUse
from tests.funds import Funds, payer, use

CENT = 10**7
SCALE = 10**9
START = datetime.fromisoformat("2026-11-29T12:00:00+00:00")
MEMBERS = ("ada", "ben")


@dataclass
class Bucket:
    name: str
    left: int
    priority: int
    expires: int  # hours after the start; never, when 10**9
    turn: int


@dataclass
class Units:
    left: int  # hundredths of a minute
    bought: int
    price: int  # atoms
    out: int
    expires: int
    turn: int


@dataclass
class Model:
    """Balances in cents (of deferred prices in atoms), counted as plainly as can be."""

    own: dict[str, int]
    credit: dict[str, int]
    sources: dict[str, list[tuple[str, int | None]]]
    hour: int = 0
    drawn: dict[tuple[str, str, str], int] = field(default_factory=dict)
    buckets: dict[str, list[Bucket]] = field(default_factory=dict)
    units: dict[str, list[Units]] = field(default_factory=dict)

    @property
    def month(self) -> str:
        return (START + timedelta(hours=self.hour)).strftime("%Y-%m")

    def well(self, who: str) -> tuple[str, object] | None:
        """Where the next cent of a payer comes from."""
        live = [b for b in self.buckets.get(who, []) if b.left and b.expires > self.hour]
        if live:
            return "bucket", min(live, key=lambda b: (b.priority, b.expires, b.turn))
        if self.own[who] > 0:
            return "", who
        for name, cap in self.sources.get(who, []):
            used = self.drawn.get((who, name, self.month), 0)
            if self.own[name] + self.credit[name] > 0 and (cap is None or used < cap):
                return "alternate", name
        return ("credit", who) if self.own[who] + self.credit[who] > 0 else None

    def draw(self, who: str, cents: int) -> dict[tuple[str, str], int] | None:
        """What each source gave; None (and nothing changed) when all have less."""
        given: dict[tuple[str, str], int] = {}
        taken: list[tuple[str, object]] = []
        for _ in range(cents):
            well = self.well(who)
            if well is None:
                for back in taken:
                    self._move(who, back, -1)
                return None
            self._move(who, well, 1)
            taken.append(well)
            name = well[1].name if isinstance(well[1], Bucket) else str(well[1])
            given[well[0], name] = given.get((well[0], name), 0) + 1
        return given

    def _move(self, who: str, well: tuple[str, object], cents: int) -> None:
        if isinstance(well[1], Bucket):
            well[1].left -= cents
            return
        self.own[str(well[1])] -= cents
        if well[0] == "alternate":
            key = (who, str(well[1]), self.month)
            self.drawn[key] = self.drawn.get(key, 0) + cents

    def cover(self, who: str, minutes: int) -> tuple[int, int, list[tuple[Units, int, int]]]:
        """Hundredths of minutes that allowances leave, the atoms they give, and what each would give."""
        moves, total = [], 0
        live = [u for u in self.units.get(who, []) if u.left and u.expires > self.hour]
        for one in sorted(live, key=lambda u: (u.expires, u.turn)):
            part = min(minutes, one.left)
            if part:
                used = one.bought - one.left + part
                whole, rest = divmod(one.price * used, one.bought)
                whole += 2 * rest > one.bought or (2 * rest == one.bought and whole % 2)
                moves.append((one, part, whole - one.out))
                total += whole - one.out
                minutes -= part
        return minutes, total, moves


small = st.integers(0, 300)
actions = st.one_of(
    st.tuples(st.just("use"), st.sampled_from((*MEMBERS, "pool")), st.integers(1, 400)),
    st.tuples(st.just("use"), st.sampled_from(MEMBERS), st.integers(1, 400)),
    st.tuples(st.just("topup"), st.sampled_from((*MEMBERS, "pool", "firm")), st.integers(1, 300)),
    st.tuples(st.just("grant"), st.sampled_from(MEMBERS), st.tuples(st.integers(1, 200), small, st.integers(1, 60))),
    st.tuples(st.just("buy"), st.sampled_from(MEMBERS), st.tuples(small, st.integers(1, 300), st.integers(1, 60))),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 20)),
    st.tuples(st.just("sweep"), st.just(""), st.just(0)),
)
caps = st.one_of(st.none(), st.integers(1, 300))


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def instant(hour: int) -> str:
    return (START + timedelta(hours=hour)).isoformat(timespec="microseconds").replace("+00:00", "Z")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(actions, max_size=25), st.tuples(small, small, small), st.tuples(small, small), st.tuples(caps, caps, caps)
)
def test_draws_are_those_of_a_plain_model(
    steps: list[tuple[str, str, object]],
    opening: tuple[int, int, int],
    credit: tuple[int, int],
    limits: tuple[int | None, int | None, int | None],
) -> None:
    named = {"ada": [("pool", limits[0]), ("firm", limits[1])], "ben": [("pool", limits[2])]}
    model = Model(
        {"ada": opening[0], "ben": opening[1], "pool": opening[2], "firm": 50},
        {"ada": credit[0], "ben": 0, "pool": credit[1], "firm": 0},
        named,
    )
    people = [
        payer(
            name, money(model.own[name]), money(model.credit[name]),
            *[(other, "" if cap is None else money(cap), "month") for other, cap in named.get(name, [])],
        )
        for name in ("ada", "ben", "pool", "firm")
    ]  # fmt: skip
    funds = Funds(None, *people)
    for turn, step in enumerate(steps):
        _play(funds, model, turn, *step)
    assert funds.proven() == []
    _compare(funds, model)
    funds.engine.close()


def _play(funds: Funds, model: Model, turn: int, act: str, who: str, what: object) -> None:
    if act == "wait":
        model.hour += what
        funds.at(instant(model.hour))
    elif act == "sweep":
        funds.engine.sweep()
    elif act == "topup":
        funds.engine.top_up(who, money(what), "EUR", f"t{turn}")
        model.own[who] += what
    elif act == "grant":
        cents, priority, hours = what
        expires = 10**9 if hours > 50 else model.hour + hours
        more = {} if hours > 50 else {"expires": instant(expires)}
        funds.grant(money(cents), f"g{turn}", who, priority=priority % 3, **more)
        model.buckets.setdefault(who, []).append(Bucket(f"g{turn}", cents, priority % 3, expires, turn))
    elif act == "buy":
        _buy(funds, model, turn, who, *what)
    else:
        _use(funds, model, turn, who, what)


def _buy(funds: Funds, model: Model, turn: int, who: str, price: int, units: int, hours: int) -> None:
    expires = 10**9 if hours > 50 else model.hour + hours
    more = {} if hours > 50 else {"expires": instant(expires)}
    paid = model.draw(who, price)
    try:
        funds.buy(money(price), money(units), f"a{turn}", who, **more)
        assert paid is not None
    except Refused:
        assert paid is None
        return
    model.units.setdefault(who, []).append(Units(units, units, price * CENT, 0, expires, turn))


def _use(funds: Funds, model: Model, turn: int, who: str, minutes: int) -> None:
    rest, atoms, moves = model.cover(who, minutes)
    given = model.draw(who, rest)
    if given is not None and who not in MEMBERS:  # a payer that has nothing but its account says nothing of sources
        given = {("", who): sum(given.values())} if given else {}
    [done] = funds.charge(use(f"u{turn}", money(minutes), who))
    assert (done.state.value == "pending") == (given is None)
    if given is None:
        return
    for one, part, out in moves:
        one.left -= part
        one.out += out
    charge = funds.charge_of(done)
    names = {view.id: view.name or view.owner for view in funds.engine.books.accounts()}
    shares = [(share, int(share.amount.replace(".", ""))) for share in charge.shares]
    assert sum(amount for _, amount in shares) == rest * CENT + atoms == done.total
    drawn = {(s.source, names[s.account]): amount for s, amount in shares if amount and s.source != "allowance"}
    assert drawn == {key: cents * CENT for key, cents in given.items()}
    assert sum(amount for s, amount in shares if s.source == "allowance") == atoms


def _compare(funds: Funds, model: Model) -> None:
    """Balances, and what never may be: below the credit line, below zero, beyond a cap."""
    for view in funds.engine.books.accounts():
        posted = int(view.posted.replace(".", ""))
        if view.role == "payer":
            assert posted == model.own[view.owner] * CENT >= -model.credit[view.owner] * CENT
        elif view.role in ("bucket", "deferred"):
            assert posted >= 0
    for (who, name, _), used in model.drawn.items():
        cap = dict(model.sources[who])[name]
        assert cap is None or used <= cap
    total = sum(int(view.posted.replace(".", "")) for view in funds.engine.books.accounts())
    assert total == 0


shared = st.tuples(
    st.sampled_from(("shared", "club", "call", "taxed", "stepped", "visit")),
    st.lists(st.sampled_from(("ada", "ben", "pool", "guest")), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
    st.sampled_from(("0.333333333", "7", "1/3", "-2", "12.5", "0")),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(shared, max_size=14), st.tuples(small, small, small), caps, st.booleans())
def test_whoever_shares_and_however_it_is_funded_the_books_prove_themselves(
    uses: list[tuple[str, list[str], int, str]], opening: tuple[int, int, int], cap: int | None, close: bool
) -> None:
    limit = "" if cap is None else money(cap)
    funds = Funds(
        None,
        payer("ada", money(opening[0]), "1", ("pool", limit, "month")),
        payer("ben", money(opening[1]), "0", "pool"),
        payer("pool", money(opening[2] + 500), "2"),
    )
    funds.grant("1.5", "gift")
    funds.grant("0.7", "calls", "ben", services=("shared", "call"))
    funds.grant("3", "price")
    funds.buy("2", "7", "talk")
    for turn, (of, who, weight, minutes) in enumerate(uses):
        named = [PayerUse(name, str(weight + place) if len(who) > 1 else "") for place, name in enumerate(who)]
        more = {"gb": "0"} if of == "visit" else {}
        [done] = funds.charge(use(f"u{turn}", minutes, *named, of=of, **more))
        if done.state.value == "charged":
            charge = funds.charge_of(done)
            amounts = [int(share.amount.replace(".", "")) for share in charge.shares]
            assert sum(amounts) == done.total
    if close:
        funds.engine.close_period("2026-11", force=True)
    assert funds.proven() == []
    for view in funds.engine.books.accounts():
        assert view.role not in ("bucket", "deferred") or int(view.posted.replace(".", "")) >= 0
    assert sum(int(view.posted.replace(".", "")) for view in funds.engine.books.accounts()) == 0
    funds.at("2026-12-02T00:00:00.000000Z")
    for one in issue(funds.engine, "2026-11") if close else ():
        if isinstance(one, Statement):
            posted = next(v.posted for v in funds.engine.books.accounts() if v.id == one.account)
            assert Decimal(one.closing) == Decimal(posted)
    funds.engine.close()
