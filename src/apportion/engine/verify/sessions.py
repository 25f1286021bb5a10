"""Sessions proved: each slice computed again from the two lines that it stands between, each state after the last."""

from __future__ import annotations

import msgspec

from apportion.engine.converting import parted, said
from apportion.engine.funding.purse import ALLOWANCE
from apportion.engine.sessions.bill import advance, bill, price_lines, replace
from apportion.engine.sessions.contract import ZERO, Contract, parsed, read
from apportion.engine.sessions.covers import settle, sole
from apportion.engine.sessions.slice import Slice, converted_of, cut, leftovers, line_total
from apportion.engine.terms import Terms
from apportion.engine.verify.books import Books, Wrong, atoms
from apportion.engine.verify.charges import Amounts, exchange_of
from apportion.engine.verify.funding import Fundings
from apportion.engine.verify.plans import Plans
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.verdict import Findings, Row
from apportion.errors import Refused
from apportion.model.charge import Charge, Conversion
from apportion.model.ids import number_id
from apportion.model.journal import UsageLine
from apportion.model.session import Cover, Meter, SessionLine, SessionState
from apportion.money import Exact, parse_asset

PREFIX = "ses_"
_CLOSED = SessionState.CLOSED


class Booked(msgspec.Struct):
    """A slice as the books have it, until its session's line in the same row says what it was made of."""

    row: int
    index: int
    usage: UsageLine
    charge: Charge
    sums: Amounts


