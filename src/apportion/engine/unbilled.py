"""What no statement covers yet: one pass over the books sorts every charge to its payers, providers and periods."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from apportion.engine.catalogs import load_terms
from apportion.engine.funding.purse import ALLOWANCE, ALTERNATE, BUCKET
from apportion.engine.inquiry import with_lines
from apportion.engine.query import Record, record_of
from apportion.engine.statements.wishes import Wishes
from apportion.engine.terms import Terms
from apportion.errors import Refused
from apportion.model.account import Account, Role
from apportion.model.calendar import Calendar, Period, period_named, period_of
from apportion.model.charge import Charge, Share
from apportion.model.journal import CatalogLine, Entry, StatementLine
from apportion.model.statement import Received
from apportion.money import Asset
from apportion.money.exact import decimal_text
from apportion.ports import Store
from apportion.stages.statement import Manner, PayerTally, ProviderTally, Words, atoms_of

INCOME = ("opening", "topup")
TAKE_OVER = "take-over"  # what a department used goes to its parent's account: the statement says so by itself
COVERS = "covers"  # the fact that there are documents about a session or a correction
DOCUMENT = b'{"type":"statement"'
_PASSED_OVER = ("charge", "adjustment", TAKE_OVER)
_LABELS = {"true-up": "Rounding paid back"}
_DOCUMENTS = msgspec.json.Decoder(StatementLine)
_ENTRIES = msgspec.json.Decoder(Entry)


class Chosen(msgspec.Struct, frozen=True):
    """What alone is looked for: a session (as the source of its charges), charges or entries by their ``ids``.

    All of it belongs to one ``period``.
    """

    period: Period
    ids: frozenset[str]


class Party(msgspec.Struct):
    """One payer's or provider's account with its calendar, the last document it had, and what is open by period.

    ``ended`` is until when periods are covered; ``before`` what the last document left (closing and residue, in
    atoms). What the ``children`` of a payer use is on its statements; who has a ``parent`` gets none.
    """

    account: Account
    asset: Asset
    owner: str
    calendar: Calendar
    manner: Manner = Manner()
    open: dict[str, tuple[Period, PayerTally | ProviderTally]] = {}
    loose: list[Entry] = []
    last: StatementLine | None = None
    issued: list[StatementLine] = []
    ended: str = ""
    before: tuple[int, int] = (0, 0)
    parent: str = ""
    children: list[Party] = []

    def period_at(self, instant: datetime) -> Period:
        """The period that an instant is billed in: its own, or the first that no document covers yet."""
        if self.ended and instant < (ended := datetime.fromisoformat(self.ended)):
            instant = ended
        return period_of(self.calendar, instant)

    def tally(self, period: Period) -> PayerTally | ProviderTally:
        """The open tally of a period."""
        found = self.open.get(period.key)
        if found is None:
            kind = PayerTally if self.account.role is Role.PAYER else ProviderTally
            found = self.open[period.key] = period, kind(self.asset, self.manner)
        return found[1]

    def cover(self, line: StatementLine) -> None:
        """A document was issued: what it covers is no longer open."""
        self.last = line
        self.before = atoms_of(line.closing, self.asset), atoms_of(line.residue_out, self.asset)
        self.issued.append(line)
        if line.covers:
            self.loose = [entry for entry in self.loose if not {entry.id, entry.cause} & {*line.covers}]
        elif not line.more:
            self._end(line.end)
            self.loose = []
            for child in self.children:
                if child.account.public in line.children:
                    child._end(line.end)
                    child.loose = [entry for entry in child.loose if entry.kind in INCOME]

    def _end(self, end: str) -> None:
        """Periods until an instant are over."""
        self.ended = max(self.ended, end)
        self.open = {key: kept for key, kept in self.open.items() if kept[0].end > datetime.fromisoformat(end)}


class Unbilled:
    """All parties of a tenant with what is open on them, as one pass over the journal finds it.

    ``only`` leaves everything unread that is not about these accounts; ``chosen`` counts nothing else, and ``met`` is
    what there was of it.
    """

    def __init__(
        self,
        store: Store,
        tenant: int,
        terms: Terms,
        assets: dict[int, Asset],
        *,
        wishes: Wishes | None = None,
        only: Collection[str] = (),
        chosen: Chosen | None = None,
    ) -> None:
        self._store, self._tenant, self._assets = store, tenant, assets
        self._spoken: dict[str, tuple[Words, Terms]] = {}
        self._latest = ""
        self._chosen = chosen
        self.wishes = wishes or Wishes(terms.catalog, "")
        self.parties: dict[str, Party] = {}
        self.met: set[str] = set()
        self._open_parties(terms)
        marks = [b'"' + name.encode() + b'"' for name in only]
        marks += [b'"' + child.account.public.encode() + b'"' for name in only for child in self.parties[name].children]
        self._covered = self._foresee() if store.fact(tenant, COVERS) else {}
        self._read(marks)

    def _open_parties(self, terms: Terms) -> None:
        store, tenant = self._store, self._tenant
        handles = store.all_handles(tenant)
        calendar = Calendar(zone=terms.catalog.zone)
        payers: dict[tuple[str, int], Party] = {}
        for key, account in store.all_accounts(tenant):
            asset = self._assets[account.asset]
            if account.role is Role.PAYER:
                owner = handles.get(account.party, "")
                party = Party(account, asset, owner, terms.calendar(owner), self.wishes.manner(owner))
                payers[owner, account.asset] = party
            elif account.role is Role.PROVIDER:
                party = Party(account, asset, key.split(":", 2)[1], calendar)
            else:
                continue
            self.parties[account.public] = party
        for (owner, number), party in payers.items():
            parent = payers.get((self.wishes.parent(owner), number)) if owner else None
            if parent is not None:
                party.parent, party.manner = parent.account.public, parent.manner
                parent.children.append(party)

    def _foresee(self) -> dict[str, dict[str, int]]:
        """What documents about a session or a correction cover, by account, with the row of the document."""
        found: dict[str, dict[str, int]] = {}
        for n, body, _ in self._store.journal(self._tenant, 0, 0, self._store.head(self._tenant, 0)[0]):
            if b'"covers":' in body:
                for line in body.split(b"\n"):
                    if line.startswith(DOCUMENT):
                        document = _DOCUMENTS.decode(line)
                        found.setdefault(document.account, {}).update(dict.fromkeys(document.covers, n))
        return found

    def _read(self, marks: list[bytes]) -> None:
        store, tenant = self._store, self._tenant
        for n, body, _ in store.journal(tenant, 0, 0, store.head(tenant, 0)[0]):
            if b'"type":"charge"' in body:
                if not marks or any(mark in body for mark in marks):
                    self._charge(record_of(n, body))
                continue
            for line in body.split(b"\n"):
                if line.startswith(b'{"type":"entry"'):
                    if not marks or any(mark in line for mark in marks):
                        self._entry(n, _ENTRIES.decode(line))
                elif line.startswith(DOCUMENT):
                    document = _DOCUMENTS.decode(line)
                    self.parties[document.account].cover(document)
                elif line.startswith(b'{"type":"catalog"'):
                    self._latest = msgspec.json.decode(line, type=CatalogLine).id

    def _speaks(self, charge: Charge) -> tuple[Words, Terms]:
        """The catalog version that a charge was made by (a close: the latest), in words and compiled."""
        version = charge.catalog or self._latest
        found = self._spoken.get(version)
        if found is None:
            scales = {asset.code: (number, asset) for number, asset in self._assets.items()}
            terms = load_terms(self._store, self._tenant, version, scales)
            found = self._spoken[version] = Words(terms.catalog, terms.tariff, terms.plan), terms
        return found

    def _counts(self, account: str, n: int, *ids: str) -> bool:
        """Whether a record of row ``n`` is looked for on an account, and no document is about it alone."""
        covered = self._covered.get(account)
        if covered is not None and any(covered.get(id, 0) > n for id in ids):
            return False
        wanted = set() if self._chosen is None else self._chosen.ids.intersection(ids)
        self.met |= wanted
        return self._chosen is None or bool(wanted)

    def _charge(self, record: Record) -> None:
        words, terms = self._speaks(record.charge)
        charge = with_lines(record, terms).charge
        says = terms.catalog.invented, terms.catalog.attribution
        billed, borne = as_billed(charge)
        names = charge.id, record.usage.source
        for share in billed.shares:
            if not self._counts(share.account, record.n, *names):
                continue
            party = self.parties[share.account]
            tally = party.tally(self._period(party, charge))
            assert isinstance(tally, PayerTally)
            if share.account in borne:
                tally.add(billed, record.usage, share, words)
                tally.running = tally.running or bool(record.usage.period)
            else:
                tally.draw(billed, share, words)
            for bucket, amount in borne.get(share.account, ()):
                tally.receive_from(Received(charge.at, BUCKET, amount, bucket))
            tally.invented, tally.attribution = says
        for place, portion in enumerate(charge.portions if self._chosen is None else ()):
            party = self.parties[portion.account]
            dues = party.tally(self._period(party, charge))
            assert isinstance(dues, ProviderTally)
            dues.add(charge, place, words)
            dues.invented, dues.attribution = says

    def _period(self, party: Party, charge: Charge) -> Period:
        """A charge is billed when its use is; what closing a period booked belongs to that period."""
        if self._chosen is not None:
            return self._chosen.period
        if charge.origin.startswith("close "):
            try:
                start = period_named(party.calendar, charge.origin[6:]).start
                return party.period_at(start)
            except Refused:
                pass
        return party.period_at(datetime.fromisoformat(charge.at))

    def _entry(self, n: int, entry: Entry) -> None:
        """An entry beside no charge waits for the next document of each account that it touches."""
        if entry.kind in _PASSED_OVER:
            return
        for leg in entry.legs:
            party = self.parties.get(leg.account)
            if party is not None and self._counts(leg.account, n, entry.id, entry.cause):
                party.loose.append(entry)


Borne = dict[str, list[tuple[str, str]]]


def as_billed(charge: Charge) -> tuple[Charge, Borne]:
    """The charge as statements show it: one share per payer's account; and by account the buckets that paid.

    What a bucket paid is both charged to its payer and received from the bucket. What an allowance covers was charged
    when it was bought. What was drawn on an alternate is on its owner's statement; those are not among ``borne``.
    """
    if not any(share.source or share.payer for share in charge.shares):
        return charge, {share.account: [] for share in charge.shares}
    scale = len(charge.total.partition(".")[2])
    amounts, weights = dict[str, int](), dict[str, str]()
    borne: Borne = {share.bearer: [] for share in charge.shares}
    bought = 0
    for share in charge.shares:
        atoms = int(share.amount.replace(".", ""))
        weights.setdefault(share.bearer, share.weight)
        amounts.setdefault(share.bearer, 0)
        if share.source == ALLOWANCE:
            bought += atoms
            continue
        account = share.account if share.source == ALTERNATE else share.bearer
        amounts[account] = amounts.get(account, 0) + atoms
        if share.source == BUCKET:
            borne[share.bearer].append((share.account, share.amount))
    shares = tuple(Share(name, decimal_text(atoms, scale), weights.get(name, "")) for name, atoms in amounts.items())
    if not bought:
        return msgspec.structs.replace(charge, shares=shares), borne
    net, total = (int(text.replace(".", "")) - bought for text in (charge.amount, charge.total))
    return msgspec.structs.replace(
        charge, shares=shares, amount=decimal_text(net, scale), total=decimal_text(total, scale)
    ), borne


def settle_loose(party: Party, tally: PayerTally | ProviderTally) -> None:
    """Put what waited for the next document onto this one; of a child's, what came in stays with the child."""
    for entry in party.loose:
        amount = next(leg.amount for leg in entry.legs if leg.account == party.account.public)
        label = _LABELS.get(entry.kind, entry.kind.capitalize())
        if isinstance(tally, ProviderTally):
            tally.adjust(atoms_of(amount, party.asset), label)
        elif entry.kind not in INCOME:
            tally.adjust(-atoms_of(amount, party.asset), label)
        elif not party.parent:
            tally.receive(Received(entry.at, entry.kind, amount, entry.cause))
    party.loose = [entry for entry in party.loose if party.parent and entry.kind in INCOME]
