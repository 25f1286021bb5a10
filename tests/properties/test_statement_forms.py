"""In whatever form a payer wants it: several statements are one, departments are their parent's, sums stay exact."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from apportion.adapters.outside import signature_holds
from apportion.engine.billing import issue, listing
from apportion.engine.engine import Engine
from apportion.engine.statements.apart import credit_note
from apportion.engine.statements.preview import preview
from apportion.engine.unbilled import Unbilled
from apportion.engine.verify import Outside, verify_store
from apportion.errors import Refused
from apportion.model.calendar import Calendar
from apportion.model.catalog import Catalog
from apportion.model.party import Payer
from apportion.model.profile import Billing, Profile
from apportion.model.statement import Document, Remittance, Statement
from apportion.stages.statement import PayerTally, atoms_of
from apportion.wiring import open_engine
from tests.properties.test_statements import catalog, check, prices, records, usage

DAYS = Calendar("Europe/Berlin", "day")
FORMS = {
    "one": Billing(statements="one"),
    "providers": Billing(detail="providers"),
    "several": Billing(statements="per-provider"),
    "face": Billing(issuer="sun", language="de"),
}


def wanting(found: Catalog, form: str, parent: bool) -> Catalog:
    """The catalog whose payer ada wants this form, and pays for ben's use when he has a ``parent``."""
    people = {
        "ada": Payer("ada", "EUR", credit="100000", calendar=DAYS, profile="p"),
        "ben": Payer("ben", "EUR", credit="100000", calendar=DAYS, profile="p", parent="ada" if parent else ""),
    }
    return replace(found, payers=people, profiles={"p": Profile("p", billing=FORMS[form])})


def billed(form: str, parent: bool, price: list[str], used: list) -> tuple[list[Document], dict[str, Decimal]]:
    """All documents in this form, and what every account has in the end; all of it proven."""
    with open_engine(":memory:") as engine:
        engine.apply(wanting(catalog(False, price), form, parent))
        made = []
        for run in range(2):
            engine.charge([usage(n, record) for n, record in enumerate(used) if record[5] % 2 == run])
            if run:
                engine.top_up("ada", "5.000000001", "EUR", "bank")
            looked_at(engine)
            issued = {line.id for line in listing(engine)}
            made += [document for document in issue(engine) if document.id not in issued]
        balances = {view.id: Decimal(view.posted) for view in engine.books.accounts()}
        explained(engine)
        verdict = verify_store(engine.store, engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        assert verdict.ok, verdict.findings
        return made, balances


def looked_at(engine: Engine) -> None:
    """Previews change nothing, and say what the next documents then say."""
    before = engine.store.head(engine.tenant, 0)
    for view in engine.books.accounts():
        if view.role in ("payer", "provider"):
            assert all(document.preview and not document.number for document in preview(engine, view.id))
    assert engine.store.head(engine.tenant, 0) == before


def explained(engine: Engine) -> None:
    """Every account is what its last document left, and what no document covers yet: nothing falls in between."""
    unbilled = Unbilled(engine.store, engine.tenant, engine.terms(), engine.books.assets)
    for party in unbilled.parties.values():
        open_ = sum(
            sum(atoms_of(one.amount, party.asset) for one in tally.received) - tally.charges
            if isinstance(tally, PayerTally)
            else tally.credited
            for _, tally in party.open.values()
        )
        loose = sum(
            atoms_of(leg.amount, party.asset)
            for entry in party.loose
            for leg in entry.legs
            if leg.account == party.account.public
        )
        assert party.account.posted == party.before[0] + open_ + loose, party.owner


def by_period(documents: list[Document]) -> dict[tuple[str, str], list[Statement]]:
    found = defaultdict(list)
    for document in documents:
        if isinstance(document, Statement):
            found[document.name, document.period].append(document)
    return found


@settings(max_examples=20, deadline=None)
@given(
    form=st.sampled_from(["providers", "several", "face"]),
    parent=st.booleans(),
    price=prices,
    used=st.lists(records, min_size=1, max_size=12),
)
def test_in_any_form_it_is_the_same_money(form: str, parent: bool, price: list[str], used: list) -> None:
    one, before = billed("one", parent, price, used)
    other, after = billed(form, parent, price, used)
    assert sorted(before.values()) == sorted(after.values())
    single, several = by_period(one), by_period(other)
    assert single.keys() == several.keys()
    for key, (statement,) in single.items():
        parts = several[key]
        check(statement)
        assert form == "several" or len(parts) == 1
        for field in ("total", "net", "tax", "charges", "due", "payments"):
            assert sum(Decimal(getattr(p, field)) for p in parts) == Decimal(getattr(statement, field)), field
        assert (parts[0].opening, parts[0].residue_in) == (statement.opening, statement.residue_in)
        assert (parts[-1].closing, parts[-1].residue_out) == (statement.closing, statement.residue_out)
        assert categories(parts) == categories([statement])
        for part in parts:
            adds_up(part)
        if form == "several" and key[0] in ("ada", "ben"):
            assert [part.provider for part in parts] == sorted({part.provider for part in parts})
    assert [d for d in one if isinstance(d, Remittance)] or not one


def adds_up(part: Statement) -> None:
    """One of several adds up like the one would."""
    items = [item for section in part.sections for item in section.items]
    number = Decimal
    assert sum(number(item.total) for item in items) == number(part.total)
    assert sum(number(item.tax) for item in items) == number(part.tax)
    assert number(part.total) + number(part.residue_out) - number(part.residue_in) == number(part.charges)
    assert number(part.brought) + number(part.payments) - number(part.total) == number(part.balance)


def categories(statements: list[Statement]) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    found: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
    for tax in (tax for statement in statements for tax in statement.taxes):
        base, amount = found.get((tax.name, tax.rate), (Decimal(0), Decimal(0)))
        found[tax.name, tax.rate] = base + Decimal(tax.base), amount + Decimal(tax.amount)
    return found


@settings(max_examples=15, deadline=None)
@given(price=prices, used=st.lists(records, min_size=1, max_size=10), more=st.lists(records, min_size=1, max_size=4))
def test_what_is_given_back_is_on_a_note_or_on_the_next_statement(price: list[str], used: list, more: list) -> None:
    with open_engine(":memory:") as engine:
        engine.apply(wanting(catalog(False, price), "one", True))
        engine.charge([usage(n, record) for n, record in enumerate(used)])
        issue(engine)
        statement = next((line for line in listing(engine) if line.kind == "statement"), None)
        later = [replace(usage(100 + n, record), id=f"late-{n}") for n, record in enumerate(more)]
        outcomes = engine.charge(later)
        if statement is not None:
            ids = [outcome.id for outcome in outcomes if outcome.id.startswith("chg_")]
            try:
                note = credit_note(engine, statement.number, ids)
            except Refused:
                pass
            else:
                adds_up(note)
                assert Decimal(note.total) <= 0 and note.corrects == statement.number and note.number == "C-000001"
                assert credit_note(engine, statement.id, ids) == note
                with pytest.raises(Refused):
                    credit_note(engine, statement.number, [ids[0], "chg_" + "0" * 32])
        issue(engine)
        explained(engine)
        verdict = verify_store(engine.store, engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        assert verdict.ok, verdict.findings
