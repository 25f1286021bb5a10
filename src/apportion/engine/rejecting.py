"""Records that could not even be read: nothing received goes unrecorded."""

from __future__ import annotations

from apportion.engine.charging import rejected_line
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import Refusal
from apportion.ledger import proof
from apportion.model.command import Outcome, RejectUsage
from apportion.model.ids import key_id
from apportion.model.usage import UsageClass
from apportion.ports import Key


class RejectDecision(Unforeseen):
    """A record that could not even be read, written down once."""

    def __init__(self, command: RejectUsage) -> None:
        self.command = command
        self.key = proof.record_key(command.source, command.id or command.digest.hex())

    def keys(self) -> tuple[Key, ...]:
        """Its own."""
        return (self.key,)

    def decide(self, work: Work) -> Outcome:
        """Write it down, unless it was before."""
        command, digest = self.command, self.command.digest[:8]
        if self.key not in work.seen:
            line = rejected_line(self.key, command.source, command.id, "", digest, command.refusal)
            work.record(self.key, UsageClass.REJECTED.value, digest, line)
        return Outcome(UsageClass.REJECTED, key_id("usg", self.key), command.refusal)


class RefusalDecision(Unforeseen):
    """One of several that was refused before it came to the writer; the others go on."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    def decide(self, work: Work) -> Outcome:
        return Outcome(UsageClass.REJECTED, "", self.refusal)
