"""A decision about credit, and a debt that was written off, in plain words with their arithmetic."""

from __future__ import annotations

from itertools import chain

import msgspec

from apportion.engine.credit.line import TRAIL
from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section
from apportion.errors import RefusalCode, refuse
from apportion.model.credit import LossLine, ModelLine, Month, TrustLine, TrustModel
from apportion.model.ids import number_id, read_key, read_number
from apportion.model.journal import Entry
from apportion.money.exact import decimal_text
from apportion.stages.credit import decide, wordless

_MODELS = msgspec.json.Decoder(ModelLine)


def explain_credit(engine: Engine, id: str) -> Explanation:
    """A decision (``trd_…``) or a write-off (``wof_…``) in plain words.

    Raises:
        Refused: NOT_FOUND.
    """
    if id.startswith("wof_"):
        return _write_off(engine, id)
    n = read_number(id)
    lines = [line for _, line in engine.books.lines(n - 1, n)] if 0 < n <= _last(engine) else []
    line = next((line for line in lines if isinstance(line, TrustLine) and line.id == id), None)
    if line is None:
        raise _nothing(id)
    return _decision(engine, line)


def _decision(engine: Engine, line: TrustLine) -> Explanation:
    made, currency = line.decision, line.decision.policy.currency
    model = _model(engine, made.model)
    again = decide(made.policy, model, made.history) if model is not None else made
    facts = [
        Fact("account", line.account, _owner(engine, line.account)),
        Fact("at", line.at),
        Fact("limit", f"{made.limit} {currency}", again.reason),
        Fact("fixed line", f"{line.least} {currency}", "the least, unless a loss stands"),
        Fact("credit line", f"{line.credit} {currency}", "in force from then on"),
    ]
    months = [
        Fact(f"month {i}", f"used {_said(m.used, made.history.asset)}", _month(m, made.history.asset))
        for i, m in enumerate(made.history.months[:12], 1)
    ]
    factors = [Fact(one.factor, one.share, one.words) for one in again.factors]
    sections = [Section("What it says", tuple(facts)), Section("The months, newest first", tuple(months))]
    sections.append(Section(f"What each factor did, from {made.intercept or 'nothing'}", tuple(factors)))
    holds = model is not None and wordless(again) == made
    check = "decided again from its own inputs, it is the same" if holds else "it can not be decided again here"
    title = f"a decision about the credit of {_owner(engine, line.account)}"
    return Explanation(line.id, "operator", title, tuple(one for one in sections if one.facts), check, holds)


def _month(month: Month, asset: str) -> str:
    behind = f", {month.months_late} months late" if month.months_late else ""
    return f"open {_said(month.billed, asset)}, paid {_said(month.paid, asset)}{behind}"


def _said(atoms: int, asset: str) -> str:
    return decimal_text(atoms, int(asset.partition("/")[2]))


def _write_off(engine: Engine, id: str) -> Explanation:
    key = read_key(id)
    seen = engine.store.seen(engine.tenant, [key]).get(key)
    lines = [line for _, line in engine.books.lines(seen.n - 1, seen.n)] if seen is not None else []
    entry = next((line for line in lines if isinstance(line, Entry) and line.cause == id), None)
    if entry is None:
        raise _nothing(id)
    facts = [Fact("at", entry.at)]
    facts += [Fact(_owner(engine, leg.account), leg.amount, leg.account) for leg in entry.legs]
    payer = next(line.account for line in lines if isinstance(line, LossLine))
    found = engine.store.courses(engine.tenant, [number_id("loss", read_number(payer))])
    losses = msgspec.json.decode(next(iter(found.values())).line, type=LossLine).losses
    left = next((one.atoms - one.recovered for one in losses if one.id == id), 0)
    facts.append(Fact("not made good yet", _said(left, entry.asset), "value that comes in makes it good first"))
    title = f"a debt of {_owner(engine, payer)} that was written off"
    return Explanation(id, "operator", title, (Section("What it says", tuple(facts)),), "the legs sum to 0", True)


def _model(engine: Engine, version: str) -> TrustModel | None:
    """A model of the books: the one in force, or an earlier one."""
    store, tenant, last = engine.store, engine.tenant, _last(engine)
    n = int(store.fact(tenant, TRAIL) or 0)
    first = [(n, store.row(tenant, 0, n), b"")] if n else []
    for _, row, _ in chain(first, store.journal(tenant, 0, 0, last)):
        if row.startswith(b'{"type":"model"') and version.encode() in row:
            return _MODELS.decode(row.split(b"\n")[0]).model
    return None


def _last(engine: Engine) -> int:
    return engine.store.head(engine.tenant, 0)[0]


def _owner(engine: Engine, account: str) -> str:
    return next((view.owner for view in engine.books.named(account)), account)


def _nothing(id: str) -> Exception:
    return refuse(
        RefusalCode.NOT_FOUND, f"nothing in these books is called {id[:60]!r}.", field="id", fix="Check the id."
    )
