"""What a person says of service levels, decided on the working set: a credit approved or waived, an outage reported."""

from __future__ import annotations

import msgspec

from apportion.engine.levels.booking import adjusted
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.model.command import Outcome
from apportion.model.ids import key_id
from apportion.model.level import LEVEL, DecideLevel, LevelCommand, LevelLine, LevelState, OutageLine, ReportOutage

_LINE, _OUTAGE = msgspec.json.Decoder(LevelLine), msgspec.json.Decoder(OutageLine)


class LevelDecision(Unforeseen):
    """A LevelCommand; ``decide`` answers with the id of the level or outage."""

    def __init__(self, command: LevelCommand, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command = self.command
        try:
            if isinstance(command, DecideLevel):
                return _decided(work, command)
            return _reported(work, self.terms, command)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)


def _decided(work: Work, command: DecideLevel) -> Outcome:
    """Book or waive the credit of a level in review; the same answer again changes nothing."""
    found = work.course(command.id) if command.id.startswith(LEVEL) else b""
    if not found:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    line = _LINE.decode(found)
    wanted = LevelState.APPROVED.value if command.approve else LevelState.WAIVED.value
    if line.state == wanted:
        return Outcome(None, line.id)
    if line.state != LevelState.REVIEW.value:
        raise refuse(
            RefusalCode.CONFLICT, f"it waits for nobody: it is {line.state}.", field="id",
            fix="Give money back by a correction of a charge instead.",
        )  # fmt: skip
    line = msgspec.structs.replace(line, n=line.n + 1, at=work.at, state=wanted, reason=command.reason)
    if command.approve:
        adjusted(work, line)
    else:
        work.append(work.move(line))
    return Outcome(None, line.id)


def outage_id(provider: str, service: str, start: str) -> str:
    """``out_…`` of a provider, a service (all when empty) and when it went down."""
    return key_id("out", proof.record_key("outage", f"{provider}\x00{service}\x00{start}"))


def _reported(work: Work, terms: Terms, command: ReportOutage) -> Outcome:
    """Note an outage; a provider may not shorten one, nor change what the operator said."""
    if command.provider not in terms.catalog.providers:
        raise refuse(RefusalCode.UNKNOWN_PROVIDER, f"there is no provider {command.provider[:60]!r}.", field="provider")
    if command.service:
        terms.service(command.service)
    id = outage_id(command.provider, command.service, command.start)
    found = work.course(id)
    known = _OUTAGE.decode(found) if found else None
    if known is not None and (known.end, known.reason, known.by) == (command.end, command.reason, command.by):
        return Outcome(None, id)
    if known is not None and command.by and (known.by != command.by or command.end < known.end):
        raise refuse(
            RefusalCode.CONFLICT, "nobody speaks well of itself.", field="end",
            fix="A provider may report that it was down for longer; the operator says the rest.",
        )  # fmt: skip
    line = OutageLine(
        id=id, n=known.n + 1 if known is not None else 1, at=work.at, provider=command.provider, start=command.start,
        end=command.end, service=command.service, by=command.by, reason=command.reason,
    )  # fmt: skip
    work.append(work.move(line))
    return Outcome(None, id)
