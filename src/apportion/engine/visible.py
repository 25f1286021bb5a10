"""What a caller may see: every read goes through here, and what a caller may not see is as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.engine import billing
from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import (
    AccountPage,
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
from apportion.errors import NotFound, RefusalCode, Refused, refuse
from apportion.ledger.chart import account_key
from apportion.model.access import AccessRole, Credential
from apportion.model.account import Account, Role
from apportion.model.ids import read_number
from apportion.model.journal import Entry, StatementLine
from apportion.model.statement import Document
from apportion.money import Exact

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
            view = next((view for view in self._books.accounts() if view.id == id), None)
            if view is not None:
                return view
        raise nothing()

    def accounts(self, page: PageQuery) -> AccountPage:
        """Accounts in the order of their opening."""
        after = self._cursors.read(page.after, "accounts")
        if not self.all:
            return AccountPage(tuple(self._books.view(account, self.caller.party) for account in self._own.values()))
        views = [view for view in self._books.accounts() if read_number(view.id) > after]
        shown = views[: page.limit]
        more = self._cursors.write(read_number(shown[-1].id), "accounts") if len(views) > page.limit else ""
        return AccountPage(tuple(shown), more)

    # charges

    def charge(self, id: str) -> ChargeView:
        """One charge.

        Raises:
            Refused: NOT_FOUND.
        """
        record = self._books.record(id)
        if not self._concerns(record):
            raise nothing()
        try:
            record = with_lines(record, self.engine.terms(record.charge.catalog))
        except NotFound:
            pass
        return self._charge_view(record)

    def charges(self, page: PageQuery) -> ChargePage:
        """Charges in booking order."""
        shown: list[ChargeView] = []
        at = self._cursors.read(page.after, "charges")
        for n, body in self._rows(at, b'"type":"charge"'):
            at = n
            if body:
                record = record_of(n, body)
                if self._concerns(record):
                    shown.append(self._charge_view(record))
                    if len(shown) == page.limit:
                        break
        return ChargePage(tuple(shown), self._more(at, "charges"))

    def _concerns(self, record: Record) -> bool:
        if self.all:
            return True
        charge = record.charge
        if self.caller.role is AccessRole.PROVIDER:
            return any(portion.provider == self.caller.party for portion in charge.portions)
        return any(s.account in self._own for s in charge.shares) or any(
            p.payer in self._own for p in record.usage.payers
        )

    def _charge_view(self, record: Record) -> ChargeView:
        if self.all:
            return self._full_view(record)
        return self._user_view(record) if self.caller.role is AccessRole.USER else self._provider_view(record)

    def _full_view(self, record: Record) -> ChargeView:
        charge, usage = record.charge, record.usage
        entry = record.entry.id if record.entry is not None else ""
        return ChargeView(
            charge.id, "operator", charge.service, usage.start or charge.at, charge.currency, charge.usage,
            usage.source, usage.id, usage.end, usage.quantities, charge.tariff, charge.amount, charge.tax, charge.total,
            charge.lines, charge.taxes,
            tuple(ShareView(s.amount, account=s.account, weight=s.weight) for s in charge.shares),
            tuple(PortionView(p.part, p.provider, p.amount, p.exact, p.tariff, p.lines) for p in charge.portions),
            charge.rule, charge.platform, charge.sponsored, charge.sponsor, charge.catalog, entry, charge.origin,
        )  # fmt: skip

    def _user_view(self, record: Record) -> ChargeView:
        """No wholesale price, portion, margin or sponsored amount: from any of them the others could be computed."""
        charge, usage = record.charge, record.usage
        shares = [
            ShareView(s.amount, self.caller.party, s.account, s.weight)
            if s.account in self._own
            else ShareView(s.amount)
            for s in charge.shares
        ]
        return ChargeView(
            charge.id, "user", charge.service, usage.start or charge.at, charge.currency, charge.usage, usage.source,
            usage.id, usage.end, usage.quantities, charge.tariff, charge.amount, charge.tax, charge.total, charge.lines,
            charge.taxes, tuple(shares), tuple(PortionView(p.part, p.provider) for p in charge.portions),
            origin=charge.origin,
        )  # fmt: skip

    def _provider_view(self, record: Record) -> ChargeView:
        """Its own portions; the fee only where an agreement shares it out."""
        charge, usage = record.charge, record.usage
        mine = [p for p in charge.portions if p.provider == self.caller.party]
        return ChargeView(
            charge.id, "provider", charge.service, usage.start or charge.at, charge.currency, charge.usage,
            usage.source, usage.id, usage.end, usage.quantities,
            amount=charge.amount if charge.rule == "shares" else "",
            portions=tuple(PortionView(p.part, p.provider, p.amount, p.exact, p.tariff, p.lines) for p in mine),
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
        lines = [line for line in billing.listing(self.engine) if self.may_see(line.account)]
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
        if not self.may_see(found.account):
            raise nothing()
        return found

    # pages

    def _rows(self, after: int, mark: bytes) -> Iterator[tuple[int, bytes]]:
        """Journal rows after one, those without ``mark`` as empty; at most so many that a page stays quick."""
        last = self.engine.store.head(self.engine.tenant, 0)[0]
        for n, body, _ in self.engine.store.journal(self.engine.tenant, 0, after, min(last, after + SCAN)):
            yield n, body if mark in body else b""

    def _more(self, at: int, kind: str) -> str:
        return self._cursors.write(at, kind) if at < self.engine.store.head(self.engine.tenant, 0)[0] else ""


def _entry_view(entry: Entry, account: AccountView) -> EntryView:
    amount = Exact(0)
    for leg in entry.legs:
        if leg.account == account.id:
            amount += Exact.parse(leg.amount)
    return EntryView(entry.id, entry.cause, entry.kind, entry.at, account.currency, amount.text())


def statement_view(line: StatementLine) -> StatementView:
    """A document as a list shows it."""
    currency = line.asset.partition("/")[0]
    return StatementView(line.id, line.number, line.kind, line.account, line.period, line.at, currency, line.total)
