"""One row of the books after another: which checks its lines go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import tzdata
from blake3 import blake3

from apportion.engine.converting import CONVERSION, conversion_key
from apportion.engine.credit.trails import CORRECTION
from apportion.engine.query import AnyLine
from apportion.engine.verify.books import Books, Wrong
from apportion.engine.verify.cards import Cards
from apportion.engine.verify.chain import Chain
from apportion.engine.verify.charges import Charges, matching
from apportion.engine.verify.closing import Closings
from apportion.engine.verify.corrections import Corrections
from apportion.engine.verify.covered import Covered
from apportion.engine.verify.credit import KINDS, Credits
from apportion.engine.verify.disputes import Disputes
from apportion.engine.verify.funding import Fundings
from apportion.engine.verify.levels import Levels
from apportion.engine.verify.market import Market
from apportion.engine.verify.negotiations import Negotiations
from apportion.engine.verify.payments import Payments
from apportion.engine.verify.plans import Plans
from apportion.engine.verify.price_corrections import PriceCorrections
from apportion.engine.verify.repriced import RepricedPeriods
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.sessions import PREFIX, Sessions
from apportion.engine.verify.settling import Settlings
from apportion.engine.verify.statements import Statements
from apportion.engine.verify.verdict import Findings, Outside, Row, Verdict
from apportion.ledger import proof
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine, RepricedLine, Why
from apportion.model.delivery import LetterLine
from apportion.model.funding import AllowanceLine, CapLine
from apportion.model.ids import key_id
from apportion.model.journal import (
    AccountLine,
    AssetLine,
    CatalogLine,
    Checkpoint,
    CloseLine,
    CourseLine,
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
from apportion.model.plan import PlanLine
from apportion.model.session import SessionLine
from apportion.model.settlement import SettlementLine
from apportion.model.standing import ObservedLine
from apportion.model.talks import NegotiationLine
from apportion.model.usage import UsageClass

DONE = ("charged", "zero-rated")
Booked = tuple[dict[str, int] | None, str]
Keyed = UsageLine | Charge | Entry | StatementLine | SettlementLine


class Audit:
    """Everything a proof keeps in mind while the rows pass: the chain, the books, the rating."""

    def __init__(self, outside: Outside) -> None:
        self.findings = Findings()
        self.chain = Chain(self.findings, outside)
        self.books = Books(self.findings)
        self.charges = Charges(self.findings, self.books)
        self.rerating = Rerating(self.findings, self.books)
        self.funding = Fundings(self.findings, self.books)
        self.payments = Payments(self.findings, self.books)
        self.cards = Cards(self.findings, self.books, self.payments)
        self.market = Market(self.findings, self.books)
        self.settlings = Settlings(self.findings, self.books)
        self.disputes = Disputes(self.findings, self.books, self.rerating.totals)
        self.corrections = Corrections(self.findings, self.books)
        self.credits = Credits(self.findings, self.books, self.rerating)
        self.levels = Levels(self.findings, self.books, self.rerating)
        self.plans = Plans(self.findings, self.books, self.rerating)
        self.rerating.plan = self.plans.find
        self.settlings.cap = self.rerating.cap
        prices = PriceCorrections(self.rerating, self.corrections.first)
        self.corrections.again = {**self.corrections.again, Why.PRICE.value: prices.again}
        self.negotiations = Negotiations(self.findings, self.books, self.plans)
        self.sessions = Sessions(self.findings, self.books, self.rerating, self.funding, self.plans)
        self.records = 0
        self.forgotten: set[str] = set()
        self.zones: set[str] = set()
        self.statements = Statements(self.findings, self.books)
        self.covered = Covered(self.findings, self.books)
        self.courses: dict[str, tuple[str, bytes]] = {}
        self.closings = Closings(self.findings, self.books, self.rerating)
        self.repriced = RepricedPeriods(self.findings, self.books, self.rerating, self.closings)
        self.latest = b""
        self._done = KeySet()
        self._decode = msgspec.json.Decoder(AnyLine).decode
        self._plain: dict[type, Callable[[Row, int, Any], object]] = {
            Genesis: self.chain.genesis,
            AssetLine: self.books.asset,
            AccountLine: self.books.account,
            CatalogLine: self.rerating.catalog,
            Entry: self._alone,
            CreditLine: self.books.credit,
            HoldLine: self.books.hold,
            ImportLine: self.books.imported,
            Checkpoint: self._checkpoint,
            CloseLine: self.closings.close,
            StatementLine: self._statement,
            LetterLine: self.statements.letter,
            ForgetLine: lambda row, index, line: self.forgotten.add(line.party),
            ZonesLine: lambda row, index, line: self.zones.add(line.version),
            PlanLine: self.plans.course,
            NegotiationLine: self.negotiations.course,
            SessionLine: self.sessions.course,
            ObservedLine: self.market.observed,
            CorrectedLine: self.corrections.course,
            RepricedLine: self.repriced.course,
        }

    def row(self, row: Row, hashes: list[str]) -> list[Keyed]:
        """Check one row; the lines under whose keys a store remembers it."""
        self.chain.row(row, hashes)
        keyed: list[Keyed] = []
        usage: UsageLine | None = None
        charge: Charge | None = None
        booked: Booked = (None, "")  # legs of the charge at hand, and when
        at = 0
        for index, raw in enumerate(row.lines):
            line: Any = None
            try:
                line = self._decode(raw)
                kind = type(line)
                if charge is not None and not (kind is Entry and line.cause == charge.id):  # it has no more entries
                    whole, done, legs = charge, usage, booked if booked[1] else (None, _drawn_at(line))
                    charge, usage, booked = None, None, (None, "")
                    self._rest(row, at, whole, done, legs)
                if isinstance(line, CourseLine):
                    self.courses[line.id] = (line.due, blake3(raw).digest(16))
                    self.payments.course(row, index, line)
                    self.cards.course(row, index, line)
                    self.market.course(row, index, line)
                    self.settlings.course(row, index, line)
                    self.disputes.course(row, index, line)
                    self.levels.course(row, index, line)
                    self.funding.course(row, index, line)
                if kind is UsageLine:
                    keyed.append(line)
                    usage = self._usage(row, index, line)
                elif kind is Charge:
                    keyed.append(line)
                    self.disputes.charge(line)
                    charge, at = line, index
                elif kind is Entry and charge is not None and line.cause == charge.id:
                    booked = {**(booked[0] or {}), **self._charge_entry(row, index, line)}, line.at
                    if line.kind == CONVERSION:
                        keyed.append(line)
                else:
                    if kind in (Entry, StatementLine, SettlementLine):
                        keyed.append(line)
                    check = self._plain.get(kind)
                    if check is not None:
                        check(row, index, line)
                    if kind in KINDS:
                        self.credits.take(row, index, line)
            except Exception as error:  # whatever a forger wrote becomes a finding, never a crash
                self._wrong(row, index, line, error)
        self._rest(row, at, charge, usage, booked)
        self._row_ends(row)
        return keyed

    def _row_ends(self, row: Row) -> None:
        """What had to stand side by side does, or never will."""
        self.funding.row_ends(row)
        self.cards.row_ends(row)
        self.market.row_ends(row)
        self.statements.row_ends(row)
        self.covered.row_ends(row)
        self.settlings.row_ends(row, self.chain.head)
        self.disputes.row_ends(row)
        self.corrections.row_ends(row)
        self.repriced.row_ends(row)
        self.levels.row_ends()

    def _rest(self, row: Row, at: int, charge: Charge | None, usage: UsageLine | None, booked: Booked) -> None:
        """What a row leaves open: a charge without an entry, when nothing was to be moved; a usage without a charge."""
        if charge is not None:
            try:
                self._charge(row, at, charge, usage, booked)
            except Exception as error:  # as above
                self._wrong(row, at, charge, error)
        elif usage is not None:
            self.findings.add("no_charge", row.place(), usage.key, f"the usage is {usage.state}, but has no charge.")

    def _wrong(self, row: Row, index: int, line: Any, error: Exception) -> None:
        code = error.code if isinstance(error, Wrong) else "unreadable"
        words = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
        self.findings.add(code, row.place(index), name_of(line), words)

    def _usage(self, row: Row, index: int, line: UsageLine) -> UsageLine | None:
        """A usage line stands under the key of its source and id, once; returned when a charge must follow."""
        self.records += 1
        key = proof.record_key(line.source, line.id)
        place = row.place(index)
        if key_id("usg", key) != line.key:
            other = proof.record_key(line.source, f"{line.id}\x00{line.digest}")
            if line.state != UsageClass.REJECTED.value or (line.id and key_id("usg", other) != line.key):
                name = key_id("usg", key)
                self.findings.add("usage_key", place, line.key, f"{line.source} {line.id!r} has the key {name}.")
            return None
        if key in self._done:
            self.findings.add("usage_twice", place, line.key, f"{line.source} {line.id!r} was charged before.")
        if line.state not in DONE:
            return None
        self._done.add(key)
        return line

    def _charge_entry(self, row: Row, index: int, line: Entry) -> dict[str, int]:
        key = line.cause[3:] if line.kind == "charge" else ""
        if line.kind == CONVERSION:
            key = "_" + conversion_key(line.cause, line.asset.partition("/")[0]).hex()
        if key and line.id[3:] != key:
            self.findings.add("entry", row.place(index), line.id, f"is not named after its cause {line.cause}.")
        legs = self.books.entry(row, index, line)
        self.settlings.entry(row, index, line, legs)
        self.disputes.entry(row, index, line, legs)
        if line.kind == CORRECTION:
            self.credits.take(row, index, line)
        return legs

    def _charge(
        self,
        row: Row,
        index: int,
        line: Charge,
        usage: UsageLine | None,
        booked: Booked = (None, ""),
    ) -> None:
        """Check a charge with the legs of its entry and when it was booked, as far as anything was."""
        legs, at = booked
        sums = self.charges.check(row, index, line, legs)
        self.covered.charged(line, legs or {})
        self.corrections.booked(line, row.lines[index - (usage is not None) : index + 1])
        if usage is None:
            if line.origin:
                self.closings.adjusted(row, index, line)
                self.corrections.made(row, index, line)
                self.repriced.made(row, index, line)
                self.levels.adjusted(row, index, line)
            else:
                self.findings.add("no_usage", row.place(index), line.id, "the charge has no usage beside it.")
            return
        wrong = matching(usage, line)
        if wrong:
            self.findings.add("charge", row.place(index), line.id, wrong)
        if usage.source.startswith(PREFIX):
            self.funding.used(line)
            self.sessions.slice(row, index, usage, line, sums)
            return
        prepared = self.rerating.check(row, index, usage, line, sums)
        if at:
            self.funding.charge(row.place(index), usage, line, sums, prepared, legs or {}, at)
        self.closings.charged(row, index, usage)

    def _alone(self, row: Row, index: int, line: Entry) -> None:
        """An entry by itself; one that claims to be a charge's must stand beside it."""
        if line.cause.startswith("chg_") or line.kind in ("charge", CONVERSION):
            self.findings.add("no_cause", row.place(index), line.id, f"its cause {line.cause} is not beside it.")
        legs = self.books.entry(row, index, line)
        self.payments.entry(row, index, line, legs)
        self.cards.entry(row, index, line, legs)
        self.plans.entry(row, index, line, legs)
        self.statements.entry(row, index, line, legs)
        self.covered.entry(line, legs)
        self.settlings.entry(row, index, line, legs)
        self.disputes.entry(row, index, line, legs)
        if line.kind != "true-up" and any(self.books.standing(one).line.role == "exchange" for one in legs):
            self.findings.add("exchange", row.place(index), line.id, "moves an exchange account, and converts nothing.")
        if line.kind == "true-up":
            self.closings.trued_up(row, index, line, legs)

    def _statement(self, row: Row, index: int, line: StatementLine) -> None:
        self.statements.take(row, index, line)
        self.covered.issued(index, line)
        self.settlings.advice(line)

    def _checkpoint(self, row: Row, index: int, line: Checkpoint) -> None:
        self.chain.checkpoint(row, index, line)
        self.latest = row.lines[index]

    def verdict(self, notes: list[str]) -> Verdict:
        """What everything seen comes to."""
        self.closings.finish()
        self.sessions.finish()
        self.payments.finish()
        self.cards.finish()
        self.market.finish()
        self.plans.finish()
        self.settlings.finish()
        self.disputes.finish()
        self.credits.finish()
        findings, chain = self.findings, self.chain
        notes = [*notes, *chain.notes[:10]]
        if other := self.zones - {tzdata.IANA_VERSION}:
            versions = ", ".join(sorted(other))
            notes.append(f"Rated with time zones of {versions}, rated again with those of {tzdata.IANA_VERSION}.")
        return Verdict(
            not findings.count, findings.list, self.records, self.books.entries, self.charges.count,
            chain.n, chain.head.hex(), chain.signed_until, findings.count, notes,
        )  # fmt: skip


def _drawn_at(line: Any) -> str:
    """When what stands beside a charge without an entry was drawn for it."""
    return str(line.at) if isinstance(line, AllowanceLine | CapLine) else ""


class KeySet:
    """Many 16-byte keys in little more than 16 bytes each: two choose a bucket, the others lie in it end to end."""

    def __init__(self) -> None:
        self._buckets: dict[bytes, bytearray] = {}

    def add(self, key: bytes) -> None:
        """Remember a key."""
        self._buckets.setdefault(key[:2], bytearray()).extend(key[2:])

    def __contains__(self, key: bytes) -> bool:
        bucket, rest = self._buckets.get(key[:2], b""), key[2:]
        at = bucket.find(rest)
        while at > 0 and at % 14:
            at = bucket.find(rest, at + 1)
        return at >= 0


def name_of(line: Any) -> str:
    """The id of a line's record; a usage line calls the sender's id ``id`` and its own ``key``."""
    return str(getattr(line, "key", "") or getattr(line, "id", ""))
