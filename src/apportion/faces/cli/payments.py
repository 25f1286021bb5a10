"""Payments: which processor a node fetches value by, and a fake one to try it with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from apportion.errors import Misconfigured

if TYPE_CHECKING:
    from apportion.faces.api.node import Node

_KEY, _PAYOUTS = "APPORTION_PAYMENTS_KEY", "APPORTION_PAYOUTS_KEY"


@Parameter(name="*")
@dataclass(frozen=True)
class Paying:
    """By which payment processor value is fetched, and how patiently."""

    payments: Annotated[
        str, Parameter(help=f"The address of a payment processor; its key is read from {_KEY}. None when not given.")
    ] = ""
    payment_call: Annotated[int, Parameter(help="How many seconds a call to it may take.")] = 10
    payment_pause: Annotated[
        int, Parameter(help="The longest pause, in seconds, before an outcome that is not known is asked for again.")
    ] = 3600
    payment_late: Annotated[
        int, Parameter(help="After how many seconds without an outcome a payment is told to the operator.")
    ] = 3600

    payouts: Annotated[
        str, Parameter(help=f"The address of a processor of transfers to providers; its key is read from {_PAYOUTS}.")
    ] = ""

    def begin(self, node: Node, *, private: bool) -> None:
        """Let a node pay by the processor, when there is one.

        Raises:
            Misconfigured: its address may not be called, or a number is below one.
        """
        from apportion.engine.payments.cashier import Pace
        from apportion.wiring import open_payments, open_payouts

        if min(self.payment_call, self.payment_pause, self.payment_late) < 1:
            raise Misconfigured("--payment-call, --payment-pause and --payment-late are at least one second.")
        if self.payments:
            key, call = os.environ.get(_KEY, ""), self.payment_call
            port = open_payments(self.payments, key=key, private=private, seconds=call)
            node.pay_by(port, Pace(call=call, longest=self.payment_pause, late=self.payment_late))
        if self.payouts:
            key, call = os.environ.get(_PAYOUTS, ""), self.payment_call
            out = open_payouts(self.payouts, key=key, private=private, seconds=call)
            node.pay_out_by(out, Pace(call=call, longest=self.payment_pause, late=self.payment_late))


PAYING = Paying()


def fake_payments(
    *, host: str = "127.0.0.1", port: int = 8090, slow: int = 2, pending: int = 1, unknown: int = 3600
) -> None:
    """A FAKE payment processor, to try payments with: it moves no money.

    Such as: apportion fake-payments --port 8090, and beside it
    apportion serve --payments http://127.0.0.1:8090 --allow-private-addresses

    A payer's token says what happens: tok_ok, tok_declined, tok_slow, tok_timeout_after_charge, tok_500_after_charge,
    tok_pending_then_ok, tok_unknown. GET /charges lists what it has charged.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        slow: How many seconds tok_slow takes to answer.
        pending: How many seconds tok_pending_then_ok is pending.
        unknown: How many seconds nobody knows what became of tok_unknown.
    """
    try:
        import uvicorn  # noqa: F401

        from apportion.adapters.payments.fake import Pace, serve_fake
    except ImportError as error:
        raise Misconfigured(f"This needs more packages ({error.name}): pip install 'apportion[serve]'") from error
    serve_fake(
        host, port, Pace(slow, pending, unknown),
        lambda address: print(f"FAKE payment processor on {address}: it moves no money", flush=True),
    )  # fmt: skip
