"""The report: verdicts as rows with their evidence, what they come to, and the disputes that are ready to be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from blake3 import blake3

from apportion.model.charge import Charge
from apportion.model.reconciliation import Drift, Measured, ReadyDispute, Reconciled, Tallied, Verdict
from apportion.money import Asset, Exact
from apportion.money.exact import decimal_text
from apportion.money.rounding import Rounding, round_to
from apportion.stages.meter.compare import Found, Manner, Ours, Theirs, by_use, credited, measured
from apportion.stages.meter.reconcile import UNKNOWN

_ZERO = Exact(0)
_LEAVE = "They ask for less than they were credited. Correct the charge, or leave it."
_NO_AMOUNT = "Their row has no amount, so there is nothing to dispute."
_A_SUM = "A sum is of many charges: reconcile its single uses to dispute one."
_FOREIGN = "The charge is in another currency: open the dispute with the amount in that one."
Elsewhere = Callable[[str, str], Charge | None]


class Showing:
    """Makes the rows of a report for a ``provider``.

    ``numbers`` are the lines of their file by place; ``elsewhere`` finds a charge whoever delivered it, for those who
    may know.
    """

    def __init__(
        self,
        provider: str,
        manner: Manner,
        numbers: Sequence[int],
        told: Callable[[int], str],
        assets: dict[str, Asset],
        elsewhere: Elsewhere | None,
    ) -> None:
        self._provider, self._manner, self._numbers, self._told = provider, manner, numbers, told
        self._assets, self._elsewhere = assets, elsewhere

    def row(self, found: Found) -> Reconciled:
        """One verdict with its evidence."""
        row, first = found.theirs, found.ours[0] if found.ours else None
        stands = stand(found)
        standing = credited(stands)
        claimed = row.amount if row is not None else None
        apart = claimed - standing if claimed is not None else (-standing if row is None else None)
        at = first.at if first is not None else row.at if row is not None else None
        charged = next((one for one in found.ours if one.charge), None)
        shown = Reconciled(
            verdict=found.verdict.value,
            why=", ".join(found.why),
            by=found.by,
            row=self._numbers[row.row] if row is not None else 0,
            digest=row.digest if row is not None else "",
            source=_one((one.source for one in found.ours), row.source if row else ""),
            id=_one((one.id for one in found.ours), row.id if row else ""),
            service=_one((one.service for one in found.ours), row.service if row else ""),
            part=", ".join(dict.fromkeys(one.part for one in found.ours)) or (row.part if row else ""),
            start=self._told(at) if at is not None and not (row and row.summed) else "",
            period=row.period if row is not None else "",
            usage=first.usage if first is not None else "",
            uses=len({one.usage for one in stands}),
            claimed_uses="" if row is None or row.uses is None else str(row.uses),
            charge=charged.charge if charged is not None else "",
            entry=charged.entry if charged is not None else "",
            quantities=tuple(self._quantities(row, stands)),
            currency=currency_of(found),
            claimed=_text(claimed),
            portion=_text(sum((one.portion for one in stands), _ZERO)) if stands else "",
            standing=_text(standing) if stands else "",
            difference=_text(apart),
        )
        return self._disputable(shown, found)

    def _quantities(self, row: Theirs | None, ours: tuple[Ours, ...]) -> Iterable[Measured]:
        said = row.quantities if row is not None else {}
        accepted = [one for one in ours if not one.reason]
        names = dict.fromkeys([*sorted(said), *sorted({name for one in ours for name in one.quantities})])
        all_units, charged_units = by_use(ours), by_use(accepted)
        for name in names if row is None or row.quantities or not row.summed else ():
            theirs, have, taken = said.get(name), measured(all_units, name), measured(charged_units, name)
            if have is not None and taken is None:
                taken = _ZERO
            apart = theirs - (have or _ZERO) if theirs is not None else None
            within = theirs is None or self._manner.quantity.within(theirs, have or _ZERO)
            yield Measured(name, _text(theirs), _text(have), _text(taken), _text(apart), within)

    def _disputable(self, shown: Reconciled, found: Found) -> Reconciled:
        """The row with a dispute that can be opened, or why there is none."""
        row = found.theirs
        if found.verdict is Verdict.MATCHED:
            return shown
        if row is not None and (row.summed or len({one.usage for one in found.ours}) > 1):
            return msgspec.structs.replace(shown, note=_A_SUM)
        if found.verdict is Verdict.EXTRA:
            return self._by_another(shown, row) if row is not None and found.why == (UNKNOWN,) else shown
        if not shown.charge or "currency" in found.why:
            return shown
        if row is not None and row.amount is None:
            return msgspec.structs.replace(shown, note=_NO_AMOUNT)
        apart = (row.amount or _ZERO if row is not None else _ZERO) - credited(found.ours)
        if row is not None and "amount" not in found.why:
            return shown
        if apart > _ZERO and any(one.foreign for one in found.ours):
            return msgspec.structs.replace(shown, note=_FOREIGN)
        if apart > _ZERO:
            return self._ready(shown, apart, found.ours[0].part, "")
        return msgspec.structs.replace(shown, note=_LEAVE) if apart < _ZERO else shown

    def _by_another(self, shown: Reconciled, row: Theirs | None) -> Reconciled:
        """A row whose use is charged, though another delivered it by our books."""
        charge = self._elsewhere(shown.source, shown.id) if self._elsewhere is not None and shown.id else None
        if charge is None or row is None:
            return shown
        parts = [one for one in charge.portions if row.part in ("", one.part)]
        who = list(dict.fromkeys(one.provider for one in parts))
        shown = msgspec.structs.replace(
            shown, why=f"delivered by {' and '.join(who)} by our books" if who else "no such part", charge=charge.id,
            usage=charge.usage, service=charge.service, currency=shown.currency or charge.currency,
        )  # fmt: skip
        if row.amount is None or row.currency not in ("", charge.currency) or len(who) != 1 or len(parts) != 1:
            return msgspec.structs.replace(shown, note=_NO_AMOUNT if row.amount is None else "")
        return self._ready(shown, row.amount, parts[0].part, who[0])

    def _ready(self, shown: Reconciled, apart: Exact, part: str, against: str) -> Reconciled:
        """The dispute about an amount, cut to what the currency counts."""
        asset = self._assets.get(shown.currency)
        if asset is None:
            return shown
        whole = round_to(apart, asset.scale, Rounding.DOWN)
        atoms = whole.num * asset.unit // whole.den
        if atoms <= 0:
            return shown
        what = "; ".join(
            f"{one.measure}: {one.theirs} by theirs, {one.ours or 'nothing'} by ours"
            for one in shown.quantities
            if not one.within
        )
        reason = f"By the records of {self._provider} (a row with the digest {shown.digest}) it earned "
        reason += f"{shown.claimed} {shown.currency}, by our books {shown.standing or '0'}." + (
            f" {what}." if what else ""
        )
        mark = "\x00".join((self._provider, shown.charge, part, against, shown.digest))
        return msgspec.structs.replace(
            shown,
            dispute=ReadyDispute(
                shown.charge, part, self._provider, decimal_text(atoms, asset.scale), reason,
                f"reconciled {blake3(mark.encode()).hexdigest(16)}", against,
            ),
        )  # fmt: skip


def tallied(found: Iterable[Found]) -> tuple[Tallied, ...]:
    """How many rows ended in each verdict, and what they come to, by currency."""
    sums: dict[tuple[str, str], tuple[int, Exact, Exact]] = {}
    for one in found:
        key = one.verdict.value, currency_of(one)
        count, claimed, standing = sums.get(key, (0, _ZERO, _ZERO))
        said = one.theirs.amount if one.theirs is not None else None
        sums[key] = count + 1, claimed + (said or _ZERO), standing + credited(stand(one))
    order = [verdict.value for verdict in Verdict]
    return tuple(
        Tallied(verdict, currency, count, _text(claimed), _text(standing), _text(claimed - standing))
        for (verdict, currency), (count, claimed, standing) in sorted(
            sums.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    )


def digest_of(found: Iterable[Found], records: str, *sums: object) -> str:
    """The digest of a report: of what became of each row and each use in any order, and of the sums."""
    lines = sorted(
        "\x00".join(
            (
                one.verdict.value, *one.why, "", one.theirs.digest if one.theirs is not None else "",
                *(f"{mine.key} {mine.charge} {_text(mine.standing)}" for mine in one.ours),
            )
        )
        for one in found
    )  # fmt: skip
    return blake3("\n".join([records, *lines]).encode() + msgspec.json.encode(sums)).hexdigest()


def currency_of(found: Found) -> str:
    """The currency of a verdict: that of the row, else of ours."""
    said = found.theirs.currency if found.theirs is not None else ""
    return said or _one((one.currency for one in found.ours), "")


def stand(found: Found) -> tuple[Ours, ...]:
    """Those of ours that a verdict counts; behind a row too many they are only what it was taken for."""
    return () if found.verdict is Verdict.EXTRA else found.ours


def drifted(found: Iterable[Found], manner: Manner) -> tuple[Drift, ...]:
    """Sums over everything that was compared: each measure that they name, then each currency that they ask for."""
    theirs: dict[tuple[bool, str], Exact] = {}
    ours: dict[tuple[bool, str], Exact] = {}
    for one in found:
        stands = stand(one)
        units = by_use(stands)
        for name in {name for part in stands for name in part.quantities}:
            _add(ours, (False, name), measured(units, name) or _ZERO)
        for part in stands:
            if part.currency:
                _add(ours, (True, part.currency), part.standing)
        if one.theirs is not None:
            for name, said in one.theirs.quantities.items():
                _add(theirs, (False, name), said)
            code = one.theirs.currency or next((part.currency for part in one.ours if part.currency), "")
            if one.theirs.amount is not None:
                _add(theirs, (True, code), one.theirs.amount)
    drifts = []
    for key in sorted(theirs):
        said, have = theirs[key], ours.get(key, _ZERO)
        tolerance = manner.amount if key[0] else manner.quantity
        drifts.append(Drift(key[1], _text(said), _text(have), _text(said - have), tolerance.within(said, have)))
    return tuple(drifts)


def _add(sums: dict[tuple[bool, str], Exact], key: tuple[bool, str], more: Exact) -> None:
    sums[key] = sums.get(key, _ZERO) + more


def _text(value: Exact | None) -> str:
    return value.reduced().text() if value is not None else ""


def _one(values: Iterable[str], otherwise: str) -> str:
    """The value that all have; nothing when they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else "" if found else otherwise
