"""What crosses the door of a node: one input and one answer per operation, beside the nouns that answer as they are.

Amounts and quantities are decimal text. Answers of operations that move money hold the immutable record they made and
nothing that can change afterwards, so that a repeated request gets the same bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.engine.query import AccountView
from apportion.errors import Refusal
from apportion.model.access import AccessRole, KeyView
from apportion.model.account import RoleName
from apportion.model.catalog import Catalog
from apportion.model.charge import Conversion, Covered, PriceLine, TaxLine
from apportion.model.usage import UsageClass

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=255)]
Amount = Annotated[str, Meta(min_length=1, max_length=42, pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,40})?$")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3,8}$")]
Instant = Annotated[str, Meta(max_length=40)]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all inputs share: a field that is not known is refused, never ignored."""


# ── inputs ──


class TopUpInput(Input, frozen=True):
    """Value that came in for ``payer``; ``reference`` (the bank's id of the transfer) makes it unique for ever."""

    payer: Name
    amount: Amount
    currency: Currency
    reference: Name


class HoldInput(Input, frozen=True):
    """Set ``amount`` aside on the payer's account for ``owner`` until ``expires`` (RFC 3339)."""

    payer: Name
    amount: Amount
    currency: Currency
    owner: Name
    expires: Instant


class CaptureInput(Input, frozen=True):
    """Capture ``amount`` of a hold; ``final`` ends it and gives back the rest."""

    amount: Amount
    final: bool = True


class Nothing(Input, frozen=True):
    """An empty body."""


class CloseInput(Input, frozen=True):
    """Close a period; ``force`` does it before its end: usage of it that comes later will wait."""

    force: bool = False


class IssueInput(Input, frozen=True):
    """Issue statements of ``period`` (all that ended, when empty) for ``who`` (everybody, when empty).

    Or of a ``session`` that has ended, alone.
    """

    period: Text = ""
    who: Text = ""
    session: Text = ""


class KeyInput(Input, frozen=True):
    """A key to make. Users and providers need the ``party`` they speak for; ``sources`` bind usage sources to it.

    ``services`` and ``payers`` bound the usage that it sends: any when empty.
    """

    role: AccessRole
    party: Text = ""
    sources: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    label: Text = ""
    expires: Instant = ""
    services: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    payers: Annotated[tuple[Name, ...], Meta(max_length=1000)] = ()


