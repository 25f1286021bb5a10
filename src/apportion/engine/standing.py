"""Standing: a payer's billed months as the books tell them, and the limit that they earn.

A month is a statement. What was open after it, what had come in before it, and the credit line in force are read from
the lines of the books; how late a payment was, from the due dates of statements and from when value was booked.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from importlib import resources

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.query import AccountView
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Role
from apportion.model.credit import History, Month, TrustDecision, TrustModel, TrustPolicy
from apportion.model.journal import AccountLine, CreditLine, Entry, StatementLine
from apportion.money import Asset, Money, parse_asset
from apportion.stages.credit import decide

#: Kinds of entries that are money of the payer's own; what is booked back counts against them.
RECEIPTS = ("opening", "topup", "payment", "chargeback")
DUE_DAYS = 14
_A_MONTH = timedelta(days=30)
_Line = AccountLine | CreditLine | Entry | StatementLine
_LINES: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)
_STARTS = tuple(b'{"type":"%s"' % kind for kind in (b"account", b"credit", b"entry", b"statement"))


class Asked(msgspec.Struct, frozen=True):
    """A statement: what was ``open`` after it and what it ``used`` (atoms); ``place`` is its turn in the books."""

    place: int
    at: datetime
    open: int
    used: int


class Receipts:
    """Value that came in or went back, in the order of the books, summed so that any stretch is found at once."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._instants: list[datetime] = []
        self._sums = [0]

    def add(self, place: int, at: datetime, atoms: int) -> None:
        """Note one; a clock that was set back does not make it earlier than those before it."""
        self._places.append(place)
        self._instants.append(max(at, self._instants[-1]) if self._instants else at)
        self._sums.append(self._sums[-1] + atoms)

    def between(self, after: int, upto: int | None = None, until: datetime | None = None) -> int:
        """Atoms that came in after one turn of the books, before another, and not after an instant."""
        first = last = bisect_right(self._places, after)
        if len(self._places) > first:
            last = len(self._places) if upto is None else bisect_left(self._places, upto)
            last = last if until is None else min(last, bisect_right(self._instants, until))
        return self._sums[max(first, last)] - self._sums[first]


class Trail:
    """What the books say of one account, in their order; ``lines`` are the credit lines and from when they held."""

    def __init__(self, asset: Asset, opened: tuple[int, int]) -> None:
        self.asset = asset
        self.asked: list[Asked] = []
        self.received = Receipts()
        self.lines = [opened]

    def months(self, now: datetime, due: timedelta) -> History:
        """The months, newest first, as an observer at ``now`` sees them."""
        months: list[Month] = []
        for turn, asked in enumerate(self.asked):
            newest = turn == len(self.asked) - 1
            before = self.asked[turn - 1] if turn else None
            start = (-1, datetime.min.replace(tzinfo=now.tzinfo)) if before is None else (before.place, before.at)
            end = now if newest else asked.at
            last = None if newest else asked.place
            opened = max(0, asked.open - self.received.between(asked.place)) if newest else asked.open
            late = max(self._behind(at, due) for at in (*self._dues(start[1], end, due), end))
            paid = max(0, self.received.between(start[0], last))
            months.append(Month(opened, paid, self._limit(last), asked.used, late))
        return History(tuple(reversed(months)), self._behind(now, due), str(self.asset))

    def _dues(self, start: datetime, end: datetime, due: timedelta) -> list[datetime]:
        return [asked.at + due for asked in self.asked if start < asked.at + due <= end]

    def _behind(self, at: datetime, due: timedelta) -> int:
        """How many months, begun ones too, the oldest statement that was not paid by its due date is behind.

        Payments go to the oldest debt, so a statement is paid once as much came in after it as was open then.
        """
        for asked in self.asked:
            overdue = at - (asked.at + due)
            if overdue >= timedelta(0) and asked.open > 0 and self.received.between(asked.place, until=at) < asked.open:
                return 1 + overdue // _A_MONTH
        return 0

    def _limit(self, upto: int | None) -> int:
        """The credit line in force at a turn of the books."""
        return next((atoms for place, atoms in reversed(self.lines) if upto is None or place < upto), 0)


def history_of(engine: Engine, party: str, *, currency: str = "", due_days: int = DUE_DAYS, at: str = "") -> History:
    """A payer's billed months, out of the books: of the whole account, whoever delivered.

    Args:
        party: the payer's name or an account id.
        currency: which account, when the payer has several.
        due_days: a statement is due so many days after its issue.
        at: as they stood at this instant (RFC 3339); now when not given.

    Raises:
        Refused: NOT_FOUND when nobody is called so; BAD_INPUT when a currency must be named.
    """
    view = _account(engine, party, currency)
    now = datetime.fromisoformat(at or engine.clock.now())
    return _trail(engine, view, now).months(now, timedelta(days=due_days))


def standing(engine: Engine, party: str, policy: TrustPolicy, model: TrustModel | None = None) -> TrustDecision:
    """The limit that a payer's history in the policy's currency earns now, with everything that it was made of.

    Nothing is changed; who puts it into force writes the decision down with it.

    Raises:
        Refused: as ``history_of`` and ``decide``.
    """
    return decide(policy, model or default_model(), history_of(engine, party, currency=policy.currency))


def default_model() -> TrustModel:
    """The model that comes with the program, fitted on the history in examples/credit."""
    body = resources.files("apportion.stages.credit").joinpath("model.json").read_bytes()
    return msgspec.json.decode(body, type=TrustModel)


def _account(engine: Engine, party: str, currency: str) -> AccountView:
    payers = [view for view in engine.books.accounts(Role.PAYER) if party in (view.id, view.owner)]
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


def _trail(engine: Engine, view: AccountView, now: datetime) -> Trail:
    """One pass over the books; charges are passed over unread."""
    trail: Trail | None = None
    mark = b'"' + view.id.encode() + b'"'
    store, tenant = engine.store, engine.tenant
    for place, body, _ in store.journal(tenant, 0, 0, store.head(tenant, 0)[0]):
        if mark not in body or b'"type":"charge"' in body:
            continue
        for text in body.split(b"\n"):
            if mark in text and text.startswith(_STARTS):
                line = _LINES.decode(text)
                if isinstance(line, AccountLine):
                    if line.id == view.id:
                        asset = parse_asset(line.asset)
                        trail = Trail(asset, (place, Money.parse(line.credit, asset).atoms))
                elif trail is not None and datetime.fromisoformat(line.at) <= now:
                    _note(trail, line, place, view.id)
    assert trail is not None, "an account stands in the books before anything that happens to it"
    return trail


def _note(trail: Trail, line: CreditLine | Entry | StatementLine, place: int, account: str) -> None:
    def atoms(text: str) -> int:
        return Money.parse(text, trail.asset).atoms

    at = datetime.fromisoformat(line.at)
    if isinstance(line, CreditLine):
        trail.lines.append((place, atoms(line.credit)))
    elif isinstance(line, StatementLine):
        if line.kind == "statement":
            left = -(atoms(line.closing) + atoms(line.residue_out))
            trail.asked.append(Asked(place, at, max(0, left), max(0, atoms(line.total))))
    elif line.kind in RECEIPTS:
        for leg in line.legs:
            if leg.account == account:
                trail.received.add(place, at, atoms(leg.amount))


__all__ = ["DUE_DAYS", "RECEIPTS", "default_model", "history_of", "standing"]
