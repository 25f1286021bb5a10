"""Requests: what a user's device asks for before anything is delivered."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from apportion.model.market import Objective, Relaxable
from apportion.model.profile import Profile
from apportion.model.session_asked import Asked, Few, Name, Text, Units
from apportion.model.usage import PayerUse

Number = Annotated[str, Meta(max_length=60)]


class Limits(Asked, frozen=True):
    """What a plan must keep; empty or 0 is no limit.

    ``budget`` bounds what payers pay together, tax included; ``latency`` the milliseconds end to end; ``availability``
    the product over all parts; ``throughput`` what every part must carry, units a second; ``per_provider`` how many
    parts one may deliver. ``agreements_only`` takes only providers that one of the payers has an agreement with.
    """

    budget: Number = ""
    latency: Few = 0
    availability: Number = ""
    throughput: Number = ""
    per_provider: Annotated[int, Meta(ge=0, le=1000)] = 0
    agreements_only: bool = False


class Request(Asked, frozen=True):
    """Find the best providers for one use of ``service``: how much, by when, for whom, within which limits.

    ``quantities`` are what is expected to be used; prices are compared by them. It starts at ``start`` (now, when
    empty). ``objective`` is the scenario that is preferred; the profile's when empty, else the lowest cost. ``profile``
    is the name of a stored one or a whole one; the first payer's own when empty. ``relax`` gives up limits in this
    order when nothing fits; the service's own order when not given. Providers in ``approve`` are approved for the
    payers from now on. ``ask`` is how many milliseconds provider nodes have to answer: 0 takes the standing offers
    only, none the service's own deadline. ``without`` are providers that must not be chosen, ``parts`` the optional
    parts that are wanted too. ``compare`` tells also what the usual and the dearest providers that fit would cost.
    """

    service: Name
    payers: Annotated[tuple[PayerUse, ...], Meta(min_length=1, max_length=100)]
    quantities: Units = {}
    attributes: Annotated[dict[Name, Text], Meta(max_length=50)] = {}
    start: Annotated[str, Meta(max_length=40)] = ""
    limits: Limits = Limits()
    objective: Objective | Literal[""] = ""
    profile: Profile | Text = ""
    relax: Annotated[tuple[Relaxable, ...], Meta(max_length=7)] | None = None
    approve: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    without: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    parts: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    ask: Annotated[int, Meta(ge=0, le=10_000)] | None = 0
    compare: bool = False


class Requests(Asked, frozen=True):
    """Several requests; each gets a plan or a refusal of its own."""

    requests: Annotated[tuple[Request, ...], Meta(min_length=1, max_length=1000)]
