"""The evidence pack of a chargeback as one page, to print or to upload to the processor."""

from __future__ import annotations

from apportion.engine.payments.returns import Evidence
from apportion.faces.pages.build import page


def evidence_page(evidence: Evidence) -> str:
    """A chargeback's evidence as one HTML file: what was paid, for what, and every charge behind it."""
    return page("evidence.html", e=evidence, s=evidence.statement)
