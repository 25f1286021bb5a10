"""One change of a session on its way into the books: captures, the slice's usage, charge and entry, holds, the session.

A change is one journal row, so that all of it is there or nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from apportion.engine.charging import CHARGED, ZERO_RATED
from apportion.engine.converting import conversion_entries, exchange_account, parted, said
from apportion.engine.funding.purse import ALLOWANCE, ALTERNATE, Draw, Purse, stock_of
from apportion.engine.sessions.bill import price_lines, replace
from apportion.engine.sessions.contract import Contract, minus, payable, used, whole, written
from apportion.engine.sessions.covers import settle, sole
from apportion.engine.sessions.paid import Paid, abroad, together
from apportion.engine.sessions.slice import Slice, converted_of, cut, leftovers
from apportion.engine.terms import Terms
from apportion.engine.value import hold_line
from apportion.engine.work import Work, encode
from apportion.ledger import holds, proof
from apportion.ledger.booking import book, charge_movements, merge
from apportion.model.account import Account, Role
from apportion.model.charge import Charge, Conversion, Portion, Share, TaxLine
from apportion.model.funding import AllowanceLine
from apportion.model.hold import Hold
from apportion.model.ids import key_id, read_number
from apportion.model.journal import UsageLine
from apportion.model.session import Meter, SessionLine, SessionPayer
from apportion.model.usage import PartUse, PayerUse
from apportion.money import Exact, parse_asset
from apportion.money.exact import decimal_text

_FOREVER = "9999-12-31T00:00:00.000000Z"  # a session's hold ends with the session, which is always due at some time


class Mark(NamedTuple):
    """How far a change had come: holds and lines by count, the session, the allowances moved."""

    fresh: int
    lines: int
    line: SessionLine
    stocks: dict[str, AllowanceLine]


class Row:
    """A session being changed: ``line`` is how it stands now, ``lines`` what the books get of the change so far.

    ``stocks`` are the allowances that the change has moved.
    """

    def __init__(self, work: Work, terms: Terms, line: SessionLine) -> None:
        self.work, self.terms, self.line = work, terms, line
        self.first = line
        self.contract = Contract(line, terms)
        self._fresh: list[tuple[Hold, Draw, Purse]] = []
        self.lines: list[bytes] = []
        self.stocks: dict[str, AllowanceLine] = {}
        self._before = line
        self._keys: list[tuple[bytes, str, bytes]] = []
        self.charged = 0
        self.below_cost = 0

    def write(self) -> int:
        """Append everything, then the session and the allowances that it moved; the row's number."""
        self.line = replace(self.line, n=self.line.n + 1, at=self.work.at)
        moved = [self.work.move(replace(stock, at=self.work.at)) for stock in self.stocks.values()]
        n = self.work.append(*self.lines, self.work.move(self.line), *moved)
        for key, state, digest in self._keys:
            self.work.remember(key, state, digest, n)
        return n

    def add(self, lines: Iterable[bytes], keys: Iterable[bytes]) -> None:
        """More lines for the row, and the keys under which what they say is remembered."""
        self.lines += lines
        self._keys += [(key, "done", b"") for key in keys]

    # funds

    def open(self, payer: SessionPayer) -> int:
        """For how many atoms of a payer's share there are holds."""
        return self._covers(payer, self._held(payer))

    def _held(self, payer: SessionPayer) -> int:
        """Atoms of its own currency that are held for a payer's share."""
        return sum(self.work.hold(number).open for number in payer.holds)

    def _covers(self, payer: SessionPayer, held: int) -> int:
        """For how many atoms of a share so much pays: all that was paid is what all that was charged comes to."""
        if payer.rate is None:
            return held
        return max(0, self.contract.covers(payer, payer.paid + held) - payer.charged)

    def room(self, payer: SessionPayer) -> int:
        """For how many more atoms of its share a payer has the value."""
        free = self.purse(payer).available()
        if payer.rate is None:
            return free
        held = self._held(payer)
        return self._covers(payer, held + free) - self._covers(payer, held)

    def payer(self, name: str) -> Account | None:
        """The account by which somebody pays for this session, by its name."""
        accounts = {payer.account: self.work.numbered(read_number(payer.account)) for payer in self.line.payers}
        for asset in dict.fromkeys(self.work.asset_of(account) for account in accounts.values()):
            found = self.work.payer(name, asset)
            if found is not None and found.public in accounts:
                return found
        return None

    def purse(self, payer: SessionPayer) -> Purse:
        """Everything that a payer may draw on."""
        return Purse(self.work, self.work.numbered(read_number(payer.account)), self.line.service)

    def hold(self, place: int, atoms: int) -> None:
        """Set aside value for ``atoms`` more of a payer's share.

        Raises:
            Refused: INSUFFICIENT_FUNDS, with nothing changed.
        """
        payer = self.line.payers[place]
        purse = self.purse(payer)
        if payer.rate is not None:
            held = self._held(payer)
            whole = payer.charged + self._covers(payer, held) + atoms
            atoms = max(0, self.contract.to_hold(payer, whole) - payer.paid - held)
        draws = purse.draw(atoms)
        purse.reserve(draws)
        numbers, periods = [], dict(payer.periods)
        for draw in draws:
            hold = Hold(self.work.names.next_hold, draw.account.id, self.line.id, draw.atoms, _FOREVER)
            holds.place(hold, draw.account)
            self.work.names.next_hold += 1
            self._fresh.append((hold, draw, purse))
            self._note(hold, draw.account)
            numbers.append(hold.id)
            if draw.period:
                periods[str(hold.id)] = draw.period
        self._payer(place, replace(payer, holds=(*payer.holds, *numbers), periods=periods))

    def stock(self, id: str) -> AllowanceLine:
        """An allowance as this change leaves it so far."""
        line = self.stocks.get(id) or stock_of(self.work.course(id))
        assert isinstance(line, AllowanceLine)
        return line

    def put(self, lines: Iterable[AllowanceLine]) -> None:
        """Note how allowances now stand."""
        self.stocks.update({line.id: line for line in lines})

    def mark(self) -> Mark:
        """A point to come ``back`` to while nothing but holds is placed and units are reserved."""
        return Mark(len(self._fresh), len(self.lines), self.line, dict(self.stocks))

    def back(self, mark: Mark) -> None:
        """Take back the holds placed and the units reserved since, as if they had not been."""
        fresh, lines, self.line, stocks = mark
        self.stocks = dict(stocks)
        for hold, draw, purse in self._fresh[fresh:]:
            draw.account.held -= hold.open
            purse.restore([draw])
            self.work.drop_hold(hold)
        del self._fresh[fresh:], self.lines[lines:]

    def undo(self) -> None:
        """Take back all of a change that is not made after all, which has placed holds at most."""
        self.back(Mark(0, 0, self.first, {}))

    def release(self, place: int) -> None:
        """Give back what is still held for a payer."""
        payer = self.line.payers[place]
        purse = self.purse(payer)
        for number in payer.holds:
            hold = self.work.hold(number)
            account = self.work.numbered(hold.account)
            source = self._source(payer, account) or "prepaid"
            purse.restore([Draw(account, hold.open, source, payer.periods.get(str(number), ""))])
            holds.release(hold, account)
            self._note(hold, account)
        self._payer(place, replace(payer, holds=(), periods={}))

    def _payer(self, place: int, payer: SessionPayer) -> None:
        payers = list(self.line.payers)
        payers[place] = payer
        self.line = replace(self.line, payers=tuple(payers))

    def _note(self, hold: Hold, account: Account) -> None:
        self.lines.append(hold_line(self.work, hold, account))

    # slices

    def due(self) -> Slice | None:
        """What the session comes to beyond what was booked, as far as the holds cover it; None when it is nothing."""
        if not any(meter.number for meter in self.line.meters):
            return None  # nothing was reported yet, so nothing was delivered
        held = [self.open(payer) for payer in self.line.payers]
        free = not any(payer.pays for payer in self.line.payers)
        bought = settle(self.line.covers, self.stock, self.contract.asset)
        found = cut(self.contract, self.line, None if free else sum(held), bought)
        if found is None or any(share > most for share, most in zip(found.shares, held, strict=True)):
            return None
        return found if found.moves or self._moved() else None

    def _moved(self) -> bool:
        """Whether a counter went on since the slice before."""
        return any(meter.used != old.used for meter, old in self._readings())

    def _readings(self) -> Iterator[tuple[Meter, Meter]]:
        """Each meter as it stands and as it stood at the slice before; a provider that came back has a second one."""
        return zip_longest(self.line.meters, self._before.meters, fillvalue=Meter(""))

    def charge(self) -> None:
        """Book it."""
        found = self.due()
        if found is None:
            return
        paid = self._unload(found)
        for place, share in enumerate(found.shares):
            paid += self._pay(place, share, found.paid[place])
        self._book(found, paid)
        kept = {payer.account: payer for payer in self.line.payers}
        payers = tuple(
            replace(payer, holds=kept[payer.account].holds, periods=kept[payer.account].periods)
            for payer in found.after.payers
        )
        self.line = replace(found.after, payers=payers)
        self.charged += found.total

    def _unload(self, found: Slice) -> list[Paid]:
        """Take what was bought out of the allowances."""
        self.put(found.bought.stocks)
        return [
            Paid(self.line.payers[sole(self.line)], self.work.numbered(read_number(name)), atoms, atoms)
            for name, atoms in found.bought.draws
        ]

    def _pay(self, place: int, share: int, paid: int) -> list[Paid]:
        """Take a share out of a payer's holds; what is ``paid`` of it where its account has another currency."""
        payer = self.line.payers[place]
        if payer.rate is None:
            return [Paid(payer, account, atoms, atoms) for account, atoms in self._capture(place, share)]
        taken = self._capture(place, paid)
        if share and not taken:
            taken = [(self.work.numbered(read_number(payer.account)), 0)]
        parts = parted(share, [atoms for _, atoms in taken])
        return [Paid(payer, *one, part) for one, part in zip(taken, parts, strict=True)]

    def _capture(self, place: int, atoms: int) -> list[tuple[Account, int]]:
        """Take a share out of a payer's holds, the oldest first."""
        payer = self.line.payers[place]
        taken, left = [], list(payer.holds)
        while atoms:
            hold = self.work.hold(left[0])
            account = self.work.numbered(hold.account)
            part = min(atoms, hold.open)
            holds.capture(hold, account, part, final=False)
            self._note(hold, account)
            taken.append((account, part))
            atoms -= part
            if not hold.open:
                left.pop(0)
        periods = {number: period for number, period in payer.periods.items() if int(number) in left}
        self._payer(place, replace(payer, holds=tuple(left), periods=periods))
        return taken

    def settle(self) -> None:
        """The session is over: what rounding kept from each goes to the accounts, as that of single charges does."""
        for account, residue in leftovers(self.contract, self.line):
            if account.startswith("exchange "):
                other = parse_asset(account.removeprefix("exchange "))
                self.work.keep(exchange_account(self.work, other), residue)
            elif account:
                self.work.keep(self.work.numbered(read_number(account)), residue)
            else:
                self.work.keep(self.work.account(Role.PLATFORM, "fees", self.contract.asset), residue)

    def _book(self, found: Slice, paid: list[Paid]) -> None:
        """The slice's usage, charge and entry."""
        work, contract, line = self.work, self.contract, self.line
        asset, scale = contract.asset, contract.asset.scale
        key = proof.record_key(line.id, str(found.after.slices))
        portions, others = abroad(work, contract, line, (found, paid))
        platform = work.account(Role.PLATFORM, "fees", asset)
        home = exchange_account(work, asset) if others else platform
        taxes = [(work.account(Role.TAX, f"{tax.name}@{tax.rate}", asset), tax.amount) for tax in found.taxes]
        unpaid = found.total if not paid else 0
        sponsor = None
        if found.sponsored + unpaid:
            sponsor = work.account(Role.SPONSOR, contract.terms.sponsor, asset), found.sponsored + unpaid
        movements = charge_movements(
            [(one.account if one.payer.rate is None else home, one.share) for one in paid],
            portions,
            (platform, found.platform),
            taxes,
            sponsor,
        )
        usage = self._usage(found, key)
        self._keys.append((key, usage.state, bytes.fromhex(usage.digest)))
        self.lines += [encode(usage), encode(self._charge(found, paid, (platform, sponsor, key)))]
        if movements:  # else it is zero-rated, and the books have its quantities alone
            entry = book(
                key_id("ent", key), key_id("chg", key), "charge", work.at, (str(asset), scale), merge(movements)
            )
            self.lines.append(encode(entry))
            work.touch_all(movements)
        entries, keys = conversion_entries(work, key_id("chg", key), others, forced=False)
        self.add(entries, keys)
        if contract.terms.service.guard:
            self.below_cost += found.sponsored
        self._before = line

    def _usage(self, found: Slice, key: bytes) -> UsageLine:
        """What was used since the slice before: the session is the source, the slice's number the id."""
        line, before = self.line, self._before
        number = str(found.after.slices)
        parts = [
            PartUse(m.part, m.provider, written(minus(used(m), used(old)))) for m, old in list(self._readings())[1:]
        ]
        return UsageLine(
            key_id("usg", key), line.id, number, line.service, before.through,
            CHARGED if found.total else ZERO_RATED, proof.blake3(f"{line.id} {number}".encode()).digest(8).hex(),
            end=line.through, quantities=written(minus(whole(line, payable), whole(before, payable))),
            attributes=line.attributes, macs=line.macs, parts=tuple(parts),
            payers=tuple(PayerUse(p.account, p.weight, {}, p.pays) for p in line.payers),
        )  # fmt: skip

    def _charge(
        self, found: Slice, paid: list[Paid], more: tuple[Account, tuple[Account, int] | None, bytes]
    ) -> Charge:
        line, contract = self.line, self.contract
        platform, sponsor, key = more
        scale, unit = contract.asset.scale, contract.asset.unit

        def text(atoms: int) -> str:
            return decimal_text(atoms, scale)

        dues = [exact - Exact(m.credited) for exact, m in zip(found.now.earned, line.meters[1:], strict=True)]
        return Charge(
            key_id("chg", key), key_id("usg", key), line.service, self._before.through, contract.asset.code,
            line.tariff, line.catalog, contract.terms.service.apportion, Exact(found.net, unit).text(),
            text(found.net), text(found.total), text(found.platform), platform.public,
            tax=text(found.total - found.net) if found.total != found.net else "0",
            sponsored=text(sponsor[1]) if sponsor else "0",
            sponsor=sponsor[0].public if sponsor else "",
            allocation=contract.terms.service.allocate if len(line.payers) > 1 else "",
            lines=price_lines(contract, self._before, line),
            portions=tuple(
                Portion(
                    m.part, m.provider, m.account, due.over(Exact(unit)).text(), text(atoms), m.tariff, (), converted
                )
                for m, due, atoms, converted in zip(
                    line.meters[1:], dues, found.portions, converted_of(contract, line, found), strict=True
                )
            ),
            shares=tuple(
                Share(one.account.public, text(one.share), "", *self._drawn(one), converted=self._said(one))
                for one in together(paid)
            ),
            taxes=tuple(TaxLine(tax.name, tax.rate, text(tax.base), text(tax.amount)) for tax in found.taxes),
            allowances=found.bought.covered,
        )  # fmt: skip

    def _said(self, one: Paid) -> Conversion | None:
        rate = one.payer.rate
        return None if rate is None else said(rate, self.contract.paid_asset(one.payer), one.atoms)

    def _drawn(self, one: Paid) -> tuple[str, str]:
        source = self._source(one.payer, one.account)
        return source, one.payer.account if source else ""

    def _source(self, payer: SessionPayer, account: Account) -> str:
        if account.public == payer.account:
            return ""
        known = {Role.PAYER: ALTERNATE, Role.DEFERRED: ALLOWANCE}
        return known.get(account.role, account.role.value)
