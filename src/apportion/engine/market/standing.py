"""What the market is now, read quickly: each question is one range of the stored courses, or a set of ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from apportion.engine.market.naming import (
    APPROVAL,
    OFFER,
    REPUTATION,
    SWITCH,
    approval_prefix,
    part_prefix,
    room_id,
    service_prefix,
    switch_id,
)
from apportion.model.standing import ApprovalLine, CapacityLine, OfferLine, ReputationLine, SwitchLine
from apportion.money import Exact
from apportion.ports import Course, Store

_OFFER = msgspec.json.Decoder(OfferLine)
_SWITCH = msgspec.json.Decoder(SwitchLine)
_APPROVAL = msgspec.json.Decoder(ApprovalLine)
_CAPACITY = msgspec.json.Decoder(CapacityLine)
_REPUTATION = msgspec.json.Decoder(ReputationLine)


def courses_under(store: Store, tenant: int, prefix: str, after: str = "") -> Iterator[Course]:
    """All courses whose ids begin so, in order, those after an id."""
    for course in store.all_courses(tenant, max(prefix, after)):
        if not course.id.startswith(prefix):
            return
        yield course


def live_offers(store: Store, tenant: int, service: str, part: str) -> list[OfferLine]:
    """The offers of a part that are not withdrawn, in the order of their ids; their validity is not looked at."""
    found = (_OFFER.decode(course.line) for course in courses_under(store, tenant, part_prefix(service, part)))
    return [line for line in found if not line.withdrawn]


def all_offers(store: Store, tenant: int) -> Iterator[OfferLine]:
    """Every offer that was ever made, withdrawn ones too."""
    return (_OFFER.decode(course.line) for course in courses_under(store, tenant, OFFER))


def switched(store: Store, tenant: int, at: str = "") -> dict[str, SwitchLine]:
    """Those providers that are off at an instant (RFC 3339 as the books write it), by name.

    Without an instant, all that have any mark, however old: ask ``line.off(at)``.
    """
    found = (_SWITCH.decode(course.line) for course in courses_under(store, tenant, SWITCH))
    return {line.provider: line for line in found if (line.off(at) is not None if at else bool(line.marks))}


def switches_of(store: Store, tenant: int, providers: Iterable[str]) -> dict[str, SwitchLine]:
    """The same for some providers, whether they are on or off."""
    ids = [switch_id(provider) for provider in providers]
    found = (_SWITCH.decode(course.line) for course in store.courses(tenant, ids).values())
    return {line.provider: line for line in found}


def ratings(store: Store, tenant: int, service: str) -> dict[tuple[str, str], int]:
    """Ratings in a service by (``provider`` or ``network``, name), in milli-stars; who is not there has the prior."""
    return {(line.kind, line.name): line.rating for line in reputations(store, tenant, service)}


def reputations(store: Store, tenant: int, service: str = "") -> Iterator[ReputationLine]:
    """All that is known of providers and networks, in one service or in all."""
    prefix = service_prefix(service) if service else REPUTATION
    return (_REPUTATION.decode(course.line) for course in courses_under(store, tenant, prefix))


def approved(store: Store, tenant: int, accounts: Iterable[str]) -> set[tuple[str, str]]:
    """The (account, provider) pairs that were approved and not revoked since, of these accounts (``acct_…``)."""
    return {(line.account, line.provider) for line in approvals(store, tenant, accounts) if line.approved}


def approvals(store: Store, tenant: int, accounts: Iterable[str] | None = None) -> Iterator[ApprovalLine]:
    """What was said of approvals, also what was revoked: for these accounts, or for all."""
    prefixes = [APPROVAL] if accounts is None else [approval_prefix(account) for account in dict.fromkeys(accounts)]
    for prefix in prefixes:
        for course in courses_under(store, tenant, prefix):
            yield _APPROVAL.decode(course.line)


def taken(store: Store, tenant: int, offers: Iterable[str]) -> dict[str, dict[str, Exact]]:
    """What running sessions have taken by offer and measure; offers of which nothing is taken are left out."""
    stored = store.courses(tenant, [room_id(offer) for offer in offers])
    lines = (_CAPACITY.decode(course.line) for course in stored.values())
    return {line.offer: {m: Exact.parse(units) for m, units in line.taken.items()} for line in lines if line.taken}
