"""Broker: which providers deliver a request, over which networks, on which terms.

Owns: matching, choosing, segmentation, negotiation, all pure. Does not own: prices (the rate stage), asking anybody.
"""

from apportion.stages.broker.choose import choose
from apportion.stages.broker.nearest import relaxed
from apportion.stages.broker.program import Program, Solver
from apportion.stages.broker.question import Choice, Miss, Question
from apportion.stages.broker.ranked import Ranked

__all__ = ["Choice", "Miss", "Program", "Question", "Ranked", "Solver", "choose", "relaxed"]
