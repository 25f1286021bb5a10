"""From where shares were drawn, computed again: buckets, allowances, own value, alternates within caps, credit lines.

Charges of sessions draw on what was held before, so their order is not looked at here; caps and stocks are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apportion.engine.funding.purse import ALLOWANCE, ALTERNATE, BUCKET, CREDIT, cap_id
from apportion.engine.rating import Prepared, single
from apportion.engine.verify.books import Books, Standing, Wrong, atoms, loose_atoms
from apportion.engine.verify.charges import Amounts
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.charge import Charge
from apportion.model.funding import AllowanceLine, BucketLine, CapLine, FundingLine
from apportion.model.journal import CourseLine, UsageLine
from apportion.model.session import Cover
from apportion.money import Exact
from apportion.money.exact import decimal_text
from apportion.stages.credit.funding import (
    allowance_order,
    bucket_order,
    cap_period,
    cascade,
    cover,
    drawable,
    own_rooms,
)

Drawn = tuple[str, int, str]  # account, atoms, source as a share says it
Stock = BucketLine | AllowanceLine
_OF_SESSIONS = "ses_"


class Fundings:
    """The payers' funding as the lines so far leave it, and what is wrong with it."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self.lines: dict[str, FundingLine] = {}
        self.stocks: dict[str, Stock] = {}
        self.caps: dict[str, CapLine] = {}
        self._used: dict[str, Exact] = {}
        self._counting: dict[str, int] = {}  # what this row's charge must have moved each cap to
        self._moved: set[str] = set()  # allowances that this row's charge must have moved
        self._reserved: dict[str, Exact] = {}  # by allowance: what the running sessions have set aside
        self._reserving: set[str] = set()  # allowances out of which a session of this row took or gave back
        self._named: list[tuple[str, FundingLine | Stock]] = []  # lines to look at when the row is over

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about funding."""
        place = row.place(index)
        if isinstance(line, FundingLine):
            self.lines[line.account] = line
            self._named.append((place, line))
        elif isinstance(line, CapLine):
            self._cap(place, line)
        elif isinstance(line, BucketLine | AllowanceLine):
            before = self.stocks.get(line.id)
            self.stocks[line.id] = line
            if before is not None and _terms(before) != _terms(line):
                self._wrong(place, line.id, "its terms changed.")
            if before is not None and before.state != "open":
                self._wrong(place, line.id, f"had ended as {before.state}.")
            if isinstance(line, AllowanceLine):
                self._units(place, line)
            self._named.append((place, line))

    def row_ends(self, row: Row) -> None:
        """What the lines of a row say together: stocks against their accounts, caps and units against the charge."""
        for place, line in self._named:
            if isinstance(line, FundingLine):
                self._funding(place, line)
            else:
                self._stock(place, line)
        for name in [*self._counting, *self._moved]:
            self._wrong(row.place(), name, "the charge draws on it, and no line says so.")
        for account in self.books.touched:
            self._deferred(row, account)
        for id in self._reserving | {one.id for _, one in self._named if isinstance(one, AllowanceLine)}:
            self._set_aside(row, id)
        self._named, self._counting, self._moved, self._reserving = [], {}, set(), set()
        self.books.touched.clear()

    def charge(
        self,
        place: str,
        usage: UsageLine,
        charge: Charge,
        sums: Amounts,
        prepared: Prepared,
        legs: dict[str, int],
        at: str,
    ) -> None:
        """Draw the shares of a charge again, from what there was before its entry."""
        plain = not charge.allowances and not any(share.source or share.payer for share in charge.shares)
        if plain and not any(payer.payer in self.lines for payer in usage.payers):
            return
        if usage.source.startswith(_OF_SESSIONS):
            return
        covered = self._covered(place, usage, charge, prepared, at)
        stored: dict[str, list[Drawn]] = {}
        for share, amount in zip(charge.shares, sums.paid, strict=True):
            stored.setdefault(share.bearer, []).append((share.account, amount, share.source))
        before = _Before(self.books, legs)
        for payer in usage.payers:
            mine = stored.get(payer.payer)
            if mine is None:
                continue
            again = [one for one in covered if one[1]]
            covered = []
            whole = sum(amount for _, amount, _ in mine)
            rest = self._drawn(payer.payer, whole - sum(one[1] for one in again), charge.service, at, before)
            if rest is None:
                self.findings.add("draw", place, charge.id, f"more is drawn for {payer.payer} than it may draw.")
                continue
            again += rest
            if mine != (again or [(payer.payer, 0, "")]):
                self.findings.add("draw", place, charge.id, f"drawn for {payer.payer}: {mine}, drawn again {again}.")
            for account, amount, source in mine:
                before.taken[account] = before.taken.get(account, 0) + amount
                if source == ALTERNATE:
                    self._expect(payer.payer, account, amount, at)

    # the cascade

    def _drawn(self, payer: str, share: int, service: str, at: str, before: _Before) -> list[Drawn] | None:
        """From where a share comes; None when there was less."""
        if share <= 0:
            return [(payer, share, "")] if share else []
        line = self.lines.get(payer)
        if line is None:
            account = self.books.standing(payer)
            return [(payer, share, "")] if share <= before.free(payer) + account.credit else None
        wells = list(self._wells(payer, line, service, at, before))
        given = cascade(share, [room for _, room, _ in wells])
        if given is None:
            return None
        return [(account, part, source) for (account, _, source), part in zip(wells, given, strict=True) if part]

    def _wells(self, payer: str, line: FundingLine, service: str, at: str, before: _Before) -> Iterator[Drawn]:
        buckets = [one for id in line.buckets if isinstance(one := self.stocks.get(id), BucketLine)]
        for bucket in sorted(buckets, key=bucket_order):
            if drawable(bucket, service, at):
                yield bucket.account, before.free(bucket.account), BUCKET
        own = self.books.standing(payer)
        value, credit = own_rooms(before.free(payer), own.credit)
        yield payer, value, ""
        for source in line.sources:
            room = before.free(source.account) + self.books.standing(source.account).credit
            if source.cap:
                cap = loose_atoms(source.cap, own.scale)
                period = cap_period(source.per, at, line.zone)
                room = min(room, cap - self._counted(cap_id(source.account, payer), period, own))
            yield source.account, room, ALTERNATE
        yield payer, credit, CREDIT

    # caps

    def _counted(self, id: str, period: str, member: Standing) -> int:
        known = self.caps.get(id)
        return loose_atoms(known.drawn, member.scale) if known is not None and known.period == period else 0

    def _expect(self, payer: str, account: str, amount: int, at: str) -> None:
        """The line of a cap that must follow the charge."""
        line, member = self.lines[payer], self.books.standing(payer)
        source = next(source for source in line.sources if source.account == account)
        if source.cap:
            id = cap_id(account, payer)
            self._counting[id] = self._counted(id, cap_period(source.per, at, line.zone), member) + amount

    def _cap(self, place: str, line: CapLine) -> None:
        """A cap is never passed, and counts what the charge before it drew."""
        member = self.books.standing(line.member)
        drawn = loose_atoms(line.drawn, member.scale)
        funding = self.lines.get(line.member)
        source = next((s for s in funding.sources if s.account == line.account), None) if funding is not None else None
        if line.id != cap_id(line.account, line.member) or source is None or funding is None or not source.cap:
            self._wrong(place, line.id, "counts what no cap bounds.")
        elif line.period != cap_period(source.per, line.at, funding.zone):
            self._wrong(place, line.id, f"counts in {line.period}, at {line.at}.")
        elif drawn > loose_atoms(source.cap, member.scale) and drawn > self._counted(line.id, line.period, member):
            self._wrong(place, line.id, f"{line.drawn} is drawn, the cap is {source.cap}.")
        due = self._counting.pop(line.id, drawn)
        if drawn != due or drawn < 0:
            self._wrong(place, line.id, f"says {line.drawn}, counted again {decimal_text(due, member.scale)}.")
        self.caps[line.id] = line

    # buckets and allowances

    def _covered(self, place: str, usage: UsageLine, charge: Charge, prepared: Prepared, at: str) -> list[Drawn]:
        """What allowances covered, against what they must have; the draws on their deferred accounts."""
        payer = usage.payers[0].payer
        home = self.books.standing(payer).line.asset == str(prepared.terms.asset)
        line = self.lines.get(payer) if home else None
        lines = [
            one
            for id in (line.allowances if line is not None and single(prepared) else ())
            if isinstance(one := self.stocks.get(id), AllowanceLine) and drawable(one, charge.service, at)
        ]
        again = cover(prepared.use.quantities, sorted(lines, key=allowance_order), prepared.terms.asset)
        if charge.allowances != tuple(one for one, _ in again):
            words = f"covered by allowances: {charge.allowances}, again {[one for one, _ in again]}."
            self.findings.add("allowance", place, charge.id, words)
        drawn = []
        scale = prepared.terms.asset.scale
        self.used(charge)
        for part in charge.allowances:
            drawn.append((self.stocks[part.allowance].account, atoms(part.amount, scale), ALLOWANCE))
        return drawn

    def used(self, charge: Charge) -> None:
        """Count the units that a charge took out of allowances; a line of each must follow."""
        for part in charge.allowances:
            id = part.allowance
            self._moved.add(id)
            self._used[id] = self._used.get(id, Exact(0)) + Exact.parse(part.units)

    def allowance(self, id: str) -> AllowanceLine:
        """An allowance as it stands."""
        found = self.stocks.get(id)
        if not isinstance(found, AllowanceLine):
            raise Wrong("funding", f"{id[:60]!r} is no allowance of the books.")
        return found

    def set_aside(self, covers: Iterable[Cover], sign: int) -> None:
        """Count what a session has set aside (1), or no more has (-1)."""
        for one in covers:
            units = Exact.parse(one.reserved) - Exact.parse(one.booked)
            self._reserved[one.allowance] = self._reserved.get(one.allowance, Exact(0)) + units * Exact(sign)
            self._reserving.add(one.allowance)

    def _set_aside(self, row: Row, id: str) -> None:
        """What an allowance says is reserved is what the running sessions have set aside."""
        line, units = self.stocks.get(id), self._reserved.get(id, Exact(0)).reduced()
        if not isinstance(line, AllowanceLine) or Exact.parse(line.reserved) != units:
            said = line.reserved if isinstance(line, AllowanceLine) else "nothing"
            self._wrong(row.place(), id, f"{said} is reserved, sessions have set aside {units.text()}.")

    def _units(self, place: str, line: AllowanceLine) -> None:
        """Units bought = used + left + reserved + lapsed."""
        self._moved.discard(line.id)
        used = self._used.get(line.id, Exact(0))
        left, reserved, lapsed = (Exact.parse(units) for units in (line.left, line.reserved, line.lapsed))
        if used + left + reserved + lapsed != Exact.parse(line.units) or min(left.num, reserved.num, lapsed.num) < 0:
            words = f"{line.units} bought, {used.text()} used, {line.left} left, {line.reserved} reserved"
            words += f", {line.lapsed} lapsed."
            self._wrong(place, line.id, words)

    def _stock(self, place: str, line: Stock) -> None:
        """A bucket or allowance lies on an account of its payer; what ended is empty."""
        account, payer = self.books.standing(line.account), self.books.standing(line.payer)
        role = "bucket" if isinstance(line, BucketLine) else "deferred"
        same = (account.line.role, account.line.party, account.line.asset) == (role, payer.line.party, line.asset)
        if not same or payer.line.role != "payer" or line.id.partition("_")[2] != line.account.partition("_")[2]:
            self._wrong(place, line.id, f"{line.account} is no {role} of {line.payer}.")
        elif line.state != "open" and (account.posted or account.held):
            self._wrong(place, line.id, f"has ended with {decimal_text(account.posted, account.scale)} on it.")

    def _deferred(self, row: Row, account: str) -> None:
        """What is deferred is what the allowance says."""
        line = self.stocks.get("alw" + account[4:])
        standing = self.books.standing(account)
        if standing.line.role == "deferred":
            said = atoms(line.deferred, standing.scale) if isinstance(line, AllowanceLine) else 0
            if said != standing.posted:
                has = decimal_text(standing.posted, standing.scale)
                self._wrong(
                    row.place(), account, f"holds {has}, its allowance says {decimal_text(said, standing.scale)}."
                )

    def _funding(self, place: str, line: FundingLine) -> None:
        """Sources are payers' accounts in the same asset; what is listed is the payer's own."""
        own = self.books.standing(line.account)
        for source in line.sources:
            other = self.books.standing(source.account)
            if (other.line.role, other.line.asset) != ("payer", own.line.asset) or source.account == line.account:
                self._wrong(place, line.id, f"{source.account} can be no source of {line.account}.")
        for id in (*line.buckets, *line.allowances):
            if id not in self.stocks or self.stocks[id].payer != line.account:
                self._wrong(place, line.id, f"{id} is not of {line.account}.")

    def _wrong(self, place: str, record: str, message: str) -> None:
        self.findings.add("funding", place, record, message)


class _Before:
    """Accounts as they were before the entry of a charge; ``taken`` is what its payers drew one after another."""

    def __init__(self, books: Books, legs: dict[str, int]) -> None:
        self._books, self._legs = books, legs
        self.taken: dict[str, int] = {}

    def free(self, account: str) -> int:
        """Posted − held − what was taken since."""
        standing = self._books.standing(account)
        return standing.posted - self._legs.get(account, 0) - standing.held - self.taken.get(account, 0)


def _terms(line: Stock) -> tuple[object, ...]:
    """What of a bucket or allowance never changes."""
    if isinstance(line, BucketLine):
        kept: tuple[object, ...] = (line.amount, line.priority, line.sponsor)
    else:
        kept = (line.measure, line.units, line.price)
    return (line.account, line.payer, line.asset, line.name, line.expires, line.services, line.cause, *kept)
