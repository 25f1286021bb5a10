"""Departments and addresses: that a parent is there and pays, and that an address is one."""

from __future__ import annotations

import re

from apportion.model.findings import Findings
from apportion.model.party import Payer

_EMAIL = re.compile(r"[^\s@<>,;:\"\\\x00-\x1f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")


def check_parent(found: Findings, where: str, payer: Payer) -> None:
    """Report a parent that is not there, is no end of the line or counts otherwise, and an address that is none."""
    if payer.email and not _EMAIL.fullmatch(payer.email):
        found.add(f"{where}.email", f"{payer.email[:60]!r} is no e-mail address.", "Such as ada@example.org.")
    if not payer.parent or not found.exists(f"{where}.parent", "payers", payer.parent):
        return
    parent = found.catalog.payers[payer.parent]
    if payer.parent == payer.id or parent.parent:
        fix = "Name the one that pays in the end."
        found.add(f"{where}.parent", f"{payer.parent!r} does not pay for itself.", fix)
    if parent.currency.partition("/")[0] != payer.currency.partition("/")[0]:
        found.add(f"{where}.parent", f"{payer.parent!r} pays in {parent.currency}.", f"Not {payer.currency}.")
    if parent.calendar != payer.calendar:
        found.add(f"{where}.calendar", f"is not that of the parent {payer.parent!r}.", "Bill both by one calendar.")
