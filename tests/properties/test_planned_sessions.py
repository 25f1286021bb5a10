"""A plan that says what the catalog says charges what the catalog charges, to the last atom, however it is chopped."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from apportion.engine.export import export
from apportion.engine.verify import Outside, verify_export
from apportion.model.catalog import Catalog
from apportion.model.session_asked import Change
from apportion.model.tariff import Flat, Tariff
from tests.plans import PlanRig
from tests.sessions import catalog, per_second, tariff

PRICES = st.sampled_from(["0.000000001", "0.0000000033", "0.333333333333", "1", "0.07"])
START = Flat(name="start", price="0.0000000007")
Crew = dict[str, tuple[str, Tariff]]


def terms(retail: str, access: str, bridge: str) -> tuple[Catalog, Tariff, Crew, Crew]:
    """A catalog, and its own tariffs as a plan would hold them: with bridge-a, and with bridge-b."""
    plain = catalog()
    call = replace(plain.services["call"], guard=False, sponsor="marketing")
    made = {
        "call": tariff("call", START, per_second(retail), taxes={"vat": "19"}, tax="vat"),
        "access": tariff("access", per_second(access)),
        "bridge": tariff("bridge", per_second(bridge)),
        "bridge2": tariff("bridge2", START, per_second(access)),
    }
    crew = {"access": ("telco", made["access"]), "bridge": ("bridge-a", made["bridge"])}
    given = replace(plain, services={**plain.services, "call": call}, tariffs={**plain.tariffs, **made})
    return given, made["call"], crew, {**crew, "bridge": ("bridge-b", made["bridge2"])}


@settings(max_examples=40, deadline=None)
@given(PRICES, PRICES, PRICES, st.lists(st.integers(1, 200), min_size=2, max_size=6, unique=True), st.integers(1, 5))
def test_a_plan_of_the_catalogs_own_prices_moves_the_same_atoms(
    retail: str, access: str, bridge: str, cuts: list[int], swap: int
) -> None:
    given, fee, first, second = terms(retail, access, bridge)
    found = []
    for planned in (True, False):
        rig = PlanRig(given)
        rig.top_up("ada", "1000000")
        asked = {"requested": {"seconds": "1000"}}
        plan = rig.quote(("lowest-cost", fee, first)) if planned else ""
        id = rig.accepted(plan, **asked) if planned else rig.open("ada", **asked)
        for number, used in enumerate(sorted(cuts), 1):
            if number == swap:
                other = rig.quote(("lowest-cost", fee, second), replaces=id) if planned else ""
                change = Change(plan=other) if planned else Change(providers={"bridge": "bridge-b"}, reprice=True)
                outcome = rig.ask(id, change)
                assert outcome.refusal is None, outcome.refusal
            assert rig.report(id, number, str(used), requested={"seconds": "1000"}).refusal is None
        rig.end(id)
        rig.prove()
        found.append(rig.income() | {"ada": rig.balance("ada")})
    assert found[0] == found[1]


def test_an_export_with_plans_is_proved_offline() -> None:
    given, fee, first, second = terms("0.02", "0.001", "0.004")
    rig = PlanRig(given)
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote(("lowest-cost", fee, first)))
    rig.report(id, 1, "50", seconds=50)
    rig.ask(id, Change(plan=rig.quote(("lowest-cost", fee, second), replaces=id)))
    rig.end(id)
    rig.engine.writer.seal()
    outside = Outside(lambda key, message, signature: True, prefix_ok=True)
    verdict = verify_export(list(export(rig.engine.store, rig.engine.tenant)), outside)
    assert verdict.ok, verdict.findings
