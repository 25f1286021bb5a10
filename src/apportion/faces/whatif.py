"""What-if at a node: the verb of ``client.whatif``.

found = client.whatif.replay("2026-10", Change("provider", "edge-north", "budget-cdn"))
for party in found.parties: print(party.side, party.name, party.booked, party.replayed)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apportion.model.catalog import Catalog
from apportion.model.whatif import Change, WhatIf, WhatIfInput


class WhatIfs:
    """Replays of past periods, in which nothing is booked."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def replay(self, period: str = "", *changes: Change, catalog: Catalog | None = None, service: str = "") -> WhatIf:
        """Compare what was booked with what other terms would have given: a whole catalog, changes, or both.

        Without either it is a control.

        Raises:
            Refused: NOT_FOUND where nothing was charged; what is wrong with a change, with its kind as the field.
        """
        found: WhatIf = self._ask("what_if", given=WhatIfInput(period, service, catalog, changes))
        return found
