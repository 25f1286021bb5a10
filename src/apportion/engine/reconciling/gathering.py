"""Our side: every part of every use that a provider delivered in a time, with its charge, its entry and how it stands.

One pass over the books; what is not about the provider is not even decoded.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.reconciling.reading import instant
from apportion.engine.terms import Terms
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.model.charge import Charge, Portion
from apportion.model.correction import CorrectedLine
from apportion.model.ids import key_id
from apportion.model.journal import Entry, UsageLine
from apportion.model.usage import Usage, UsageClass
from apportion.money import Exact
from apportion.stages.meter.compare import Ours

USES_MAX = 100_000
_USAGE, _CHARGE, _ENTRY, _CORRECTED = (b'{"type":"%s"' % name for name in (b"usage", b"charge", b"entry", b"corrected"))
_REJECTED = b'"state":"rejected"'
_USAGES = msgspec.json.Decoder(UsageLine)
_CHARGES = msgspec.json.Decoder(Charge)
_ENTRIES = msgspec.json.Decoder(Entry)
_CORRECTIONS = msgspec.json.Decoder(CorrectedLine)
_WHOLE = msgspec.json.Decoder(Usage)
_ZERO = Exact(0)


class Span(msgspec.Struct, frozen=True):
    """A time, in microseconds: ``start`` ≤ at < ``until``; None where it has no bound."""

    start: int | None = None
    until: int | None = None

    def holds(self, at: int | None) -> bool:
        """Whether an instant lies in it; what has none does when there are no bounds."""
        if at is None:
            return self.start is None and self.until is None
        return (self.start is None or self.start <= at) and (self.until is None or at < self.until)


class Gathered(msgspec.Struct):
    """What was found: ``ours``; what was credited without a use (``besides``, by currency); how many wait uncharged."""

    ours: list[Ours] = []
    besides: dict[str, Exact] = {}
    uncharged: int = 0


class Gathering:
    """Gathers what ``provider`` delivered in ``span``, and what is called by one of ``ids`` whenever it was.

    So is what lies at most ``margin`` microseconds outside: it may be what a row at the edge means, and is not missing.
    Refused records are looked for by ``ids`` of the ``sources`` named (all, when None): nobody knows more of them.
    """

    def __init__(
        self,
        engine: Engine,
        provider: str,
        span: Span,
        margin: int,
        ids: Collection[str],
        sources: Collection[str] | None,
    ) -> None:
        self._engine, self._provider, self._span, self._ids, self._sources = engine, provider, span, ids, sources
        self._wide = Span(
            span.start - margin if span.start is not None else None,
            span.until + margin if span.until is not None else None,
        )
        self._booked: dict[str, list[Ours]] = {}
        self._standing: dict[str, CorrectedLine] = {}
        self._first: dict[str, CorrectedLine] = {}
        self._refused: dict[str, UsageLine] = {}
        self._found = Gathered()

    def all(self) -> Gathered:
        """Everything.

        Raises:
            Refused: BAD_INPUT when it is more than can be held against a file at once.
        """
        store, tenant = self._engine.store, self._engine.tenant
        mark = b'"provider":' + msgspec.json.encode(self._provider)
        for _, body, _ in store.journal(tenant, 0, 0, store.head(tenant, 0)[0]):
            if mark in body and _CHARGE in body:
                self._read(body)
            elif _REJECTED in body:
                self._note_refused(body)
        for id, line in self._standing.items():
            self._corrected(id, line.standing)
        for parts in self._booked.values():
            self._found.ours += parts
        self._waiting()
        known = {one.usage for one in self._found.ours}
        self._found.ours += [_refused_one(line) for line in self._refused.values() if line.key not in known]
        return self._found

    def _read(self, body: bytes) -> None:
        usage = charge = entry = None
        corrected = False
        for line in body.split(b"\n"):
            if line.startswith(_USAGE):
                usage = _USAGES.decode(line)
            elif line.startswith(_CHARGE):
                charge = _CHARGES.decode(line)
            elif line.startswith(_ENTRY):
                one = _ENTRIES.decode(line)
                entry = _with(entry, one, charge) if charge is not None else entry
            elif line.startswith(_CORRECTED):
                corrected = True
                self._correct(_CORRECTIONS.decode(line))
        if corrected:
            return
        if charge is not None and usage is None:
            self._beside(charge)
        elif charge is not None and usage is not None and self._wanted(usage):
            self._booked[charge.id] = self._charged(usage, charge, entry)
            if len(self._booked) > USES_MAX:
                raise refuse(
                    RefusalCode.BAD_INPUT, f"more than {USES_MAX:,} uses of {self._provider} lie in that time.",
                    field="start", fix="Reconcile a shorter time.",
                )  # fmt: skip

    def _correct(self, line: CorrectedLine) -> None:
        self._standing[line.charge] = line
        if line.was is not None:
            self._first[line.charge] = line

    def _wanted(self, usage: UsageLine) -> bool:
        return usage.id in self._ids or self._wide.holds(_at(usage.start))

    def _beside(self, charge: Charge) -> None:
        """What a period's end brought: no use stands behind it."""
        if self._span.holds(_at(charge.at)):
            for currency, amount in _earned(charge, self._provider).values():
                self._found.besides[currency] = self._found.besides.get(currency, _ZERO) + amount

    def _charged(self, usage: UsageLine, charge: Charge, entry: Entry | None) -> list[Ours]:
        """The provider's parts of a charge as it was booked."""
        at, sound = _at(usage.start), _sound(charge, entry, self._provider)
        return [
            Ours(
                f"{usage.key}/{part}", usage.key, usage.source, usage.id, usage.service, part, at,
                self._quantities(usage, part), charge.id, entry.id if entry is not None else "", currency, amount,
                amount, "", sound, self._span.holds(at), currency != charge.currency,
            )
            for part, (currency, amount) in _earned(charge, self._provider).items()
        ]  # fmt: skip

    def _corrected(self, id: str, standing: Charge) -> None:
        """How a charge stands that was corrected; the provider may have come to have a part in it only then."""
        stands = _earned(standing, self._provider)
        if id not in self._booked:
            first = self._first.get(id)
            if not stands or (first is not None and first.usage is not None and not self._wanted(first.usage)):
                return
        parts = [
            msgspec.structs.replace(one, standing=stands.pop(one.part)[1] if one.part in stands else _ZERO)
            for one in self._booked.get(id, ())
        ]
        if stands:
            record = self._engine.books.record(id)
            if not self._wanted(record.usage):
                return
            fresh = msgspec.structs.replace(
                standing, portions=tuple(one for one in standing.portions if one.part in stands)
            )
            parts += [
                msgspec.structs.replace(one, portion=_ZERO, sound=True)
                for one in self._charged(record.usage, fresh, record.entry)
            ]
        self._booked[id] = parts

    def _quantities(self, usage: UsageLine, part: str) -> dict[str, Exact]:
        """What was measured of a part: its own quantities before those of the whole record."""
        found = dict(usage.quantities)
        for one in usage.parts:
            if one.part == part and one.provider == self._provider:
                found.update(one.quantities)
        return _exact(found)

    def _waiting(self) -> None:
        """What was received and waits, for value or for a period: its record lies beside the books."""
        store, tenant, after = self._engine.store, self._engine.tenant, b""
        while parked := store.pending(tenant, 1000, after):
            after = parked[-1][0]
            waiting = [(key, _WHOLE.decode(payload)) for key, payload in parked]
            mine = [(key, usage, parts) for key, usage in waiting if (parts := self._parts(usage))]
            seen = store.seen(tenant, [key for key, _, _ in mine])
            for key, usage, parts in mine:
                at = instant(usage.start.isoformat(), "start", "UTC")
                if usage.id not in self._ids and not self._wide.holds(at):
                    continue
                reason = self._reason(seen[key].n, key) if key in seen else ""
                self._found.uncharged += 1
                self._found.ours += [
                    Ours(
                        f"{key_id('usg', key)}/{part}", key_id("usg", key), usage.source, usage.id, usage.service,
                        part, at, quantities, reason=reason or UsageClass.PENDING.value,
                        currency=self._currency(usage.service), wanted=self._span.holds(at),
                    )
                    for part, quantities in parts
                ]  # fmt: skip

    def _parts(self, usage: Usage) -> list[tuple[str, dict[str, Exact]]]:
        """The parts of a waiting record that the provider delivered, with what was measured."""
        service = self._in_force.catalog.services.get(usage.service)
        named = {one.part: one for one in usage.parts}
        parts = {one.part: one.provider for one in usage.parts}
        if service is not None:
            for name, part in service.parts.items():
                if name not in parts and part.provider and not part.optional:
                    parts[name] = part.provider
        return [
            (part, _exact({**usage.quantities, **(named[part].quantities if part in named else {})}))
            for part, provider in parts.items()
            if provider == self._provider
        ]

    def _currency(self, service: str) -> str:
        catalog = self._in_force.catalog
        found = catalog.services.get(service)
        tariff = catalog.tariffs.get(found.retail) if found is not None else None
        return tariff.currency if tariff is not None else ""

    @functools.cached_property
    def _in_force(self) -> Terms:
        return self._engine.terms()

    def _reason(self, n: int, key: bytes) -> str:
        mark = b'"key":"' + key_id("usg", key).encode() + b'"'
        for line in self._engine.store.row(self._engine.tenant, 0, n).split(b"\n"):
            if line.startswith(_USAGE) and mark in line:
                return _USAGES.decode(line).reason
        return ""

    def _note_refused(self, body: bytes) -> None:
        for line in body.split(b"\n"):
            if line.startswith(_USAGE) and _REJECTED in line:
                usage = _USAGES.decode(line)
                if usage.id in self._ids and (self._sources is None or usage.source in self._sources):
                    self._refused[usage.key] = usage


