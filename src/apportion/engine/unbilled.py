"""What no statement covers yet: one pass over the books sorts every charge to its payers, providers and periods."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime

import msgspec

from apportion.engine.catalogs import load_terms
from apportion.engine.credit.trails import CORRECTION, RECEIPTS
from apportion.engine.funding.purse import ALLOWANCE, ALTERNATE, BUCKET
from apportion.engine.inquiry import with_lines, with_part_lines
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
from apportion.stages.statement.exchanged import Exchange, in_currency

TAKE_OVER = "take-over"  # what a department used goes to its parent's account: the statement says so by itself
COVERS = "covers"  # the fact that there are documents about a session or a correction
PAID_OUT = ("payout", "payout-failed", "collection", "direct")  # what moves a provider's balance without being earned
DOCUMENT = b'{"type":"statement"'
_PASSED_OVER = ("charge", "adjustment", CORRECTION, TAKE_OVER)
_LABELS = {
    "true-up": "Rounding paid back",
    "collected": "Collected from users",
    "dispute-hold": "Set aside for a dispute",
    "dispute-release": "Back from a dispute",
}
_CHARGE, _ENTRY, _OF_CHARGE = b'{"type":"charge"', b'{"type":"entry"', b'"cause":"chg_'
_DOCUMENTS = msgspec.json.Decoder(StatementLine)
_ENTRIES = msgspec.json.Decoder(Entry)


class Chosen(msgspec.Struct, frozen=True):
    """What alone is looked for: a session (as the source of its charges), charges or entries by their ``ids``.

    All of it belongs to one ``period``. With ``receipts`` what came in since the last document counts too.
    """

    period: Period
    ids: frozenset[str]
    receipts: bool = False


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

    def go_on(self, line: StatementLine) -> None:
        """The next document goes on from this one, which ends all before it."""
        self._follow(line)
        self._end(line)

    def _follow(self, line: StatementLine) -> None:
        self.last = line
        self.before = atoms_of(line.closing, self.asset), atoms_of(line.residue_out, self.asset)

    def cover(self, line: StatementLine) -> None:
        """A document was issued: what it covers is no longer open."""
        self._follow(line)
        self.issued.append(line)
        if line.covers:
            came = atoms_of(line.payments, self.asset) != atoms_of(line.stocked, self.asset)  # it has all that came in
            self.loose = [
                entry
                for entry in self.loose
                if not {entry.id, entry.cause} & {*line.covers} and not (came and entry.kind in RECEIPTS)
            ]
        elif not line.more:
            self._end(line)
            self.loose = []
            for child in self.children:
                if child.account.public in line.children:
                    child._end(line)
                    child.loose = [entry for entry in child.loose if entry.kind in RECEIPTS]

    def _end(self, line: StatementLine) -> None:
        """The periods until a document ends are over; with one of a settlement, all that were begun."""
        self.ended = max(self.ended, line.end)
        ended = datetime.fromisoformat(line.end)
        self.open = {key: kept for key, kept in self.open.items() if not line.settlement and kept[0].end > ended}


class Unbilled:
    """All parties of a tenant with what is open on them, as one pass over the journal finds it.

    ``only`` leaves everything unread that is not about these accounts; ``chosen`` counts nothing else, and ``met`` is
    what there was of it. With ``payers`` left out, only providers; ``read`` then begins where all of theirs is covered.
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
        payers: bool = True,
    ) -> None:
        self._store, self._tenant, self._assets, self._payers = store, tenant, assets, payers
        self._coded = {asset.code: asset for asset in assets.values()}
        self._spoken: dict[str, tuple[Words, Terms]] = {}
        self._latest = "" if payers else terms.version
        self._chosen = chosen
        self.wishes = wishes or Wishes(terms.catalog, "")
        self.parties: dict[str, Party] = {}
        self.met: set[str] = set()
        self._open_parties(terms)
        about = [*only, *(child.account.public for name in only for child in self.parties[name].children)]
        self._marks = [b'"' + name.encode() + b'"' for name in about]
        self._covered = self._foresee() if payers and store.fact(tenant, COVERS) else {}
        if payers:
            self.read(0, store.head(tenant, 0)[0])

    def go_on_with(self, store: Store, terms: Terms, assets: dict[int, Asset]) -> None:
        """Count on by another connection to these books: accounts as they stand there, and those opened since."""
        self._store, self._assets, self._spoken = store, assets, {}
        self._coded = {asset.code: asset for asset in assets.values()}
        known, self.parties = self.parties, {}
        self._open_parties(terms)
        for name, party in known.items():
            party.account = self.parties[name].account
            self.parties[name] = party

    def _open_parties(self, terms: Terms) -> None:
        store, tenant = self._store, self._tenant
        handles = store.all_handles(tenant)
        calendar = Calendar(zone=terms.catalog.zone)
        payers: dict[tuple[str, int], Party] = {}
        for key, account in store.all_accounts(tenant):
            asset = self._assets[account.asset]
            if account.role is Role.PAYER and self._payers:
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

    def read(self, after: int, upto: int, also: Callable[[bytes], None] = lambda body: None) -> None:
        """Count what the rows after one, up to another, say; ``also`` is shown each."""
        for n, body, _ in self._store.journal(self._tenant, 0, after, upto):
            also(body)
            if b'"type":"charge"' in body:
                if self._about(body):
                    for record in _records(n, body):
                        self._charge(record)
                if body.count(_ENTRY) == body.count(_OF_CHARGE):
                    continue
            for line in body.split(b"\n"):
                if line.startswith(_ENTRY):
                    if self._about(line):
                        self._entry(n, _ENTRIES.decode(line))
                elif line.startswith(DOCUMENT):
                    document = _DOCUMENTS.decode(line)
                    self._cover(document)
                elif line.startswith(b'{"type":"catalog"'):
                    self._latest = msgspec.json.decode(line, type=CatalogLine).id

    def _cover(self, document: StatementLine) -> None:
        party = self.parties.get(document.account)
        if party is not None and (self._payers or not document.settlement):
            party.cover(document)  # advices behind the end of a settlement are its own

    def _about(self, body: bytes) -> bool:
        """Whether a row or a line is about an account that is looked for."""
        return not self._marks or any(mark in body for mark in self._marks)

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
        charge = (with_lines if self._payers else with_part_lines)(record, terms).charge
        says = terms.catalog.invented, terms.catalog.attribution
        names = charge.id, record.usage.source
        for share, billed, borne, exchange in as_paid(charge, self._coded) if self._payers else ():
            if not self._counts(share.account, record.n, *names):
                continue
            party = self.parties[share.account]
            span = self._period(party, charge)
            tally = party.tally(span)
            assert isinstance(tally, PayerTally)
            tally.bear(exchange, share)
            if share.account in borne:
                late = bool(party.ended) and datetime.fromisoformat(charge.at) < span.start
                tally.add(billed, record.usage, share, words, late=late)
            else:
                tally.draw(billed, share, words)
            for bucket, amount in borne.get(share.account, ()):
                tally.receive_from(Received(charge.at, BUCKET, amount, bucket))
            tally.invented, tally.attribution = says
        charge = as_earned(charge)
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
            if party is None:
                continue
            came = entry.kind in RECEIPTS and self._chosen is not None and self._chosen.receipts
            if came or self._counts(leg.account, n, entry.id, entry.cause):
                party.loose.append(entry)


