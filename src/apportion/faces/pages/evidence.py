"""The evidence pack of a chargeback as one page, to print or to upload to the processor."""

from __future__ import annotations

from apportion.engine.payments.returns import Evidence
from apportion.faces.pages.build import page
from apportion.stages.statement import grouped


def evidence_page(evidence: Evidence) -> str:
    """A chargeback's evidence as one HTML file: what was paid, for what, and every charge behind it."""
    return page("evidence.html", e=evidence, s=evidence.statement, plain=_plain)


def _plain(amount: str) -> str:
    """An amount of the books without the zeros that nobody reads, but with cents."""
    whole, point, part = amount.partition(".")
    return grouped(whole + point + part.rstrip("0").ljust(2, "0")) if point else grouped(amount)
