"""Ratings by those who paid, and measurements: each moves what is known of a provider, and of its network."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.engine.market.approving import accounts_of
from apportion.engine.market.naming import rating_id, reputation_id, voice_id
from apportion.engine.market.switching import known_provider, trip
from apportion.engine.query import record_of
from apportion.engine.terms import Terms
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, refuse
from apportion.model.command import Outcome
from apportion.model.ids import read_key
from apportion.model.plan import PLAN, PlanLine
from apportion.model.session import SessionLine
from apportion.model.standing import Kind, Observe, Observed, ObservedLine, Rate, RatingLine, ReputationLine, VoiceLine
from apportion.money import Exact
from apportion.stages.broker.rating import observed, rated

_SESSION = msgspec.json.Decoder(SessionLine)
_PLANNED = msgspec.json.Decoder(PlanLine)
_REPUTATION = msgspec.json.Decoder(ReputationLine)
_VOICE = msgspec.json.Decoder(VoiceLine)
_LATEST = 10**9  # milliseconds, and units a second: what is above is no measurement


class Delivery(msgspec.Struct, frozen=True):
    """What was delivered and paid for: by ``providers``, over ``networks``, paid by ``payers`` (accounts)."""

    record: str
    service: str
    providers: tuple[str, ...]
    networks: tuple[str, ...]
    payers: tuple[str, ...]


# ── by users ──


def rate(work: Work, terms: Terms, command: Rate) -> Outcome:
    """Take a payer's stars for what it paid for, once.

    Raises:
        Refused: BAD_INPUT, NOT_FOUND, UNKNOWN_PAYER, UNKNOWN_PROVIDER, CONFLICT.
    """
    if not 1 <= command.stars <= 5:
        raise refuse(RefusalCode.BAD_INPUT, "must be 1 to 5.", field="stars", fix="5 is the best.")
    mine = {account.public for account in accounts_of(work, command.payer)}
    delivery = _delivered(work, terms, command.record)
    account = next((one for one in delivery.payers if one in mine), "")
    if not account:
        raise refuse(
            RefusalCode.NOT_FOUND, "there is no such charge or session that you paid for.", field="record",
            fix="Rate what was delivered to you and charged.",
        )  # fmt: skip
    lines: list[bytes] = []
    first = ""
    for kind, name in _rated(delivery, command):
        id = rating_id(account, delivery.record, kind, name)
        if work.course(id):
            raise refuse(
                RefusalCode.CONFLICT, f"{name} was rated for this before.", field="record",
                fix="Each charge and each session is rated once.",
            )  # fmt: skip
        first = first or id
        given = RatingLine(
            id=id, at=work.at, account=account, record=delivery.record, service=delivery.service, kind=kind, name=name,
            stars=command.stars,
        )  # fmt: skip
        reputation = reputation_of(work, delivery.service, kind, name)
        voice = voice_of(work, account, delivery.service, kind, name)
        lines += [work.move(given), *_judged(work, given, reputation, voice)]
    work.append(*lines)
    return Outcome(None, first)


def _judged(work: Work, given: RatingLine, reputation: ReputationLine, voice: VoiceLine) -> tuple[bytes, ...]:
    now, said = rated(reputation, voice, given.stars)
    return (
        work.move(msgspec.structs.replace(said, n=voice.n + 1, at=work.at)),
        work.move(msgspec.structs.replace(now, n=reputation.n + 1, at=work.at)),
    )


def _rated(delivery: Delivery, command: Rate) -> list[tuple[Kind, str]]:
    """Who is rated: those who delivered it, and never the payer itself."""
    if command.network:
        if command.network not in delivery.networks:
            fix = f"One of {', '.join(delivery.networks)}." if delivery.networks else "Rate the provider."
            raise refuse(RefusalCode.NOT_FOUND, "it did not come over this network.", field="network", fix=fix)
        return [("network", command.network)]
    names = [name for name in delivery.providers if command.provider in ("", name)]
    if not names:
        fix = f"One of {', '.join(delivery.providers)}."
        raise refuse(RefusalCode.UNKNOWN_PROVIDER, "did not deliver in this.", field="provider", fix=fix)
    names = [name for name in names if name != command.payer]
    if not names:
        raise refuse(
            RefusalCode.CONFLICT,
            "nobody rates itself.",
            field="provider",
            fix="Let those who bought it say how it was.",
        )
    return [("provider", name) for name in names]


def _delivered(work: Work, terms: Terms, record: str) -> Delivery:
    """What a charge or session delivered; a slice of a session stands for the session.

    Raises:
        Refused: NOT_FOUND.
    """
    if record.startswith("ses_"):
        stored = work.course(record)
        if stored:
            return _of_session(work, terms, _SESSION.decode(stored))
    elif record.startswith("chg_"):
        seen = work.known(read_key(record))
        body = work.row(seen.n) if seen is not None else b""
        if b'"type":"charge"' in body:
            found = record_of(seen.n if seen is not None else 0, body)
            if found.usage.source.startswith("ses_"):
                return _delivered(work, terms, found.usage.source)
            charge = found.charge
            payers = [share.bearer for share in charge.shares if Exact.parse(share.amount).num > 0]
            names = tuple(dict.fromkeys(portion.provider for portion in charge.portions))
            return Delivery(record, charge.service, names, networks_of(terms, names), tuple(dict.fromkeys(payers)))
    raise refuse(
        RefusalCode.NOT_FOUND, "there is no such charge or session that you paid for.", field="record",
        fix="Name a charge (chg_…) or session (ses_…).",
    )  # fmt: skip


def _of_session(work: Work, terms: Terms, line: SessionLine) -> Delivery:
    covered = bool(line.covers)
    payers = tuple(one.account for one in line.payers if one.charged > 0 or (covered and one.pays))
    names = tuple(dict.fromkeys(meter.provider for meter in line.meters if meter.provider))
    return Delivery(line.id, line.service, names, tuple(dict.fromkeys(_networks(work, terms, line))), payers)


def _networks(work: Work, terms: Terms, line: SessionLine) -> Iterator[str]:
    """The networks that a session's parts came over: as its plans say, else each provider's own."""
    for meter in line.meters:
        plan = meter.tariff.partition(".")[0] if meter.tariff.startswith(PLAN) else ""
        stored = work.course(plan) if plan else b""
        if stored:
            parts = [part for one in _PLANNED.decode(stored).scenarios for part in one.parts]
            yield from (part.network for part in parts if part.tariff.id == meter.tariff and part.network)
        elif meter.provider:
            yield from networks_of(terms, (meter.provider,))


def networks_of(terms: Terms, providers: tuple[str, ...]) -> tuple[str, ...]:
    """The networks that providers call their own."""
    known = terms.catalog.providers
    return tuple(dict.fromkeys(known[name].network for name in providers if name in known and known[name].network))


# ── measured ──


def observe(work: Work, terms: Terms, command: Observe) -> Outcome:
    """Take a measurement into what is known of a provider and its network; switch off who fails too often in a row.

    Raises:
        Refused: UNKNOWN_SERVICE, UNKNOWN_PROVIDER, NOT_FOUND, BAD_INPUT, BAD_QUANTITY, DECLINED.
    """
    known_provider(terms, command.provider, command.by)
    terms.service(command.service)
    _sensible(command.observed)
    if command.by and command.observed.succeeded is not False:
        raise refuse(
            RefusalCode.CONFLICT, "nobody speaks well of itself.", field="observed.succeeded",
            fix="A provider may report its own failures; the operator and those who pay say the rest.",
        )  # fmt: skip
    network = command.network or terms.catalog.providers[command.provider].network
    if command.network and command.network not in terms.catalog.networks and network != command.network:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no network {command.network[:60]!r}.", field="network")
    account = ""
    if command.session:
        account = _payer_of(work, command)
    lines = observation(
        work, terms, (command.service, command.provider, network), command.observed, account, command.by
    )
    work.append(*lines)
    return Outcome(None, reputation_id(command.service, "provider", command.provider))


def observation(
    work: Work, terms: Terms, whose: tuple[str, str, str], seen: Observed, account: str = "", by: str = ""
) -> tuple[bytes, ...]:
    """The lines of one measurement, for the row of whoever measured it, such as the end of a session.

    Args:
        whose: service, provider and network (may be empty).
        account: who paid for what was measured; empty for a prober's.
    """
    service, provider, network = whose
    line = ObservedLine(
        at=work.at, service=service, provider=provider, observed=seen, network=network, account=account, by=by
    )
    lines = [encode(line)]
    for kind, name in measured_of(line):
        reputation = reputation_of(work, service, kind, name)
        voice = voice_of(work, account, service, kind, name) if account else None
        now, said = observed(reputation, voice, seen)
        if said is not None:
            lines.append(work.move(msgspec.structs.replace(said, n=said.n + 1, at=work.at)))
        lines.append(work.move(msgspec.structs.replace(now, n=reputation.n + 1, at=work.at)))
        if kind == "provider" and seen.succeeded is False:
            lines += trip(work, provider, now.run, terms.service(service).service.market.breaker)
    return tuple(lines)


def measured_of(line: ObservedLine) -> list[tuple[Kind, str]]:
    """Whose reputations a measurement moves."""
    found: list[tuple[Kind, str]] = [("provider", line.provider)]
    return [*found, ("network", line.network)] if line.network else found


def _payer_of(work: Work, command: Observe) -> str:
    """The first account that pays for the session which was measured.

    Raises:
        Refused: NOT_FOUND when there is none, or the provider does not deliver in it.
    """
    stored = work.course(command.session) if command.session.startswith("ses_") else b""
    line = _SESSION.decode(stored) if stored else None
    if line is None or line.service != command.service or all(m.provider != command.provider for m in line.meters):
        raise refuse(RefusalCode.NOT_FOUND, "there is no such session of this provider.", field="session")
    return next((payer.account for payer in line.payers if payer.pays), "")


def _sensible(seen: Observed) -> None:
    if seen == Observed():
        raise refuse(RefusalCode.BAD_INPUT, "says nothing.", field="observed", fix='Such as {"succeeded": true}.')
    for field in ("latency", "latency_promised"):
        if not 0 <= (getattr(seen, field) or 0) <= _LATEST:
            raise refuse(RefusalCode.BAD_INPUT, "is no number of milliseconds.", field=f"observed.{field}")
    for field in ("throughput", "throughput_promised"):
        text = getattr(seen, field)
        if text and not 0 <= Exact.parse(text, field=f"observed.{field}", exponent=False).ceil() <= _LATEST**2:
            raise refuse(RefusalCode.BAD_QUANTITY, "is no number of units a second.", field=f"observed.{field}")
        if "/" in text:
            raise refuse(RefusalCode.BAD_QUANTITY, "is no decimal number.", field=f"observed.{field}")


# ── what is known ──


def reputation_of(work: Work, service: str, kind: Kind, name: str) -> ReputationLine:
    """What is known of a provider or network; where everybody begins, when nothing is."""
    id = reputation_id(service, kind, name)
    stored = work.course(id)
    return (
        _REPUTATION.decode(stored)
        if stored
        else ReputationLine(id=id, n=0, at="", kind=kind, name=name, service=service)
    )


def voice_of(work: Work, account: str, service: str, kind: Kind, name: str) -> VoiceLine:
    """What a payer's use has said so far."""
    id = voice_id(account, service, kind, name)
    stored = work.course(id)
    if stored:
        return _VOICE.decode(stored)
    return VoiceLine(id=id, n=0, at="", account=account, kind=kind, name=name, service=service)


__all__ = ["measured_of", "networks_of", "observation", "observe", "rate", "reputation_of", "voice_of"]
