"""Holds: value set aside for a purpose; it is captured or released, and ends exactly once."""

from __future__ import annotations

from apportion.errors import RefusalCode, refuse
from apportion.ledger.chart import may_draw
from apportion.model.account import Account
from apportion.model.hold import Hold, HoldState


def place(hold: Hold, account: Account) -> None:
    """Set value aside; refused when the account does not have it.

    Raises:
        Refused: INSUFFICIENT_FUNDS, BAD_AMOUNT.
    """
    if hold.amount <= 0:
        raise refuse(RefusalCode.BAD_AMOUNT, "a hold must be above zero.", field="amount")
    short = may_draw(account, hold.amount)
    if short is not None:
        raise refuse(short.code, short.message, field="amount", fix=short.fix)
    account.held += hold.amount


def capture(hold: Hold, account: Account, atoms: int, *, final: bool) -> None:
    """Turn ``atoms`` of an open hold into value that a charge takes next; ``final`` releases what is left.

    Raises:
        Refused: HOLD_ENDED, or BAD_AMOUNT when more is captured than is open.
    """
    _still_open(hold)
    if not 0 <= atoms <= hold.open:
        raise refuse(RefusalCode.BAD_AMOUNT, "more is captured than the hold has open.", field="amount")
    hold.captured += atoms
    account.held -= atoms
    if final:
        account.held -= hold.open
        hold.released += hold.open
    if hold.open == 0:
        hold.state = HoldState.CAPTURED if hold.captured else HoldState.RELEASED


def release(hold: Hold, account: Account, state: HoldState = HoldState.RELEASED) -> None:
    """End a hold: everything open goes back to the account; ``state`` is RELEASED or EXPIRED."""
    _still_open(hold)
    account.held -= hold.open
    hold.released += hold.open
    hold.state = state


def _still_open(hold: Hold) -> None:
    if hold.state is not HoldState.OPEN:
        raise refuse(RefusalCode.HOLD_ENDED, f"the hold has ended ({hold.state.value}).", field="hold")
