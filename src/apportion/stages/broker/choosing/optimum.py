"""The optimum: the stages of choosing one after the other, each left out where it is not needed."""

from __future__ import annotations

from apportion.stages.broker.choosing.bounds import Prices, Tables
from apportion.stages.broker.choosing.compiling import compiled
from apportion.stages.broker.choosing.improve import improve
from apportion.stages.broker.choosing.multipliers import Multipliers
from apportion.stages.broker.choosing.program import Solver
from apportion.stages.broker.choosing.question import Aim, Question
from apportion.stages.broker.choosing.ranked import Ranked
from apportion.stages.broker.choosing.route import route
from apportion.stages.broker.choosing.search import Plan, Search
from apportion.stages.broker.choosing.solving import program_of, read

#: tables of their own for every depth cost the square of the parts
_OWN_TABLES = 100_000
_SHORT = 3_000


def best_plan(
    question: Question, aim: Aim, solver: Solver | None, steps: int, proof: int, bits: int = 0
) -> tuple[Plan | None, bool]:
    """The best plan, None when none was found; and whether that is sure."""
    if len(question.options) < 2 and not question.links and not question.bundles and not bits:
        return _single(question, aim), True
    field = compiled(question, aim, bits)
    if not all(field.parts):
        return None, True
    way = route(field)
    availabilities = [[one.availability for one in options] for options in question.options]
    search = Search(way, availabilities, steps)
    tables = prepared(search)
    if tables is None or _searched(search, tables, steps):
        return search.best, not search.cut
    if solver is not None:
        program, columns = program_of(field, question.options)
        answer = solver(program)
        if answer is not None:
            picked = read(answer, columns, way)
            if picked is not None:
                search.consider(picked)
                improve(search, tables[0].prices)
    search.left = proof if solver is not None else 0
    proven = search.left > 0 and search.run(tables) and not search.cut
    return search.best, proven


def _searched(search: Search, tables: list[Tables], steps: int) -> bool:
    """A short search, which is mostly enough; then one that begins with a better plan."""
    search.left = min(steps, _SHORT)
    if search.run(tables):
        return True
    improve(search, tables[0].prices)
    search.left = steps - _SHORT
    if search.left > 0 and search.run(tables):
        return True
    improve(search, tables[0].prices)
    return False


def prepared(search: Search) -> list[Tables] | None:
    """The tables of bounds for every depth; None when they alone prove the best plan met so far, or that none fits."""
    found = Multipliers(search)
    found.find()
    prices = Prices(search.route, found.rates, found.tolls)
    first = Tables(prices)
    if first.base[0] - prices.offset >= search.below:
        return None
    count, items = len(search.field.parts), sum(map(len, search.field.parts))
    if not prices.setups or count * items > _OWN_TABLES:
        return [first] * count
    return [first, *(Tables(prices, depth) for depth in range(1, count))]


def _single(question: Question, aim: Aim) -> Plan | None:
    """One part or none: nothing is combined, the options are looked through."""
    if question.options:
        ranked = Ranked(question.options[0], aim, question.setups, question.base, thin=False)
        place = ranked.place(question.bounds)
        return None if place is None else Plan(0, (place,), ())
    base, bounds = question.base, question.bounds
    num, den = bounds.availability or (0, 1)
    fits = (
        (bounds.fee is None or base.fee <= bounds.fee)
        and (bounds.margin is None or base.net - base.cost >= bounds.margin)
        and (bounds.latency is None or bounds.latency >= 0)
        and num <= den
    )
    return Plan(0, (), ()) if fits else None
