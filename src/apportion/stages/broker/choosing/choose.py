"""Choosing: the best combination of options, one for each part, exactly.

Nothing here is rounded or guessed: what can not win is dropped, the rest is searched with bounds that never say too
much. A search has a budget of steps; beyond it a solver may help, and what the solver says is checked and proven in
integers. ``proven`` is False on a choice that is only the best one found.
"""

from __future__ import annotations

from apportion.stages.broker.choosing.nearest import miss
from apportion.stages.broker.choosing.optimum import best_plan
from apportion.stages.broker.choosing.program import Solver
from apportion.stages.broker.choosing.question import Aim, Choice, Miss, Question
from apportion.stages.broker.choosing.whole import whole

#: steps of the search before a solver is asked, and after it has answered; a step takes some 3 µs
STEPS = 150_000
PROOF_STEPS = 300_000


def choose(
    question: Question, aim: Aim, solver: Solver | None = None, *, steps: int = STEPS, proof: int = PROOF_STEPS
) -> Choice | Miss:
    """The plan that is least by the aim within every limit, or what the nearest plans would need.

    Args:
        question: the options of each part, all amounts in one unit.
        aim: levels to minimise one after the other; ties go to the smallest ids, part by part.
        solver: asked when the search does not end within ``steps``; then ``proof`` steps prove or improve its answer.

    Returns:
        The best plan, ``proven`` unless the steps ran out, or a Miss.
    """
    empty = tuple(part for part, options in enumerate(question.options) if not options)
    if empty:
        return Miss(empty=empty)
    found, proven = best_plan(question, aim, solver, steps, proof)
    if found is not None:
        return whole(question, aim, found.places, found.taken, proven)
    return miss(question, proven)
