"""Each shipped domain, closed and billed in two forms: statements say what the ledger charged, and several are one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import Decimal

import pytest
from msgspec.structs import replace

from apportion.adapters.outside import signature_holds
from apportion.engine.billing import issue
from apportion.engine.verify import Outside, verify_store
from apportion.model.command import ChargeUsage
from apportion.model.journal import Entry
from apportion.model.profile import Billing, Profile
from apportion.model.statement import Remittance, Statement
from apportion.wiring import open_engine
from tests.properties.test_statement_forms import explained
from tests.unit.examples.test_examples import catalog_of, usage_of

MONTHS = {  # a file of each domain, cut to so many records, and all of their money
    "model-gateway/usage.csv": 1500,
    "telephone/usage-telecom.csv": 1500,
    "electricity/usage.csv": 1500,
    "electricity/usage-gas-water.csv": 1054,
    "video-on-demand/usage.csv": 1500,
}
Sums = dict[tuple[str, str], list[Decimal]]


def billed(name: str, billing: Billing) -> tuple[Sums, int]:
    """What the statements of each payer and period come to: total, tax, due; and how many documents there are."""
    catalog = catalog_of(name.partition("/")[0])
    payers = {id: replace(payer, profile="wanted") for id, payer in catalog.payers.items()}
    unknown = catalog.unknown_payers and replace(catalog.unknown_payers, profile="wanted")
    wanted = replace(
        catalog, payers=payers, unknown_payers=unknown, profiles={"wanted": Profile("wanted", billing=billing)}
    )
    with open_engine(":memory:") as engine:
        engine.apply(wanted)
        engine.run([[ChargeUsage(usage) for usage in itertools.islice(usage_of(name), MONTHS[name])]])
        engine.close_period(force=True)
        made = issue(engine)
        explained(engine)
        moved: dict[str, Decimal] = defaultdict(Decimal)
        for _, line in engine.books.lines(0, engine.store.head(engine.tenant, 0)[0]):
            for leg in line.legs if isinstance(line, Entry) and line.kind in ("charge", "adjustment") else ():
                moved[leg.account] += Decimal(leg.amount)
        assert verify_store(engine.store, engine.tenant, "main", Outside(signature_holds, prefix_ok=True)).ok
    sums: Sums = {}
    statements = [one for one in made if isinstance(one, Statement)]
    for one in statements:
        assert sum(Decimal(item.total) for s in one.sections for item in s.items) == Decimal(one.total)
        assert Decimal(one.total) + Decimal(one.residue_out) - Decimal(one.residue_in) == Decimal(one.charges)
        before = sums.setdefault((one.account, one.period), [Decimal(0)] * 3)
        for place, text in enumerate((one.total, one.tax, one.due)):
            before[place] += Decimal(text)
    charged: dict[str, Decimal] = defaultdict(Decimal)
    for one in statements:
        charged[one.account] += Decimal(one.charges)
    assert charged and all(charged[account] == -moved[account] for account in charged)
    for one in made:
        if isinstance(one, Remittance):
            assert sum(Decimal(due.payable) for due in one.dues) == Decimal(one.total)
    return sums, len(statements)


@pytest.mark.parametrize("name", MONTHS)
def test_a_month_is_billed_to_the_last_unit_in_every_form(name: str) -> None:
    one, single = billed(name, Billing())
    several, many = billed(name, Billing(statements="per-provider"))
    assert one == several and many >= single
