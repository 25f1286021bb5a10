"""What may be asked of a charging session: to open it, report use, change it, confirm, accept an offer, end it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.model.usage import PayerUse

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=255)]
Units = dict[Name, Annotated[str, Meta(min_length=1, max_length=60)]]
Few = Annotated[int, Meta(ge=0, le=1 << 53)]


class Asked(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all of them share: a field that is not known is refused."""


class PartAsked(Asked, frozen=True):
    """A part to be delivered: by ``provider`` (the service's own, when empty), so many units ``requested`` at first."""

    part: Name
    provider: Text = ""
    requested: Units = {}


class SessionAsked(Asked, frozen=True):
    """Open a session of ``service`` for ``payers``.

    ``requested`` units count for the whole service, those of a part for it alone; without any, the service's own slice
    is granted for the whole. Parts that are not named are delivered by the service's own providers.
    """

    service: Name
    payers: Annotated[tuple[PayerUse, ...], Meta(min_length=1, max_length=100)]
    parts: Annotated[tuple[PartAsked, ...], Meta(max_length=100)] = ()
    requested: Units = {}
    attributes: Annotated[dict[Name, Text], Meta(max_length=50)] = {}


class Report(Asked, frozen=True):
    """What a part (the whole service, when empty) has used since it began: counters that never go down.

    ``number`` counts the reports of a part from 1; one that was sent before, or comes late, changes nothing. ``at`` is
    when the counters were read (RFC 3339; now, when empty). ``requested`` are the units wanted next; with ``final``
    the part needs no more. ``payer`` is whose units they are, where payers share by cost.
    """

    number: Annotated[int, Meta(ge=1, le=1 << 53)]
    used: Units
    part: Text = ""
    provider: Text = ""
    requested: Units = {}
    at: Annotated[str, Meta(max_length=40)] = ""
    payer: Text = ""
    final: bool = False


class Reports(Asked, frozen=True):
    """Several reports of one session, taken in order; each gets an answer of its own."""

    reports: Annotated[tuple[Report, ...], Meta(min_length=1, max_length=1000)]


class Confirmed(Asked, frozen=True):
    """The receiver of a part that fell silent confirms what it still got: at most what was granted for one interval."""

    used: Units
    part: Text = ""
    provider: Text = ""


class Change(Asked, frozen=True):
    """Change a session while it runs, all at once or not at all.

    ``providers`` names for a part who delivers it from now on; ``attributes`` those whose values change (a quality, a
    model); ``reprice`` takes the catalog now in force; ``join`` and ``leave`` are payers who come and go. ``plan`` goes
    over to another plan that was made for this session, by its ``scenario`` (the preferred one, when empty), alone.
    """

    providers: Annotated[dict[Name, Name], Meta(max_length=100)] = {}
    attributes: Annotated[dict[Name, Text], Meta(max_length=50)] = {}
    reprice: bool = False
    join: Annotated[tuple[PayerUse, ...], Meta(max_length=100)] = ()
    leave: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    plan: Text = ""
    scenario: Text = ""


class Chosen(Asked, frozen=True):
    """Accept a ``plan``: a session opens by its ``scenario`` (the preferred one, when empty).

    ``requested`` units are granted first; without any, the service's own slice, or all that was planned for.
    """

    plan: Name
    scenario: Text = ""
    requested: Units = {}


class ChosenInput(Asked, frozen=True):
    """Which scenario of a plan is accepted, and how many units are granted first; as ``Chosen``."""

    scenario: Text = ""
    requested: Units = {}


class LapsePlan(Asked, frozen=True):
    """Look after a plan that nobody accepted in time."""

    plan: Name


class Accepted(Asked, frozen=True):
    """Accept an offer: fetch ``amount`` (what is needed, when empty) by the payer's means of payment, once."""

    offer: Name
    amount: Annotated[str, Meta(max_length=42, pattern=r"^([0-9]{1,40}(\\.[0-9]{1,40})?)?$")] = ""
    payer: Text = ""


class Ended(Asked, frozen=True):
    """End a session; what was used up to then is reported before."""

    reason: Text = "ended"


class Due(Asked, frozen=True):
    """Look after a session whose time has come, or for whose payers value came in."""


class SessionCommand(msgspec.Struct, frozen=True, gc=False):
    """One thing asked of a session; ``provider`` or ``payer`` is whom the caller speaks for, if anybody.

    ``session`` is empty where a plan lapses: there is none.
    """

    session: str
    given: SessionAsked | Chosen | Report | Confirmed | Change | Accepted | Ended | Due | LapsePlan
    provider: str = ""
    payer: str = ""