def _records(n: int, body: bytes) -> Iterator[Record]:
    """The charges of a row, each with the usage before it; nearly always it is one."""
    if body.count(_CHARGE) == 1:
        yield record_of(n, body)
        return
    usage = b""
    for line in body.split(b"\n"):
        if line.startswith(b'{"type":"usage"'):
            usage = line
        elif line.startswith(_CHARGE):
            yield record_of(n, b"\n".join(filter(None, (usage, line))))
            usage = b""


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


def as_paid(charge: Charge, assets: Mapping[str, Asset]) -> Iterator[tuple[Share, Charge, Borne, Exchange | None]]:
    """Each share with the charge as the statement of its account shows it: in the currency of that account."""
    billed, borne = as_billed(charge)
    if not any(share.converted for share in charge.shares):
        yield from ((share, billed, borne, None) for share in billed.shares)
        return
    amounts = {share.account: share.amount for share in billed.shares}
    paid: dict[str, str] = {}
    for share in charge.shares:
        paid[share.bearer] = paid[share.account] = share.converted.currency if share.converted else charge.currency
    for code in dict.fromkeys(paid.values()):
        told, origin = charge, None
        if code != charge.currency:
            told, origin = in_currency(charge, assets[charge.currency], assets[code])
        billed, borne = as_billed(told)
        for share in billed.shares:
            if paid[share.account] == code:
                yield share, billed, borne, Exchange(origin, amounts[share.account]) if origin is not None else None


def as_earned(charge: Charge) -> Charge:
    """The charge with each portion in the currency of its account."""
    if not any(portion.converted for portion in charge.portions):
        return charge
    replace = msgspec.structs.replace
    portions = [
        p if p.converted is None else replace(p, amount=p.converted.amount, exact=p.converted.exact, converted=None)
        for p in charge.portions
    ]
    return replace(charge, portions=tuple(portions))


def settle_loose(party: Party, tally: PayerTally | ProviderTally) -> None:
    """Put what waited for the next document onto this one; of a child's, what came in stays with the child."""
    for entry in party.loose:
        amount = next(leg.amount for leg in entry.legs if leg.account == party.account.public)
        label = _LABELS.get(entry.kind, entry.kind.capitalize())
        if isinstance(tally, ProviderTally) and entry.kind in PAID_OUT:
            tally.pay(-atoms_of(amount, party.asset))
        elif isinstance(tally, ProviderTally):
            tally.adjust(atoms_of(amount, party.asset), label)
        elif entry.kind not in RECEIPTS:
            tally.adjust(-atoms_of(amount, party.asset), label)
        elif not party.parent:
            tally.receive(Received(entry.at, entry.kind, amount, entry.cause))
    party.loose = [entry for entry in party.loose if party.parent and entry.kind in RECEIPTS]
