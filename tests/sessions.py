"""Sessions on the real engine with a clock that tests set: a video call of three parts, and what may be asked of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from apportion.adapters.outside import SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.sessions.verbs import look_after
from apportion.engine.sessions.views import session_line
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Outside
from apportion.model.account import Role
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import BuyAllowance, Outcome, TopUp
from apportion.model.funding import AllowanceLine
from apportion.model.party import Payer, Provider
from apportion.model.payment import PaymentLine
from apportion.model.session import Meter, SessionLine, SessionState, SessionTerms
from apportion.model.session_asked import (
    Accepted,
    Change,
    Confirmed,
    Ended,
    PartAsked,
    Report,
    SessionAsked,
    SessionCommand,
)
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse
from apportion.ports import Store

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_NUMBERS = itertools.count(1)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> str:
        return self.at.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class NoSigner:
    """Signs nothing; for tests that do not look at checkpoints."""

    def public(self) -> str:
        return "00"

    def sign(self, message: bytes) -> str:
        return ""


def tariff(id: str, *components: Unit | Flat, **more: object) -> Tariff:
    return Tariff(id=id, currency="EUR", components=components, **more)  # type: ignore[arg-type]


def per_second(price: str, measure: str = "seconds") -> Unit:
    return Unit(name=measure, measure=measure, price=price)


TARIFFS = (
    tariff("call", Flat(name="start", price="0.05"), per_second("0.01")),
    tariff("access", per_second("0.001")),
    tariff("bridge", per_second("0.004")),
    tariff("bridge2", Flat(name="start", price="0.01"), per_second("0.003")),
    tariff("data", per_second("0.10", "gigabytes"), taxes={"vat": "20"}, tax="vat"),
)


def catalog(**terms: object) -> Catalog:
    """Calls by the second with a start fee; downloads with tax. ``terms`` are those of the call's sessions."""
    session = SessionTerms(**{"slice": {"seconds": "60"}, "validity": 60, "offer": 600, **terms})  # type: ignore[arg-type]
    bridge = Part("bridge-a", {"bridge-a": "bridge", "bridge-b": "bridge2"})
    services = (
        Service(
            id="call", retail="call", measures={"seconds": "s"}, session=session,
            parts={"access": Part("telco", {"telco": "access"}), "bridge": bridge},
        ),
        Service(
            id="download", retail="data", measures={"gigabytes": "GB"}, session=SessionTerms({"gigabytes": "5"}),
            parts={"net": Part("telco", share="3"), "title": Part("studio", share="1")},
            apportion="shares", platform="1", allocate="cost",
        ),
    )  # fmt: skip
    return Catalog(
        providers={name: Provider(name) for name in ("telco", "bridge-a", "bridge-b", "studio")},
        services={service.id: service for service in services},
        tariffs={one.id: one for one in TARIFFS},
        payers={name: Payer(name, "EUR") for name in ("ada", "bob", "cleo")},
    )


def plain(amount: str) -> str:
    """An amount without needless zeros."""
    return amount.rstrip("0").rstrip(".") or "0"


