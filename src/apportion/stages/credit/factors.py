"""The factors of trust: what of a history counts, as numbers from 0 to 1, and the only way in which each may count.

Counts and ratios of one payer's own amounts, nothing else: another currency or scale changes no factor, and nothing
about the person is asked. Paying more, or earlier, moves no factor to its bad side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from apportion.model.credit import History, Month
from apportion.money import Exact, round_to

WINDOW = 6
PLACES = 6
_ZERO, _ONE = Exact(0), Exact(1)
_MARKS = {"paying": (1, 400), "paying-more": (3, 200), "paying-much": (1, 10)}


class Factor(NamedTuple):
    """One factor: ``sign`` is the only one its coefficient may have; ``says`` puts a value into words.

    ``about`` says what the factor is, for people who read a model.
    """

    name: str
    sign: int
    read: Callable[[History], Exact]
    says: Callable[[Exact], str]
    about: str


def features(history: History) -> tuple[tuple[str, Exact], ...]:
    """Every factor's value in this history, six decimals each, so that a score can be computed again by hand."""
    return tuple((factor.name, round_to(factor.read(history), PLACES)) for factor in FACTORS)


def ratio(part: int, whole: int) -> Exact:
    """``part`` of ``whole`` between 0 and 1; something of nothing is 1."""
    if part <= 0:
        return _ZERO
    return Exact(part, whole) if part < whole else _ONE


def percent(value: Exact) -> str:
    """A ratio as a person reads it: 0.0125 → ``1.25 %``."""
    return f"{round_to(value * Exact(100), 2).text()} %"


def _window(history: History) -> tuple[Month, ...]:
    return history.months[:WINDOW]


def _overdue(at_least: int) -> Callable[[History], Exact]:
    return lambda history: Exact(int(history.overdue >= at_least))


def _late(at_least: int) -> Callable[[History], int]:
    return lambda history: sum(month.months_late >= at_least for month in _window(history))


def _ever_late(at_least: int) -> Callable[[History], Exact]:
    count = _late(at_least)
    return lambda history: Exact(int(count(history) > 0))


def _often_late(at_least: int) -> Callable[[History], Exact]:
    count = _late(at_least)
    return lambda history: Exact(count(history), WINDOW)


def _shortfall(history: History) -> Exact:
    """What the statement before the newest asked for and nobody has paid, as a part of the credit line."""
    if len(history.months) < 2:
        return _ZERO
    newest, before = history.months[:2]
    return ratio(before.billed - max(0, newest.paid), newest.limit)


def _part_paid(history: History) -> Exact:
    """Months whose payments were less than the statement before them had asked for."""
    months = history.months[: WINDOW + 1]
    pairs = zip(months, months[1:], strict=False)
    return Exact(sum(before.billed > max(0, newer.paid) for newer, before in pairs), WINDOW)


def _utilisation(history: History) -> Exact:
    """How much of the credit line the statements took up, on average over six months."""
    total = _ZERO
    for month in _window(history):
        total += ratio(month.billed, month.limit)
    return total * Exact(1, WINDOW)


def _paying(name: str) -> Callable[[History], Exact]:
    num, den = _MARKS[name]

    def read(history: History) -> Exact:
        paid = sum(max(0, month.paid) for month in _window(history))
        lines = sum(max(0, month.limit) for month in _window(history))
        return ratio(paid * den, lines * num)

    return read


def _either(yes: str, no: str) -> Callable[[Exact], str]:
    return lambda value: yes if value else no


def _count_of(what: str) -> Callable[[Exact], str]:
    return lambda value: f"Months {what}, of the last six: {(value * Exact(WINDOW) + Exact(1, 2)).floor()}"


def _paying_says(name: str) -> Callable[[Exact], str]:
    mark = Exact(*_MARKS[name])

    def says(value: Exact) -> str:
        if value == _ONE:
            return f"Payments average at least {percent(mark)} of the credit line a month"
        return f"Payments average {percent(mark * value)} of the credit line a month, less than {percent(mark)}"

    return says


FACTORS = (
    Factor(
        "overdue", -1, _overdue(1), _either("Something is overdue now", "Nothing is overdue now"),
        "1 when something is overdue now",
    ),
    Factor(
        "overdue-2", -1, _overdue(2),
        _either("Something is overdue by two months now", "Nothing is overdue by two months now"),
        "1 when something is overdue by two months",
    ),
    Factor(
        "ever-late", -1, _ever_late(1),
        _either("A payment was late in the last six months", "No payment was late in the last six months"),
        "1 when a payment was late in six months",
    ),
    Factor(
        "ever-late-2", -1, _ever_late(2),
        _either("A payment was two months late in the last six", "No payment was two months late in the last six"),
        "1 when a payment was two months late in six",
    ),
    Factor(
        "often-late", -1, _often_late(1), _count_of("with a late payment"),
        "months with a late payment, of six",
    ),
    Factor(
        "often-late-2", -1, _often_late(2), _count_of("with a payment two months late"),
        "months with one two months late, of six",
    ),
    Factor(
        "shortfall", -1, _shortfall,
        lambda value: f"What was asked for last and is not paid is {percent(value)} of the credit line",
        "asked for last and not paid, of the line",
    ),
    Factor("part-paid", -1, _part_paid, _count_of("not paid in full"), "months not paid in full, of six"),
    Factor(
        "utilisation", -1, _utilisation,
        lambda value: f"Statements took up {percent(value)} of the credit line on average",
        "open on statements, of the line",
    ),
    *(
        Factor(name, 1, _paying(name), _paying_says(name), f"paid a month, of the line, up to {percent(Exact(*mark))}")
        for name, mark in _MARKS.items()
    ),
)  # fmt: skip
