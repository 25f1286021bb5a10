"""Trails out of the books: what the lines of a journal say of payers' statements, payments and credit lines."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from importlib import resources

import msgspec

from apportion.model.account import Role
from apportion.model.credit import Dunning, DunningLine, TrustModel
from apportion.model.dispute import DisputeLine, DisputeState
from apportion.model.journal import AccountLine, CreditLine, Entry, StatementLine
from apportion.money import Asset, Money, parse_asset
from apportion.ports import Store
from apportion.stages.credit import Trail, due_at

#: kinds of entries that are money of the payer's own; what is booked back counts against them
RECEIPTS = frozenset(("opening", "topup", "payment", "refund", "chargeback", "collected"))
#: what is given back of charges counts as value that came in, and as neither used nor paid
CORRECTION = "correction"
CAME_IN = RECEIPTS | {CORRECTION}
#: kinds that move a debt and neither use nor pay anything
APART = frozenset(("write-off", "recovery"))
Told = AccountLine | CreditLine | DisputeLine | DunningLine | Entry | StatementLine
_LINES: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)
_TAGS = (b"account", b"credit", b"dispute", b"dunning", b"entry", b"statement")
_STARTS = tuple(b'{"type":"%s"' % kind for kind in _TAGS)
_CORRECTION = b'"kind":"%s"' % CORRECTION.encode()
_KINDS = tuple(b'"kind":"%s"' % kind.encode() for kind in sorted(RECEIPTS | APART | {CORRECTION}))


def came_by(kind: str, atoms: int) -> int:
    """What a leg of an entry of this kind brings a payer that owes: its receipts, and what was given back to it."""
    return atoms if kind in RECEIPTS or (kind == CORRECTION and atoms > 0) else 0


class Trails:
    """The trails of payers as the lines so far make them: of those in ``wanted``, or of everybody.

    ``due_days`` sets when statements are due, whatever they say themselves.
    """

    def __init__(self, wanted: Collection[str] | None = None, due_days: int | None = None) -> None:
        self._wanted, self._due_days = wanted, due_days
        self._trails: dict[str, Trail] = {}
        self._credits: dict[str, int] = {}
        self._assets: dict[str, Asset] = {}

    def of(self, account: str) -> Trail:
        """The trail of a payer's account that was opened; an empty one when nothing has happened to it."""
        found = self._trails.get(account)
        if found is None:
            found = self._trails[account] = Trail(str(self._assets[account]))
        return found

    def take(self, line: Told) -> None:
        """Note a line, in the order of the books."""
        if isinstance(line, AccountLine):
            if line.role == Role.PAYER.value and (self._wanted is None or line.id in self._wanted):
                self._assets[line.id] = parse_asset(line.asset)
                self._credits[line.id] = self._atoms(line.id, line.credit)
        elif isinstance(line, Entry):
            if line.kind in RECEIPTS or line.kind in APART or line.kind == CORRECTION:
                self._entry(line)
        elif line.account not in self._assets:
            return
        elif isinstance(line, CreditLine):
            self._credits[line.account] = self._atoms(line.account, line.credit)
        elif isinstance(line, DisputeLine):
            opens, ends = line.n == 1, line.state != DisputeState.OPEN.value
            self.of(line.account).dispute((opens - ends) * self._atoms(line.account, line.amount))
        elif isinstance(line, DunningLine):
            if line.state != "written-off":
                self.of(line.account).remind(line.statement, line.step if line.state == "reminder" else 0)
        elif line.kind != "remittance":
            self._statement(line)

    def _entry(self, line: Entry) -> None:
        for leg in line.legs:
            if leg.account in self._assets:
                trail, atoms = self.of(leg.account), self._atoms(leg.account, leg.amount)
                if line.kind == CORRECTION:
                    trail.give_back(line.at, atoms)
                elif line.kind in RECEIPTS:
                    trail.receive(line.at, atoms)
                else:
                    trail.move(atoms)
                    if line.kind == "write-off":
                        trail.give_up()

    def _statement(self, line: StatementLine) -> None:
        account = line.account
        used = self._atoms(account, line.total) - self._atoms(account, line.stocked)
        if line.more:  # a session's, one of several, a correction: what it asks for is asked for by a later one
            self.of(account).move(used)
            return
        left = self._atoms(account, line.closing) + self._atoms(account, line.residue_out)
        due = line.due or due_at(line.at, None)
        if self._due_days is not None:
            due = due_at(line.at, Dunning(self._due_days))
        self.of(account).ask(line.id, line.at, due, (-left, used, self._credits[account]))

    def _atoms(self, account: str, text: str) -> int:
        return Money.parse(text, self._assets[account]).atoms


def trails_of(store: Store, tenant: int, wanted: Mapping[str, Asset], after: int, upto: int) -> dict[str, Trail]:
    """The trails of some payers' accounts that were opened after a row, in one pass over the books."""
    found = Trails(wanted)
    for line in told(store, tenant, after, upto):
        found.take(line)
    return {account: found.of(account) for account in wanted}


def told(store: Store, tenant: int, after: int, upto: int, mark: bytes = b"") -> Iterator[Told]:
    """The lines of which trails are made, those that hold ``mark``; charges are passed over unread."""
    for _, body, _ in store.journal(tenant, 0, after, upto):
        if mark not in body or (b'"type":"charge"' in body and _CORRECTION not in body):
            continue
        for text in body.split(b"\n"):
            if mark in text and text.startswith(_STARTS):
                if not text.startswith(b'{"type":"entry"') or any(kind in text for kind in _KINDS):
                    yield _LINES.decode(text)


@functools.cache
def default_model() -> TrustModel:
    """The model that comes with the program, fitted on the history in examples/credit."""
    body = resources.files("apportion.stages.credit").joinpath("model.json").read_bytes()
    return msgspec.json.decode(body, type=TrustModel)