class Rig:
    """An engine with a clock of its own, and the verbs of a session as a test says them."""

    def __init__(self, given: Catalog | None = None, store: Store | None = None) -> None:
        self.clock = HandClock()
        outside = (self.clock, SystemRandom(), NoSigner())
        self.engine = Engine(store or SqliteStore(":memory:"), "main", outside, lambda line: None)
        self.engine.apply(given or catalog())

    def top_up(self, payer: str, amount: str) -> None:
        outcome = self.do(TopUp(payer, amount, "EUR", f"bank {next(_NUMBERS)}"))
        assert outcome.refusal is None, outcome.refusal

    def buy(self, payer: str, price: str, units: str, measure: str = "seconds", **more: Any) -> str:
        """Units bought out of what the payer has; the id of the allowance."""
        reference = f"order {next(_NUMBERS)}"
        command = BuyAllowance(
            payer=payer, currency="EUR", price=price, measure=measure, units=units, reference=reference, **more
        )  # fmt: skip
        outcome = self.do(command)
        assert outcome.refusal is None, outcome.refusal
        return self.allowances()[-1].id

    def allowances(self) -> list[AllowanceLine]:
        """Every allowance as it stands, in the order in which they were bought."""
        lines = (line for _, line in self.engine.books.lines())
        return list({line.id: line for line in lines if isinstance(line, AllowanceLine)}.values())

    def do(self, command: object) -> Outcome:
        return self.engine.writer.commit([command])[0]

    def open(self, *payers: str, service: str = "call", parts: tuple[PartAsked, ...] = (), **more: object) -> str:
        """A session that was opened; its id."""
        id = f"ses_{next(_NUMBERS):032x}"
        uses = tuple(PayerUse(name) if isinstance(name, str) else name for name in payers)
        outcome = self.do(SessionCommand(id, SessionAsked(service, uses, parts, **more)))  # type: ignore[arg-type]
        assert outcome.refusal is None, outcome.refusal
        return id

    def do_open(self, payer: str, service: str = "call") -> Outcome:
        """What comes of opening a session."""
        return self.do(SessionCommand(f"ses_{next(_NUMBERS):032x}", SessionAsked(service, (PayerUse(payer),))))

    def report(self, id: str, number: int, used: str, *, seconds: float = 0, **more: object) -> Outcome:
        self.clock.move(seconds)
        measure = more.pop("measure", "seconds")
        return self.do(SessionCommand(id, Report(number, {measure: used}, **more)))  # type: ignore[arg-type]

    def drain(self, id: str) -> list[int]:
        """Use up every grant of the whole until no more comes; up to where each was."""
        granted = [int(self.line(id).meters[0].granted["seconds"])]
        while self.line(id).state in (SessionState.ACTIVE, SessionState.LOW, SessionState.GRACE):
            meter = self.line(id).meters[0]
            self.report(id, meter.number + 1, meter.granted["seconds"], seconds=1)
            granted.append(int(self.line(id).meters[0].granted["seconds"]))
            if granted[-1] == granted[-2]:
                break
        return granted

    def ask(self, id: str, given: Change | Confirmed | Accepted | Ended, payer: str = "") -> Outcome:
        return self.do(SessionCommand(id, given, payer=payer))

    def end(self, id: str) -> SessionLine:
        outcome = self.ask(id, Ended())
        assert outcome.refusal is None, outcome.refusal
        return self.line(id)

    def wait(self, seconds: float) -> None:
        """Time passes, and the node looks after what is due."""
        self.clock.move(seconds)
        look_after(self.engine)

    def line(self, id: str) -> SessionLine:
        return session_line(self.engine.store, self.engine.tenant, id)

    def prove(self) -> None:
        """The books add up, every slice is computed again, nothing in the store differs from them."""
        self.engine.writer.seal()
        outside = Outside(lambda key, message, signature: True, prefix_ok=True)
        verdict = verify_store(self.engine.store, self.engine.tenant, "main", outside)
        assert verdict.ok, verdict.findings

    def balance(self, name: str, what: str = "posted") -> str:
        views = [view for view in self.engine.books.accounts() if view.owner == name]
        return plain(getattr(views[0], what)) if views else "0"

    def income(self) -> dict[str, str]:
        """What everybody who is no payer has, without the zeros."""
        return {
            view.owner: plain(view.posted)
            for view in self.engine.books.accounts()
            if view.role not in (Role.PAYER.value, Role.CASH.value) and view.posted.strip("0.")
        }

    def known(self, id: str) -> tuple[Meter, ...]:
        """The meters of a session; none when it was never opened."""
        found = self.engine.store.courses(self.engine.tenant, [id])
        return self.line(id).meters if found else ()

    def payments(self) -> list[PaymentLine]:
        """Every payment as it stands, the newest last."""
        lines = (line for _, line in self.engine.books.lines())
        found = {line.id: line for line in lines if isinstance(line, PaymentLine)}
        return list(found.values())

    def events(self, id: str) -> list[str]:
        """What the books say happened to a session, in order."""
        lines = (line for _, line in self.engine.books.lines())
        return [line.event for line in lines if isinstance(line, SessionLine) and line.id == id]


class Proved(Rig):
    """A rig whose books are proved when its test is over (``tests/unit/engine/conftest.py``)."""

    made: ClassVar[list[Rig]] = []

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.made.append(self)
