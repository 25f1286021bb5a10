"""What a caller may see: every read goes through here, and what a caller may not see is as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.engine import billing
from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import (
    AccountPage,
    AccountQuery,
    ChargePage,
    ChargeView,
    EntryPage,
    EntryView,
    PageQuery,
    PortionView,
    ShareView,
    StatementPage,
    StatementView,
)
from apportion.engine.inquiry import with_lines
from apportion.engine.query import AccountView, Record, record_of
from apportion.engine.terms import Terms
from apportion.errors import NotFound, RefusalCode, Refused, refuse
from apportion.ledger.chart import account_key
from apportion.model.access import AccessRole, Credential
from apportion.model.account import Account, Role
from apportion.model.charge import Portion
from apportion.model.ids import read_number
from apportion.model.journal import Entry, StatementLine
from apportion.model.statement import Document, Statement
from apportion.money import Exact
from apportion.money.exact import decimal_text

#: how many rows of the journal one page may look at
SCAN = 20_000
_ALL = (AccessRole.OPERATOR, AccessRole.AUDITOR)


def nothing() -> Refused:
    """The one answer for what is not there and for what is not the caller's."""
    return refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")


class Sight:
    """The books of one tenant as one caller may see them."""

    def __init__(self, engine: Engine, caller: Credential) -> None:
        self.engine, self.caller = engine, caller
        self.all = caller.role in _ALL
        self._books = engine.books
        self._cursors = Cursors(engine)
        self._terms: dict[str, Terms] = {}
        self._own = {} if self.all else {account.public: account for account in self._own_accounts()}

    # accounts

    def _own_accounts(self) -> list[Account]:
        """The accounts of a user or provider, in every currency."""
        store, tenant, party = self.engine.store, self.engine.tenant, self.caller.party
        if self.caller.role is AccessRole.USER:
            number = store.handles(tenant, [party]).get(party)
            keys = [] if number is None else [f"payer:{number}:{asset}" for asset in self._books.assets.values()]
        else:
            keys = [account_key(Role.PROVIDER, party, str(asset)) for asset in self._books.assets.values()]
        numbers = sorted(store.account_keys(tenant, keys).values())
        return [account for _, account in sorted(store.accounts(tenant, numbers).items())]

    def terms(self, version: str) -> Terms:
        """A catalog version, compiled, and remembered as long as this lasts."""
        if version not in self._terms:
            self._terms[version] = self.engine.terms(version)
        return self._terms[version]

    @property
    def own(self) -> tuple[str, ...]:
        """Ids of the caller's accounts; none of an operator's or auditor's, who see all."""
        return tuple(self._own)

    def may_see(self, account: str) -> bool:
        """Whether an account is the caller's."""
        return self.all or account in self._own

    def account(self, id: str) -> AccountView:
        """One account.

        Raises:
            Refused: NOT_FOUND.
        """
        found = self._own.get(id)
        if found is not None:
            return self._books.view(found, self.caller.party)
        if self.all and id.startswith("acct_"):
            for view in self._books.named(id):
                if view.id == id:
                    return view
        raise nothing()

    def accounts(self, page: AccountQuery) -> AccountPage:
        """Accounts in the order of their opening; all of one owner on one page."""
        after = self._cursors.read(page.after, "accounts")
        if not self.all:
            own = [self._books.view(account, self.caller.party) for account in self._own.values()]
            return AccountPage(tuple(_chosen([v for v in own if page.owner in ("", v.id, v.owner)], page.role)))
        if page.owner:
            return AccountPage(tuple(_chosen(self._books.named(page.owner), page.role)))
        shown: list[AccountView] = []
        for _ in range(SCAN // 1000):
            views = self._books.page(after, 1000 if page.role else page.limit + 1)
            for view in views:
                if len(shown) == page.limit:
                    return AccountPage(tuple(shown), self._cursors.write(after, "accounts"))
                after = read_number(view.id)
                shown += _chosen([view], page.role)
            if len(views) < (1000 if page.role else page.limit + 1):
                return AccountPage(tuple(shown))
        return AccountPage(tuple(shown), self._cursors.write(after, "accounts"))

    # charges

    def charge(self, id: str) -> ChargeView:
        """One charge.

        Raises:
            Refused: NOT_FOUND.
        """
        record = self._books.record(id)
        if not self.concerns(record):
            raise nothing()
        try:
            record = with_lines(record, self.engine.terms(record.charge.catalog))
        except NotFound:
            pass
        return self.charge_view(record)

    def charges(self, page: PageQuery) -> ChargePage:
        """Charges in booking order."""
        shown: list[ChargeView] = []
        at = self._cursors.read(page.after, "charges")
        for n, body in self._rows(at, b'"type":"charge"'):
            at = n
            if body:
                record = record_of(n, body)
                if self.concerns(record):
                    shown.append(self.charge_view(record))
                    if len(shown) == page.limit:
                        break
        return ChargePage(tuple(shown), self._more(at, "charges"))

    def concerns(self, record: Record) -> bool:
        """Whether a charge is the caller's to see."""
        if self.all:
            return True
        charge = record.charge
        if self.caller.role is AccessRole.PROVIDER:
            return any(portion.provider == self.caller.party for portion in charge.portions)
        return any(s.account in self._own for s in charge.shares) or self._takes_part(record)

    def _takes_part(self, record: Record) -> bool:
        """Whether a user is among those for whom a charge was made; else it was only drawn on for them."""
        return any(s.bearer in self._own for s in record.charge.shares) or any(
            p.payer in self._own for p in record.usage.payers
        )

    def charge_view(self, record: Record) -> ChargeView:
        """A charge that concerns the caller, as it may see it."""
        if self.all:
            return self._full_view(record)
        if self.caller.role is not AccessRole.USER:
            return self._provider_view(record)
        return self._user_view(record) if self._takes_part(record) else self._drawn_view(record)

    def _full_view(self, record: Record) -> ChargeView:
        charge, usage = record.charge, record.usage
        entry = record.entry.id if record.entry is not None else ""
        return ChargeView(
            charge.id, "operator", charge.service, usage.start or charge.at, charge.currency, charge.usage,
            usage.source, usage.id, usage.end, usage.quantities, charge.tariff, charge.amount, charge.tax, charge.total,
            charge.lines, charge.taxes,
            tuple(
                ShareView(s.amount, "", s.account, s.weight, s.source, s.terms, s.alone, s.converted)
                for s in charge.shares
            ),
            tuple(_portion(portion) for portion in charge.portions),
            charge.rule, charge.platform, charge.sponsored, charge.sponsor, charge.catalog, entry, charge.origin,
            charge.allowances,
        )  # fmt: skip

    def _drawn_view(self, record: Record) -> ChargeView:
        """What somebody else's use drew on this user's account, and nothing of the use."""
        charge, entry = record.charge, record.entry
        mine = [share for share in charge.shares if share.account in self._own]
        shares = tuple(ShareView(s.amount, "", s.account, "", s.source, converted=s.converted) for s in mine)
        at = entry.at if entry is not None else charge.at
        return ChargeView(charge.id, "user", charge.service, at, charge.currency, shares=shares)

    def _user_view(self, record: Record) -> ChargeView:
        """No wholesale price, portion, margin or sponsored amount: from any of them the others could be computed."""
        charge, usage = record.charge, record.usage
        shares, others, terms = list[ShareView](), dict[str, int](), list[str]()
        for s in charge.shares:
            if s.bearer in self._own:
                account = s.account if s.account in self._own else ""
                who = self.caller.party
                shares.append(ShareView(s.amount, who, account, s.weight, s.source, s.terms, s.alone, s.converted))
                terms += s.terms
            elif s.account in self._own:
                shares.append(ShareView(s.amount, "", s.account, "", s.source, converted=s.converted))
            else:
                others[s.bearer] = others.get(s.bearer, 0) + int(s.amount.replace(".", ""))
        scale = len(charge.total.partition(".")[2])
        shares += [ShareView(decimal_text(atoms, scale)) for atoms in others.values()]
        return ChargeView(
            charge.id, "user", charge.service, usage.start or charge.at, charge.currency, charge.usage, usage.source,
            usage.id, usage.end, usage.quantities, charge.tariff, charge.amount, charge.tax, charge.total,
            tuple(line for line in charge.lines if not terms or line.tariff in ("", *terms)),
            charge.taxes, tuple(shares), tuple(PortionView(p.part, p.provider) for p in charge.portions),
            origin=charge.origin, allowances=charge.allowances if len(usage.payers) == 1 else (),
        )  # fmt: skip

    def _provider_view(self, record: Record) -> ChargeView:
        """Its own portions; the fee only where an agreement shares it out."""
        charge, usage = record.charge, record.usage
        mine = [p for p in charge.portions if p.provider == self.caller.party]
        return ChargeView(
            charge.id, "provider", charge.service, usage.start or charge.at, charge.currency, charge.usage,
            usage.source, usage.id, usage.end, usage.quantities,
            amount=charge.amount if charge.rule == "shares" else "",
            portions=tuple(_portion(portion) for portion in mine),
            rule=charge.rule, origin=charge.origin,
        )  # fmt: skip

    # entries

    def entries(self, id: str, page: PageQuery) -> EntryPage:
        """What moved on an account, in order: its own side of each entry, never another's.

        Raises:
            Refused: NOT_FOUND.
        """
        account = self.account(id)
        mark = b'"account":"' + account.id.encode() + b'"'
        at, shown = self._cursors.read(page.after, "entries"), list[EntryView]()
        for n, body in self._rows(at, mark):
            if len(shown) >= page.limit:
                break
            at = n
            for line in body.split(b"\n"):
                if line.startswith(b'{"type":"entry"') and mark in line:
                    shown.append(_entry_view(msgspec.json.decode(line, type=Entry), account))
        return EntryPage(tuple(shown), self._more(at, "entries"))

    # statements

    def statements(self, page: PageQuery) -> StatementPage:
        """Statements and remittance advices, oldest first."""
        after = self._cursors.read(page.after, "statements")
        lines = [line for line in billing.listing(self.engine) if self._reads(line.account, line.provider)]
        shown = lines[after : after + page.limit]
        more = after + len(shown)
        return StatementPage(
            tuple(statement_view(line) for line in shown),
            self._cursors.write(more, "statements") if more < len(lines) else "",
        )

    def statement(self, id: str) -> Document:
        """One document by its id or number.

        Raises:
            Refused: NOT_FOUND.
        """
        found = billing.find(self.engine, id)
        if not self._reads(found.account, found.provider if isinstance(found, Statement) else ""):
            raise nothing()
        return found

    def _reads(self, account: str, provider: str) -> bool:
        """Whether a document is the caller's, or one that it sends."""
        sends = self.caller.role is AccessRole.PROVIDER and provider and provider == self.caller.party
        return bool(sends) or self.may_see(account)

    # pages

    def _rows(self, after: int, mark: bytes) -> Iterator[tuple[int, bytes]]:
        """Journal rows after one, those without ``mark`` as empty; at most so many that a page stays quick."""
        last = self.engine.store.head(self.engine.tenant, 0)[0]
        for n, body, _ in self.engine.store.journal(self.engine.tenant, 0, after, min(last, after + SCAN)):
            yield n, body if mark in body else b""

    def _more(self, at: int, kind: str) -> str:
        return self._cursors.write(at, kind) if at < self.engine.store.head(self.engine.tenant, 0)[0] else ""


def _portion(p: Portion) -> PortionView:
    return PortionView(p.part, p.provider, p.amount, p.exact, p.tariff, p.lines, p.converted)


def _chosen(views: list[AccountView], role: str) -> list[AccountView]:
    return [view for view in views if role in ("", view.role)]


def _entry_view(entry: Entry, account: AccountView) -> EntryView:
    amount = Exact(0)
    for leg in entry.legs:
        if leg.account == account.id:
            amount += Exact.parse(leg.amount)
    return EntryView(entry.id, entry.cause, entry.kind, entry.at, account.currency, amount.text())


def statement_view(line: StatementLine) -> StatementView:
    """A document as a list shows it."""
    currency = line.asset.partition("/")[0]
    session = next((id for id in line.covers if id.startswith("ses_")), "")
    return StatementView(
        line.id, line.number, line.kind, line.account, line.period, line.at, currency, line.total, line.provider,
        session, line.corrects,
    )  # fmt: skip
