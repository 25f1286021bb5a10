"""Live offers: made, changed and withdrawn while everything runs; the catalog stays as it is."""

from __future__ import annotations

import msgspec

from apportion.engine.market.naming import OFFER, offer_id
from apportion.engine.market.switching import instant, known_provider
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.command import Outcome
from apportion.model.findings import Findings
from apportion.model.market import Offer
from apportion.model.offer_check import LATENCY_MAX, check_offer
from apportion.model.standing import Available, OfferLine, PutOffer, WithdrawOffer

_OFFER = msgspec.json.Decoder(OfferLine)
NAME = "standard"  # of an offer that has none


def put(work: Work, terms: Terms, command: PutOffer) -> Outcome:
    """Make an offer, or put it in the place of the one of the same service, part, provider and name.

    Raises:
        Refused: with the first thing that is wrong with it; NOT_FOUND when it is another provider's.
    """
    offer = checked(terms, command.offer, command.by)
    id = offer_id(offer.service, offer.part, offer.provider, offer.id)
    before = _stored(work, id)
    if before is not None and before.offer == offer and not before.withdrawn:
        return Outcome(None, id)
    n = before.n + 1 if before is not None else 1
    line = OfferLine(id=id, n=n, at=work.at, offer=offer, by=command.by, catalog=terms.version)
    return Outcome(None, id, n=work.append(work.move(line)))


def checked(terms: Terms, offer: Offer, by: str) -> Offer:
    """The offer as the books keep it: with a name, its instants in the one form that they have there.

    Raises:
        Refused: as ``put``.
    """
    if by:
        known_provider(terms, offer.provider, by)
    found = Findings(terms.catalog, ())
    named = msgspec.structs.replace(offer, id=offer.id or NAME)
    found.name("id", named.id)
    check_offer(found, "offer", named)
    if found.refusals:
        raise Refused(_said(found))
    return msgspec.structs.replace(
        named,
        valid_from=instant(named.valid_from, "valid_from"),
        valid_until=instant(named.valid_until, "valid_until"),
    )


def _said(found: Findings) -> Refusal:
    """The first finding, as a refusal of the offer."""
    refusal = found.refusals[0]
    code = RefusalCode.BAD_INPUT if refusal.code is RefusalCode.CATALOG_INVALID else refusal.code
    return msgspec.structs.replace(refusal, code=code, field=refusal.where.removeprefix("offer."), where="")


def withdraw(work: Work, command: WithdrawOffer) -> Outcome:
    """Offer it no more; sessions that run by it go on.

    Raises:
        Refused: NOT_FOUND.
    """
    line = _mine(work, command.id, command.by)
    if line.withdrawn:
        return Outcome(None, line.id)
    now = msgspec.structs.replace(line, n=line.n + 1, at=work.at, by=command.by, withdrawn=True)
    return Outcome(None, line.id, n=work.append(work.move(now)))


def available(work: Work, terms: Terms, command: Available) -> Outcome:
    """Change what an offer has free, or its quality; the rest stays.

    Raises:
        Refused: NOT_FOUND, also when it was withdrawn; what is wrong with the values.
    """
    line = _mine(work, command.id, command.by)
    if line.withdrawn:
        raise refuse(RefusalCode.NOT_FOUND, "the offer was withdrawn.", field="id", fix="Put it again.")
    had = line.offer.quality
    given = {name: getattr(command, name) for name in ("latency", "availability", "throughput")}
    quality = msgspec.structs.replace(had, **{name: value for name, value in given.items() if value is not None})
    capacity = line.offer.capacity if command.capacity is None else command.capacity
    offer = msgspec.structs.replace(line.offer, quality=quality, capacity=capacity)
    if offer == line.offer:
        return Outcome(None, line.id)
    offer = _fitting(terms, line.offer, offer)
    now = msgspec.structs.replace(line, n=line.n + 1, at=work.at, by=command.by, offer=offer)
    return Outcome(None, line.id, n=work.append(work.move(now)))


def _fitting(terms: Terms, before: Offer, offer: Offer) -> Offer:
    """The offer, checked for what changed; its prices were, and are not looked at again a thousand times a second."""
    found = Findings(terms.catalog, ())
    quality = offer.quality
    if quality != before.quality:
        if not 0 <= quality.latency <= LATENCY_MAX:
            found.add("latency", f"{quality.latency} is not 0 to {LATENCY_MAX} ms.", "Write whole milliseconds.")
        found.fraction("availability", quality.availability)
        if quality.throughput:
            found.positive("throughput", quality.throughput)
    service = terms.catalog.services.get(offer.service)
    for measure, units in offer.capacity.items():
        if service is None or measure not in service.measures:
            found.add(f"capacity.{measure}", f"the service {offer.service!r} has no measure {measure[:60]!r}.")
        found.number(f"capacity.{measure}", units)
    if found.refusals:
        raise Refused(_said(found))
    return offer


def _mine(work: Work, id: str, by: str) -> OfferLine:
    line = _stored(work, id) if id.startswith(OFFER) else None
    if line is None or (by and line.offer.provider != by):
        raise refuse(RefusalCode.NOT_FOUND, "there is no such offer.", field="id", fix="List them: GET /v1/offers.")
    return line


def _stored(work: Work, id: str) -> OfferLine | None:
    stored = work.course(id)
    return _OFFER.decode(stored) if stored else None
