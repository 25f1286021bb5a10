"""A provider's own records against ours: the verbs of ``client.reconciling``.

report = client.reconciling.file("november.csv", provider="hosta", amount="0.005")
opened = client.reconciling.dispute(report)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from apportion.adapters.usage.rows import read_rows
from apportion.engine.disputes.door import DisputeAnswer, DisputeInput
from apportion.engine.reconciling.door import ROWS_MAX, ReconcileInput
from apportion.engine.reconciling.reading import RowInput, bad_first
from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.reconciliation import BadRow, Reconciled, Reconciliation

_CELLS = tuple(name for name in RowInput.__struct_fields__ if name not in ("row", "quantities"))


class OpenedDispute(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a row's dispute: the case, or why there is none."""

    row: int
    charge: str
    amount: str
    case: DisputeAnswer | None = None
    refusal: Refusal | None = None


class Reconciling:
    """Reconciling as the client's key sees it: an operator any provider's records, a provider its own."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def reconcile(self, given: ReconcileInput) -> Reconciliation:
        """Hold a provider's records against our meter and the ledger.

        Raises:
            Refused: NOT_FOUND for another's; UNKNOWN_PROVIDER, BAD_TIME, BAD_QUANTITY, BAD_INPUT.
        """
        return self._ask("reconcile", given=given)

    def file(self, path: str | os.PathLike[str], provider: str = "", **how: Any) -> Reconciliation:
        """The same with the records of a CSV or JSON Lines file; ``how`` are the other fields of ReconcileInput.

        Raises:
            Refused: as ``reconcile``; BAD_INPUT when the file can not be read or has too many rows.
        """
        rows, bad = records(path)
        report = self.reconcile(msgspec.convert({"provider": provider, "rows": rows, **how}, ReconcileInput))
        if not bad:
            return report
        told = bad_first(report.bad, [(one.row, one.refusal) for one in bad])
        return msgspec.structs.replace(report, bad=told, bad_rows=report.bad_rows + len(bad))

    def dispute(self, report: Reconciliation, rows: Iterable[Reconciled] | None = None) -> tuple[OpenedDispute, ...]:
        """Open the disputes that rows of a report (all, when none are named) have ready, each once for ever.

        One that is refused is told, and the others go on.
        """
        chosen = report.rows if rows is None else rows
        return tuple(self._opened(row) for row in chosen if row.dispute is not None)

    def _opened(self, row: Reconciled) -> OpenedDispute:
        ready = row.dispute
        assert ready is not None
        given = DisputeInput(
            ready.charge, ready.reference, ready.amount, ready.part, ready.provider, ready.against, reason=ready.reason
        )
        try:
            case = self._ask("dispute", given=given)
        except Refused as refused:
            return OpenedDispute(row.row, ready.charge, ready.amount, refusal=refused.refusal)
        return OpenedDispute(row.row, ready.charge, ready.amount, case)


def records(path: str | os.PathLike[str]) -> tuple[tuple[RowInput, ...], tuple[BadRow, ...]]:
    """The rows of a provider's file, and those lines that are none.

    Columns that are not the row's own are taken for measures; what no service measures is told in the report.
    """
    sheet = read_rows(path, ROWS_MAX)
    bad = [BadRow(line, refusal) for line, refusal in sheet.bad]
    rows = []
    for line, cells in sheet.found:
        own = {name: cells[name] for name in _CELLS if name in cells}
        rest = {name: text for name, text in cells.items() if name not in own}
        rows.append(RowInput(row=line, quantities=rest, **own))
    if not rows and bad:
        raise Refused(msgspec.structs.replace(bad[0].refusal, where=f"line {bad[0].row}"))
    if not rows:
        raise Refused(Refusal(RefusalCode.BAD_INPUT, "has no rows.", "file", "Send what the provider recorded."))
    return tuple(rows), tuple(bad)
