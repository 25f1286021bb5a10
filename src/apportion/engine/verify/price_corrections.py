"""Corrections of prices computed again: the use that the books keep beside the first one, by the catalog named."""

from __future__ import annotations

import msgspec

from apportion.engine.rerating.fresh import asset_of, correction, fresh_charge
from apportion.engine.verify.rerate import Rerating
from apportion.errors import RefusalCode, refuse
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine
from apportion.stages.rate.correct import combine


class PriceCorrections:
    """Rates corrected charges again; ``priced`` is how each was priced last, whatever was given back besides."""

    def __init__(self, rerating: Rerating, first: dict[str, CorrectedLine]) -> None:
        self._rerating, self._first = rerating, first
        self.priced: dict[str, Charge] = {}

    def again(self, line: CorrectedLine, stood: Charge, made: Charge) -> Charge:
        """The correction of a price, computed again; ``made`` tells which tariff the payer has.

        Raises:
            Refused: NOT_FOUND without the use; CONFLICT when the price was right.
        """
        first = self._first.get(line.charge)
        if first is None or first.usage is None or first.was is None:
            raise refuse(RefusalCode.NOT_FOUND, f"the books do not say what was used for {line.charge}.")
        was = first.was
        terms, before = self._rerating.terms(line.cause), self._rerating.terms(was.catalog)
        fresh = fresh_charge(first.usage, was, before, terms, made.tariff)
        priced = self.priced.get(line.charge, was)
        found = correction(priced, fresh, line.cause)
        if found is None:
            raise refuse(RefusalCode.CONFLICT, f"{line.charge} was priced right.")
        self.priced[line.charge] = combine(priced, made, asset_of(was))
        return found if found.sponsor or not made.sponsor else msgspec.structs.replace(found, sponsor=made.sponsor)
