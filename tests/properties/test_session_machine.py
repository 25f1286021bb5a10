"""Sessions under whatever order of requests: limits hold at every step, and the books prove themselves at the end."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from apportion.model.command import BuyAllowance
from apportion.model.funding import AllowanceLine, Alternate
from apportion.model.party import Payer
from apportion.model.session import SessionState
from apportion.model.session_asked import Change, Confirmed, Ended, PartAsked, Report, SessionAsked, SessionCommand
from apportion.model.usage import PayerUse
from tests.sessions import Rig, catalog

PEOPLE = ("ada", "bob", "cleo")
NAMES = st.sampled_from(PEOPLE)


class Sessions(RuleBasedStateMachine):
    """Three payers who draw on one another, many sessions, a clock."""

    sessions: Bundle[str] = Bundle("sessions")

    @initialize(
        overrun=st.sampled_from(["provider", "platform"]), grace=st.sampled_from([0, 5]),
        cents=st.tuples(*[st.integers(0, 400)] * 3),
    )  # fmt: skip
    def begin(self, overrun: str, grace: int, cents: tuple[int, int, int]) -> None:
        given = catalog(overrun=overrun, grace=grace, validity=10, offer=20, low="0.3", receipt=("seconds",))
        ada = Payer("ada", "EUR", alternates=(Alternate("bob", "0.4", "day"), Alternate("cleo")))
        bob = Payer("bob", "EUR", credit="0.25")
        self.rig = Rig(replace(given, payers={**given.payers, "ada": ada, "bob": bob}))
        self.ids: list[str] = []
        self.bought = 0
        for name, amount in zip(PEOPLE, cents, strict=True):
            if amount:
                self.top_up(name, amount)

    @rule(name=NAMES, cents=st.integers(1, 300))
    def top_up(self, name: str, cents: int) -> None:
        self.rig.top_up(name, str(Decimal(cents) / 100))

    @rule(name=NAMES, cents=st.integers(0, 40), units=st.integers(1, 90), lasts=st.sampled_from([0, 0, 15]))
    def buy(self, name: str, cents: int, units: int, lasts: int) -> None:
        expires = ""
        if lasts:
            expires = (self.rig.clock.at + timedelta(seconds=lasts)).isoformat()
        self.bought += 1
        price = str(Decimal(cents) / 100)
        self.rig.do(
            BuyAllowance(
                payer=name, currency="EUR", price=price, measure="seconds", units=str(units), expires=expires,
                reference=f"order {self.bought}",
            )
        )  # fmt: skip

    @rule()
    def sweep(self) -> None:
        self.rig.engine.sweep()

    @rule(
        target=sessions,
        names=st.lists(NAMES, min_size=1, max_size=2, unique=True),
        requested=st.sampled_from(["", "1", "7", "500"]),
        parts=st.booleans(),
    )
    def open(self, names: list[str], requested: str, parts: bool) -> str:
        id = f"ses_{len(self.ids):032x}"
        units = {"seconds": requested} if requested else {}
        given = SessionAsked("call", tuple(PayerUse(name) for name in names), requested=units)
        if parts and units:
            both = (PartAsked("access", requested=units), PartAsked("bridge", requested=units))
            given = replace(given, parts=both, requested={})
        self.rig.do(SessionCommand(id, given))
        self.ids.append(id)
        return id

    @rule(
        id=sessions, ahead=st.integers(-3, 90), number=st.integers(-1, 2), final=st.booleans(),
        part=st.sampled_from(["", "", "access", "bridge"]), requested=st.sampled_from(["", "3", "200"]),
    )  # fmt: skip
    def report(self, id: str, ahead: int, number: int, final: bool, part: str, requested: str) -> None:
        meters = self.rig.known(id)
        meter = next((m for m in meters if m.part == part and not m.ended), None)
        used = int(Decimal(meter.used.get("seconds", "0"))) if meter else 0
        asked = {"seconds": requested} if requested else {}
        given = Report(max(1, (meter.number if meter else 0) + number), {"seconds": str(max(0, used + ahead))})
        self.rig.do(SessionCommand(id, replace(given, part=part, requested=asked, final=final and ahead > 60)))

    @rule(id=sessions, to=st.sampled_from(["bridge-a", "bridge-b"]), join=st.booleans(), name=NAMES)
    def change(self, id: str, to: str, join: bool, name: str) -> None:
        people = {"join": (PayerUse(name),)} if join else {"leave": (name,)}
        self.rig.do(SessionCommand(id, Change({"bridge": to}, **people)))  # type: ignore[arg-type]

    @rule(id=sessions, to=st.sampled_from(["bridge-a", "bridge-b"]))
    def swap(self, id: str, to: str) -> None:
        self.rig.do(SessionCommand(id, Change({"bridge": to})))

    @rule(id=sessions, used=st.integers(0, 100))
    def confirm(self, id: str, used: int) -> None:
        self.rig.do(SessionCommand(id, Confirmed({"seconds": str(used)})))

    @rule(id=sessions)
    def end(self, id: str) -> None:
        self.rig.do(SessionCommand(id, Ended()))

    @rule(seconds=st.integers(1, 25))
    def wait(self, seconds: int) -> None:
        self.rig.wait(seconds)

    @invariant()
    def limits_hold(self) -> None:
        if not hasattr(self, "rig"):
            return
        rig, held = self.rig, dict.fromkeys(PEOPLE, Decimal(0))
        for view in rig.engine.books.accounts():
            if view.role == "payer":
                assert Decimal(view.available) >= 0, view
                held[view.owner] = Decimal(view.held)
        lines = [rig.line(id) for id in self.ids if rig.known(id)]
        numbers = [n for line in lines for payer in line.payers for n in payer.holds]
        assert len(set(numbers)) == len(numbers)
        open_ = rig.engine.store.holds(rig.engine.tenant, numbers).values()
        assert sum(held.values()) == Decimal(sum(hold.open for hold in open_)) / 10**9
        aside: dict[str, Decimal] = {}
        for cover in (cover for line in lines for cover in line.covers):
            units = Decimal(cover.reserved) - Decimal(cover.booked)
            aside[cover.allowance] = aside.get(cover.allowance, Decimal(0)) + units
            assert units >= 0 and Decimal(cover.used) <= Decimal(cover.reserved)
        for id, course in rig.engine.store.courses(rig.engine.tenant, list(aside)).items():
            stock = msgspec.json.decode(course.line, type=AllowanceLine)
            assert Decimal(stock.reserved) == aside[id] and Decimal(stock.left) >= 0
        for line in lines:
            if line.state is SessionState.CLOSED:
                assert not any(payer.holds for payer in line.payers) and not line.due
                assert all(cover.reserved == cover.booked for cover in line.covers)
            else:
                assert line.due or not any(meter.until for meter in line.meters)

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            for _ in range(6):  # whatever is left open ends by itself
                self.rig.wait(31)
            for id in self.ids:
                if self.rig.known(id) and any(m.until for m in self.rig.line(id).meters):
                    assert self.rig.line(id).state is SessionState.CLOSED, self.rig.line(id)
            self.rig.engine.sweep()
            self.rig.prove()


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
