"""Broker: which providers deliver a request, over which networks, on which terms.

Owns: matching, choosing, segmentation, negotiation, all pure. Does not own: prices (the rate stage), asking anybody.
"""

from apportion.stages.broker.choosing.choose import choose
from apportion.stages.broker.choosing.nearest import relaxed
from apportion.stages.broker.choosing.program import Program, Solver
from apportion.stages.broker.choosing.question import Choice, Miss, Question
from apportion.stages.broker.choosing.ranked import Ranked

__all__ = ["Choice", "Miss", "Program", "Question", "Ranked", "Solver", "choose", "relaxed"]
