"""Books with agreements on service levels: calls that oak and elm deliver, and a clock that stands where it is put."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.export import export
from apportion.engine.levels.measuring import Run, measure
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Outside
from apportion.model.agreement import Agreement, Consequence, Levels, Outcome, Part, Service, Targets
from apportion.model.calendar import Calendar
from apportion.model.catalog import Catalog
from apportion.model.command import Outcome as Answer
from apportion.model.level import DecideLevel, LevelLine, ReportOutage
from apportion.model.party import Payer, Provider
from apportion.model.tariff import Flat, Graduated, Tariff, Tier, Unit
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.ports import Store
from tests.settling import Watch

OCTOBER, NOVEMBER = datetime(2026, 10, 1, 8, tzinfo=UTC), datetime(2026, 11, 1, 8, tzinfo=UTC)
SUCCESS = Targets(success="0.9")


def agreed(id: str = "sla", provider: str = "elm", targets: Targets = SUCCESS, **more: object) -> Agreement:
    """Ten percent of the fee for each miss."""
    given: dict[str, object] = {"payer": "ada", "consequence": Consequence("10"), **more}
    return Agreement(id, "call", provider=provider, targets=targets, **given)  # type: ignore[arg-type]


def market(*agreements: Agreement, running: bool = False, levels: Levels | None = None) -> Catalog:
    """A minute costs 0.10, of which oak earns 0.02 and elm 0.06; ``running``: cheaper as more is used, and a fee."""
    price = Unit(name="talk", measure="minutes", price="0.10")
    tiers = (Tier(up_to="100", price="0.10"), Tier(price="0.09"))
    graduated = Graduated(name="talk", measure="minutes", scope="period", tiers=tiers)
    period = (graduated, Flat(name="line", price="2", scope="period"))
    says = Levels(Outcome("outcome", ("failed",), "fault"), "setup", "bytes") if levels is None else levels
    return Catalog(
        providers={name: Provider(name) for name in ("oak", "elm", "ash")},
        tariffs={
            "retail": Tariff(
                id="retail", currency="EUR", components=period if running else (price,), taxes={"vat": "25"}, tax="vat"
            ),
            "near": Tariff(id="near", currency="EUR", components=(Unit(name="n", measure="minutes", price="0.02"),)),
            "far": Tariff(id="far", currency="EUR", components=(Unit(name="f", measure="minutes", price="0.06"),)),
        },
        services={
            "call": Service(
                "call", "retail",
                {"near": Part("oak", {"oak": "near", "elm": "near"}), "far": Part("elm", {"elm": "far", "ash": "far"})},
                measures={"minutes": "min", "setup": "ms", "bytes": "B"}, attributes=("outcome", "fault"), levels=says,
                allocate="equal",
            )
        },
        payers={
            "ada": Payer("ada", "EUR", credit="1000"), "ben": Payer("ben", "EUR", credit="1000"),
            "cay": Payer("cay", "EUR", credit="1000", calendar=Calendar("Europe/Copenhagen")),
        },
        agreements={one.id: one for one in agreements},
    )  # fmt: skip


class Levelling:
    """The books, and what one does with them."""

    def __init__(
        self,
        path: Path,
        *agreements: Agreement,
        store: Store | None = None,
        key: KeyFile | None = None,
        **more: object,
    ) -> None:
        self.clock, self.key = Watch(), key or KeyFile(None)
        self.store: Store = store or SqliteStore(str(path))
        self.engine = Engine(self.store, "main", (self.clock, SystemRandom(), self.key), lambda line: None)
        self.engine.apply(market(*agreements, **more))  # type: ignore[arg-type]
        self.calls = 0

    def call(
        self,
        outcome: str = "ok",
        *,
        minutes: str = "10",
        payers: tuple[str, ...] = ("ada",),
        at: datetime = OCTOBER,
        parts: tuple[PartUse, ...] = (),
        count: int = 1,
        **more: str,
    ) -> list[str]:
        """Calls one minute after another; the ids of their charges."""
        made = []
        for _ in range(count):
            self.calls += 1
            start = at + timedelta(minutes=self.calls)
            given = {name: text for name, text in more.items() if name in ("setup", "bytes")}
            attributes = {"outcome": outcome} | ({"fault": more["fault"]} if "fault" in more else {})
            made.append(
                Usage(
                    "meter", f"c{self.calls}", "call", start, start + timedelta(seconds=10),
                    tuple(PayerUse(payer) for payer in payers), parts, {"minutes": minutes, **given}, attributes,
                )
            )  # fmt: skip
        outcomes = list(self.engine.charge(made))
        assert all(one.refusal is None for one in outcomes), outcomes
        return [one.id for one in outcomes]

    def measure(self, period: str = "2026-10") -> Run:
        return measure(self.engine, period)

    def levels(self, period: str = "2026-10") -> dict[str, LevelLine]:
        """The measured levels of a period by their agreements."""
        return {line.agreement: line for line in self.measure(period).levels}

    def tell(self, command: object) -> Answer:
        return self.engine.writer.commit([command])[0]

    def down(self, start: str, end: str, provider: str = "elm", by: str = "", service: str = "") -> Answer:
        return self.tell(ReportOutage(provider=provider, start=start, end=end, by=by, service=service))

    def decide(self, line: LevelLine, *, approve: bool) -> Answer:
        return self.tell(DecideLevel(id=line.id, approve=approve))

    def posted(self) -> dict[str, Decimal]:
        """Balances by owner."""
        return {view.owner: Decimal(view.posted) for view in self.engine.books.accounts()}

    def lines(self) -> list[bytes]:
        """The export of the books, signed."""
        self.engine.writer.seal()
        return [line[:-1] for line in export(self.store, self.engine.tenant)]

    def proven(self) -> list[str]:
        """What verify finds."""
        self.engine.writer.seal()
        verdict = verify_store(self.store, self.engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        return [f"{finding.code} {finding.id}: {finding.message}" for finding in verdict.findings]


def amount(line: LevelLine, name: str = "credit") -> Decimal:
    """An amount of a level."""
    return Decimal(getattr(line, name))


def plain(line: LevelLine) -> dict[str, object]:
    """What a level says, without when it was said."""
    return msgspec.to_builtins(msgspec.structs.replace(line, at=""))
