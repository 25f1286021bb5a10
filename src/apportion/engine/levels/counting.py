"""Rows of the books counted into windows: what one provider delivered to one payer's account while an agreement held.

Measuring opens windows as it meets uses; a proof knows them all beforehand. Both count by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from apportion.model.agreement import Levels, Targets
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine
from apportion.model.journal import UsageLine
from apportion.model.level import Apart, OutageLine
from apportion.model.standing import Observed, ObservedLine
from apportion.money import Exact
from apportion.money.asset import Asset
from apportion.stages.meter.level import Fee, Samples, Told, fee_of, merged, sample, union
from apportion.stages.statement.exchanged import in_currency

_OF_PERIOD = ("close ", "rerate ")  # origins of what is booked for a period as a whole
_SESSION = "ses_"
_CHARGE, _USAGE, _CORRECTED = b'{"type":"charge"', b'{"type":"usage"', b'{"type":"corrected"'
_OUTAGE, _OBSERVED = b'{"type":"outage"', b'{"type":"observed"'
_KINDS = (_CHARGE, _CORRECTED, _OUTAGE, _OBSERVED)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")

_charge = msgspec.json.Decoder(Charge).decode
_usage = msgspec.json.Decoder(UsageLine).decode
_corrected = msgspec.json.Decoder(CorrectedLine).decode
_outage = msgspec.json.Decoder(OutageLine).decode
_observed = msgspec.json.Decoder(ObservedLine).decode


class Window(msgspec.Struct):
    """One agreement in one period as it is counted; times in microseconds since 1970.

    Of the rows from ``first`` on those ``upto`` one count; with ``closing``, what closing the period booked does.
    ``running`` are the (period, payer) in whose running totals something counts.
    """

    account: str
    provider: str
    service: str
    part: str
    period: str
    start: int
    end: int
    asset: Asset
    targets: Targets
    says: Levels
    unit: int
    apart: tuple[Apart, ...] = ()
    closing: bool = True
    first: int = 0
    upto: int = 1 << 62
    samples: Samples = msgspec.field(default_factory=Samples)
    fee: Fee = msgspec.field(default_factory=Fee)
    last: str = ""
    parts: set[str] = set()
    running: set[tuple[str, str]] = set()

    def counts(self, at: int, part: str, provider: str) -> bool:
        """Whether a part that a provider delivered at an instant is what the agreement is about."""
        if provider != self.provider or (self.part and part != self.part):
            return False
        return not any(a.part == part and micros(a.start) <= at < micros(a.end) for a in self.apart)


#: the windows in which a row counts for an account, provider and service: at an instant, or at the close of a period
Find = Callable[[int, tuple[str, str, str], int, str], Iterable[Window]]


class Counting:
    """Counts rows into windows as ``find`` knows them; ``providers`` are those that any of them is about."""

    def __init__(self, find: Find, providers: Iterable[str]) -> None:
        self._find, self._providers = find, frozenset(providers)
        self._marks = [b'"provider":"' + name.encode() + b'"' for name in sorted(self._providers)]
        self._standing: dict[str, Charge] = {}  # what was corrected, as it stands
        self.outages: dict[str, OutageLine] = {}

    def row(self, n: int, lines: Iterable[bytes]) -> None:
        """Count one row."""
        usage = b""
        for line in lines:
            if line.startswith(_USAGE):
                usage = line
            elif line.startswith(_KINDS) and any(mark in line for mark in self._marks):
                if line.startswith(_CHARGE):
                    self._charged(n, _charge(line), usage)
                    usage = b""
                elif line.startswith(_CORRECTED):
                    self._corrected(n, _corrected(line))
                elif line.startswith(_OUTAGE):
                    outage = _outage(line)
                    self.outages[outage.id] = outage
                else:
                    self._observed(n, _observed(line))

    def _charged(self, n: int, charge: Charge, usage: bytes) -> None:
        if charge.origin:
            if charge.origin.startswith(_OF_PERIOD):
                self._fee(n, charge, _period_of(charge))
            return
        self._fee(n, charge)
        line = _usage(usage) if usage else None
        if line is not None and not charge.total.startswith("-"):  # what gives back is no use
            self._used(n, charge, line)

    def _windows(self, n: int, charge: Charge, period: str = "", payers: Iterable[str] = ()) -> Iterable[Window]:
        at = micros(charge.at)
        accounts = dict.fromkeys([*(share.bearer for share in charge.shares), *payers])
        providers = dict.fromkeys(p.provider for p in charge.portions if p.provider in self._providers)
        for account in accounts:
            for provider in providers:
                yield from self._find(n, (account, provider, charge.service), at, period)

    def _fee(self, n: int, charge: Charge, period: str = "", sign: int = 1) -> None:
        for window in self._windows(n, charge, period):
            told = _in_account(charge, window)
            if told is not None and (window.closing or not period):
                at = window.end - 1 if period else micros(charge.at)
                window.fee.add(fee_of(told, window.asset, window.account, partial(window.counts, at)), sign)

    def _used(self, n: int, charge: Charge, usage: UsageLine) -> None:
        """Count a use with what it tells; a session is one use, and what its slices carried."""
        at, end = micros(usage.start), micros(usage.end) if usage.end else 0
        of_session = usage.source.startswith(_SESSION)
        for window in self._windows(n, charge, "", [payer.payer for payer in usage.payers]):
            parts = [p.part for p in charge.portions if window.counts(at, p.part, p.provider)]
            for part in parts:
                window.samples.uses += not of_session or usage.id == "1"
                quantities = merged(usage.quantities, usage.parts, part, window.provider)
                told = Told(part, window.provider, usage.attributes, quantities, max(0, end - at), of_session)
                sample(window.samples, told, window.says, window.targets, window.unit)
            window.parts.update(parts)
            if parts:
                window.last = max(window.last, usage.start, key=lambda text: micros(text) if text else 0)
                if usage.period:
                    window.running.add((usage.period, usage.payers[0].payer))

    def _corrected(self, n: int, line: CorrectedLine) -> None:
        """What was corrected counts as it stands now."""
        before, period = self._standing.get(line.charge, line.was), _period_of(line.standing)
        if before is not None:
            self._fee(n, before, period, sign=-1)
        self._fee(n, line.standing, period)
        self._standing[line.charge] = line.standing

    def _observed(self, n: int, line: ObservedLine) -> None:
        """Count a measurement where the service's records do not tell the same."""
        whose = line.account, line.provider, line.service
        for window in self._find(n, whose, micros(line.at), "") if line.account else ():
            measured(window, line.observed)


