"""Stripe's events as notices: what they are about is asked for again, so only chargebacks are read out of them."""

from __future__ import annotations

from typing import Any

import msgspec

from apportion.model.notice import Notice
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text

OURS = "apportion_id"


class Data(msgspec.Struct, frozen=True):
    """What an event is about."""

    object: dict[str, Any]


class Stripe(msgspec.Struct, frozen=True):
    """An event, as far as it is looked at."""

    id: str
    type: str
    data: Data


_ENDS = {"won": "won", "lost": "lost", "warning_closed": "won"}


def notice_of(event: Stripe) -> Notice:
    """What an event tells. Raises KeyError or ValueError when it lacks what its type promises."""
    about, kind = event.data.object, event.type
    name = str(about.get("id", ""))
    mine = str((about.get("metadata") or {}).get(OURS, ""))
    if kind.startswith("payment_intent."):
        return Notice(event.id, "payment", mine, name) if mine.startswith("pay_") else _other(event)
    if kind.startswith(("checkout.session.", "setup_intent.")):
        return Notice(event.id, "card", mine, name) if mine.startswith("crd_") else _other(event)
    if kind.startswith(("refund.", "charge.refund.")):
        return _refund(event, about, name, mine)
    if kind.startswith("charge.dispute."):
        return _dispute(event, about, name)
    if kind == "payout.paid":
        return Notice(event.id, "payout", reference=name, currency=str(about["currency"]).upper())
    return _other(event)


def _other(event: Stripe) -> Notice:
    return Notice(event.id, "other")


def _refund(event: Stripe, about: dict[str, Any], name: str, mine: str) -> Notice:
    if mine.startswith("rfd_"):
        return Notice(event.id, "refund", mine, name)
    if about.get("status") != "succeeded" or not about.get("payment_intent"):
        return _other(event)
    currency = str(about["currency"]).upper()
    amount = _major(about["amount"], currency)
    return Notice(event.id, "refund", "", name, str(about["payment_intent"]), "succeeded", amount, currency)


def _dispute(event: Stripe, about: dict[str, Any], name: str) -> Notice:
    """A dispute; an inquiry, for which nothing was taken, is none."""
    status = str(about["status"])
    if status.startswith("warning_") or not about.get("payment_intent"):
        return _other(event)
    currency = str(about["currency"]).upper()
    fees = sum(int(one.get("fee", 0)) for one in about.get("balance_transactions") or () if isinstance(one, dict))
    due = (about.get("evidence_details") or {}).get("due_by")
    return Notice(
        event.id, "chargeback", "", name, str(about["payment_intent"]), _ENDS.get(status, "open"),
        _major(about["amount"], currency), currency, _major(max(0, fees), currency), str(about.get("reason") or ""),
        _instant(int(due)) if due else "",
    )  # fmt: skip


def _major(minor: Any, currency: str) -> str:
    return decimal_text(int(minor), minor_digits(currency) or 0)


def _instant(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
