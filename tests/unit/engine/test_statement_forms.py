"""Statements beside the usual: of sessions and departments, previews, what is given back, what their proof finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from apportion.adapters.outside import signature_holds
from apportion.engine.billing import find, issue, listing
from apportion.engine.engine import Engine
from apportion.engine.statements.apart import credit_note, issue_session
from apportion.engine.statements.preview import preview
from apportion.engine.statements.wishes import Wishes
from apportion.engine.verify import Outside, verify_store
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, Refused
from apportion.ledger import proof
from apportion.ledger.booking import book
from apportion.model.account import Role
from apportion.model.agreement import Agreement
from apportion.model.calendar import Calendar
from apportion.model.charge import Charge, Share
from apportion.model.ids import key_id
from apportion.model.party import Payer
from apportion.model.profile import Billing, Profile
from apportion.model.references import check_catalog
from apportion.model.statement import CreditNote, Remittance, Statement
from apportion.model.usage import PayerUse, Usage
from apportion.wiring import open_engine
from tests.book import catalog
from tests.forging import edited, exported, places, rehash, verified
from tests.markets import catalog as market
from tests.markets import planned, request
from tests.plans import PlanRig


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine(":memory:") as found:
        found.apply(departments())
        yield found


def departments(**more: Payer) -> object:
    """Finance pays for what lab and shop use."""
    payers = {"finance": Payer("finance", "EUR", credit="1000", opening="3")}
    for name in ("lab", "shop"):
        payers[name] = Payer(name, "EUR", credit="100", opening="5", parent="finance")
    return replace(catalog(), payers={**catalog().payers, **payers, **more})


def ride(number: int, month: int, payer: str = "ada", km: str = "6.4") -> Usage:
    start = datetime(2024, month, 10, 8, number, tzinfo=UTC)
    quantities = {"km": km, "minutes": km.startswith("-") and "-18" or "18"}
    return Usage("m", f"r{number}", "ride", start, None, (PayerUse(payer),), (), quantities)


def refused(code: RefusalCode, ask: object) -> str:
    with pytest.raises(Refused) as error:
        ask()  # type: ignore[operator]
    assert error.value.refusal.code is code, error.value.refusal
    return error.value.refusal.message


def sound(engine: Engine) -> None:
    verdict = verify_store(engine.store, engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
    assert verdict.ok, verdict.findings


# departments


def test_the_parent_is_asked_for_what_departments_used_and_their_accounts_are_level_again(engine: Engine) -> None:
    engine.charge([ride(1, 3, "lab"), ride(2, 3, "shop"), ride(3, 3, "lab"), ride(4, 3, "finance")])
    (made,) = [one for one in issue(engine, "2024-03") if isinstance(one, Statement)]
    assert [(section.payer, section.uses) for section in made.sections] == [("", 1), ("lab", 2), ("shop", 1)]
    assert sum(Decimal(section.total) for section in made.sections) == Decimal(made.total)
    posted = {view.owner: Decimal(view.posted) for view in engine.books.accounts() if view.role == "payer"}
    assert (posted["lab"], posted["shop"]) == (5, 5)  # what they were given to begin with stays theirs
    assert posted["finance"] == 3 - Decimal(made.charges)
    assert listing(engine, "lab") == []
    said = refused(RefusalCode.CONFLICT, lambda: issue(engine, who="lab"))
    assert said == "what lab uses is on the statement of finance."
    sound(engine)


def test_what_departments_use_later_is_on_the_next_one_and_a_forgotten_ones_name_is_gone(engine: Engine) -> None:
    engine.charge([ride(1, 3, "lab")])
    first = issue(engine, "2024-03", "finance")[0]
    engine.charge([ride(2, 3, "lab"), ride(3, 4, "shop")])
    second = issue(engine, "2024-04", "finance")[0]
    assert isinstance(first, Statement) and isinstance(second, Statement)
    assert [(s.payer, s.uses) for s in second.sections] == [("lab", 1), ("shop", 1)]
    engine.forget("lab")
    again = find(engine, first.id)
    assert isinstance(again, Statement) and again.sections[0].payer == f"(forgotten {again.sections[0].account})"
    assert b'"lab"' not in engine.store.document(engine.tenant, first.id)
    sound(engine)


def test_a_department_sees_its_own_use_beforehand(engine: Engine) -> None:
    engine.charge([ride(1, 3, "lab"), ride(2, 3, "shop"), ride(3, 4, "lab")])
    lab = engine.books.find_account("lab").id
    (seen,) = preview(engine, lab, "2024-03")
    assert isinstance(seen, Statement) and seen.preview and [section.uses for section in seen.sections] == [1]
    finance = engine.books.find_account("finance").id
    (march,) = preview(engine, finance, "2024-03")
    (april,) = preview(engine, finance, "2024-04")
    assert april.residue_in == march.residue_out and isinstance(april, Statement) and not april.payments.strip("0.")
    issued = issue(engine, "2024-04", "finance")[0]
    assert isinstance(issued, Statement) and (issued.total, issued.sections) == (april.total, april.sections)
    refused(RefusalCode.CONFLICT, lambda: preview(engine, finance, "2024-03"))
    refused(RefusalCode.BAD_TIME, lambda: preview(engine, finance, "March"))
    refused(RefusalCode.NOT_FOUND, lambda: preview(engine, "acct_99999"))
    (advice,) = preview(engine, engine.books.find_account("dora").id)
    assert isinstance(advice, Remittance) and advice.preview


@pytest.mark.parametrize(
    "payer",
    [
        Payer("x", "EUR", parent="nobody"),
        Payer("x", "EUR", parent="lab"),
        Payer("x", "EUR", parent="x"),
        Payer("x", "USD", parent="finance"),
        Payer("x", "EUR", parent="finance", calendar=Calendar(cycle="week")),
        Payer("x", "EUR", email="no address"),
    ],
)
def test_a_parent_that_can_not_pay_is_refused(payer: Payer) -> None:
    wrong = check_catalog(departments(x=payer))  # type: ignore[arg-type]
    assert wrong and all(one.where.startswith("payers.x.") for one in wrong)


def test_a_period_that_is_none_or_not_over_is_refused(engine: Engine) -> None:
    engine.charge([ride(1, 3)])
    rows = engine.store.head(engine.tenant, 0)
    refused(RefusalCode.BAD_TIME, lambda: issue(engine, "someday"))
    refused(RefusalCode.PERIOD_OPEN, lambda: issue(engine, "2099-01"))
    assert issue(engine, "2023-01") == [] and engine.store.head(engine.tenant, 0) == rows  # nothing was used then


# wishes


def test_what_was_agreed_goes_before_the_profile_field_by_field() -> None:
    agreed = Agreement("a", "ride", payer="ada", provider="dora", billing=Billing(detail="providers", language="fr"))
    profile = Profile("p", billing=Billing(statements="per-provider", language="de", issuer="otto"))
    found = replace(
        catalog(), agreements={"a": agreed}, profiles={"p": profile}, payers={"ada": Payer("ada", "EUR", profile="p")}
    )
    wishes = Wishes(found, "main")
    assert wishes.billing("ada") == Billing("per-provider", "providers", language="fr", issuer="otto")
    assert wishes.billing("ben") == Billing() and wishes.issuer("") == "main"
    assert wishes.face("ada", {"dora"}) == "otto" and wishes.face("ben", {"dora"}) == "dora"
    assert wishes.face("ben", {"dora", "otto"}) == wishes.face("ben", set()) == ""


# sessions


def test_a_session_is_billed_once_it_has_ended_and_the_period_leaves_it_out() -> None:
    rig = PlanRig(market())
    plan = planned(rig.engine, request("10", "ada", "ben"))
    id = rig.accepted(plan.id)
    assert rig.report(id, 1, "5", seconds=60, measure="minutes").refusal is None
    account = rig.account("ada")
    refused(RefusalCode.PERIOD_OPEN, lambda: issue_session(rig.engine, id))
    (seen,) = preview(rig.engine, account, session=id)
    assert isinstance(seen, Statement) and seen.preview and seen.session == id and Decimal(seen.total) > 0
    assert rig.report(id, 2, "10", seconds=60, measure="minutes").refusal is None
    rig.end(id)
    (hers,) = issue_session(rig.engine, id, "ada")
    assert issue_session(rig.engine, id, "ada") == [hers] and len(issue_session(rig.engine, id)) == 2
    refused(RefusalCode.NOT_FOUND, lambda: issue_session(rig.engine, id, "cyd"))
    refused(RefusalCode.NOT_FOUND, lambda: issue_session(rig.engine, "ses_nothing"))
    other = rig.accepted(planned(rig.engine, request("10")).id)
    assert rig.report(other, 1, "10", seconds=60, measure="minutes").refusal is None
    rig.end(other)
    rig.clock.move(40 * 86_400)
    month = {one.name: one for one in issue(rig.engine) if isinstance(one, Statement)}
    assert isinstance(hers, Statement) and month["ada"].opening == hers.closing
    assert month["ada"].residue_in == hers.residue_out and month["ada"].sections[0].uses == 1
    assert month["ben"].session == id  # his part of it is stated already, and he used nothing else
    posted = Decimal(rig.engine.books.find_account("ada").posted)
    assert Decimal(month["ada"].closing) == posted == 50 - Decimal(hers.charges) - Decimal(month["ada"].charges)
    refused(RefusalCode.CONFLICT, lambda: issue_session(rig.engine, other))


# what is given back


def given_back(engine: Engine, charge: Charge) -> str:
    """A correction of a whole charge, as whoever decides a dispute books it: its id."""

    def turned(text: str) -> str:
        return text[1:] if text.startswith("-") else f"-{text}" if text.strip("0.") else text

    def fill(work: Work) -> str:
        key = proof.record_key("correction", charge.id)
        share = charge.shares[0]
        made = replace(
            charge, id=key_id("chg", key), usage="", origin=charge.id, amount=turned(charge.amount),
            total=turned(charge.total), exact=turned(charge.exact), tax=turned(charge.tax), platform="0.000000000",
            shares=(Share(share.account, turned(share.amount)),), portions=(), lines=(),
            taxes=tuple(replace(tax, base=turned(tax.base), amount=turned(tax.amount)) for tax in charge.taxes),
        )  # fmt: skip
        payer = work.numbered(int(share.account[5:]))
        asset = work.asset_of(payer)
        atoms = int(charge.total.replace(".", ""))
        against = work.account(Role.SPONSOR, "disputes", asset)
        movements = [(payer, atoms), (against, -atoms)]
        work.touch_all(movements)
        entry = book(key_id("ent", key), made.id, "charge", work.at, (str(asset), asset.scale), movements)
        work.record(key, "done", b"12345678", encode(made), encode(entry))
        return made.id

    return engine.writer.booked(fill)


def test_corrections_of_a_stated_charge_are_found_by_their_origin(engine: Engine) -> None:
    engine.charge([ride(1, 3), ride(2, 3), ride(3, 4)])
    march, april = [one for one in issue(engine, who="ada") if isinstance(one, Statement)]
    charges = {record.usage.id: record.charge for record in engine.books.records()}
    refused(RefusalCode.NOT_FOUND, lambda: credit_note(engine, march.number))
    given_back(engine, charges["r1"])
    later = given_back(engine, charges["r3"])
    note = credit_note(engine, march.number)
    assert isinstance(note, CreditNote) and (note.number, note.corrects, note.statement) == (
        "C-000001", "S-000001", march.id,
    )  # fmt: skip
    assert note.charges == "-" + charges["r1"].total and Decimal(note.total) < 0
    assert (note.opening, note.residue_in) == (april.closing, april.residue_out)
    assert credit_note(engine, april.id, [later]).number == "C-000002"
    refused(RefusalCode.NOT_FOUND, lambda: credit_note(engine, april.number))
    assert find(engine, "S-000001") == march and find(engine, "C-000001") == note
    assert [line.kind for line in listing(engine, "ada")] == ["statement", "statement", "credit-note", "credit-note"]
    refused(RefusalCode.BAD_INPUT, lambda: credit_note(engine, note.number))
    refused(RefusalCode.NOT_FOUND, lambda: credit_note(engine, "S-000099"))


def test_what_is_named_must_give_back_and_be_there(engine: Engine) -> None:
    engine.charge([ride(1, 3)])
    statement = issue(engine, who="ada")[0]
    more, back = (outcome.id for outcome in engine.charge([ride(2, 3), ride(3, 3, km="-3")]))
    refused(RefusalCode.BAD_AMOUNT, lambda: credit_note(engine, statement.number, [more]))
    refused(RefusalCode.NOT_FOUND, lambda: credit_note(engine, statement.number, [back, "chg_x"]))
    note = credit_note(engine, statement.number, [back])
    assert note == credit_note(engine, statement.number, [back]) and note.total == "-" + note.total[1:]
    second = issue(engine, "2024-04", "ada")[0] if issue(engine, who="ada") else None
    assert second is None or second.number == "S-000002"
    sound(engine)


# the proof


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("books") / "books.db"
    with open_engine(str(path)) as made:
        made.apply(departments())  # type: ignore[arg-type]
        made.charge([ride(1, 3), ride(2, 3, "lab"), ride(3, 3, "finance")])
        statement = issue(made, who="ada")[0]
        issue(made, "2024-03")
        (back,) = made.charge([ride(4, 3, km="-3")])
        credit_note(made, statement.number, [back.id])
    found = exported(Path(path))
    assert verified(found, prefix_ok=True).ok
    return found


@pytest.mark.parametrize(
    ("mark", "wrong", "right"),
    [
        (b'"number":"S-000001"', b'"number":"S-000007"', b"has the number"),
        (b'"number":"C-000001"', b'"number":"C-000002"', b"has the number"),
        (b'"opening":"0.000000000"', b'"opening":"0.000000001"', b"begins with"),
        (b'"children":["', b'"children":["x', b"takes over"),
        (b'"taken":"', b'"taken":"1', b"is not what was taken over"),
        (b'"corrects":"stm_', b'"corrects":"stm_0', b"gives nothing back"),
        (b'"total":"', b'"total":"1', b"is not"),
    ],
)
def test_a_forged_statement_is_found(lines: list[bytes], mark: bytes, wrong: bytes, right: bytes) -> None:
    at = next(i for i, line in enumerate(lines) if line.startswith(b'{"type":"statement"') and mark in line)
    forged = rehash(edited(lines, at, lambda text: text.replace(mark, wrong, 1)))
    verdict = verified(forged, prefix_ok=True)
    assert not verdict.ok and "statement" in places(verdict)
    assert any(right.decode() in finding.message for finding in verdict.findings if finding.code == "statement")
