"""An issued statement that is to be sent by e-mail: the line by which it waits."""

from __future__ import annotations

from collections.abc import Sequence

from apportion.engine.work import Work
from apportion.model.delivery import LetterLine
from apportion.model.journal import StatementLine

PREFIX = "ltr_"


def letter(work: Work, line: StatementLine, address: str) -> Sequence[bytes]:
    """The line by which an issued statement waits to be sent; none where nobody wants it by e-mail."""
    if not address:
        return ()
    return [work.move(LetterLine(id=PREFIX + line.id[4:], due=work.at, n=1, statement=line.id, account=line.account,
                                 at=work.at, state="waiting"))]  # fmt: skip
