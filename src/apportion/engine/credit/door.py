"""Credit at the door: what a payer has earned and why, deciding it anew, writing a debt off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.credit.line import guarantor_named
from apportion.engine.credit.standing import Stands, stands
from apportion.engine.engine import Engine
from apportion.engine.exchange import Input
from apportion.engine.query import AccountView, AnyLine
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.account import Role
from apportion.model.command import Outcome
from apportion.model.credit import LossLine, SetCredit, TrustDecision, TrustLine, WriteOff
from apportion.model.ids import read_number
from apportion.model.journal import Entry
from apportion.money import Exact
from apportion.money.exact import decimal_text
from apportion.stages.credit import explain


class WriteOffInput(Input, frozen=True):
    """How much of a debt to write off (decimal text); all of it when empty."""

    amount: Annotated[str, Meta(max_length=42, pattern=r"^([0-9]{1,40}(\.[0-9]{1,40})?)?$")] = ""


class TrustView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payer's credit as it stands: the line in force (``credit``) and what stands behind it.

    ``decision`` is what its history earns now by the policy in force, in ``words``, ``decided`` the last one that the
    books hold; both are empty where the line is fixed. ``least`` is the fixed line. ``declined`` says why a request on
    credit need not be negotiated. ``outstanding`` was written off and is not recovered; ``guarantor`` is the provider
    that stands for the line (empty: the platform); ``due`` when it is looked at next.
    """

    account: str
    currency: str
    credit: str
    least: str
    decision: TrustDecision | None = None
    words: tuple[str, ...] = ()
    declined: str = ""
    decided: str = ""
    outstanding: str = "0"
    guarantor: str = ""
    due: str = ""


class CreditAnswer(msgspec.Struct, frozen=True):
    """A decision as it was made: ``credit`` is the line that it set, at least ``least``."""

    id: str
    account: str
    at: str
    currency: str
    credit: str
    least: str
    decision: TrustDecision


class WriteOffAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A debt that was written off: ``against`` is the account that was debited, of the ``guarantor`` (empty: the
    platform); ``below_zero`` says that the guarantor now owes.
    """

    id: str
    account: str
    at: str
    currency: str
    amount: str
    against: str
    guarantor: str = ""
    below_zero: bool = False


def trust(engine: Engine, call: Call) -> TrustView:
    """A payer's credit as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    account = Sight(engine, call.caller).account(call.id)
    if account.role != Role.PAYER.value:
        raise nothing()
    return trust_view(engine, account)


def trust_view(engine: Engine, account: AccountView) -> TrustView:
    """What stands of the credit of a payer's account."""
    found = stands(engine, account.id)
    scale, decision, trail = engine.books.asset(account.currency).scale, found.decision, found.trail
    owed = sum(one.atoms - one.recovered for one in found.loss.losses) if found.loss is not None else 0
    unpaid = f"{Exact(owed, 10**scale).text()} {account.currency}" if owed else ""
    least = decimal_text(trail.least, scale) if trail is not None else account.credit
    return TrustView(
        account.id, account.currency, account.credit, least, decision,
        explain(decision) if decision is not None else (), _declined(found, unpaid),
        trail.decision if trail is not None else "", decimal_text(owed, scale) if owed else "0",
        guarantor_named(engine.store, engine.tenant, read_number(account.id)), trail.due if trail is not None else "",
    )  # fmt: skip


def _declined(found: Stands, owed: str) -> str:
    if owed:
        return f"{owed} was written off and is not paid."
    return found.decision.declined if found.decision is not None else ""


def set_credit(call: Call) -> list[object]:
    return [SetCredit(_number(call.id))]


def set_credit_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> CreditAnswer:
    line = next(line for line in _row(engine, outcomes[0]) if isinstance(line, TrustLine))
    currency = line.decision.policy.currency
    return CreditAnswer(line.id, line.account, line.at, currency, line.credit, line.least, line.decision)


def write_off(call: Call) -> list[object]:
    given: WriteOffInput = call.given
    return [WriteOff(_number(call.id), given.amount)]


def write_off_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> WriteOffAnswer:
    lines = _row(engine, outcomes[0])
    entry = next(line for line in lines if isinstance(line, Entry) and line.cause == outcomes[0].id)
    loss = next(one for line in lines if isinstance(line, LossLine) for one in line.losses if one.id == entry.cause)
    payer = next(leg for leg in entry.legs if leg.account != loss.account)
    currency = entry.asset.partition("/")[0]
    return WriteOffAnswer(
        loss.id, payer.account, entry.at, currency, payer.amount, loss.account, loss.guarantor, entry.forced
    )


def _row(engine: Engine, outcome: Outcome) -> list[AnyLine]:
    """The lines of the row that a command made; its refusal is raised."""
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return [line for _, line in engine.books.lines(outcome.n - 1, outcome.n)]


def _number(id: str) -> int:
    if not id.startswith("acct_"):
        raise refuse(RefusalCode.NOT_FOUND, f"there is no account {id[:60]!r}.", field="id", fix="List them first.")
    return read_number(id)
