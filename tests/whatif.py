"""What-if as tests ask for it: one replay, what it says of a party, and what must always hold of it."""

from __future__ import annotations

from decimal import Decimal

from apportion.engine.engine import Engine
from apportion.engine.whatif.replay import replay
from apportion.model.catalog import Catalog
from apportion.model.whatif import Change, ChangeKind, WhatIf, WhatIfInput

Row = tuple[str, str, str]


def change(kind: ChangeKind, word: str) -> Change:
    """``change("share", "call.near=5")``."""
    what, _, to = word.partition("=")
    return Change(kind, what, to)


def ask(
    engine: Engine, *changes: Change, period: str = "", catalog: Catalog | None = None, service: str = ""
) -> WhatIf:
    """A replay, whose columns must add up and which must leave the books as they are."""
    before = engine.store.head(engine.tenant, 0)
    found = replay(engine, WhatIfInput(period, service, catalog, changes))
    assert engine.store.head(engine.tenant, 0) == before
    for column in ("booked", "replayed"):
        for currency in {one.currency for one in found.totals}:
            sums = {one.side: Decimal(getattr(one, column)) for one in found.totals if one.currency == currency}
            rows = [one for one in found.parties if one.currency == currency]
            for side, total in sums.items():
                assert sum(Decimal(getattr(one, column)) for one in rows if one.side == side) == total
            borne, earned = ({"payer", "sponsor"}, {"provider", "platform", "tax"})
            sides = [sum(total for side, total in sums.items() if side in some) for some in (borne, earned)]
            assert sides[0] == sides[1]
            served = (Decimal(getattr(one, column)) for one in found.services if one.currency == currency)
            assert sum(served) == sides[0]
    return found


def column(found: WhatIf, name: str) -> dict[Row, Decimal]:
    """One column by side, name and currency, without the zeros."""
    rows = {(one.side, one.name, one.currency): Decimal(getattr(one, name)) for one in found.parties}
    return {key: amount for key, amount in rows.items() if amount}


def same(found: WhatIf) -> bool:
    """Whether the replay is what was booked, to the atom, for everybody."""
    return column(found, "booked") == column(found, "replayed")


def of(found: WhatIf, name: str) -> tuple[str, str]:
    """What somebody has in both columns, without needless zeros."""
    one = next(one for one in found.parties if one.name == name)
    return tuple(f"{Decimal(text).normalize():f}" for text in (one.booked, one.replayed))  # type: ignore[return-value]
