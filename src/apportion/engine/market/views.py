"""The market as each may see it: a user no wholesale price, a provider none of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import PageQuery, Text
from apportion.engine.market.standing import (
    all_offers,
    approvals,
    live_offers,
    reputations,
    switches_of,
    taken,
)
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight
from apportion.model.access import AccessRole, Credential
from apportion.model.market import Offer, Quality
from apportion.model.party import Provider
from apportion.model.standing import ApprovalLine, OfferLine, ReputationLine, SwitchLine
from apportion.model.tariff import Tariff
from apportion.money import Exact
from apportion.money.exact import decimal_text

_NARROW = (AccessRole.USER, AccessRole.PROVIDER)


class OfferQuery(PageQuery, frozen=True):
    """Only the offers of a ``service``, of a ``part`` of it, or of a ``provider``."""

    service: Text = ""
    part: Text = ""
    provider: Text = ""


class OfferView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An offer as it stands: a live one (``ofr_…``) with its ``name``, or one of the ``catalog`` by its own id.

    ``tariff`` is what the provider earns, ``taken`` what running sessions have of its ``capacity``: these are for the
    operator and itself. ``retail`` is what payers pay for it, where the offer says so.
    """

    id: str
    service: str
    part: str
    provider: str
    name: str = ""
    source: Literal["live", "catalog"] = "live"
    network: str = ""
    tariff: str | Tariff = ""
    retail: str | Tariff = ""
    quality: Quality = Quality()
    capacity: dict[str, str] = {}
    taken: dict[str, str] = {}
    least: dict[str, str] = {}
    most: dict[str, str] = {}
    when: dict[str, tuple[str, ...]] = {}
    reaches: tuple[str, ...] = ()
    valid_from: str = ""
    valid_until: str = ""
    at: str = ""
    withdrawn: bool = False


class OfferPage(msgspec.Struct, frozen=True):
    """Offers, those of the catalog first; ``next`` leads to the following page and is empty on the last."""

    data: tuple[OfferView, ...]
    next: str = ""


class StandingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a provider in a service: its ``rating`` of 0 to 5 stars, of how many ``ratings``; for those who
    may know, what else it is made of. ``latency`` is the mean in whole milliseconds, of ``measured`` measurements.
    """

    service: str
    rating: str
    ratings: int = 0
    delivered: int = 0
    failed: int = 0
    disputes: int = 0
    latency: int = 0
    measured: int = 0
    kept: int = 0
    missed: int = 0


class ProviderView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider: whether it is ``off``, by whom, until when (for good, when empty) and why; and its standing."""

    id: str
    name: str = ""
    network: str = ""
    off: bool = False
    by: str = ""
    since: str = ""
    until: str = ""
    reason: str = ""
    standing: tuple[StandingView, ...] = ()


class ProviderPage(msgspec.Struct, frozen=True):
    """Providers in the order of the catalog; ``next`` leads to the following page."""

    data: tuple[ProviderView, ...]
    next: str = ""


class ApprovalView(msgspec.Struct, frozen=True):
    """Whether ``provider`` may deliver to the payer of ``account``; ``by`` whom it was said."""

    account: str
    provider: str
    approved: bool
    by: str
    at: str


class ApprovalPage(msgspec.Struct, frozen=True):
    """Approvals, also those that were taken back; ``next`` leads to the following page."""

    data: tuple[ApprovalView, ...]
    next: str = ""


class RatingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stars as they were given for a ``record`` (a slice of a session counts for the session)."""

    id: str
    record: str
    service: str
    stars: int
    provider: str = ""
    network: str = ""
    at: str = ""


class ProviderQuery(PageQuery, frozen=True):
    """Only one ``provider``, or only the standing in one ``service``."""

    service: Text = ""
    provider: Text = ""


# ── offers ──


def offers(engine: Engine, call: Call) -> OfferPage:
    """The offers that the caller may see."""
    query: OfferQuery = call.query
    place = (cursors := Cursors(engine)).read(query.after, "offers")
    chosen: list[OfferView] = []
    more = False
    for at, line in enumerate(_offers(engine, call.caller, query)):
        if at < place:
            continue
        if len(chosen) == query.limit:
            more = True
            break
        chosen.append(offer_view(line, call.caller, {}))
    if call.caller.role is not AccessRole.USER:
        sold = taken(engine.store, engine.tenant, [one.id for one in chosen if one.capacity])
        chosen = [_with(one, sold.get(one.id, {})) for one in chosen]
    return OfferPage(tuple(chosen), cursors.write(place + len(chosen), "offers") if more else "")


def _with(view: OfferView, sold: Mapping[str, Exact]) -> OfferView:
    return msgspec.structs.replace(view, taken={measure: units.text() for measure, units in sold.items()})


def _offers(engine: Engine, caller: Credential, query: OfferQuery) -> Iterator[OfferLine]:
    """Those of the catalog, then the live ones; a user sees only what may be had."""
    own = caller.party if caller.role is AccessRole.PROVIDER else ""
    now = engine.clock.now()
    for line in _all(engine, query):
        offer = line.offer
        if query.service not in ("", offer.service) or query.part not in ("", offer.part):
            continue
        if query.provider not in ("", offer.provider) or own not in ("", offer.provider):
            continue
        if caller.role is not AccessRole.USER or not offer.valid_until or offer.valid_until > now:
            yield line


def _all(engine: Engine, query: OfferQuery) -> Iterator[OfferLine]:
    """Offers of the catalog, live ones, and between them the plain prices of those who have no offer for a part."""
    store, tenant, catalog = engine.store, engine.tenant, engine.terms().catalog
    if query.service and query.part:
        live = live_offers(store, tenant, query.service, query.part)
    else:
        live = [line for line in all_offers(store, tenant) if not line.withdrawn]
    offers = [*catalog.offers.values(), *(line.offer for line in live)]
    own = {(offer.service, offer.part, offer.provider) for offer in offers}
    for name, offer in catalog.offers.items():
        yield OfferLine(id=name, n=0, at="", offer=offer)
    for service in catalog.services.values():
        for part, terms in service.parts.items():
            for provider, tariff in terms.wholesale.items():
                if (service.id, part, provider) not in own:
                    offer = Offer(service=service.id, part=part, provider=provider, tariff=tariff)
                    yield OfferLine(id=f"{service.id}.{part}.{provider}", n=0, at="", offer=offer)
    yield from live


def offer_view(line: OfferLine, caller: Credential, sold: Mapping[str, Exact]) -> OfferView:
    """An offer as the caller may see it."""
    offer, live = line.offer, line.n > 0
    plain = caller.role is AccessRole.USER
    return OfferView(
        line.id, offer.service, offer.part, offer.provider, offer.id if live else "", "live" if live else "catalog",
        offer.network, "" if plain else offer.tariff, offer.retail, offer.quality, {} if plain else offer.capacity,
        {measure: units.text() for measure, units in sold.items()}, offer.least, offer.most, offer.when, offer.reaches,
        offer.valid_from, offer.valid_until, line.at, line.withdrawn,
    )  # fmt: skip


# ── providers ──


def providers(engine: Engine, call: Call) -> ProviderPage:
    """All providers of the catalog: who is off and why, and how they are rated; names and ratings are no secret."""
    query: ProviderQuery = call.query
    place = (cursors := Cursors(engine)).read(query.after, "providers")
    everybody = engine.terms().catalog.providers
    names = [name for name in everybody if query.provider in ("", name)]
    shown = names[place : place + query.limit]
    marks = switches_of(engine.store, engine.tenant, shown)
    known: dict[str, list[ReputationLine]] = {}
    for line in reputations(engine.store, engine.tenant, query.service):
        if line.kind == "provider":
            known.setdefault(line.name, []).append(line)
    now, own = engine.clock.now(), call.caller.party if call.caller.role in _NARROW else ""
    data = tuple(
        provider_view(now, everybody[name], marks.get(name), known.get(name, ()), whole=own in ("", name))
        for name in shown
    )
    after = place + len(shown)
    return ProviderPage(data, cursors.write(after, "providers") if after < len(names) else "")


def provider_view(
    now: str, provider: Provider, switch: SwitchLine | None, known: Iterable[ReputationLine], *, whole: bool
) -> ProviderView:
    """A provider as it stands now; ``whole`` with what its ratings are made of."""
    mark = switch.off(now) if switch is not None else None
    standing = tuple(standing_view(one, whole=whole) for one in known)
    view = ProviderView(provider.id, provider.name, provider.network, standing=standing)
    if mark is None:
        return view
    return msgspec.structs.replace(view, off=True, by=mark.by, since=mark.at, until=mark.until, reason=mark.reason)


def standing_view(line: ReputationLine, *, whole: bool) -> StandingView:
    """What is known of somebody."""
    if not whole:
        return StandingView(line.service, decimal_text(line.rating, 3), line.ratings)
    mean = line.latency // line.latencies if line.latencies else 0
    return StandingView(
        line.service, decimal_text(line.rating, 3), line.ratings, line.delivered, line.failed, line.disputes, mean,
        line.latencies, line.kept, line.missed,
    )  # fmt: skip


# ── approvals ──


def list_approvals(engine: Engine, call: Call) -> ApprovalPage:
    """What was said of approvals; users see their own."""
    query: PageQuery = call.query
    sight, cursors = Sight(engine, call.caller), Cursors(engine)
    place = cursors.read(query.after, "approvals")
    own = None if call.caller.role not in _NARROW else sight.own
    shown: list[ApprovalView] = []
    for at, line in enumerate(approvals(engine.store, engine.tenant, own)):
        if at >= place:
            if len(shown) == query.limit:
                return ApprovalPage(tuple(shown), cursors.write(at, "approvals"))
            shown.append(approval_view(line))
    return ApprovalPage(tuple(shown))


def approval_view(line: ApprovalLine) -> ApprovalView:
    """An approval as it stands."""
    return ApprovalView(line.account, line.provider, line.approved, line.by, line.at)
