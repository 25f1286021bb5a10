"""A payment in plain words: what it is for, what was done, how it stands."""

from __future__ import annotations

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.explain import Explanation, Fact, Section
from apportion.errors import RefusalCode, refuse
from apportion.model.payment import LIVE, PaymentLine, PaymentState

_LINE = msgspec.json.Decoder(PaymentLine)
_WORDS = {
    "created": "The payment is wanted. The processor has not heard of it yet.",
    "sent": "The payment was sent. The processor has it, and what becomes of it is not known yet.",
    "unknown": "The payment was sent, and no answer tells how it ended. It counts as neither paid nor failed: nothing "
    "is credited, and the processor is asked again until it knows.",
    "succeeded": "The payment succeeded, and its value is in.",
    "failed": "The payment failed. Nothing was charged, and nothing is credited.",
}
_CAUSES = {
    "auto": "the value ran short",
    "ref": "somebody asked for it",
    "off": "an offer was accepted",
    "stm": "a statement was to be paid",
}


def find_payment(engine: Engine, id: str) -> PaymentLine:
    """A payment by its id.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith("pay_") else None
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    return _LINE.decode(found.line)


def explain_payment(engine: Engine, id: str) -> Explanation:
    """A payment in plain words.

    Raises:
        Refused: NOT_FOUND.
    """
    line = find_payment(engine, id)
    currency = line.asset.partition("/")[0]
    owner = engine.books.owners().get(line.account, line.account)
    cause = _CAUSES.get(line.cause.partition("_")[0], "a session ran short")
    facts = [
        Fact("into", line.account, owner),
        Fact("because", line.cause, cause),
        Fact("wanted at", line.requested),
        Fact("sent", f"{line.tries} times" if line.tries != 1 else "once", "always under the id of this payment"),
    ]
    if line.asked:
        facts.append(Fact("without an outcome", f"{line.asked} answers", f"the last one: {line.reason or 'pending'}"))
    if line.late:
        facts.append(Fact("told to the operator at", line.late, "there had been no outcome for too long"))
    if line.state in LIVE:
        facts.append(Fact("looked at again at", line.due))
    else:
        facts.append(Fact("ended at", line.at, line.reason))
    if line.reference:
        facts.append(Fact("the processor calls it", line.reference))
    if line.previous:
        facts.append(Fact("the payment before it", line.previous))
    steps = Section("What was done", tuple(facts), _WORDS[line.state])
    check, holds = _check(engine, line)
    return Explanation(id, "operator", f"a payment of {line.amount} {currency}", (steps,), check, holds)


def _check(engine: Engine, line: PaymentLine) -> tuple[str, bool]:
    """Whether what is credited for it is what it should be."""
    credited = [
        leg.amount
        for entry in engine.books.entries(line.account)
        if entry.cause == line.id
        for leg in entry.legs
        if leg.account == line.account
    ]
    wanted = [line.amount] if line.state == PaymentState.SUCCEEDED.value else []
    return f"credited for it: {', '.join(credited) or 'nothing'}", credited == wanted