class Sessions:
    """Follows every session through the books."""

    def __init__(self, findings: Findings, books: Books, rerating: Rerating, funding: Fundings, plans: Plans) -> None:
        self.findings, self.books, self.rerating, self.funding = findings, books, rerating, funding
        self.plans = plans
        self._lines: dict[str, SessionLine] = {}
        self._ended: set[str] = set()
        self._slice: Booked | None = None

    def slice(self, row: Row, index: int, usage: UsageLine, charge: Charge, sums: Amounts) -> None:
        """A slice was booked; its session's line must follow in the same row."""
        self._alone()
        self._slice = Booked(row.n, index, usage, charge, sums)

    def finish(self) -> None:
        """The books have ended."""
        self._alone()

    def _alone(self) -> None:
        if self._slice is not None:
            name = self._slice.charge.id
            self.findings.add("session", f"row {self._slice.row}", name, "the slice has no session beside it.")
            self._slice = None

    def course(self, row: Row, index: int, line: SessionLine) -> None:
        """A session's next line, and the slice of this row that belongs to it."""
        booked = self._slice if self._slice is not None and self._slice.row == row.n else None
        if booked is not None and booked.usage.source == line.id:
            self._slice = None
        else:
            booked = None
        before, place = self._lines.get(line.id), row.place(index)
        wrong = self._order(before, line) or self._rates(before, line)
        if wrong:
            self.findings.add("session", place, line.id, wrong)
        self.plans.follows(place, before, line)
        if before is not None and not wrong:
            try:
                moves = booked is not None or before.covers or line.state is _CLOSED
                counted = self._counted(before, line) if moves else before
                after = self._charged(place, before, counted, line, booked)
            except Refused as error:
                raise Wrong("session", f"rated again it is refused: {error.refusal.sentence()}") from None
            self._sums(place, after, line)
            self._covers(place, (counted if booked is None else after).covers, line)
            if line.state is _CLOSED:
                self._settle(counted if booked is None else after)
        self.plans.passed(before, line)
        self._holds(place, line)
        self.funding.set_aside(before.covers if before is not None else (), -1)
        self.funding.set_aside(line.covers, 1)
        if line.state is _CLOSED:
            self._lines.pop(line.id, None)
            self._ended.add(line.id)
        else:
            self._lines[line.id] = line

    def _order(self, before: SessionLine | None, line: SessionLine) -> str:
        """What is wrong with a line as the one after another, in words."""
        if line.id in self._ended:
            return "it had been closed."
        if before is None:
            fresh = line.n == 1 and not line.net and not line.slices and not any(m.credited for m in line.meters)
            return "" if fresh else "it begins in the middle."
        if line.n != before.n + 1 or line.service != before.service or line.asset != before.asset:
            return f"change {line.n} comes after change {before.n}, or it is of another service."
        for old, new in zip(before.meters, line.meters, strict=False):
            if (old.part, old.provider, old.account) != (new.part, new.provider, new.account):
                return f"the meter of {old.provider or 'the whole'} has become another's."
            counters = read(new.used)
            if any(counters.get(m, ZERO) < units for m, units in read(old.used).items()):
                return f"a counter of {old.provider or 'the whole'} went down."
        return "" if len(line.meters) >= len(before.meters) else "a meter is gone."

    def _rates(self, before: SessionLine | None, line: SessionLine) -> str:
        """A meter keeps its rate; a new one has that in force when it was opened."""
        known = before.meters if before is not None else ()
        for old, new in zip(known, line.meters, strict=False):
            if old.rate != new.rate:
                return f"the rate of {new.provider} changed."
        terms = self.rerating.terms(line.catalog)
        home = terms.service(line.service).asset.code
        for meter in line.meters[max(1, len(known)) :]:
            priced = terms.pricer(meter.tariff).currency if meter.tariff else home
            rate = None if priced == home else terms.rates.find(priced, home, parsed(line.at))
            if meter.rate != rate:
                return f"the rate of {meter.provider} is {meter.rate}, in the catalog {rate}."
        return self._payer_rates(before, line, terms)

    def _payer_rates(self, before: SessionLine | None, line: SessionLine, terms: Terms) -> str:
        known = {payer.account: payer.rate for payer in (before.payers if before is not None else ())}
        home = terms.service(line.service).asset
        for payer in line.payers:
            other = parse_asset(self.books.standing(payer.account).line.asset)
            if payer.account in known:
                rate = known[payer.account]
            else:
                rate = None if other == home else terms.rates.find(home.code, other.code, parsed(line.at))
            if payer.rate != rate:
                return f"the rate of {payer.account} is {payer.rate}, in the catalog {rate}."
        return ""

    def _contract(self, line: SessionLine) -> Contract:
        return Contract(line, self.rerating.terms(line.catalog))

    def _counted(self, before: SessionLine, line: SessionLine) -> SessionLine:
        """The session before with the counters of its next line."""
        meters = tuple(
            replace(old, used=new.used, lost=new.lost, number=new.number)
            for old, new in zip(before.meters, line.meters, strict=False)
        )
        payers = tuple(replace(old, used=new.used) for old, new in zip(before.payers, line.payers, strict=False))
        return advance(self._contract(before), replace(before, payers=payers), meters, parsed(line.through))

    def _charged(
        self, place: str, before: SessionLine, counted: SessionLine, line: SessionLine, booked: Booked | None
    ) -> SessionLine:
        """The session with what it must have booked; a slice that differs is a finding."""
        if booked is None:
            return before
        contract = self._contract(before)
        open_ = bill(contract, counted).total - line_total(before)
        bought = settle(counted.covers, self.funding.allowance, contract.asset)  # their lines follow the session's
        found = cut(contract, counted, open_ - line.postponed if line.postponed else None, bought)
        if found is None:
            self.findings.add("session", place, booked.charge.id, "nothing was to be charged.")
            return before
        differing = self._differing(found, counted, booked) or _prices(contract, before, counted, booked.charge)
        if differing:
            self.findings.add("session", place, booked.charge.id, differing)
        return found.after

    def _differing(self, found: Slice, line: SessionLine, booked: Booked) -> str:
        """The first thing in which a slice is not what it should be, in words."""
        charge, sums = booked.charge, booked.sums
        unpaid = 0 if charge.shares else found.total
        numbers: tuple[tuple[str, object, object], ...] = (
            ("amount", sums.amount, found.net),
            ("total", sums.total, found.total),
            ("platform", sums.platform, found.platform),
            ("sponsored", sums.sponsored, found.sponsored + unpaid),
            ("tax", sums.taxes, [tax.amount for tax in found.taxes]),
            ("portions", sums.portions, found.portions),
            ("converted", [p.converted for p in charge.portions], converted_of(self._contract(line), line, found)),
            ("parts", [(p.part, p.provider, p.account, p.tariff) for p in charge.portions], _parts(line.meters[1:])),
            ("number", booked.usage.id, str(found.after.slices)),
            ("allowances", charge.allowances, found.bought.covered),
            ("drawn", _drawn(booked), list(found.bought.draws)),
            ("exact", charge.exact, Exact(found.net, 10**sums.scale).text()),
        )
        for name, stored, again in numbers:
            if stored != again:
                return f"{name} is {stored}, computed again {again} (atoms)."
        shares = dict.fromkeys([payer.account for payer in line.payers], 0)
        for share, amount in zip(charge.shares, sums.shares, strict=True):
            owner = share.payer or share.account
            shares[owner] = shares.get(owner, 0) + amount
        due = {p.account: atoms_ for p, atoms_ in zip(line.payers, found.shares, strict=True)}
        due[line.payers[sole(line)].account] += found.bought.atoms
        if charge.shares and shares != due:
            return f"the shares are {shares}, computed again {due}."
        return self._paid(found, line, booked)

    def _paid(self, found: Slice, line: SessionLine, booked: Booked) -> str:
        """What is wrong with what payers paid in other currencies, in words."""
        contract = self._contract(line)
        mine = list(zip(booked.charge.shares, booked.sums.shares, booked.sums.paid, strict=True))
        for payer, due in zip(line.payers, found.paid, strict=True):
            own = [one for one in mine if one[0].bearer == payer.account]
            paid = [atoms_ for _, _, atoms_ in own]
            told = [share.converted for share, _, _ in own]
            again: list[Conversion | None] = [None] * len(own)
            if payer.rate is not None:
                again = [said(payer.rate, contract.paid_asset(payer), atoms_) for atoms_ in paid]
                if sum(paid) != due or [share for _, share, _ in own] != parted(sum(s for _, s, _ in own), paid):
                    return f"{payer.account} paid {paid}, computed again {due} (atoms)."
            if told != again:
                return f"{payer.account} paid {told}, computed again {again}."
        return ""

    def _sums(self, place: str, after: SessionLine, line: SessionLine) -> None:
        """What was booked so far moves by slices alone."""
        same = ("net", "taxes", "platform", "sponsored", "slices")
        moved = any(getattr(after, name) != getattr(line, name) for name in same)
        moved = moved or any(a.credited != b.credited for a, b in zip(after.meters, line.meters, strict=False))
        moved = moved or any(a.paid != b.paid for a, b in zip(after.meters, line.meters, strict=False))
        moved = moved or any(
            (a.charged, a.paid) != (b.charged, b.paid) for a, b in zip(after.payers, line.payers, strict=False)
        )
        if moved:
            self.findings.add("session", place, line.id, "its sums are not those of its slices.")

    def _covers(self, place: str, due: tuple[Cover, ...], line: SessionLine) -> None:
        """What was used and booked of each allowance is as computed; what is not used may go back, and more come."""
        owner = line.payers[sole(line)].account if sole(line) >= 0 else ""
        known = {cover.allowance: cover for cover in due}
        for cover in line.covers:
            stock = self.funding.allowance(cover.allowance)
            old = known.pop(cover.allowance, Cover(stock.id, stock.account, stock.measure))
            reserved, used, booked = (Exact.parse(units) for units in (cover.reserved, cover.used, cover.booked))
            back = reserved == booked and used == min(Exact.parse(old.used), booked)
            if replace(cover, reserved=old.reserved, used=old.used) != old or not (cover.used == old.used or back):
                words = f"of {cover.allowance} {cover.used} are used, {cover.booked} booked; counted again {old}."
                self.findings.add("session", place, line.id, words)
            elif booked > reserved or used > reserved:
                self.findings.add("session", place, line.id, f"more is used of {cover.allowance} than was reserved.")
            elif reserved > booked and (line.state is _CLOSED or stock.payer != owner):
                self.findings.add("session", place, line.id, f"{cover.allowance} is reserved for nobody.")
        if known:
            self.findings.add("session", place, line.id, f"the cover of {min(known)} is gone.")

    def _settle(self, after: SessionLine) -> None:
        """What rounding kept when it ended."""
        for account, kept in leftovers(self._contract(after), after):
            if account.startswith("exchange "):
                account = exchange_of(self.books, account.removeprefix("exchange "))
            self.rerating.keep(account or self.books.chart[("platform", "fees", after.asset)], kept)

    def _holds(self, place: str, line: SessionLine) -> None:
        """Its holds are open and its own; a closed one has none, and its payers pay at most what was held."""
        for payer in line.payers:
            for number in payer.holds:
                hold = self.books.holds.get(number_id("hold", number))
                if hold is None or hold.owner != line.id or hold.state != "open" or line.state is _CLOSED:
                    self.findings.add("session", place, line.id, f"hold {number} is not an open one of this session.")
                elif not atoms(hold.open, self.books.standing(hold.account).scale):
                    self.findings.add("session", place, line.id, f"hold {number} has nothing open.")


def _prices(contract: Contract, before: SessionLine, line: SessionLine, charge: Charge) -> str:
    """The arithmetic beside a slice; it may be left out."""
    again = price_lines(contract, before, line)
    stored = [(one.component, one.measure, one.quantity, one.exact) for one in charge.lines]
    if not stored or stored == [(one.component, one.measure, one.quantity, one.exact) for one in again]:
        return ""
    return f"its price lines are {stored}, computed again {[(one.component, one.exact) for one in again]}."


def _drawn(booked: Booked) -> list[tuple[str, int]]:
    """What a slice drew on the deferred accounts of allowances."""
    shares = zip(booked.charge.shares, booked.sums.shares, strict=True)
    return [(share.account, amount) for share, amount in shares if share.source == ALLOWANCE]


def _parts(meters: tuple[Meter, ...]) -> list[tuple[str, str, str, str]]:
    return [(meter.part, meter.provider, meter.account, meter.tariff) for meter in meters]
