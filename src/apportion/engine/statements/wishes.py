"""How payers want their statements: what their agreements say, and where these say nothing, their profiles."""

from __future__ import annotations

from apportion.model.catalog import Catalog
from apportion.model.profile import Billing
from apportion.stages.statement import Manner

PLATFORM = "platform"


class Wishes:
    """What a catalog version says of the statements of its payers."""

    def __init__(self, catalog: Catalog, platform: str) -> None:
        self._catalog, self._platform = catalog, catalog.name or platform
        self._agreed: dict[str, Billing] = {}
        for agreement in catalog.agreements.values():
            if agreement.payer and agreement.billing != Billing():
                known = self._agreed.get(agreement.payer, Billing())
                self._agreed[agreement.payer] = known.over(agreement.billing)

    def billing(self, payer: str) -> Billing:
        """How a payer wants to be billed; an agreement goes before the profile, field by field."""
        known = self._catalog.payers.get(payer) or self._catalog.unknown_payers
        profile = self._catalog.profiles.get(known.profile) if known is not None else None
        return self._agreed.get(payer, Billing()).over(profile.billing if profile is not None else Billing())

    def manner(self, payer: str) -> Manner:
        """How its charges are to be presented."""
        billing = self.billing(payer)
        own = billing.issuer if billing.issuer in self._catalog.providers else ""
        return Manner(billing.statements == "per-provider", billing.detail == "providers", own)

    def parent(self, payer: str) -> str:
        """Who pays for what a department uses; empty when it does."""
        known = self._catalog.payers.get(payer)
        return known.parent if known is not None else ""

    def email(self, payer: str) -> str:
        """Where statements are to be sent to; empty when they are not."""
        known = self._catalog.payers.get(payer)
        return known.email if known is not None and self.billing(payer).channel == "email" else ""

    def face(self, payer: str, homes: set[str]) -> str:
        """The provider that sends the one statement, as the user's face; empty for the platform.

        ``homes`` are the home providers that the charges on it came through.
        """
        wanted = self.billing(payer).issuer
        if wanted:
            return wanted if wanted in self._catalog.providers else ""
        return next(iter(homes)) if len(homes) == 1 else ""

    def issuer(self, face: str) -> str:
        """The name of a provider that sends statements, or of the platform."""
        known = self._catalog.providers.get(face)
        return (known.name or face) if known is not None else face or self._platform

    def named(self, owner: str, account: str, *, payer: bool) -> str:
        """What a party is called on its documents."""
        known = self._catalog.payers.get(owner) if payer else self._catalog.providers.get(owner)
        return (known.name if known is not None else "") or owner or f"(forgotten {account})"

    def made_up(self, provider: str) -> bool:
        """Whether a provider is invented for an example."""
        known = self._catalog.providers.get(provider)
        return known is not None and known.invented
