"""What a payment processor tells by itself: verified, applied once in whatever order it comes, and only then answered.

A notice about a payment, a refund or a card is a hint: the processor is asked now instead of later, and its answer is
what counts. A chargeback is booked once its payment is; until then the processor is told to come again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from apportion.adapters.payments.signed import HEADER
from apportion.engine.engine import Engine
from apportion.engine.gather import Job
from apportion.engine.payments.chargebacks import chargeback_id
from apportion.engine.payments.clearing import REFUND
from apportion.errors import RefusalCode, Refused, StoreUnavailable, refuse
from apportion.faces.api import bodies
from apportion.faces.api.node import Node
from apportion.faces.api.problems import Declined
from apportion.model.card import HearChargeback, HearPayout, HearRefund, PayoutItem
from apportion.model.command import Outcome
from apportion.model.notice import Deposit, DepositItem, Notice
from apportion.model.payment import LIVE
from apportion.ports import PaymentPort

PATH, END = "/v1/processors/", "/events"
BODY_MAX, SECONDS = 1 << 18, 15.0


async def hear(
    node: Node, method: str, path: str, headers: dict[bytes, bytes], receive: Callable[[], Awaitable[dict[str, Any]]]
) -> bytes:
    """Take a notice of the node's processor; the answer when it is in the books, or needs not be.

    Raises:
        Declined: there is no such processor, or another method.
        Refused: the notice is not signed by the processor, or contradicts the books: nothing is booked.
        StoreUnavailable: it can not be applied yet.
    """
    port = node.payments
    if port is None or path != f"{PATH}{port.name}{END}":
        raise Declined("no_route", "", "See /docs for all addresses.")
    if method != "POST":
        raise Declined("method", "It takes POST.", "", (("allow", "POST"),))
    body = await bodies.read(headers, receive, BODY_MAX)
    notice = port.read(body, headers.get(HEADER.encode(), b"").decode("latin-1"), node.now())
    if notice.kind == "payout":
        await _payout(node, port, notice.reference)
    elif notice.id:
        tenant = await _tenant(node, notice.id)
        if tenant:
            await node.write(Job(tenant, act=lambda engine: node.poke(tenant, notice.id)))
    elif notice.kind in ("refund", "chargeback"):
        await _back(node, port, notice)
    return msgspec.json.encode({"received": notice.event})


async def _tenant(node: Node, course: str) -> str:
    """The tenant whose books hold a record; empty when none does."""
    for name in node.engines:
        if await node.read(name, lambda engine: engine.store.courses(engine.tenant, [course])):
            return name
    return ""


async def _back(node: Node, port: PaymentPort, notice: Notice) -> None:
    """Money that went back without our doing: a chargeback, or a refund that was made at the processor."""
    try:
        payment = await node.abroad(lambda: port.whose(notice), SECONDS)
    except TimeoutError:
        raise StoreUnavailable("The processor did not say which payment this is about. Send it again.") from None
    tenant = await _tenant(node, payment) if payment.startswith("pay_") else ""
    if not tenant:
        return  # none of ours
    command: object = HearRefund(payment, notice.reference, notice.amount, notice.currency)
    if notice.kind == "chargeback":
        command = HearChargeback(
            payment, notice.reference, notice.state, notice.amount, notice.currency, notice.fee, notice.reason[:60],
            notice.respond_by,
        )  # fmt: skip
    refusal = (await _write(node, tenant, command)).refusal
    if refusal is None:
        return
    if refusal.code is RefusalCode.NOT_FOUND:
        await node.write(Job(tenant, act=lambda engine: node.poke(tenant, payment)))
        raise StoreUnavailable("The payment that this is about is not in yet. Send it again.")
    raise Refused(refusal)


async def _payout(node: Node, port: PaymentPort, reference: str) -> None:
    """A payout, with the items that each tenant knows; what nobody knows is booked for the first one."""
    found: Deposit = await node.abroad(lambda: port.deposit(reference), 2 * SECONDS)
    if found.fault:
        raise StoreUnavailable(f"The processor did not say what is in this payout ({found.fault}). Send it again.")
    if not found.currency:
        raise refuse(RefusalCode.BAD_INPUT, "the payout has no currency.", field="currency")
    tenants = list(node.engines)
    whose: dict[str, list[PayoutItem]] = {}
    for item in found.items:
        mine = [name for name in tenants[1:] if await node.read(name, lambda e: _knows(e, port.name, item))]  # noqa: B023
        name = mine[0] if mine else tenants[0]
        if await node.read(name, lambda engine: _under_way(engine, item.id)):  # noqa: B023
            await node.write(Job(name, act=lambda engine: node.poke(name, item.id)))  # noqa: B023
            raise StoreUnavailable("Something in this payout is not known to have ended yet. Send it again.")
        whose.setdefault(name, []).append(PayoutItem(item.reference or item.id, item.gross, item.fee, item.id))
    for name, items in whose.items():
        outcome = await _write(node, name, HearPayout(port.name, found.reference, found.currency, tuple(items)))
        if outcome.refusal is not None:
            raise Refused(outcome.refusal)


def _under_way(engine: Engine, id: str) -> bool:
    """Whether a payment or refund has no outcome here, though a payout has brought it already."""
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith(("pay_", REFUND)) else None
    return found is not None and msgspec.json.decode(found.line)["state"] in LIVE


def _knows(engine: Engine, processor: str, item: DepositItem) -> bool:
    """Whether a tenant's books hold what an item of a payout is about."""
    names = [name for name in (item.id, chargeback_id(processor, item.reference)) if name]
    return bool(engine.store.courses(engine.tenant, names))


async def _write(node: Node, tenant: str, command: object) -> Outcome:
    def tell(engine: Any, outcomes: Sequence[Outcome]) -> Outcome:
        return outcomes[0]

    made: Outcome = await node.write(Job(tenant, [command], tell))
    return made
