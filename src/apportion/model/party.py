"""Parties: providers, networks, payers and the platform, as the catalog names them."""

from __future__ import annotations

import msgspec

from apportion.model.calendar import Calendar
from apportion.model.funding import Alternate, AutoTopUp


class Provider(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An organisation that delivers parts and earns portions; ``invented`` marks made-up ones in examples.

    ``network`` is its own. A provider that has a node of its own is asked for bids at ``address``; what it says counts
    when it is signed by ``key`` (Ed25519, 64 hexadecimal digits). ``debit_caps`` say per currency the most that it may
    come to owe by obligations.
    """

    id: str
    name: str = ""
    network: str = ""
    address: str = ""
    key: str = ""
    debit_caps: dict[str, str] = {}
    invented: bool = False


class Payer(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who may be charged: how far below zero (``credit``, decimal text of ``currency``) and by which calendar.

    ``opening`` is value that the account starts with, as a top-up booked once. ``name`` is kept outside the chain. When
    its own value is used up, ``alternates`` are drawn in order, then the credit line, for which the provider
    ``guarantor`` stands (the platform, when empty); ``auto_topup`` fetches value by a payment. With ``trust`` the line
    is what its history earns by the catalog's policy, and ``credit`` the least of it. What a department uses is on the
    statement of its ``parent``, which pays for it. ``email`` is where statements are sent to, if they are.
    """

    id: str
    currency: str
    name: str = ""
    credit: str = "0"
    opening: str = "0"
    calendar: Calendar = Calendar()
    alternates: tuple[Alternate, ...] = ()
    guarantor: str = ""
    auto_topup: AutoTopUp | None = None
    trust: bool = False
    profile: str = ""
    approved: tuple[str, ...] = ()
    invented: bool = False
    parent: str = ""
    email: str = ""


class UnknownPayers(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What happens when usage names a payer that the catalog does not: open an account on these terms.

    They are billed as the ``profile`` says.
    """

    currency: str
    credit: str = "0"
    opening: str = "0"
    calendar: Calendar = Calendar()
    trust: bool = False
    profile: str = ""
