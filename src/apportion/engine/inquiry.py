"""From an id to what it names: the record behind it, explained."""

from __future__ import annotations

import re

import msgspec

from apportion.engine.close import usage_of
from apportion.engine.credit.words import explain_credit
from apportion.engine.disputes.words import explain_dispute
from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section, Subject, View, explain_charge
from apportion.engine.levels.words import explain_level, with_level
from apportion.engine.payments.back_words import KINDS, explain_back
from apportion.engine.payments.words import explain_payment
from apportion.engine.query import AnyLine, Record
from apportion.engine.rating import Given, prepare, price_parts
from apportion.engine.sessions.words import explain_session, slice_section
from apportion.engine.settling.words import explain_settling
from apportion.engine.terms import Terms
from apportion.errors import NotFound, RefusalCode, Refused, refuse
from apportion.model.charge import Charge
from apportion.model.ids import read_key
from apportion.model.journal import AccountLine, CatalogLine, Entry, HoldLine, ImportLine, UsageLine
from apportion.model.level import LEVEL
from apportion.money import Exact

_KEYED = ("chg", "usg", "ent", "top", "tru", "gra", "buy", "obl")
_SCANNED = re.compile(r"[a-z]{2,5}_[0-9a-z]{1,60}", re.ASCII)


def explain(engine: Engine, id: str, view: View) -> Explanation:
    """Whatever ``id`` names, as ``view`` may see it; ``chg_…/PART`` is the portion of one part.

    Raises:
        Refused: NOT_FOUND; BAD_INPUT when only the operator may see such a record.
    """
    name, _, part = id.partition("/")
    if name.startswith(("trd_", "wof_")) and view.kind == "operator":
        return explain_credit(engine, name)
    if name.startswith("pay_") and view.kind == "operator":
        return explain_payment(engine, name)
    if name.startswith(KINDS) and view.kind == "operator":
        return explain_back(engine, name)
    if name.startswith("ses_") and view.kind == "operator":
        return explain_session(engine, name)
    if name.startswith(LEVEL) and view.kind == "operator":
        return explain_level(engine, name)
    if name.startswith(("stl_", "pyo_")) and view.kind == "operator":
        return explain_settling(engine, name)
    if name.startswith("dsp_") and view.kind == "operator":
        return explain_dispute(engine, name)
    lines = _lines(engine, name)
    if any(isinstance(line, Charge) for line in lines) and name[:3] in ("chg", "usg", "ent"):
        return _charge(engine, "chg" + name[3:], view, part)
    if view.kind != "operator":
        raise refuse(RefusalCode.NOT_FOUND, f"there is no charge {name[:60]!r}.", field="id")
    return _other(engine, name, lines)


def _charge(engine: Engine, id: str, view: View, part: str) -> Explanation:
    books = engine.books
    record = books.record(id)
    if part:
        portion = next((p for p in record.charge.portions if p.part == part), None)
        if portion is None:
            parts = ", ".join(p.part for p in record.charge.portions)
            raise refuse(RefusalCode.NOT_FOUND, f"{id} has no part {part[:60]!r}.", field="id", fix=f"One of {parts}.")
        if view.kind == "user":
            raise refuse(RefusalCode.NOT_FOUND, "portions are for providers.", field="view", fix="Explain the charge.")
        view = View("provider", portion.provider if view.kind == "operator" else view.name, part)
    try:
        terms = engine.terms(record.charge.catalog)
    except NotFound:
        return explain_charge(Subject(record, books.owners(), {}), view)
    service = terms.catalog.services.get(record.charge.service)
    units = service.measures if service is not None else {}
    found = explain_charge(Subject(with_lines(record, terms), books.owners(), units), view)
    if record.usage.source.startswith("ses_"):
        found = msgspec.structs.replace(found, sections=(*found.sections, slice_section(engine, record, view)))
    if record.charge.origin.startswith(LEVEL):
        found = with_level(engine, found, record.charge.origin, view)
    return found


def with_lines(record: Record, terms: Terms) -> Record:
    """The record with the arithmetic of its prices, computed again where the books did not keep it."""
    charge = record.charge
    if charge.lines or charge.origin or record.usage.source.startswith("ses_"):
        return record  # a slice is what its session comes to less what was booked, not the price of its units
    try:
        rated = prepare(usage_of(record), terms, Given.of(charge, record.usage.period)).rated
        route = terms.service(charge.service).route(tuple((p.part, p.provider) for p in record.usage.parts))
    except Refused:
        return record
    if rated is None:
        return record
    priced = {(p.part, p.provider): one for p, one in zip(route.parts, rated.parts, strict=True) if one is not None}
    portions = tuple(
        msgspec.structs.replace(p, lines=priced[p.part, p.provider].lines) if (p.part, p.provider) in priced else p
        for p in charge.portions
    )
    lined = msgspec.structs.replace(charge, lines=rated.retail.lines, portions=portions)
    return msgspec.structs.replace(record, charge=lined)


