"""The market as it stands: ``offers …``, ``provider list``, ``switch`` and ``approve``, ``rating give``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cyclopts import App

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, BadUsage, Place, TableAnswer, read
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.market.views import OfferView, ProviderView
    from apportion.faces.cli.reach import Reach
    from apportion.faces.market import Market

_SPAN = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _market(books: Reach) -> Market:
    from apportion.faces.market import Market

    return Market(books.ask, books.pages)


def show_offers(
    service: str = "",
    /,
    *,
    part: str = "",
    provider: str = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """What is offered: the catalog's own offers, then those that providers make while everything runs.

    Args:
        service: The offers of one service.
        part: The offers of one part of it.
        provider: The offers of one provider.
    """
    with reading(place) as books:
        found = list(_market(books).offers(service, part, provider))
    rows = [
        (
            one.service, one.part, one.provider, one.network, _tariff(one), _free(one), str(one.quality.latency),
            one.quality.availability, one.valid_until, one.id,
        )
        for one in found
    ]  # fmt: skip
    columns = (
        "service", "part", "provider", "network", "tariff", "free", "ms", "availability", "until", "offer",
    )  # fmt: skip
    answer.give(Table(columns, rows), found)


def put_offers(file: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> int:
    """Make offers, or put others in their place: those of a file, each by itself. Exit code 1 when any was refused.

    Such as: apportion offers put offers.toml --store http://127.0.0.1:8080

    Args:
        file: A TOML or JSON file with a list `offers`; `id` is what the provider calls its offer.
    """
    from apportion.adapters.catalog_file import load_record
    from apportion.engine.market.door import OffersInput

    given = load_record(file, OffersInput, lambda record: [])
    with changing(place) as books:
        found = _market(books).put(given.offers)
    said = []
    for offer, one in zip(given.offers, found, strict=True):
        what = f"{offer.provider} {offer.service}/{offer.part}"
        said.append(f"{one.id}  {what}" if one.refusal is None else f"refused  {what}: {one.refusal.sentence()}")
    answer.give(found, "\n".join(said))
    return 1 if any(one.refusal is not None for one in found) else 0


def withdraw_offer(offer: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Withdraw an offer; what runs by it goes on.

    Args:
        offer: Its id (`ofr_…`).
    """
    with changing(place) as books:
        found = _market(books).withdraw(offer)
    answer.give(found, f"{found.provider} offers {found.service}/{found.part} no more as {found.id}.")


def switch(
    provider: str,
    /,
    *,
    off: str = "",
    on: bool = False,
    reason: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Switch a provider off for a while, or on again. Its prices stay, and what runs goes on.

    Such as: apportion provider switch bridge-a --off 1h --reason "fibre cut"

    Args:
        provider: The provider, as the catalog names it.
        off: For how long, such as 90s, 30m, 1h or 2d; until an instant such as 2026-12-01T00:00:00Z; or `good`.
        on: Switch it on again.
        reason: Why it is off; users and the provider see it.
    """
    from apportion.engine.market.door import SwitchInput

    if bool(off) == on:
        raise BadUsage("Say --off with how long, such as --off 1h, or --on.")
    span = _SPAN.fullmatch(off)
    asked: dict[str, Any] = {"off": not on, "reason": reason}
    if span is not None:
        asked["seconds"] = int(span[1]) * _SECONDS[span[2]]
    elif off and off != "good":
        asked["until"] = off
    with changing(place) as books:
        found = _market(books).switch(provider, read(asked, SwitchInput))
    answer.give(found, _standing(found))


def list_providers(*, service: str = "", place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """All providers: who is off and why, and how each is rated (0 to 5 stars; 3 is where everybody begins).

    Args:
        service: The ratings in one service; in each when not given.
    """
    with reading(place) as books:
        found = list(_market(books).providers(service))
    rows = []
    for one in found:
        state, until = ("off", one.until or "for good") if one.off else ("on", "")
        ratings = " ".join(f"{known.service}={known.rating}" for known in one.standing)
        rows.append((one.id, one.network, state, until, one.reason, ratings))
    answer.give(Table(("provider", "network", "state", "until", "reason", "rating"), rows), found)


def approve(
    provider: str, payer: str = "", /, *, revoke: bool = False, place: Place = PLACE, answer: Answer = ANSWER
) -> None:
    """Approve a provider for a payer, or take that back; it counts where a service asks for approval.

    Args:
        provider: The provider, as the catalog names it.
        payer: The payer, by the name that usage calls them; a user's key speaks for itself.
        revoke: Take it back.
    """
    from apportion.engine.market.door import ApprovalInput

    with changing(place) as books:
        found = _market(books).approve(ApprovalInput(provider, payer, not revoke))
    said = "may deliver" if found.approved else "may not deliver"
    answer.give(found, f"{provider} {said} to {payer or found.account}.")


def give_rating(
    record: str,
    stars: int,
    /,
    *,
    provider: str = "",
    network: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Give 1 to 5 stars for what was delivered and paid for; each charge and each session once.

    A node is asked with the key of the user who paid: an operator has no vote.

    Such as: apportion rating give ses_4cn2… 5 --store http://127.0.0.1:8080

    Args:
        record: A charge (`chg_…`) or session (`ses_…`).
        stars: 1 to 5; 5 is the best.
        provider: One of those who delivered; all of them when not given.
        network: The network that it came over, instead.
    """
    from apportion.engine.market.door import RatingInput

    if not place.remote:
        raise BadUsage("Who paid says how it was: ask a node with the user's key, --store http://….")
    asked = {"record": record, "stars": stars, "provider": provider, "network": network}
    with changing(place) as books:
        found = _market(books).rate(read(asked, RatingInput))
    answer.give(found, f"{found.stars} of 5 stars for {found.record} as {found.id}.")


def _tariff(offer: OfferView) -> str:
    return offer.tariff if isinstance(offer.tariff, str) else f"{offer.tariff.id} (its own)"


def _free(offer: OfferView) -> str:
    """What is left of the capacity, by measure."""
    from apportion.money import Exact

    left = {
        measure: Exact.parse(units) - Exact.parse(offer.taken.get(measure, "0"))
        for measure, units in offer.capacity.items()
    }
    return " ".join(f"{measure}={max(units, Exact(0)).text()}" for measure, units in left.items())


def _standing(one: ProviderView) -> str:
    if not one.off:
        return f"{one.id} is on."
    return f"{one.id} is off {f'until {one.until}' if one.until else 'for good'}, by the {one.by}: {one.reason}"


#: what ``apportion provider`` can be asked, besides running a node
PROVIDER: dict[str, Callable[..., Any]] = {"list": list_providers, "switch": switch, "approve": approve}


def commands(group: Any, default: Any) -> tuple[App, App]:
    """``apportion offers …`` and ``apportion rating …`` for the program."""
    offers = App(
        name="offers", help="What is offered, by whom and on which terms.", group=group, default_parameter=default
    )
    offers.default(show_offers)
    offers.command(put_offers, name="put", help_format="markdown")
    offers.command(withdraw_offer, name="withdraw", help_format="markdown")
    rating = App(name="rating", help="Stars for what was delivered.", group=group, default_parameter=default)
    rating.command(give_rating, name="give", help_format="markdown")
    return offers, rating
