"""What callers ask of re-rating, page by page, and what they are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import Input, Instant, Name, Text
from apportion.engine.rerating.page import Page, Range
from apportion.engine.rerating.run import Cursor, corrected_terms, rerate
from apportion.engine.verbs import Call
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Role
from apportion.model.ids import read_number
from apportion.money import Exact

_AFTER = Annotated[str, Meta(max_length=60, pattern=r"^([0-9]{1,18}-[0-9]{1,18}r?(/[0-9TWZ:-]*/[a-z0-9_]*)?)?$")]


class RerateInput(Input, frozen=True):
    """Price charges of a ``service`` again by a ``catalog`` (a version; that in force, when empty).

    Those used from ``start`` until ``end`` (RFC 3339; any, when empty), of one ``payer`` if named. ``only_credits``
    leaves what would cost a payer more. ``dry_run`` books nothing. ``after`` is the ``next`` of the page before;
    name its ``catalog`` then, lest another is in force meanwhile.
    """

    service: Name
    start: Instant = ""
    end: Instant = ""
    payer: Text = ""
    catalog: Annotated[str, Meta(max_length=60)] = ""
    only_credits: bool = False
    dry_run: bool = False
    after: _AFTER = ""


class RepricedRow(msgspec.Struct, frozen=True):
    """One account's part of the ``charges`` that are corrected: as they stood, as they stand now, the difference.

    For a payer it is what it pays, for everybody else what it earns.
    """

    role: str
    account: str
    who: str
    currency: str
    charges: int
    before: str
    after: str
    change: str


class LeftRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """``count`` charges that are left as they are, and why; ``first`` is one of them."""

    reason: str
    count: int
    first: str
    words: str = ""


class RerateAnswer(msgspec.Struct, frozen=True):
    """A page of a run: of the ``looked`` charges so many were ``corrected`` (would be, when ``dry``), the others left.

    ``next`` asks for the next page; empty after the last.
    """

    catalog: str
    dry: bool
    looked: int
    corrected: int
    rows: tuple[RepricedRow, ...]
    left: tuple[LeftRow, ...]
    next: str = ""


def run(engine: Engine, call: Call) -> RerateAnswer:
    """Do one page.

    Raises:
        Refused: BAD_TIME for an instant that is none, or a range that ends before it begins; as ``rerate``.
    """
    given: RerateInput = call.given
    start, end = (_instant(field, getattr(given, field)) for field in ("start", "end"))
    if start is not None and end is not None and end <= start:
        raise refuse(RefusalCode.BAD_TIME, "the range ends before it begins.", field="end")
    named = engine.books.named(given.payer) if given.payer else []
    payers = frozenset(one.id for one in named if one.role == Role.PAYER.value)
    if given.payer and not payers:
        raise refuse(RefusalCode.NOT_FOUND, f"nobody who pays is called {given.payer[:60]!r}.", field="payer")
    head = engine.store.head(engine.tenant, 0)[0]
    terms = corrected_terms(engine, given.catalog)
    cursor = Cursor.parse(given.after) if given.after else Cursor(head)
    page, following = rerate(
        engine, Range(given.service, start, end, payers), terms,
        msgspec.structs.replace(cursor, upto=min(cursor.upto, head)), only_credits=given.only_credits,
        dry=given.dry_run,
    )  # fmt: skip
    left = [LeftRow(why.value, kept.count, kept.first, kept.words) for why, kept in page.left.items()]
    return RerateAnswer(
        terms.version, given.dry_run, page.looked, page.corrected, _rows(engine, page), tuple(left),
        following.text() if following is not None else "",
    )  # fmt: skip


def _rows(engine: Engine, page: Page) -> tuple[RepricedRow, ...]:
    """Who has how much of it, by name where there is one."""
    store, tenant = engine.store, engine.tenant
    numbers = {one.account: read_number(one.account) for one in page.moved.values() if one.role == "payer"}
    parties = {name: store.accounts(tenant, [number])[number].party for name, number in numbers.items()}
    handles = store.handles_of(tenant, sorted(set(parties.values())))
    scales = {asset.code: asset.scale for asset in engine.books.assets.values()}
    rows = []
    for one in page.moved.values():
        scale = scales[one.currency]
        who = handles.get(parties[one.account], f"(forgotten {one.account})") if one.role == "payer" else one.who
        amounts = [_text(amount, scale) for amount in (one.before, one.before + one.change, one.change)]
        rows.append(RepricedRow(one.role, one.account, who or one.role, one.currency, one.charges, *amounts))
    order = ("payer", "provider", "platform", "tax", "sponsor")
    return tuple(sorted(rows, key=lambda row: (order.index(row.role), row.who, row.account)))


def _text(amount: Exact, scale: int) -> str:
    from apportion.money.exact import decimal_text

    return decimal_text(amount.num * 10**scale // amount.den, scale)


def _instant(field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise refuse(RefusalCode.BAD_TIME, f"{text[:40]!r} is no instant.", field=field, fix="2026-11-20T10:00:00Z.")
    return found.astimezone(UTC)