def _in_account(charge: Charge, window: Window) -> Charge | None:
    """The charge in the currency of the window's account; None when that did not pay in it."""
    code = window.asset.code
    if charge.currency == code:
        return charge
    if not any(share.converted and share.converted.currency == code for share in charge.shares):
        return None
    return in_currency(charge, Asset(charge.currency, len(charge.total.partition(".")[2])), window.asset)[0]


def _period_of(charge: Charge) -> str:
    """The period that a charge is booked for as a whole; empty for one of a use."""
    return charge.origin.partition(" ")[2] if charge.origin.startswith(_OF_PERIOD) else ""


def measured(window: Window, seen: Observed) -> None:
    """Count what was measured of one delivery."""
    says, samples = window.says, window.samples
    if seen.succeeded is not None and says.success is None:
        samples.outcome(failed=not seen.succeeded)
    if seen.latency is not None and not says.latency:
        samples.latency(Exact(seen.latency), window.targets.latency)
    if seen.throughput and not says.throughput:
        samples.throughput(Exact.parse(seen.throughput), Exact(1))


def downtime(window: Window, outages: Iterable[OutageLine]) -> None:
    """Say how long the window is, and how much of it the provider was down."""
    spans = [
        (micros(line.start), micros(line.end))
        for line in outages
        if line.provider == window.provider and line.service in ("", window.service)
    ]
    window.samples.span = window.end - window.start
    window.samples.down = union(spans, window.start, window.end)


def micros(instant: str) -> int:
    """An instant of the books as microseconds since 1970."""
    return (datetime.fromisoformat(instant) - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> str:
    """Microseconds since 1970 as an instant of the books."""
    when = datetime.fromtimestamp(microseconds // 10**6, UTC).replace(microsecond=microseconds % 10**6)
    return when.isoformat().replace("+00:00", "Z")
