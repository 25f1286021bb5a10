"""The paths that data may take: those that are named, or what the market offers; each priced by the byte."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.market.standing import live_offers, ratings, switched, taken
from apportion.engine.terms import Terms
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole, Credential
from apportion.model.market import Offer
from apportion.model.profile import Profile
from apportion.model.segmentation import GIGABYTE, PATHS_MAX, PathAsked, PathOut, SegmentationAsked
from apportion.model.tariff import Tariff
from apportion.model.tariff_check import check
from apportion.money import Asset, Exact
from apportion.stages.broker.match import Off, Placed, Wanted, judged, rank_of
from apportion.stages.rate import Pricer, compile_tariff
from apportion.stages.rate.linear import unit_prices

ZERO, ONE, HUNDRED = Exact(0), Exact(1), Exact(100)
_RATE_MAX = 1 << 53
replace = msgspec.structs.replace


class Lane(msgspec.Struct, frozen=True):
    """A path with its exact prices in whole units of the currency: ``setup`` once, ``byte`` for each byte."""

    path: PathAsked
    setup: Exact
    byte: Exact


def number(text: str, field: str, default: Exact = ZERO) -> Exact:
    """A number that is not below zero.

    Raises:
        Refused: BAD_QUANTITY, with the field.
    """
    if not text:
        return default
    found = Exact.parse(text, field=field)
    if found < ZERO:
        raise refuse(RefusalCode.BAD_QUANTITY, "is below zero.", field=field, fix="Write 0 or more.")
    return found


def lanes_of(asked: SegmentationAsked, asset: Asset) -> list[Lane]:
    """The paths that are named, priced by the byte.

    Raises:
        Refused: BAD_INPUT where two have one id, or a tariff has other prices than flat ones and those by the unit;
            ASSET_MISMATCH, BAD_QUANTITY.
    """
    ids = set[str]()
    for at, path in enumerate(asked.paths):
        if path.id in ids:
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"there are two paths {path.id!r}.",
                field=f"paths[{at}].id",
                fix="Name them apart.",
            )
        ids.add(path.id)
    return [_lane(asked, path, f"paths[{at}]", asset) for at, path in enumerate(asked.paths)]


def _lane(asked: SegmentationAsked, path: PathAsked, field: str, asset: Asset) -> Lane:
    if path.most and path.least > path.most:
        raise refuse(RefusalCode.BAD_INPUT, "is more than most.", field=f"{field}.least", fix="Lower it.")
    if number(path.availability, f"{field}.availability", ONE) > ONE:
        raise refuse(RefusalCode.BAD_QUANTITY, "is above 1.", field=f"{field}.availability", fix="Such as 0.999.")
    number(path.rating, f"{field}.rating")
    if path.tariff is None:
        byte = number(path.price, f"{field}.price").over(Exact(path.per))
        return Lane(path, number(path.setup, f"{field}.setup"), byte)
    if path.price or path.setup:
        raise refuse(
            RefusalCode.BAD_INPUT, "is priced twice.", field=f"{field}.tariff", fix="Give a price or a tariff."
        )
    setup, unit = unit_price(compiled(path.tariff, f"{field}.tariff"), asked.measure, asset, f"{field}.tariff")
    return Lane(path, setup, unit.over(Exact(asked.unit)))


def compiled(tariff: Tariff, field: str) -> Pricer:
    """A tariff that came with the request, checked.

    Raises:
        Refused: what is wrong with it.
    """
    wrong = check(tariff)
    if wrong:
        raise Refused(replace(wrong[0], field=f"{field}.{wrong[0].field}".rstrip(".")))
    return _compiled(msgspec.json.encode(tariff))


@lru_cache(maxsize=1024)
def _compiled(tariff: bytes) -> Pricer:
    return compile_tariff(msgspec.json.decode(tariff, type=Tariff))


def unit_price(pricer: Pricer, measure: str, asset: Asset, field: str) -> tuple[Exact, Exact]:
    """What a tariff asks once and for each unit of one measure.

    Raises:
        Refused: ASSET_MISMATCH; BAD_INPUT when it prices anything else, or in any other way.
    """
    tariff = pricer.tariff
    if tariff.currency.partition("/")[0] != asset.code:
        raise refuse(
            RefusalCode.ASSET_MISMATCH, f"is in {tariff.currency}, the request is in {asset.code}.", field=field,
            fix="Paths are compared in one currency.",
        )  # fmt: skip
    rule, prices = tariff.rounding, unit_prices(pricer)
    plain = rule.at != "charge" or (rule.mode == "half-even" and rule.decimals in (None, asset.scale))
    if prices is None or not plain or set(prices) - {"", measure}:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"has other prices than flat fees and one for each unit of {measure!r}, by which data could be split.",
            field=field, fix="Take out tiers, steps, minima, bands, decks, validity and rounding, or name the measure.",
        )  # fmt: skip
    return prices.get("", ZERO), prices.get(measure, ZERO)


# ── what the market offers ──


def offered(
    engine: Engine, terms: Terms, asked: SegmentationAsked, caller: Credential
) -> tuple[SegmentationAsked, list[PathOut]]:
    """The request with the paths that are offered for its service and part now, and the offers that are none.

    An operator's are priced by what their providers earn, a user's by what payers pay.

    Raises:
        Refused: UNKNOWN_SERVICE, UNKNOWN_PART; BAD_INPUT when nobody offers anything, or too many do.
    """
    service = terms.service(asked.service).service
    if asked.part not in service.parts:
        raise refuse(
            RefusalCode.UNKNOWN_PART, f"service {service.id!r} has no part {asked.part[:60]!r}.", field="part",
            fix="One of " + ", ".join(list(service.parts)[:20]) + ".",
        )  # fmt: skip
    retail = _markup(terms, asked.service, caller)
    asset = terms.asset(asked.currency or terms.service(asked.service).retail.currency)
    asked = replace(asked, currency=str(asset))
    now = engine.clock.now()
    wanted = Wanted((asked.part,), datetime.fromisoformat(now), asset.code, {}, asked.attributes)
    offers = _offers(engine, terms, asked)
    off, used = switched(engine.store, engine.tenant, now), taken(engine.store, engine.tenant, [o.id for o in offers])
    stars = ratings(engine.store, engine.tenant, asked.service)
    paths, out = list[PathAsked](), list[PathOut]()
    for offer in offers:
        switch = off.get(offer.provider)
        mark = switch.off(now) if switch is not None else None
        has = used.get(offer.id, {})
        verdict = judged(wanted, Placed(offer, has, Off(mark.reason, mark.until) if mark is not None else None))
        try:
            if verdict is not None:
                out.append(PathOut(offer.id, verdict[1]))
            elif not offer.quality.throughput:
                out.append(PathOut(offer.id, "It does not say how much it carries in a second."))
            else:
                paths.append(_path(terms, asked, offer, asset, retail, has.get(asked.measure, ZERO), stars))
        except Refused as refused:
            out.append(PathOut(offer.id, refused.refusal.sentence()[:400]))
    if not paths or len(paths) > PATHS_MAX:
        why = "; ".join(f"{one.id}: {one.why}" for one in out[:5]) or "nobody offers it"
        said = f"there are {len(paths)} offers, more than {PATHS_MAX}." if paths else f"nothing can carry it: {why}"
        raise refuse(RefusalCode.NO_PLAN, said, field="part", fix="Name the paths themselves, or other attributes.")
    return replace(asked, paths=tuple(paths)), out


def _markup(terms: Terms, service: str, caller: Credential) -> Exact | None:
    """By how much what providers earn is raised for payers; None for operators, who compare what they earn."""
    if caller.role is AccessRole.OPERATOR:
        return None
    market = terms.service(service).service.market
    if caller.role is not AccessRole.USER or market.retail != "passed-on":
        raise refuse(
            RefusalCode.BAD_INPUT, "its offers are not priced for you one by one.", field="service",
            fix="Name the paths themselves with their prices, or ask the operator.",
        )  # fmt: skip
    return ONE + Exact.parse(market.markup).over(HUNDRED)


def _offers(engine: Engine, terms: Terms, asked: SegmentationAsked) -> list[Offer]:
    """Live offers and those of the catalog, with their networks filled in; by id."""
    live = live_offers(engine.store, engine.tenant, asked.service, asked.part)
    found = {one.id: one for one in terms.catalog.offers.values()} | {
        one.id: replace(one.offer, id=one.id) for one in live
    }
    networks = {name: provider.network for name, provider in terms.catalog.providers.items()}
    return [
        one if one.network else replace(one, network=networks.get(one.provider, ""))
        for _, one in sorted(found.items())
        if (one.service, one.part) == (asked.service, asked.part)
    ]


def _path(
    terms: Terms, asked: SegmentationAsked, offer: Offer, asset: Asset, markup: Exact | None, used: Exact,
    stars: dict[tuple[str, str], int],
) -> PathAsked:  # fmt: skip
    tariff = offer.tariff
    if markup is not None and offer.retail:
        tariff, markup = offer.retail, ONE
    pricer = terms.pricer(tariff) if isinstance(tariff, str) else compiled(tariff, "tariff")
    setup, price = unit_price(pricer, asked.measure, asset, "tariff")
    raised = ONE if markup is None else markup
    unit, measure = Exact(asked.unit), asked.measure
    rate = (Exact.parse(offer.quality.throughput) * unit).floor()
    bounds = [Exact.parse(offer.most[measure])] if measure in offer.most else []
    bounds += [Exact.parse(offer.capacity[measure]) - used] if measure in offer.capacity else []
    most = min([(bound * unit).floor() for bound in bounds], default=0)
    if bounds and most <= 0:
        raise refuse(RefusalCode.NO_PLAN, "it has nothing free now.")
    kind = "network" if not isinstance(asked.profile, str) and asked.profile.highest_rated == "network" else "provider"
    star = stars.get((kind, offer.network if kind == "network" else offer.provider))
    return PathAsked(
        offer.id, offer.provider, min(rate, _RATE_MAX), offer.network,
        (price * raised * Exact(GIGABYTE)).over(unit).text(), GIGABYTE, (setup * raised).text(),
        rtt=offer.quality.latency, availability=offer.quality.availability,
        rating="" if star is None else Exact(star, 1000).text(),
        least=(number(offer.least.get(measure, ""), "least") * unit).ceil(), most=min(most, _RATE_MAX),
    )  # fmt: skip


# ── which may be used, and which are preferred ──


def sifted(
    asked: SegmentationAsked, profile: Profile, lanes: list[Lane]
) -> tuple[list[Lane], list[int], list[PathOut]]:
    """The paths that may be used, how far each is from what is preferred, and why the others may not be."""
    least = number(asked.availability, "availability")
    fits, out = list[Lane](), list[PathOut]()
    for lane in sorted(lanes, key=lambda lane: lane.path.id):
        why = _kept_out(lane.path, profile, least)
        if why:
            out.append(PathOut(lane.path.id, why))
        else:
            fits.append(lane)
    ranks = [rank_of(profile, lane.path.provider, lane.path.network) for lane in fits]
    if profile.highest_rated:
        rated = [number(lane.path.rating, "rating") for lane in fits]
        order = sorted(set(rated), reverse=True)
        ranks = [rank * (len(order) + 1) + order.index(one) for rank, one in zip(ranks, rated, strict=True)]
    return fits, ranks, out


def _kept_out(path: PathAsked, profile: Profile, least: Exact) -> str:
    for kind, name, preference in (
        ("provider", path.provider, profile.providers), ("network", path.network, profile.networks),
    ):  # fmt: skip
        if name in preference.ignore:
            return f"The profile ignores the {kind} {name}."
        if preference.only and name not in preference.only:
            return f"The profile takes only other {kind}s."
    if not path.rate:
        return "It has no capacity free now."
    if number(path.availability, "availability", ONE) < least:
        return f"Its availability of {path.availability} is below {least.text()}."
    return ""
