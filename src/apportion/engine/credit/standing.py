"""Standing: a payer's billed months as the books tell them, and the limit that they earn.

A month is a statement. What was open after it, what had come in before it, and the credit line in force are read from
the lines of the books; how late a payment was, from the due dates of statements and from when value was booked.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from apportion.engine.credit.line import CAME, LOSS, TRAIL
from apportion.engine.credit.trails import Trails, default_model, told
from apportion.engine.engine import Engine
from apportion.engine.query import AccountView
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Role
from apportion.model.credit import History, LossLine, ModelLine, TrailLine, TrustDecision, TrustModel, TrustPolicy
from apportion.model.ids import number_id, read_number
from apportion.model.journal import AccountLine
from apportion.stages.credit import Trail, decide


def history_of(engine: Engine, party: str, *, currency: str = "", due_days: int | None = None, at: str = "") -> History:
    """A payer's billed months, out of the books: of the whole account, whoever delivered. It reads them all.

    Args:
        party: the payer's name or an account id.
        currency: which account, when the payer has several.
        due_days: a statement is due so many days after its issue; as it says itself when not given.
        at: as they stood at this instant (RFC 3339); now when not given.

    Raises:
        Refused: NOT_FOUND when nobody is called so; BAD_INPUT when a currency must be named.
    """
    view = payer_account(engine, party, currency)
    now = at or engine.clock.now()
    moment = datetime.fromisoformat(now)
    found, store = Trails((view.id,), due_days), engine.store
    mark = b'"' + view.id.encode() + b'"'
    for line in told(store, engine.tenant, 0, store.head(engine.tenant, 0)[0], mark):
        if isinstance(line, AccountLine) or datetime.fromisoformat(line.at) <= moment:
            found.take(line)
    return found.of(view.id).history(now)


def standing(engine: Engine, party: str, policy: TrustPolicy, model: TrustModel | None = None) -> TrustDecision:
    """The limit that a payer's history in the policy's currency earns now, with everything that it was made of.

    Nothing is changed; who puts it into force writes the decision down with it.

    Raises:
        Refused: as ``history_of`` and ``decide``.
    """
    return decide(policy, model or default_model(), history_of(engine, party, currency=policy.currency))


class Stands(msgspec.Struct, frozen=True):
    """What the books hold of a payer's credit: its trail (None: nobody follows it), the decision made now by the
    policy in force (None: there is none), and what was written off and is not recovered.
    """

    trail: TrailLine | None
    decision: TrustDecision | None
    loss: LossLine | None


def stands(engine: Engine, account: str) -> Stands:
    """How the credit of a payer's account stands, without reading the books from their start."""
    number, store, tenant = read_number(account), engine.store, engine.tenant
    names = [number_id(TRAIL, number), number_id(LOSS, number)]
    found = store.courses(tenant, names)
    line, loss = (found[name].line if name in found else b"" for name in names)
    trail = msgspec.json.decode(line, type=TrailLine) if line else None
    losses = msgspec.json.decode(loss, type=LossLine) if loss else None
    if trail is None or trail.ended or trail.policy is None:
        return Stands(None if trail is None or trail.ended else trail, None, losses)
    came = store.totals(tenant, [(number, CAME)]).get((number, CAME), (0, 1))[0]
    asset = engine.books.asset(trail.policy.currency)
    history = Trail(str(asset), trail, came).history(engine.clock.now())
    row = store.row(tenant, 0, int(store.fact(tenant, TRAIL))).split(b"\n")[-1]
    model = msgspec.json.decode(row, type=ModelLine).model
    return Stands(trail, decide(trail.policy, model, history), losses)


def payer_account(engine: Engine, party: str, currency: str = "") -> AccountView:
    """A payer's account by the payer's name or the account's id.

    Raises:
        Refused: NOT_FOUND; BAD_INPUT when the payer has several and none is named.
    """
    payers = [view for view in engine.books.named(party) if view.role == Role.PAYER.value]
    if not payers:
        raise refuse(
            RefusalCode.NOT_FOUND,
            f"there is no payer {party[:60]!r}.",
            field="party",
            fix="List them with `apportion balance --role payer`.",
        )
    found = [view for view in payers if currency in ("", view.currency)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(view.currency for view in payers))
    raise refuse(
        RefusalCode.BAD_INPUT, "which account is meant?", field="currency", fix=f"Name its currency, of {names}."
    )


__all__ = ["Stands", "default_model", "history_of", "payer_account", "standing", "stands"]
