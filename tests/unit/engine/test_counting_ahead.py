"""A settlement that was counted ahead is the one that the writer would have counted alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apportion.adapters.outside import KeyFile
from apportion.engine.settling.counting import count_ahead
from apportion.engine.settling.run import settle
from apportion.model.settlement import Mode
from tests.settling import Counting

Between = Callable[[Counting], object]


def nothing(books: Counting) -> None: ...


def more_rides(books: Counting) -> None:
    books.ride(3, "2.5", "7", payer="ben")


def new_providers(books: Counting) -> None:
    """Accounts that were not there when it was counted."""
    assert books.oblige("sun", "wire", "3.00", "r").refusal is None


def advices(books: Counting) -> None:
    """Advices of a month cover a part of it."""
    from apportion.engine import billing

    books.ride(2)
    books.clock.at = "2026-12-02T10:00:00.000000Z"
    billing.issue(books.engine, who="dora")


@pytest.mark.parametrize("between", [nothing, more_rides, new_providers, advices])
def test_counted_ahead_is_counted_once(tmp_path: Path, between: Between) -> None:
    made = []
    for name in ("ahead", "alone"):
        books = Counting(tmp_path / f"{name}.db", key=KeyFile(None))
        books.ride(4)
        books.one("net")
        books.ride(5, "3.3", "11")
        ahead = count_ahead(books.engine) if name == "ahead" else None
        between(books)
        run = settle(books.engine, Mode.NET, ahead=ahead)
        assert run.made and (ahead is None or ahead.taken)
        (line,) = run.settlements
        made.append((
            line.after, line.upto, line.credited, line.payable, books.pays(line),
            {who: (p.opening, p.credited, p.closing, p.payable) for who, p in books.positions(line).items()},
        ))  # fmt: skip
        assert not settle(books.engine, Mode.NET).made and books.proven() == []
        books.engine.close()
    assert made[0] == made[1]


def test_what_was_counted_before_another_settlement_is_counted_anew(tmp_path: Path) -> None:
    books = Counting(tmp_path / "books.db")
    books.ride(4)
    ahead = count_ahead(books.engine)
    books.one("net")
    books.ride(2)
    run = settle(books.engine, Mode.NET, ahead=ahead)
    assert run.made and not ahead.taken and books.proven() == []
    books.ride(1)
    ahead = count_ahead(books.engine)
    assert settle(books.engine, Mode.NET, ahead=ahead).made and ahead.taken
    books.ride(1)
    assert settle(books.engine, Mode.NET, ahead=ahead).made and books.proven() == []  # it serves once
    books.engine.close()
