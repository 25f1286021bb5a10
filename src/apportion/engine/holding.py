"""Holds as they stand: one, or those of an account; users see their own, providers none."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import HoldView, PageQuery
from apportion.engine.query import Books
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.model.hold import Hold
from apportion.model.ids import number_id, read_number
from apportion.money import Asset
from apportion.money.exact import decimal_text

#: how many holds one page may look at
_SCAN = 200_000


class HoldQuery(PageQuery, frozen=True):
    """Only the holds on ``account`` (``acct_…``), or those that are still open."""

    account: Annotated[str, Meta(max_length=60)] = ""
    open: bool = False


class HoldPage(msgspec.Struct, frozen=True):
    """Holds in the order in which they were placed. A page may be short and still have a ``next``."""

    data: tuple[HoldView, ...]
    next: str = ""


def hold_of(engine: Engine, call: Call) -> HoldView:
    """One hold.

    Raises:
        Refused: NOT_FOUND, also when it is on another's account.
    """
    if not call.id.startswith("hold_"):
        raise nothing()
    number = read_number(call.id)
    found = engine.store.holds(engine.tenant, [number]).get(number)
    if found is None or not Sight(engine, call.caller).may_see(number_id("acct", found.account)):
        raise nothing()
    return _views(engine, [found])[0]


def holds(engine: Engine, call: Call) -> HoldPage:
    """Holds that the caller may see, oldest first.

    Raises:
        Refused: NOT_FOUND when the account named is none that the caller may see.
    """
    query, sight, cursors = call.query, Sight(engine, call.caller), Cursors(engine)
    after = cursors.read(query.after, "holds")
    account = read_number(sight.account(query.account).id) if query.account else 0
    last = engine.store.next_numbers(engine.tenant)[2] - 1
    upto, shown = min(last, after + _SCAN), list[Hold]()
    while after < upto and len(shown) < query.limit:
        found = engine.store.some_holds(engine.tenant, account, after, upto, 1000)
        for hold in found:
            if len(shown) == query.limit:
                break
            after = hold.id
            if (hold.open or not query.open) and sight.may_see(number_id("acct", hold.account)):
                shown.append(hold)
        else:
            after = after if len(found) == 1000 else upto
    return HoldPage(tuple(_views(engine, shown)), cursors.write(after, "holds") if after < last else "")


def _views(engine: Engine, shown: list[Hold]) -> list[HoldView]:
    books: Books = engine.books
    accounts = engine.store.accounts(engine.tenant, sorted({hold.account for hold in shown}))
    return [_view(hold, books.assets[accounts[hold.account].asset]) for hold in shown]


def _view(hold: Hold, asset: Asset) -> HoldView:
    def text(atoms: int) -> str:
        return decimal_text(atoms, asset.scale)

    return HoldView(
        number_id("hold", hold.id), number_id("acct", hold.account), hold.owner, hold.state.value, asset.code,
        text(hold.amount), text(hold.open), text(hold.captured), text(hold.released), hold.expires,
    )  # fmt: skip