def with_part_lines(record: Record, terms: Terms) -> Record:
    """The same for its portions alone, which is quicker: what providers are told needs no more."""
    charge = record.charge
    if charge.lines or charge.origin or record.usage.source.startswith("ses_"):
        return record
    usage = usage_of(record)
    try:
        parts = price_parts(usage, terms, charge.tariff)
        route = terms.service(charge.service).route(tuple((p.part, p.provider) for p in usage.parts))
    except Refused:
        return record
    if parts is None:
        return with_lines(record, terms)
    priced = {(p.part, p.provider): one for p, one in zip(route.parts, parts, strict=True) if one is not None}
    portions = tuple(
        msgspec.structs.replace(p, lines=priced[p.part, p.provider].lines) if (p.part, p.provider) in priced else p
        for p in charge.portions
    )
    return msgspec.structs.replace(record, charge=msgspec.structs.replace(charge, portions=portions))


def _lines(engine: Engine, id: str) -> list[AnyLine]:
    """The journal row in which ``id`` was written, decoded.

    Raises:
        Refused: NOT_FOUND.
    """
    n = _row(engine, id)
    if not n:
        raise refuse(
            RefusalCode.NOT_FOUND, f"nothing in these books is called {id[:60]!r}.", field="id", fix="Check the id."
        )
    return [line for _, line in engine.books.lines(n - 1, n)]


def _row(engine: Engine, id: str) -> int:
    prefix = id.partition("_")[0]
    if prefix in _KEYED:
        key = read_key(id)
        seen = engine.store.seen(engine.tenant, [key]).get(key)
        return seen.n if seen is not None else 0
    if not _SCANNED.fullmatch(id):
        return 0
    mark = b'"id":"' + id.encode() + b'"'
    last = engine.store.head(engine.tenant, 0)[0]
    rows = engine.store.journal(engine.tenant, 0, 0, last)
    return next((n for n, body, _ in rows if mark in body and b'"type":"usage"' not in body), 0)


def _other(engine: Engine, id: str, lines: list[AnyLine]) -> Explanation:
    """A record that is no charge, as what it is and what it says."""
    owners = engine.books.owners()
    line = next((line for line in lines if getattr(line, "id", "") == id), lines[-1])
    title, facts = _words(line, owners)
    if isinstance(line, AccountLine):
        view = engine.books.find_account(id)
        title = f"the {view.role} account of {view.owner} in {view.currency}"
        facts = [
            Fact(name, value) for name in ("posted", "held", "credit", "available") if (value := getattr(view, name))
        ]
    section = Section("What it says", tuple(facts))
    check, holds = _balance(line)
    return Explanation(id, "operator", title, (section,), check, holds)


def _words(line: AnyLine, owners: dict[str, str]) -> tuple[str, list[Fact]]:
    if isinstance(line, Entry):
        kinds = {
            "topup": "a top-up: value that came in from outside",
            "opening": "the value an account was opened with",
            "collected": "a payment that a provider took from the payer, and owes",
        }
        facts = [Fact(owners.get(leg.account, leg.account), leg.amount, leg.account) for leg in line.legs]
        return kinds.get(line.kind, f"an entry ({line.kind})"), [Fact("at", line.at), Fact("asset", line.asset), *facts]
    if isinstance(line, UsageLine):
        why = f": {line.reason} {line.field}".rstrip() if line.reason else ""
        facts = [Fact("record", f"{line.source} {line.id}"), Fact("service", line.service), Fact("digest", line.digest)]
        return f"a usage record that is {line.state}{why}", [fact for fact in facts if fact.value.strip()]
    if isinstance(line, ImportLine):
        names = ("at", "received", "charged", "zero_rated", "duplicate", "rejected", "pending")
        return "a run over usage files", [Fact(name, str(getattr(line, name))) for name in names]
    if isinstance(line, HoldLine):
        fields = ("owner", "amount", "captured", "released", "expires")
        return f"a hold on the account of {owners.get(line.account, line.account)}", [
            Fact(name, getattr(line, name)) for name in fields
        ]
    if isinstance(line, CatalogLine):
        return "a catalog version", [Fact("size", f"{len(line.body)} bytes"), Fact("read it", "apportion catalog show")]
    plain = msgspec.to_builtins(line)
    kind = str(plain.get("type", type(line).__name__))
    facts = [Fact(name, str(value)) for name, value in plain.items() if not isinstance(value, dict | list | bytes)]
    return f"a {kind} record", facts


def _balance(line: AnyLine) -> tuple[str, bool]:
    if not isinstance(line, Entry):
        return "", True
    total = Exact(0)
    for leg in line.legs:
        total += Exact.parse(leg.amount)
    return f"the legs sum to {total.text()}", not total
