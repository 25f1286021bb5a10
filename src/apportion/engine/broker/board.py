"""Everything that is offered for a request now, gathered from the catalog, live offers and signed bids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from apportion.engine.broker.wish import Wish
from apportion.engine.engine import Engine
from apportion.engine.market.standing import approved, live_offers, ratings, switched, taken
from apportion.errors import Refused
from apportion.model.market import Offer, Placement
from apportion.model.standing import SwitchLine
from apportion.money import Exact

PRIOR = 3000  # milli-stars of who has no rating yet
replace = msgspec.structs.replace


class Board(msgspec.Struct, frozen=True):
    """What stands at one instant (``at``): ``offers`` with their networks filled in, in the order of the parts.

    ``off`` are providers that are switched off, ``taken`` what running sessions have of an offer, ``approved`` those
    providers that all payers approve of (None: the service asks for no approval), ``ratings`` milli-stars by (kind,
    name), ``bids`` the digest of the signed bid by offer, ``setups`` the set-up fees that bids ask by provider.
    """

    at: str
    offers: tuple[Offer, ...]
    off: Mapping[str, SwitchLine]
    taken: Mapping[str, Mapping[str, Exact]]
    approved: frozenset[str] | None
    ratings: Mapping[tuple[str, str], int]
    bids: Mapping[str, str] = {}
    setups: Mapping[str, str] = {}

    def rating(self, kind: str, name: str) -> int:
        """Milli-stars of a provider or network."""
        return self.ratings.get((kind, name), PRIOR)


def board_of(engine: Engine, wish: Wish, now: str, approve: Sequence[str] = ()) -> Board:
    """The board without bids. Providers in ``approve`` count as approved, because they are about to be."""
    store, tenant = engine.store, engine.tenant
    live = [
        replace(line.offer, id=line.id)
        for part in wish.service.service.parts
        for line in live_offers(store, tenant, wish.request.service, part)
    ]
    offers = [*_standing(wish, {(one.part, one.provider) for one in live}), *live]
    networks = {name: provider.network for name, provider in wish.terms.catalog.providers.items()}
    offers = [one if one.network else replace(one, network=networks.get(one.provider, "")) for one in offers]
    bounded = [one.id for one in offers if one.capacity]
    return Board(
        now, tuple(offers), switched(store, tenant, now), taken(store, tenant, bounded) if bounded else {},
        _approved(engine, wish, approve), ratings(store, tenant, wish.request.service),
    )  # fmt: skip


def _standing(wish: Wish, live: set[tuple[str, str]]) -> Iterator[Offer]:
    """Offers of the catalog, and for each provider that a part merely has a price of, an offer of that.

    Who has offers of its own for a part, standing or live, is not offered by its plain price too; nor is a price in
    another currency than the service's, which no plan can promise.
    """
    name = wish.request.service
    named = [one for one in wish.terms.catalog.offers.values() if one.service == name]
    yield from named
    own = live | {(one.part, one.provider) for one in named}
    for part, terms in wish.service.service.parts.items():
        agreed = (
            one.provider for one in wish.terms.catalog.agreements.values()
            if one.service == name and one.part == part and one.provider and not one.payer
        )  # fmt: skip
        for provider in dict.fromkeys((*terms.wholesale, *agreed)):
            if (part, provider) in own:
                continue
            try:
                pricer = wish.service.delivered(part, provider).at(wish.start)
            except Refused:  # it has an agreement, but neither now nor a price beside it
                continue
            tariff = pricer.tariff.id if pricer is not None else ""
            if tariff and pricer is not None and pricer.currency == wish.service.retail.currency:
                yield Offer(id=f"{name}.{part}.{provider}", service=name, part=part, provider=provider, tariff=tariff)


def _approved(engine: Engine, wish: Wish, approve: Sequence[str]) -> frozenset[str] | None:
    """Providers that every payer approves of, by the catalog or by what was recorded since."""
    if not wish.service.service.market.approval:
        return None
    accounts = [account.public for account in wish.accounts if account is not None]
    pairs = approved(engine.store, engine.tenant, accounts)
    found: frozenset[str] | None = None
    for name, account in zip(wish.payers, wish.accounts, strict=True):
        payer = wish.terms.catalog.payers.get(name)
        mine = frozenset(payer.approved if payer is not None else ()) | frozenset(approve)
        mine |= {provider for whose, provider in pairs if account is not None and whose == account.public}
        found = mine if found is None else found & mine
    return found


def placements(wish: Wish, at: str) -> dict[tuple[str, str], Placement]:
    """By (part, provider) the paid placement in force for it; a part "" is any."""
    found: dict[tuple[str, str], Placement] = {}
    for one in wish.terms.catalog.placements.values():
        if one.service == wish.request.service and (not one.valid_from or one.valid_from <= at):
            if not one.valid_until or at < one.valid_until:
                found |= dict.fromkeys([(part, one.provider) for part in one.parts or ("",)], one)
    return found
