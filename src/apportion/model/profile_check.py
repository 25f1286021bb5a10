"""Profiles: that what a user prefers is there, and does not contradict itself."""

from __future__ import annotations

import re

from apportion.model.findings import Findings
from apportion.model.profile import Billing, Preference, Profile

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)


def check_profile(found: Findings, where: str, profile: Profile) -> None:
    """Report what is wrong with a profile, whether the catalog's or one that came with a request."""
    for provider in _preference(found, f"{where}.providers", profile.providers):
        found.exists(f"{where}.providers", "providers", provider)
    for network in _preference(found, f"{where}.networks", profile.networks):
        found.network(f"{where}.networks", network)
    if profile.premium:
        found.number(f"{where}.premium", profile.premium)
    for service in profile.services:
        found.exists(f"{where}.services", "services", service)
    check_billing(found, f"{where}.billing", profile.billing)


def check_billing(found: Findings, where: str, billing: Billing) -> None:
    """How somebody wants to be billed: a currency that there is, and a language tag."""
    if billing.currency:
        found.asset(f"{where}.currency", billing.currency)
    if billing.issuer not in ("", "platform"):
        found.exists(f"{where}.issuer", "providers", billing.issuer)
    if billing.language and not _LANGUAGE.fullmatch(billing.language):
        found.add(f"{where}.language", f"{billing.language[:40]!r} is no language tag.", "Such as en or de-AT.")


def _preference(found: Findings, where: str, preference: Preference) -> list[str]:
    """All names of a preference, each once.

    ``order`` and ``only`` may share names (these alone, and in this order); who is ignored is neither.
    """
    for field in ("order", "only", "ignore"):
        names = getattr(preference, field)
        if len(set(names)) < len(names):
            found.add(f"{where}.{field}", "holds a name twice.", "Keep one.")
    for name in dict.fromkeys(preference.ignore):
        if name in preference.order or name in preference.only:
            found.add(f"{where}.ignore", f"{name[:80]!r} is wanted and ignored at once.", "Name it in one place.")
    return list(dict.fromkeys((*preference.order, *preference.only, *preference.ignore)))
