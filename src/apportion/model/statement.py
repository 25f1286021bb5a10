"""Statements and remittance advices: what a payer is asked for and what a provider is told it earned.

All amounts are decimal text in ``currency``. What is stated is in minor units (cents); ``charges``, ``opening``,
``closing`` and the residues are as the books count, which is finer.
"""

from __future__ import annotations

import msgspec


class Seal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The checkpoint that covered the books when a document was issued: rows, head, instant, signature, public key."""

    n: int
    head: str
    at: str
    signature: str
    key: str


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: ``uses`` of one retail component, together ``quantity`` ``unit``; ``net`` + ``tax`` = ``total``.

    ``price`` stands there when it was the same throughout. Of the uses, ``shared`` had other payers too: their
    quantity is that of the whole use, their money this payer's share. ``exchanged`` says what of it was charged in
    another currency, and at which rate: ``USD 12.50 (1 USD = 0.92 EUR, ECB 2026-11-01)``.
    """

    label: str
    uses: int
    net: str
    tax: str
    total: str
    quantity: str = ""
    unit: str = ""
    price: str = ""
    category: str = ""
    shared: int = 0
    exchanged: str = ""


class TookPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider that delivered ``part`` in ``uses`` of a service, over its ``network``.

    ``invented`` marks made-up ones in examples.
    """

    part: str
    provider: str
    name: str
    uses: int
    invented: bool = False
    network: str = ""


class Section(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that one service cost: ``uses`` in all, of which ``free`` cost nothing, who delivered, and the items.

    ``late`` of the uses were before the period, and reported after what they belong to was billed.
    ``account`` is whose use it was when not that of the statement itself, and ``payer`` its name, which is filled in
    when the statement is read, so that a person can be forgotten.
    """

    service: str
    name: str
    uses: int
    free: int
    total: str
    providers: tuple[TookPart, ...]
    items: tuple[Item, ...]
    account: str = ""
    payer: str = ""
    late: int = 0


class TaxSum(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tax category: ``base`` is net, ``amount`` the tax contained in the total; no name means untaxed."""

    name: str
    rate: str
    base: str
    amount: str


class Received(msgspec.Struct, frozen=True, omit_defaults=True):
    """Value that came in: when it was booked, as what (``opening``, ``topup``), how much, and the record of it.

    As ``bucket`` it is what the bucket ``cause`` paid of the charges until then, all together.
    """

    at: str
    kind: str
    amount: str
    cause: str


class Converted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was charged in another ``currency``, tax and all: ``amount`` there is ``converted`` in the statement's.

    One unit of ``base`` is ``rate`` of the other currency, as ``source`` said ``at`` an instant. Both amounts are as
    the books count, share by share rounded.
    """

    currency: str
    amount: str
    rate: str
    base: str
    source: str
    at: str
    converted: str


class Statement(msgspec.Struct, frozen=True, omit_defaults=True, tag="statement", tag_field="kind"):
    """What one payer account is asked for: everything used until ``end`` that no statement covered before.

    ``total`` + ``residue_out`` − ``residue_in`` = ``charges`` (the ledger's), and Σ items = Σ taxes = ``total``.
    ``brought`` + ``payments`` − ``total`` = ``balance``; below zero it is ``due``, by ``pay_by`` (RFC 3339; empty when
    nobody said).

    ``issuer`` is the name of who sends it, ``provider`` its id when it is a provider. Where each provider sends its
    own, ``beside`` are the numbers of all of them, in order: each ``due`` is a part of the whole, and brought, payments
    and balance go from one to the next. With a ``session`` it is of that alone. ``language`` and ``channel`` are what
    the payer wants. A ``preview`` is no document: it has no number, and asks for nothing. ``conversions`` are what of
    ``charges`` was charged in other currencies; of several statements, the first has them.
    """

    id: str
    number: str
    account: str
    party: str
    name: str
    currency: str
    period: str
    start: str
    end: str
    zone: str
    at: str
    issuer: str
    brought: str
    received: tuple[Received, ...]
    payments: str
    net: str
    tax: str
    total: str
    balance: str
    due: str
    sections: tuple[Section, ...]
    taxes: tuple[TaxSum, ...]
    charges: str
    opening: str
    closing: str
    residue_in: str
    residue_out: str
    seal: Seal
    invented: str = ""
    attribution: str = ""
    pay_by: str = ""
    provider: str = ""
    beside: tuple[str, ...] = ()
    session: str = ""
    language: str = ""
    channel: str = ""
    preview: bool = False
    conversions: tuple[Converted, ...] = ()


class CreditNote(Statement, frozen=True, omit_defaults=True, tag="credit-note", tag_field="kind", kw_only=True):
    """What is given back of an issued statement: ``corrects`` is its number, and all amounts of charges are negative.

    ``statement`` is its id. It adds up like a statement; what it gives back is on the account at once.
    """

    corrects: str
    statement: str


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """A measured quantity of one wholesale component."""

    label: str
    quantity: str
    unit: str


class Due(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of one service that a provider delivered ``uses`` times: exact dues, what was credited, what is paid.

    ``exact`` − ``credited`` is what rounding still keeps from the provider (or, below zero, gave it in advance).
    """

    service: str
    part: str
    label: str
    uses: int
    exact: str
    credited: str
    payable: str
    measured: tuple[Measured, ...] = ()


class Remittance(msgspec.Struct, frozen=True, omit_defaults=True, tag="remittance", tag_field="kind"):
    """What one provider earned until ``end`` that no advice covered before, rounded to what can be paid.

    ``total`` (payable) + ``residue_out`` − ``residue_in`` = ``credited``, and Σ payable of the dues = ``total``.
    ``closing`` = ``opening`` + ``credited`` − ``paid`` (what was paid out; nothing, when empty). One that a
    ``settlement`` issued covers all that was booked until then.
    """

    id: str
    number: str
    account: str
    party: str
    name: str
    currency: str
    period: str
    start: str
    end: str
    zone: str
    at: str
    issuer: str
    dues: tuple[Due, ...]
    exact: str
    credited: str
    total: str
    opening: str
    closing: str
    residue_in: str
    residue_out: str
    seal: Seal
    made_up: bool = False
    invented: str = ""
    attribution: str = ""
    preview: bool = False
    paid: str = ""
    settlement: str = ""


Document = Statement | CreditNote | Remittance
