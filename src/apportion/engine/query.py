"""The reads: find, page, summarise. Amounts come from the books only, so no two answers can differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.account import BOUNDED, Account, Role
from apportion.model.card import CardLine, ChargebackLine, ProcessorPayoutLine, ReceiptLine, RefundLine
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine, RepricedLine
from apportion.model.credit import DunningLine, LossLine, ModelLine, TrailLine, TrustLine
from apportion.model.delivery import LetterLine
from apportion.model.dispute import DisputedLine, DisputeLine
from apportion.model.funding import AllowanceLine, BucketLine, CapLine, FundingLine
from apportion.model.ids import key_id, read_key
from apportion.model.journal import (
    AccountLine,
    AssetLine,
    CatalogLine,
    Checkpoint,
    CloseLine,
    CreditLine,
    Entry,
    ForgetLine,
    Genesis,
    HoldLine,
    ImportLine,
    StatementLine,
    UsageLine,
    ZonesLine,
)
from apportion.model.level import LevelLine, OutageLine
from apportion.model.payment import PaidLine, PaymentLine
from apportion.model.plan import FarewellLine, PlanLine
from apportion.model.session import GraceLine, SessionLine, WaitLine
from apportion.model.settlement import PayoutLine, PositionLine, SettlementLine
from apportion.model.standing import (
    ApprovalLine,
    CapacityLine,
    ObservedLine,
    OfferLine,
    RatingLine,
    ReputationLine,
    SwitchLine,
    TakenLine,
    VoiceLine,
)
from apportion.model.talks import NegotiationLine
from apportion.money import Asset, Money
from apportion.ports import Store

AnyLine = (
    AccountLine
    | AllowanceLine
    | ApprovalLine
    | AssetLine
    | BucketLine
    | CapLine
    | CapacityLine
    | CardLine
    | CatalogLine
    | Charge
    | ChargebackLine
    | Checkpoint
    | CloseLine
    | CorrectedLine
    | CreditLine
    | DisputeLine
    | DisputedLine
    | DunningLine
    | Entry
    | ForgetLine
    | FundingLine
    | Genesis
    | HoldLine
    | ImportLine
    | LetterLine
    | LevelLine
    | LossLine
    | ModelLine
    | NegotiationLine
    | ObservedLine
    | OfferLine
    | OutageLine
    | PaidLine
    | PaymentLine
    | FarewellLine
    | PayoutLine
    | PlanLine
    | ProcessorPayoutLine
    | PositionLine
    | GraceLine
    | RatingLine
    | ReceiptLine
    | RefundLine
    | RepricedLine
    | ReputationLine
    | SessionLine
    | SettlementLine
    | WaitLine
    | StatementLine
    | SwitchLine
    | TakenLine
    | TrailLine
    | TrustLine
    | UsageLine
    | VoiceLine
    | ZonesLine
)
_DECODER: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


class AccountView(msgspec.Struct, frozen=True):
    """An account as a person reads it: whose it is (``owner``), and its amounts as decimal text in ``currency``.

    ``available`` = ``posted`` − ``held`` + ``credit``; the owner of a payer's account is the name that usage calls
    them, or their opaque id once they are forgotten. Buckets and allowances of a payer have a ``name`` too.
    """

    id: str
    role: str
    owner: str
    currency: str
    posted: str
    held: str
    credit: str
    available: str
    name: str = ""


class Record(msgspec.Struct, frozen=True):
    """One charged usage record: what was used, the charge, and its entry (None when nothing moved)."""

    n: int
    usage: UsageLine
    charge: Charge
    entry: Entry | None


class Books:
    """Read-only questions to one tenant's books."""

    def __init__(self, store: Store, tenant: int) -> None:
        self._store = store
        self._tenant = tenant
        self.assets: dict[int, Asset] = {}
        for number in range(1, int(store.fact(tenant, "assets") or 0) + 1):
            code, _, scale = store.fact(tenant, f"asset:{number}").partition("/")
            self.assets[number] = Asset(code, int(scale))

    def asset(self, code: str) -> Asset:
        """The store's asset of a currency.

        Raises:
            Refused: UNKNOWN_ASSET when nothing was ever booked in it.
        """
        for asset in self.assets.values():
            if asset.code == code:
                return asset
        raise refuse(RefusalCode.UNKNOWN_ASSET, f"nothing was ever booked in {code[:20]!r}.", field="currency")

    def lines(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, AnyLine]]:
        """Every line of the books in order, with its row."""
        last = self._store.head(self._tenant, 0)[0] if upto is None else upto
        for n, body, _ in self._store.journal(self._tenant, 0, after, last):
            for line in body.split(b"\n"):
                yield n, _DECODER.decode(line)

    def records(self, after: int = 0, upto: int | None = None) -> Iterator[Record]:
        """Every charged or zero-rated usage record, in booking order."""
        last = self._store.head(self._tenant, 0)[0] if upto is None else upto
        for n, body, _ in self._store.journal(self._tenant, 0, after, last):
            if b'"type":"charge"' in body:
                yield record_of(n, body)

    def record(self, charge: str) -> Record:
        """One charge by its id, with the usage behind it.

        Raises:
            Refused: NOT_FOUND.
        """
        key = read_key(charge)
        seen = self._store.seen(self._tenant, [key]).get(key)
        body = self._store.row(self._tenant, 0, seen.n) if seen is not None else b""
        if seen is None or b'"type":"charge"' not in body:
            raise refuse(RefusalCode.NOT_FOUND, f"there is no charge {charge[:60]!r}.", field="id")
        return record_of(seen.n, body)

    def entries(self, account: str) -> Iterator[Entry]:
        """Every entry that touched an account, in order."""
        mark = b'"account":"' + account.encode() + b'"'
        last = self._store.head(self._tenant, 0)[0]
        for _, body, _ in self._store.journal(self._tenant, 0, 0, last):
            if mark in body:
                for line in body.split(b"\n"):
                    if b'"type":"entry"' in line and mark in line:
                        entry = _DECODER.decode(line)
                        assert isinstance(entry, Entry)
                        yield entry

    def accounts(self, role: Role | None = None) -> list[AccountView]:
        """All accounts, or those of one role, as they stand."""
        owners = self.owners()
        return [
            self.view(account, owners[account.public], _name(key, account))
            for key, account in self._store.all_accounts(self._tenant)
            if role is None or account.role is role
        ]

    def page(self, after: int = 0, limit: int = 200) -> list[AccountView]:
        """Accounts in the order of their opening, those after a number."""
        rows = self._store.some_accounts(self._tenant, after, limit)
        handles = self._store.handles_of(self._tenant, sorted({account.party for _, account in rows if account.party}))
        return [self.view(account, _owner(key, account, handles), _name(key, account)) for key, account in rows]

    def named(self, name: str) -> list[AccountView]:
        """The account of an id, or all accounts of a party by its name; found by key, however many there are."""
        if name.startswith("acct_") and name[5:].isdecimal() and len(name) < 24:
            number = int(name[5:])
            found = [view for view in self.page(number - 1, 1) if view.id == name]
            if found:
                return found
        prefixes = [f"{role.value}:{name}:" for role in Role if role not in BOUNDED]
        party = self._store.handles(self._tenant, [name]).get(name)
        if party is not None:  # a payer's own accounts, and what lies in others for it
            prefixes += [f"{role.value}:{party}{mark}" for role in BOUNDED for mark in ":."]
        rows = [row for prefix in prefixes for row in self._store.accounts_under(self._tenant, prefix)]
        handles = {} if party is None else {party: name}
        mine = [(account.id, key, account) for key, account in rows if _owner(key, account, handles) == name]
        return [self.view(account, name, _name(key, account)) for _, key, account in sorted(mine, key=lambda m: m[0])]

    def owners(self) -> dict[str, str]:
        """Account id → whose it is: a person's name from the personal rows, an organisation's from the chart."""
        handles = self._store.all_handles(self._tenant)
        return {
            account.public: _owner(key, account, handles) for key, account in self._store.all_accounts(self._tenant)
        }

    def view(self, account: Account, owner: str, name: str = "") -> AccountView:
        """An account as a person reads it."""
        asset = self.assets[account.asset]

        def text(atoms: int) -> str:
            return Money(atoms, asset).text()

        return AccountView(
            account.public,
            account.role.value,
            owner,
            asset.code,
            text(account.posted),
            text(account.held),
            text(account.credit or 0),
            text(account.available()) if account.role in BOUNDED else "",
            name,
        )

    def find_account(self, name: str) -> AccountView:
        """An account by its id, or a party's only account by its owner's name.

        Raises:
            Refused: NOT_FOUND.
        """
        found = self.named(name)
        if not found:
            raise refuse(
                RefusalCode.NOT_FOUND,
                f"there is no account or party {name[:60]!r}.",
                field="account",
                fix="List them with `apportion balance`.",
            )
        return found[0]


def _owner(key: str, account: Account, handles: Mapping[int, str]) -> str:
    """Whose an account is, by its chart key or the names of people."""
    if account.party:
        return handles.get(account.party, f"(forgotten {account.public})")
    return key.partition(":")[2].rpartition(":")[0]


def _name(key: str, account: Account) -> str:
    """The name of a payer's bucket or allowance, by its chart key."""
    if account.role is Role.PAYER or account.role not in BOUNDED:
        return ""
    return key.partition(".")[2].rpartition(":")[0]


def record_of(n: int, body: bytes) -> Record:
    """The record in one journal row that holds a charge."""
    usage = charge = entry = None
    for line in body.split(b"\n"):
        decoded = _DECODER.decode(line)
        if isinstance(decoded, UsageLine):
            usage = decoded
        elif isinstance(decoded, Charge):
            charge = decoded
        elif isinstance(decoded, Entry) and decoded.kind != "conversion":
            entry = decoded
    assert charge is not None
    if usage is None:
        usage = UsageLine(key_id("usg", bytes(16)), "", "", charge.service, charge.at, "charged", "")
    return Record(n, usage, charge, entry)
