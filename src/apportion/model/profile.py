"""Segmentation profiles: what a user prefers among providers and networks, and how it wants to be billed."""

from __future__ import annotations

from typing import Literal

import msgspec

from apportion.model.market import Objective


class Preference(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which to take first (``order``), which alone (``only``), and which never (``ignore``)."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


class Billing(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How somebody wants to be billed.

    ``statements`` is one for everything or one for each provider; ``detail`` how charges of other providers are
    presented: by item, or as one sum a provider; ``currency``, ``language`` and ``channel`` those of the document.
    ``issuer`` is who sends the one statement: a provider, ``platform``, or, when empty, the home provider that the
    user's plans came through, if it was one and the same, else the platform.
    """

    statements: Literal["", "one", "per-provider"] = ""
    detail: Literal["", "items", "providers"] = ""
    currency: str = ""
    language: str = ""
    channel: Literal["", "download", "webhook", "events", "email"] = ""
    issuer: str = ""

    def over(self, other: Billing) -> Billing:
        """These wishes, and where nothing is said those of ``other``."""
        return Billing(*(getattr(self, name) or getattr(other, name) for name in self.__struct_fields__))


class Profile(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a user prefers; payers and requests name it by its ``id``.

    Preferred providers and networks are taken as far as they fit the limits, whatever the others ask, unless the plan
    then costs more than ``premium`` percent above the cheapest. ``highest_rated`` takes those whose rating is best.
    ``objective`` is the scenario that is preferred. ``services`` bounds it to some; all when there are none.
    """

    id: str = ""
    providers: Preference = Preference()
    networks: Preference = Preference()
    highest_rated: Literal["", "provider", "network"] = ""
    premium: str = ""
    objective: Objective | Literal[""] = ""
    services: tuple[str, ...] = ()
    billing: Billing = Billing()
