"""Plans as tests make them: scenarios priced by hand-made tariffs, and put into the books."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from apportion.engine.planned import plans_of
from apportion.engine.work import Work
from apportion.model.command import Outcome
from apportion.model.ids import read_number
from apportion.model.plan import Candidates, PlanLine, PlanPart, PlanPayer, PlanState, Scenario
from apportion.model.session_asked import Change, Chosen, SessionCommand
from apportion.model.tariff import Flat, Tariff, Use
from apportion.money import Exact
from apportion.money.exact import decimal_text
from apportion.stages.rate import by_wholesale, charge_amounts, compile_tariff
from tests.sessions import Proved, per_second, tariff

_NUMBERS = itertools.count(1)
RETAIL = tariff("retail", Flat(name="start", price="0.05"), per_second("0.008"))
DEARER = tariff("dearer", Flat(name="start", price="0.02"), per_second("0.009"))


class PlanRig(Proved):
    """A rig in whose books plans can be put."""

    def quote(
        self,
        *scenarios: tuple[str, Tariff, dict[str, tuple[str, Tariff]]],
        payers: tuple[str, ...] = ("ada",),
        seconds: str = "600",
        validity: float = 300,
        parts: dict[str, dict[str, Any]] | None = None,
        **more: Any,
    ) -> str:
        """A plan of the service ``call`` that is in the books; its id.

        ``scenarios`` are (name, retail tariff, part → provider and tariff), ``parts`` more of a part, by provider.
        """
        id = f"pln_{next(_NUMBERS):032x}"
        terms = self.engine.writer.terms
        assert terms is not None
        service = terms.service("call")
        start = self.clock.now()
        given = scenarios or (standard(),)
        use = Use(datetime.fromisoformat(start), datetime.fromisoformat(start), {"seconds": Exact.parse(seconds)}, {})
        made = [
            _scenario(f"{id}.{number}", name, retail, crew, use, service.asset, parts or {}, "replaces" in more)
            for number, (name, retail, crew) in enumerate(given, 1)
        ]
        line = PlanLine(
            id=id, due=later(start, validity), n=1, state=PlanState.QUOTED, at=start, service="call",
            asset=str(service.asset), catalog=terms.version, start=start, until=later(start, validity),
            quantities={"seconds": seconds}, payers=tuple(PlanPayer(self.account(name)) for name in payers),
            scenarios=tuple(made), preferred=made[0].name, digest="00" * 16, **more,
        )  # fmt: skip
        self.put(line)
        return id

    def put(self, line: PlanLine) -> None:
        """A plan with the document that it was chosen from."""
        body = msgspec.json.encode(Candidates(line.id, ()))
        line = replace(line, digest=blake3(body).hexdigest(16))

        def written(work: Work) -> None:
            payer = work.numbered(read_number(line.payers[0].account))
            work.writes.documents.append((line.id, payer.party, body))
            work.append(work.move(line))

        self.engine.writer.booked(written)

    def account(self, name: str) -> str:
        return next(view.id for view in self.engine.books.accounts() if view.owner == name)

    def plan(self, id: str) -> PlanLine:
        found = plans_of(self.engine.store, self.engine.tenant)(id)
        assert found is not None
        return found

    def choosing(self, plan: str) -> SessionCommand:
        return SessionCommand(f"ses_{next(_NUMBERS):032x}", Chosen(plan))

    def choose(self, plan: str, scenario: str = "", **more: Any) -> Outcome:
        """What comes of accepting a plan."""
        id = f"ses_{next(_NUMBERS):032x}"
        provider, payer = more.pop("provider", ""), more.pop("payer", "")
        return self.do(SessionCommand(id, Chosen(plan, scenario, **more), provider, payer))

    def accepted(self, plan: str, scenario: str = "", **more: Any) -> str:
        """A session that runs by a plan; its id."""
        outcome = self.choose(plan, scenario, **more)
        assert outcome.refusal is None, outcome.refusal
        return outcome.id

    def go_over(self, session: str, plan: str, scenario: str = "") -> Outcome:
        return self.ask(session, Change(plan=plan, scenario=scenario))


def standard(name: str = "lowest-cost", bridge: str = "bridge-b") -> tuple[str, Tariff, dict[str, tuple[str, Tariff]]]:
    """Calls at 0.05 and 0.008 a second; access costs 0.001, a bridge 0.01 and 0.002 a second."""
    crew = {
        "access": ("telco", tariff("access", per_second("0.001"))),
        "bridge": (bridge, tariff("bridge", Flat(name="start", price="0.01"), per_second("0.002"))),
    }
    return name, RETAIL, crew


def other(name: str = "lowest-cost") -> tuple[str, Tariff, dict[str, tuple[str, Tariff]]]:
    """The next best: bridge-a at 0.005 a second, for 0.02 and 0.009."""
    crew = {
        "access": ("telco", tariff("access", per_second("0.001"))),
        "bridge": ("bridge-a", tariff("bridge", per_second("0.005"))),
    }
    return name, DEARER, crew


def later(at: str, seconds: float) -> str:
    moved = datetime.fromisoformat(at) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _scenario(
    stem: str,
    name: str,
    retail: Tariff,
    crew: dict[str, tuple[str, Tariff]],
    use: Use,
    asset: Any,
    more: dict[str, dict[str, Any]],
    again: bool,
) -> Scenario:
    agreed = replace(retail, id=f"{stem}.retail")
    net, _, total = charge_amounts(compile_tariff(agreed).price(use), asset, agreed.rounding)
    if again:  # no beginning is paid for twice
        nothing = Use(use.start, use.end, dict.fromkeys(use.quantities, Exact(0)), {})
        first = charge_amounts(compile_tariff(agreed).price(nothing), asset, agreed.rounding)
        net, total = net - first[0], total - first[2]
    tariffs = {part: replace(one, id=f"{stem}.{part}") for part, (_, one) in crew.items()}
    dues = [compile_tariff(one).price(use).exact * Exact(asset.unit) for one in tariffs.values()]
    order = sorted(range(len(dues)), key=lambda at: [(provider, part) for part, (provider, _) in crew.items()][at])
    costs = by_wholesale(net.atoms, dues, [*(order.index(at) for at in range(len(order))), len(order)]).portions

    def text(atoms: int) -> str:
        return decimal_text(atoms, asset.scale)

    parts = tuple(
        PlanPart(part, provider, "", more.get(provider, {}).get("offer", ""), tariffs[part], text(cost),
                 **{k: v for k, v in more.get(provider, {}).items() if k != "offer"})
        for (part, (provider, _)), cost in zip(crew.items(), costs, strict=True)
    )  # fmt: skip
    return Scenario(
        name, text(total.atoms), text(net.atoms), text(total.atoms - net.atoms), text(sum(costs)),
        text(net.atoms - sum(costs)), agreed, parts,
    )  # fmt: skip
