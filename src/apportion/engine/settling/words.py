"""Settlements and payouts in plain words: what is in them, who pays whom, and how far that has come."""

from __future__ import annotations

from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section
from apportion.engine.settling.standing import find_payout, find_settlement, positions_of
from apportion.model.payment import PaymentState
from apportion.model.settlement import PayoutLine
from apportion.money import Exact

_MODES = {
    "gross": "Every obligation is a payment of its own.",
    "net": "What two owe each other was set off; the rest is one payment.",
    "multilateral": "All that a provider is owed or owes is one payment, from or to the platform.",
}
_STATES = {
    "created": "It was ordered, and its end is not known yet. Until then its money lies in clearing.",
    "sent": "The processor has it, and what becomes of it is not known yet.",
    "unknown": "No answer tells how it ended. It counts as neither paid nor failed, and is asked for until one does.",
    "succeeded": "It has arrived.",
    "failed": "It has not arrived: the money is the provider's again, and may be ordered once more.",
}


def explain_settling(engine: Engine, id: str) -> Explanation:
    """A settlement (``stl_…``) or payout (``pyo_…``).

    Raises:
        Refused: NOT_FOUND.
    """
    return _payout(engine, id) if id.startswith("pyo_") else _settlement(engine, id)


def _settlement(engine: Engine, id: str) -> Explanation:
    line, owners = find_settlement(engine, id), engine.books.owners()
    currency = line.asset.partition("/")[0]
    sections = []
    total = Exact(0)
    for one in positions_of(engine.store, engine.tenant, line):
        total += Exact.parse(one.payable)
        sum_ = f"{one.opening} + {one.credits} − {one.debits} + {one.obliged} − {one.paid} = {one.closing}"
        rounded = f"{one.credited} + {one.residue_in} − {one.residue_out} = {one.payable}"
        facts = Fact("stands at", one.closing, sum_), Fact("payable", one.payable, rounded), Fact("advice", one.advice)
        sections.append(Section(owners.get(one.account, one.account), facts))
    pays = [
        Fact(f"{_name(p.debtor, owners)} pays {_name(p.creditor, owners)}", p.amount, currency) for p in line.payments
    ]
    sections.append(Section("Payments", tuple(pays), _MODES[line.mode]))
    title = f"{line.number}: what was booked in the rows {line.after + 1} to {line.upto}, in {currency}"
    check = f"the positions come to {total.text()}, the settlement says {line.payable}"
    return Explanation(id, "operator", title, tuple(sections), check, total == Exact.parse(line.payable))


def _payout(engine: Engine, id: str) -> Explanation:
    line, owners = find_payout(engine, id), engine.books.owners()
    facts = [
        Fact("of", line.settlement),
        Fact("from", _name(line.debtor, owners)),
        Fact("to", _name(line.creditor, owners)),
        Fact("by", line.by, f"batch {line.batch}"),
        Fact("ordered at", line.requested),
    ]
    if line.tries:
        facts.append(Fact("sent", "once" if line.tries == 1 else f"{line.tries} times", "always under its own id"))
    if line.reference:
        facts.append(Fact("called", line.reference))
    if line.reason:
        facts.append(Fact("reason", line.reason))
    steps = Section("What was done", tuple(facts), _STATES[line.state])
    check, holds = _check(engine, line)
    title = f"a payout of {line.amount} {line.asset.partition('/')[0]}"
    return Explanation(id, "operator", title, (steps,), check, holds)


def _check(engine: Engine, line: PayoutLine) -> tuple[str, bool]:
    """Whether the entries of a payout are those of its state."""
    account = line.creditor or line.debtor
    kinds = [entry.kind for entry in engine.books.entries(account) if entry.cause == line.id]
    outward = not line.debtor
    ended = {PaymentState.SUCCEEDED.value: [] if outward else ["direct" if line.creditor else "collection"],
             PaymentState.FAILED.value: ["payout-failed"] if outward else []}  # fmt: skip
    wanted = (["payout"] if outward else []) + ended.get(line.state, [])
    return f"booked for it on {account}: {', '.join(kinds) or 'nothing'}", kinds == wanted


def _name(account: str, owners: dict[str, str]) -> str:
    return owners.get(account, account) if account else "the platform"