class PageQuery(Input, frozen=True):
    """Which page of a list: ``after`` is the ``next`` of the page before; ``limit`` at most 200."""

    after: Annotated[str, Meta(max_length=120)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class AccountQuery(PageQuery, frozen=True):
    """Only the accounts of ``owner`` (a name as the catalog and the usage have it, or an account id), or of a role."""

    owner: Text = ""
    role: RoleName = ""


class ViewQuery(Input, frozen=True):
    """For whom: ``operator``, ``user=NAME`` or ``provider=NAME``; users and providers always get their own view.

    ``part`` asks for the portion of one part.
    """

    view: Text = "operator"
    part: Text = ""


class VersionQuery(Input, frozen=True):
    """Which catalog: the one in force when no ``version`` (``cat_…``) is named."""

    version: Text = ""


# ── answers ──


class RecordAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one usage record: its class, the charge (``chg_…``) or usage (``usg_…``) id, or why not."""

    state: UsageClass
    id: str = ""
    refusal: Refusal | None = None


class UsageAnswer(msgspec.Struct, frozen=True):
    """One answer per record, in the order in which they were sent."""

    records: tuple[RecordAnswer, ...]


class TopUpAnswer(msgspec.Struct, frozen=True):
    """A booked top-up."""

    id: str
    account: str
    amount: str
    currency: str
    at: str


class HoldView(msgspec.Struct, frozen=True):
    """A hold: ``amount`` = ``open`` + ``captured`` + ``released``; ``owner`` is what it is for."""

    id: str
    account: str
    owner: str
    state: str
    currency: str
    amount: str
    open: str
    captured: str
    released: str
    expires: str


class HoldAnswer(HoldView, frozen=True):
    """A hold as this operation left it ``at`` that instant."""

    at: str


class ShareView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a payer bears of a fee, as far as ``source`` was drawn for it; another user's share has no name.

    At least cost ``terms`` are the tariffs by which the payer was served, and ``alone`` what it would have paid alone.
    ``converted`` is what was taken from an account in another currency.
    """

    amount: str
    payer: str = ""
    account: str = ""
    weight: str = ""
    source: str = ""
    terms: tuple[str, ...] = ()
    alone: str = ""
    converted: Conversion | None = None


class PortionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who delivered a part; what it earned, for those who may know, and what of that in its own currency."""

    part: str
    provider: str
    amount: str = ""
    exact: str = ""
    tariff: str = ""
    lines: tuple[PriceLine, ...] = ()
    converted: Conversion | None = None


class ChargeView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A charge as ``view`` may see it: a user no wholesale price, portion or margin; a provider its own part alone."""

    id: str
    view: Literal["operator", "user", "provider"]
    service: str
    start: str
    currency: str
    usage: str = ""
    source: str = ""
    record: str = ""
    end: str = ""
    quantities: dict[str, str] = {}
    tariff: str = ""
    amount: str = ""
    tax: str = ""
    total: str = ""
    lines: tuple[PriceLine, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    shares: tuple[ShareView, ...] = ()
    portions: tuple[PortionView, ...] = ()
    rule: str = ""
    platform: str = ""
    sponsored: str = ""
    sponsor: str = ""
    catalog: str = ""
    entry: str = ""
    origin: str = ""
    allowances: tuple[Covered, ...] = ()


class EntryView(msgspec.Struct, frozen=True):
    """One entry as it touched one account: ``amount`` above zero came in; ``cause`` names the record behind it."""

    id: str
    cause: str
    kind: str
    at: str
    currency: str
    amount: str


class AccountPage(msgspec.Struct, frozen=True):
    """Accounts; ``next`` leads to the following page and is empty on the last."""

    data: tuple[AccountView, ...]
    next: str = ""


class ChargePage(msgspec.Struct, frozen=True):
    """Charges in booking order. A page may be short and still have a ``next``: follow it until it is empty."""

    data: tuple[ChargeView, ...]
    next: str = ""


class EntryPage(msgspec.Struct, frozen=True):
    """Entries in booking order. A page may be short and still have a ``next``: follow it until it is empty."""

    data: tuple[EntryView, ...]
    next: str = ""


class StatementView(msgspec.Struct, frozen=True):
    """An issued statement, credit note or remittance advice, as a list shows it.

    ``provider`` sent it when the platform did not; a session's covers that alone; a credit note ``corrects`` a
    statement.
    """

    id: str
    number: str
    kind: str
    account: str
    period: str
    at: str
    currency: str
    total: str
    provider: str = ""
    session: str = ""
    corrects: str = ""


class StatementPage(msgspec.Struct, frozen=True):
    """Statements and remittance advices, oldest first; ``next`` leads to the following page."""

    data: tuple[StatementView, ...]
    next: str = ""


class IssueAnswer(msgspec.Struct, frozen=True):
    """The documents of the period asked for, those issued now and those issued before."""

    data: tuple[StatementView, ...]


class CatalogAnswer(msgspec.Struct, frozen=True):
    """A catalog version and what it says."""

    id: str
    catalog: Catalog


class AppliedAnswer(msgspec.Struct, frozen=True):
    """The catalog version that is in force now."""

    id: str


class KeyPage(msgspec.Struct, frozen=True):
    """All keys of the tenant, oldest first."""

    data: tuple[KeyView, ...]


class Me(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose key this is and what it is good for."""

    key: str
    tenant: str
    role: AccessRole
    party: str = ""
    sources: tuple[str, ...] = ()
    expires: str = ""
    services: tuple[str, ...] = ()
    payers: tuple[str, ...] = ()
