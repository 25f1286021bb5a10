"""Questions about what happened: ``explain`` and ``trace``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer
from apportion.faces.cli.reach import reading
from apportion.faces.tables import Table, trimmed, width_of

_FLOWS = 20

if TYPE_CHECKING:
    from apportion.engine.explain import Explanation
    from apportion.engine.trace import Trace


def explain(
    id: str,
    /,
    *,
    view: str = "operator",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> int:
    """A charge in plain words, with its arithmetic.

    Such as: apportion explain chg_4cn2… --view user

    What was used, the evidence, the price line by line, tax, who pays what and why, who earns what and why, and the
    check that it adds up. Exit code 1 when it does not.

    Args:
        id: A charge (chg_…), the portion of one part (chg_…/PART), or any other id: usage, entry, top-up, account,
            hold, run, catalog; a plan (pln_…) says why these providers.
        view: For whom: operator (when not given) sees everything; user or user=NAME sees no wholesale price, portion
            or margin; provider=NAME sees its own part.
    """
    from apportion.engine.explain import View

    seen_by = View.parse(view)
    with reading(place) as books:
        found = books.plans.explain(id, view) if id.startswith("pln_") else books.explain(id, seen_by)
    answer.give(found, _text(found))
    return 0 if found.holds else 1


def _text(found: Explanation) -> str:
    """An explanation as a person reads it."""
    lines = [f"{found.id}: {found.title}"]
    for section in found.sections:
        if not section.facts:
            continue
        lines += ["", section.title + (f". {section.text}" if section.text else "")]
        names = max(width_of(fact.name) for fact in section.facts)
        values = min(40, max(width_of(fact.value) for fact in section.facts))
        for fact in section.facts:
            name = fact.name + " " * (names - width_of(fact.name))
            value = fact.value + " " * max(0, values - width_of(fact.value)) if fact.note else fact.value
            lines.append(f"  {name}  {value}" + (f"  {fact.note}" if fact.note else ""))
    if found.check:
        lines += ["", f"{'Adds up' if found.holds else 'DOES NOT ADD UP'}: {found.check}"]
    return "\n".join(lines)


def trace(account: str, /, *, limit: int = 40, place: Place = PLACE, answer: TableAnswer = TABLE) -> int:
    """Every unit of money of an account: where it came from, where it went.

    Such as: apportion trace ada

    The entries in order with the running balance, then the sums by counterparty and service, and a picture of them.
    Exit code 1 when they do not lead to the balance.

    Args:
        account: An account id, or the name of a party with one account.
        limit: How many of the latest entries to show; 0 shows all. JSON and CSV hold all.
    """
    from apportion.engine.trace import find
    from apportion.engine.trace import trace as traced

    with place.read() as engine:
        found = traced(engine, find(engine, account))
    steps = found.steps if answer.json or answer.csv or not limit else found.steps[-limit:]
    table = Table.of(steps, ("at", "kind", "service", "cause", "amount", "balance"))
    if not answer.json and not answer.csv and len(steps) < len(found.steps):
        print(f"The latest {len(steps)} of {len(found.steps)} entries; --limit 0 shows all.\n")
    if answer.give(table, found):
        print("\n" + _picture(found))
    return 0 if found.holds else 1


def _picture(found: Trace) -> str:
    """The flows as a small tree: what came in above the account, what went out below it."""
    own = found.account
    came = [(f"{flow.owner} ({flow.role}), {flow.service}", flow.into) for flow in found.flows if is_some(flow.into)]
    went = [(f"{flow.owner} ({flow.role}), {flow.service}", flow.out) for flow in found.flows if is_some(flow.out)]
    shown = trimmed([amount for _, amount in (*came, *went)] + [own.posted])
    wide = max(map(len, shown))
    lines = _some([f"  {amount:>{wide}}  from {name}" for (name, _), amount in zip(came, shown, strict=False)])
    lines.append(f"  {shown[-1]:>{wide}}  {own.currency} is the balance of {own.owner} ({own.role}, {own.id})")
    lines += _some(
        [f"  {amount:>{wide}}  to {name}" for (name, _), amount in zip(went, shown[len(came) :], strict=False)]
    )
    if not found.holds:
        lines.append("These sums DO NOT lead to the balance: run apportion verify.")
    return "\n".join(lines)


def _some(lines: list[str]) -> list[str]:
    """The largest flows, and how many there are besides."""
    rest = len(lines) - _FLOWS
    return lines if rest <= 1 else [*lines[:_FLOWS], f"  and {rest:,} more; --json holds all."]


def is_some(amount: str) -> bool:
    """Whether an amount is not zero."""
    return bool(amount.strip("-0."))
