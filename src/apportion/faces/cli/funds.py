"""Value with a purpose: ``grant`` fills a bucket, ``allowance`` buys units in advance."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from cyclopts import Parameter

from apportion.faces.cli.options import ANSWER, PLACE, Answer, Place, Words, read
from apportion.faces.cli.reach import changing

Some = Annotated[tuple[str, ...], Parameter(negative=())]


def grant(
    payer: str,
    amount: Words,
    currency: str,
    /,
    *,
    funded: Literal["cash", "sponsor"] = "cash",
    service: Some = (),
    priority: int = 500,
    expires: str = "",
    name: str = "",
    reference: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Put value into a bucket of a payer: it is drawn before the payer's own value, and may expire.

    Such as: apportion grant ada 5.00 EUR --funded sponsor --expires 2027-01-01T00:00:00Z

    Args:
        payer: The payer, by the name that usage calls them.
        amount: How much, above zero.
        currency: In which currency.
        funded: By cash that came in, or by the sponsor, to whom it goes back when it expires.
        service: A service that it is for; any when not given. May be repeated.
        priority: 0 to 999; the lowest is drawn first.
        expires: When it ends, such as 2027-01-01T00:00:00Z; never when not given.
        name: What the bucket is called.
        reference: What makes it unique for ever; a fresh one when not given.
    """
    given = {
        "payer": payer, "amount": amount, "currency": currency, "funded": funded, "services": service,
        "priority": priority, "expires": expires, "name": name, "reference": reference or _fresh("grant"),
    }  # fmt: skip
    from apportion.engine.funding.door import GrantInput

    with changing(place) as books:
        found = books.stocks.grant(read(given, GrantInput))
    until = f" until {found.expires}" if found.expires else ""
    answer.give(found, f"{found.amount} {found.currency} for {payer} in {found.bucket}{until} as {found.id}.")


def allowance(
    payer: str,
    units: Words,
    measure: str,
    price: Words,
    currency: str,
    /,
    *,
    service: Some = (),
    expires: str = "",
    name: str = "",
    reference: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Buy units for a payer, who pays for them now and uses them before any money.

    Such as: apportion allowance ada 600 seconds 5.00 EUR --service call

    Args:
        payer: The payer, by the name that usage calls them.
        units: How many.
        measure: Of what; a measure of the services.
        price: What they cost together.
        currency: In which currency.
        service: A service that they are for; any that measures this, when not given. May be repeated.
        expires: When what is left ends; never when not given.
        name: What the allowance is called.
        reference: What makes it unique for ever; a fresh one when not given.
    """
    given = {
        "payer": payer, "units": units, "measure": measure, "price": price, "currency": currency, "services": service,
        "expires": expires, "name": name, "reference": reference or _fresh("allowance"),
    }  # fmt: skip
    from apportion.engine.funding.door import AllowanceInput

    with changing(place) as books:
        found = books.stocks.buy(read(given, AllowanceInput))
    said = f"{found.units} {found.measure} for {payer} at {found.price} {found.currency}"
    answer.give(found, f"{said}, in {found.allowance} as {found.id}.")


def _fresh(what: str) -> str:
    return f"{what}-{secrets.token_hex(8)}"
