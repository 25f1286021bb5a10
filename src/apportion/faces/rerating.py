"""Re-rating at a node: ``client.reratings``.

for page in client.reratings.pages(RerateInput("ride", start="2026-10-01T00:00:00Z", dry_run=True)):
    print(page.looked, page.corrected)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from apportion.engine.rerating.door import LeftRow, RepricedRow, RerateAnswer, RerateInput
from apportion.money import Exact
from apportion.money.exact import decimal_text


class Reratings:
    """Charges priced again by a corrected catalog."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def page(self, given: RerateInput, *, idempotency_key: str = "") -> RerateAnswer:
        """One page of a run; ``next`` asks for the next one.

        Raises:
            Refused: NOT_FOUND for a catalog or payer that there is not; UNKNOWN_SERVICE, BAD_TIME.
        """
        answer: RerateAnswer = self._ask("rerate", given=given, key=idempotency_key)
        return answer

    def pages(self, given: RerateInput) -> Iterator[RerateAnswer]:
        """A whole run, page by page."""
        while True:
            page = self.page(given)
            yield page
            if not page.next:
                return
            given = msgspec.structs.replace(given, after=page.next, catalog=page.catalog)


def summed(pages: Iterable[RerateAnswer]) -> RerateAnswer:
    """What all pages of a run come to, by account and by reason."""
    rows: dict[tuple[str, str, str], RepricedRow] = {}
    left: dict[str, LeftRow] = {}
    looked = corrected = 0
    catalog, dry = "", False
    for page in pages:
        catalog, dry = page.catalog, page.dry
        looked, corrected = looked + page.looked, corrected + page.corrected
        for row in page.rows:
            key = (row.role, row.account, row.currency)
            rows[key] = _row(rows[key], row) if key in rows else row
        for one in page.left:
            before = left.get(one.reason)
            left[one.reason] = (
                one if before is None else msgspec.structs.replace(before, count=before.count + one.count)
            )
    return RerateAnswer(catalog, dry, looked, corrected, tuple(rows.values()), tuple(left.values()))


def _row(one: RepricedRow, other: RepricedRow) -> RepricedRow:
    names = ("before", "after", "change")
    sums = {name: _sum(getattr(one, name), getattr(other, name)) for name in names}
    return msgspec.structs.replace(one, charges=one.charges + other.charges, **sums)


def _sum(one: str, other: str) -> str:
    scale = len(one.partition(".")[2])
    total = Exact.parse(one) + Exact.parse(other)
    return decimal_text(total.num * 10**scale // total.den, scale)
