"""A session's first line: terms agreed, payers found, parts and their meters set to zero."""

from __future__ import annotations

from datetime import datetime

import msgspec

from apportion.engine.charging import instant
from apportion.engine.converting import crew_of
from apportion.engine.payers import session_account
from apportion.engine.rating import Prepared, prepare
from apportion.engine.sessions.contract import check_tariffs
from apportion.engine.terms import ServiceTerms, Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.account import Account
from apportion.model.ids import read_key
from apportion.model.session import Meter, SessionLine, SessionPayer, SessionState
from apportion.model.session_asked import PartAsked, SessionAsked, Units
from apportion.model.usage import PartUse, Usage
from apportion.money import Exact
from apportion.ports import Person


def first_line(work: Work, terms: Terms, id: str, given: SessionAsked) -> SessionLine:
    """The session as it opens, before anything is granted; opens the accounts of payers who are new.

    Raises:
        Refused: what keeps it from being charged while it runs, with the field and the fix.
    """
    prepared = resolve(terms, id, given, work.at)
    if prepared.terms.service.session is None:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"service {given.service!r} does not run as a session.",
            field="service",
            fix="Give it session terms in the catalog, or send usage records.",
        )
    check_tariffs([prepared.deal.retail, *prepared.deal.pricers])
    payers = [session_account(work, terms, payer.payer, prepared.terms) for payer in given.payers]
    attributes, macs = _hidden(work, prepared, payers[0][0], id)
    asset = prepared.terms.asset
    work.asset(asset)
    return SessionLine(
        id=id, n=0, service=given.service, state=SessionState.ACTIVE, event="opened", at=work.at, start=work.at,
        through=work.at, asset=str(asset), catalog=terms.version, tariff=prepared.retail.tariff.id, since=work.at,
        attributes=attributes, macs=macs, meters=meters_of(work, prepared),
        payers=tuple(
            SessionPayer(
                account.public, payer.weight, payer.pays and payer.payer not in prepared.terms.exempt, rate=rate
            )
            for (account, rate), payer in zip(payers, given.payers, strict=True)
        ),
    )  # fmt: skip


def resolve(terms: Terms, id: str, given: SessionAsked, at: str) -> Prepared:
    """The session as a usage record of nothing: read, resolved and rated as strictly as any other."""
    service = terms.service(given.service)
    nothing = dict.fromkeys(service.measures, "0")
    for part in given.parts:
        known_units(service, part.requested, f"parts.{part.part}.requested.")
    known_units(service, given.requested, "requested.")
    payers = tuple(msgspec.structs.replace(payer, quantities=nothing) for payer in given.payers)
    start = datetime.fromisoformat(at)
    parts = tuple(_part(service, part) for part in given.parts)
    usage = Usage("session", id, given.service, start, start, payers, parts, nothing, given.attributes)
    return prepare(usage, terms)


def _part(service: ServiceTerms, part: PartAsked) -> PartUse:
    known = service.service.parts.get(part.part)
    return PartUse(part.part, part.provider or (known.provider if known is not None else ""))


def known_units(service: ServiceTerms, units: Units, field: str) -> None:
    """Quantities of measures that the service has, none below zero.

    Raises:
        Refused: UNKNOWN_FIELD, BAD_QUANTITY.
    """
    for measure, text in units.items():
        if measure not in service.measures:
            raise refuse(
                RefusalCode.UNKNOWN_FIELD,
                f"service {service.service.id!r} measures no {measure[:60]!r}.",
                field=field + measure,
                fix="It measures " + ", ".join(sorted(service.measures)) + ".",
            )
        if Exact.parse(text, field=field + measure, exponent=False) < Exact(0):
            raise refuse(RefusalCode.BAD_QUANTITY, "is below zero.", field=field + measure)


def meters_of(work: Work, prepared: Prepared) -> tuple[Meter, ...]:
    """The meter of the whole service, and one for each part as its provider delivers it."""
    found = [Meter("")]
    rates = prepared.rates or [None] * len(prepared.route.parts)
    whose = zip(prepared.route.parts, prepared.deal.pricers, crew_of(work, prepared), rates, strict=True)
    for part, pricer, account, rate in whose:
        tariff = pricer.tariff.id if pricer is not None else ""
        found.append(Meter(part.part, part.provider, account.public, tariff, began=work.at, since=work.at, rate=rate))
    return tuple(found)


def _hidden(work: Work, prepared: Prepared, payer: Account, id: str) -> tuple[dict[str, str], dict[str, str]]:
    """Attributes as the chain may hold them: personal ones cut to what the price needs, a MAC for the rest."""
    attributes, macs = dict(prepared.use.attributes), dict[str, str]()
    for name in sorted(prepared.terms.personal & attributes.keys()):
        value = attributes[name]
        macs[name] = proof.personal_mac(work.salts_of(payer.party), value)
        attributes[name] = prepared.needed(name)
        if value:
            work.writes.people.append(Person(payer.party, name, value, read_key(id)))
    return attributes, macs


def read_instant(text: str, field: str, now: str, after: str) -> str:
    """When counters were read: an instant, not before ``after`` nor more than five minutes ahead of ``now``.

    Raises:
        Refused: BAD_TIME.
    """
    if not text:
        return now
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise refuse(RefusalCode.BAD_TIME, "is not an instant.", field=field, fix="Such as 2030-01-31T18:00:00Z.")
    ahead = (when - datetime.fromisoformat(now)).total_seconds()
    if ahead > 300:
        raise refuse(RefusalCode.BAD_TIME, "lies in the future.", field=field, fix="Set the clock of the sender.")
    return max(instant(when.astimezone(datetime.fromisoformat(now).tzinfo)), after, key=datetime.fromisoformat)