def delivered_by(engine: Engine, source: str, id: str) -> Charge | None:
    """The charge of a use whoever delivered it, as it stands; None when there is none."""
    key = proof.record_key(source, id)
    course = key_id("cor", key)
    line = engine.store.courses(engine.tenant, [course]).get(course)
    if line is not None:
        return _CORRECTIONS.decode(line.line).standing
    try:
        return engine.books.record(key_id("chg", key)).charge
    except Refused:
        return None


def _refused_one(line: UsageLine) -> Ours:
    return Ours(
        line.key, line.key, line.source, line.id, line.service, "", None, reason=line.reason or "rejected", wanted=False
    )


def _at(text: str) -> int | None:
    return instant(text, "start", "UTC") if text else None


def _earned(charge: Charge, provider: str) -> dict[str, tuple[str, Exact]]:
    """What a provider earns of a charge, by part: the currency of its account, and the amount in it."""
    found: dict[str, tuple[str, Exact]] = {}
    for portion in charge.portions:
        if portion.provider == provider:
            currency, amount = _credit(charge, portion)
            found[portion.part] = currency, found.get(portion.part, (currency, _ZERO))[1] + amount
    return found


def _credit(charge: Charge, portion: Portion) -> tuple[str, Exact]:
    """What was credited for a portion, in the currency of the account that it went to."""
    own = portion.converted
    return (charge.currency, Exact.parse(portion.amount)) if own is None else (own.currency, Exact.parse(own.amount))


def _with(entry: Entry | None, more: Entry, charge: Charge) -> Entry:
    """The entry of a charge with one more; those in other currencies add their legs to the first."""
    if entry is None or more.cause != charge.id:
        return entry or more
    return more if entry.cause != charge.id else msgspec.structs.replace(entry, legs=(*entry.legs, *more.legs))


def _sound(charge: Charge, entry: Entry | None, provider: str) -> bool:
    """Whether the entry credits the provider what the charge says."""
    wanted: dict[str, Exact] = {}
    for portion in charge.portions:
        if portion.provider == provider:
            wanted[portion.account] = wanted.get(portion.account, _ZERO) + _credit(charge, portion)[1]
    if entry is None:
        return not any(wanted.values())
    have = dict.fromkeys(wanted, _ZERO)
    for leg in entry.legs:
        if leg.account in have:
            have[leg.account] += Exact.parse(leg.amount)
    return have == wanted


def _exact(quantities: dict[str, str]) -> dict[str, Exact]:
    return {measure: Exact.parse(text) for measure, text in quantities.items()}
