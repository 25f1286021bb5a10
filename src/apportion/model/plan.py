"""Plans: which providers would deliver a request, at what fee, and why these.

A plan holds up to three scenarios with everything that is needed to charge by them; choosing one opens a session at
exactly these terms. Amounts are decimal text in the plan's currency.
"""

from __future__ import annotations

import enum

import msgspec

from apportion.model.journal import CourseLine
from apportion.model.market import Quality
from apportion.model.profile import Billing
from apportion.model.request import Request
from apportion.model.session_asked import SessionCommand
from apportion.model.tariff import Tariff
from apportion.model.usage import PayerUse

PLAN = "pln_"  # what ids of plans, and of the tariffs in them, begin with


class PlanState(enum.Enum):
    """How a plan stands."""

    QUOTED = "quoted"  # it may be accepted until it is due
    ACCEPTED = "accepted"  # a session runs, or ran, by it
    LAPSED = "lapsed"  # nobody accepted it in time


class PlanPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a scenario: who delivers it, what it earns (``cost``) by ``tariff``, and what payers pay for it.

    ``fee`` is their exact price of this part, tax included, empty where one price is for the whole. ``offer`` names
    the offer that was taken, ``agreement`` the agreement that gave it its price or preference, ``bid`` the digest of a
    provider's signed bid. ``placed`` says that the provider paid to be preferred, ``placement`` under which terms.
    ``needs`` are the units of its capacity that are set aside by measure. One that is ``going`` delivers this part
    already in the session that the plan is made for: what is due at a beginning is not due again.
    """

    part: str
    provider: str
    network: str
    offer: str
    tariff: Tariff
    cost: str
    fee: str = ""
    quality: Quality = Quality()
    rating: str = ""
    agreement: str = ""
    bid: str = ""
    placed: bool = False
    placement: str = ""
    needs: dict[str, str] = {}
    going: bool = False


class PlanShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one payer would bear of the fee."""

    account: str
    amount: str


class Scenario(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to deliver a request: ``net`` + ``tax`` = ``total``; ``cost`` goes to providers, ``margin`` is the rest.

    ``retail`` is the tariff that payers are charged by. ``latency`` is the sum over all parts in milliseconds,
    ``availability`` their exact product, ``points`` the mean quality of 0 to 1000. ``dearer`` is what a preference or a
    placement makes it cost more than the cheapest, ``placed`` that part of it which a paid placement does.
    ``proven`` says that no better one exists in exact arithmetic; else the solver says so within its own.
    """

    name: str
    total: str
    net: str
    tax: str
    cost: str
    margin: str
    retail: Tariff
    parts: tuple[PlanPart, ...]
    shares: tuple[PlanShare, ...] = ()
    latency: int = 0
    availability: str = "1"
    points: int = 0
    dearer: str = "0"
    placed: str = "0"
    proven: bool = True


class PlanPayer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who pays, as the request says."""

    account: str
    weight: str = ""
    pays: bool = True


class PlanLine(CourseLine, frozen=True, tag="plan", kw_only=True):
    """A plan as it stands; ``due`` is until when it may be accepted, while it is quoted.

    ``relaxed`` are limits that were given up because nothing fitted. ``digest`` is the hash of the candidates, which
    are kept beside the chain. ``chosen`` is the scenario that ``session`` runs by. ``home`` is the provider that the
    request came through, ``replaces`` the session that the plan was made for, ``policy`` whose cost was minimised when
    not the payers'. ``quantities`` are what was planned for, of which allowances would have ``covered`` so much that is
    in no price for payers. Of personal attributes the chain holds what the price needs and a MAC.

    Where it replaces a session, ``quantities`` are what is still to come after ``used``, ``before`` is the plan that it
    ran by, providers in ``lost`` are those that fail in it, and no price has what payers pay at a beginning.
    """

    n: int
    state: PlanState
    at: str
    service: str
    asset: str
    catalog: str
    start: str
    until: str
    quantities: dict[str, str]
    payers: tuple[PlanPayer, ...]
    scenarios: tuple[Scenario, ...]
    preferred: str
    digest: str
    attributes: dict[str, str] = {}
    macs: dict[str, str] = {}
    relaxed: tuple[str, ...] = ()
    policy: str = ""
    profile: str = ""
    billing: Billing = Billing()
    home: str = ""
    chosen: str = ""
    session: str = ""
    replaces: str = ""
    covered: dict[str, str] = {}
    lost: tuple[str, ...] = ()
    used: dict[str, str] = {}
    before: str = ""


class FarewellLine(CourseLine, frozen=True, tag="farewell", kw_only=True):
    """What was agreed with provider nodes by a plan has ended: they are to be told, so that their capacity is free.

    ``id`` is ``bye_`` and that of the plan's; it is due until they were told.
    """

    at: str
    plan: str


class SayFarewell(msgspec.Struct, frozen=True):
    """The nodes of a plan were told that it has ended; ``id`` is that of the farewell."""

    id: str


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """An offer that was looked at for one part: what it would cost, and why it was not taken (``taken`` in scenarios).

    ``out`` says what kept it from being chosen at all, in a word; ``why`` in a sentence.
    """

    part: str
    offer: str
    provider: str
    network: str
    cost: str = ""
    fee: str = ""
    latency: int = 0
    availability: str = ""
    points: int = 0
    rating: str = ""
    agreement: str = ""
    placed: bool = False
    taken: tuple[str, ...] = ()
    out: str = ""
    why: str = ""


class Candidates(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that a plan was chosen from, with the bids that provider nodes signed, as they came (JSON).

    ``request`` is what was asked, without who pays and what of it is personal. Of ``asked`` nodes so many ``answered``
    in time with a bid that counts. Where it was asked for, ``usual`` and ``dearest`` are what the request would cost by
    the providers that deliver when nobody chooses, and by the dearest that keep every limit.
    """

    plan: str
    candidates: tuple[Candidate, ...]
    bids: tuple[str, ...] = ()
    asked: int = 0
    answered: int = 0
    request: Request | None = None
    usual: str = ""
    dearest: str = ""


class PlanMade(msgspec.Struct, frozen=True, gc=False):
    """A plan that was found, to be put into the books: ``line`` is whole but for what concerns people.

    ``payers`` are their names with weight and whether they pay, ``personal`` attributes as they came; ``approve`` are
    providers that the payers approve of from now on, asked for ``by`` a key.
    """

    line: PlanLine
    payers: tuple[PayerUse, ...]
    candidates: Candidates
    personal: dict[str, str] = {}
    approve: tuple[str, ...] = ()
    by: str = ""


class CrewFound(msgspec.Struct, frozen=True, gc=False):
    """A plan that was found for a session that runs, and the change by which that goes over to it: one command.

    When the change is refused, the plan stays quoted until it lapses.
    """

    made: PlanMade
    change: SessionCommand
