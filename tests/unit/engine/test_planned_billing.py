"""Statements of sessions by a plan, as the payer's agreement says: by item, or one sum a provider (B14)."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from apportion.engine import billing
from apportion.model.agreement import Agreement
from apportion.model.market import ProviderTerms
from apportion.model.profile import Billing
from apportion.model.statement import Statement
from tests.markets import catalog, planned, request
from tests.plans import PlanRig


def statements(rig: PlanRig, *payers: str) -> dict[str, Statement]:
    """The statements after ten minutes that these payers paid for together, once the month is over."""
    plan = planned(rig.engine, request("10", *payers))
    id = rig.accepted(plan.id)
    for number, minutes in enumerate(("5", "10"), 1):
        outcome = rig.report(id, number, minutes, seconds=60, measure="minutes")
        assert outcome.refusal is None, outcome.refusal
    rig.end(id)
    rig.clock.move(40 * 86_400)
    return {made.name: made for made in billing.issue(rig.engine) if isinstance(made, Statement)}


def told(statement: Statement) -> list[tuple[str, int, str, str, str]]:
    """Label, uses, quantity, price and total of each line; together they are the statement."""
    items = statement.sections[0].items
    assert sum(Decimal(item.total) for item in items) == Decimal(statement.total)
    assert sum(Decimal(item.net) for item in items) == Decimal(statement.net)
    return [(item.label, item.uses, item.quantity, item.price, item.total) for item in items]


def rig_of(detail: str) -> PlanRig:
    """A market where elm costs 0.01 at a beginning, so that it has two lines; ada agreed with ash on her bills."""
    found = catalog()
    call = found.services["call"]
    market = replace(call.market, terms={"elm": ProviderTerms("0.01")})
    wanted = Agreement("a", "call", payer="ada", provider="ash", billing=Billing(detail=detail))  # type: ignore[arg-type]
    names = {**found.providers, "elm": replace(found.providers["elm"], name="Elm Networks")}
    services = {"call": replace(call, market=market)}
    return PlanRig(replace(found, services=services, agreements={"a": wanted}, providers=names))


def test_by_item_every_component_has_a_line() -> None:
    lines = told(statements(rig_of(""), "ada")["ada"])
    assert [(label, quantity, total) for label, _, quantity, _, total in lines] == [
        ("Far: talk", "10", "0.27"), ("Near: talk", "10", "0.26"),
        ("Connection", "", "0.12"), ("Far: set up", "", "0.01"),
    ]  # fmt: skip


def test_by_provider_each_other_provider_is_one_sum_and_the_total_is_the_same() -> None:
    found = statements(rig_of("providers"), "ada")["ada"]
    assert told(found) == [
        ("Elm Networks", 2, "", "", "0.28"), ("oak", 2, "", "", "0.26"), ("Connection", 1, "", "0.10", "0.12"),
    ]  # fmt: skip
    assert found.total == "0.66" and [(tax.base, tax.amount) for tax in found.taxes] == [("0.55", "0.11")]


def test_what_one_payer_agreed_on_is_on_its_own_statement_alone() -> None:
    found = statements(rig_of("providers"), "ada", "ben")
    assert {line[0] for line in told(found["ada"])} == {"Elm Networks", "oak", "Connection"}
    assert {line[0] for line in told(found["ben"])} == {"Far: talk", "Near: talk", "Connection", "Far: set up"}
