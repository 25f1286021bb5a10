"""A refund or a chargeback in plain words: what it is of, who bore it, how it stands."""

from __future__ import annotations

from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section
from apportion.engine.payments.clearing import CHARGEBACK, REFUND, read_record
from apportion.errors import RefusalCode, refuse
from apportion.model.card import ChargebackLine, RefundLine
from apportion.money import Money

KINDS = (REFUND, CHARGEBACK)
_REFUND = {
    "created": "The refund is wanted, and its amount has left the payer's account. The processor has not heard of it.",
    "sent": "The refund was sent, and what becomes of it is not known yet.",
    "unknown": "The refund was sent, and no answer tells how it ended. The processor is asked again until it knows.",
    "succeeded": "The money went back to the card.",
    "failed": "The refund failed: nothing went back to the card, and the payer's account has the amount again.",
}
_CHARGEBACK = {
    "open": "The bank took the payment back. Evidence may still win it.",
    "won": "It was won: everybody has again what they gave, but for the processor's fee.",
    "lost": "It was lost. What providers earned stays theirs.",
}


def explain_back(engine: Engine, id: str) -> Explanation:
    """A refund (``rfd_…``) or chargeback (``chb_…``) in plain words.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id)
    line = read_record(found.line) if found is not None else None
    if isinstance(line, RefundLine):
        facts, said, what = _refund(line), _REFUND[line.state], "a refund"
        wanted = 0 if line.state == "failed" else -1
        text = line.amount
    elif isinstance(line, ChargebackLine):
        facts, said, what = _chargeback(line), _CHARGEBACK[line.state], "a chargeback"
        wanted = 0 if line.state == "won" else -1
        text = line.taken
    else:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    currency = line.asset.partition("/")[0]
    asset = engine.books.asset(currency)
    moved = sum(
        Money.parse(leg.amount, asset).atoms
        for entry in engine.books.entries(line.account)
        if entry.cause == id
        for leg in entry.legs
        if leg.account == line.account
    )
    owner = engine.books.owners().get(line.account, line.account)
    steps = Section("What was done", (Fact("of", line.payment), Fact("from", line.account, owner), *facts), said)
    check = f"moved on the payer's account: {Money(moved, asset).text()}"
    title = f"{what} of {line.amount} {currency}"
    return Explanation(id, "operator", title, (steps,), check, moved == wanted * Money.parse(text, asset).atoms)


def _refund(line: RefundLine) -> list[Fact]:
    facts = [Fact("wanted at", line.requested, "at the processor, not here" if line.foreign else "")]
    if line.tries:
        facts.append(Fact("sent", f"{line.tries} times" if line.tries > 1 else "once", "always under this id"))
    facts.append(Fact("stands so since", line.at, line.reason))
    if line.reference:
        facts.append(Fact("the processor calls it", line.reference))
    return facts


def _chargeback(line: ChargebackLine) -> list[Fact]:
    facts = [
        Fact("told at", line.opened, line.reason),
        Fact("the payer gave", line.taken, "by force: below zero if need be"),
        Fact("the processor's fee", line.fee, "a cost of the platform"),
        Fact("the processor calls it", line.reference),
    ]
    if line.taken != line.amount:
        facts.insert(2, Fact("the platform bears", "the rest", "it had gone back to the payer already"))
    if line.respond_by:
        facts.append(Fact("evidence is taken until", line.respond_by))
    return facts
