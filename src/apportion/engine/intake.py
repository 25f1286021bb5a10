"""Usage in: batches of records through the commit loop, each record ending in exactly one class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from apportion.engine.commit import GROUP, Committer
from apportion.engine.work import Work, encode
from apportion.errors import Refusal
from apportion.ledger import proof
from apportion.model.command import ChargeUsage, Outcome, RejectUsage
from apportion.model.ids import key_id
from apportion.model.journal import ImportLine
from apportion.model.usage import Usage, UsageClass
from apportion.ports import Store

EXAMPLES = 100


class Declined(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record that was not charged: where it stood, its id, and the refusal."""

    source: str
    id: str
    state: str
    refusal: Refusal


class RunSummary(msgspec.Struct):
    """What a run received and where each record ended; ``declined`` holds the first hundred that were not charged.

    received = charged + zero_rated + duplicate + rejected + pending. ``alerts`` counts charges below the providers'
    cost, which a sponsor carried. ``settled`` counts records parked by earlier runs that were charged now.
    """

    received: int = 0
    charged: int = 0
    zero_rated: int = 0
    duplicate: int = 0
    rejected: int = 0
    pending: int = 0
    settled: int = 0
    alerts: int = 0
    declined: list[Declined] = []

    def count(self, command: object, outcome: Outcome) -> None:
        """Add one record's outcome."""
        assert outcome.state is not None
        self.received += 1
        name = outcome.state.value.replace("-", "_")
        setattr(self, name, getattr(self, name) + 1)
        if outcome.below_cost > 0:
            self.alerts += 1
        if outcome.refusal is not None and len(self.declined) < EXAMPLES:
            source, record = _named(command)
            self.declined.append(Declined(source, record, outcome.state.value, outcome.refusal))


def _named(command: object) -> tuple[str, str]:
    if isinstance(command, ChargeUsage):
        return command.usage.source, command.usage.id
    assert isinstance(command, RejectUsage)
    return command.source, command.id


def take_in(
    committer: Committer,
    store: Store,
    batches: Iterable[Sequence[ChargeUsage | RejectUsage]],
    progress: Callable[[RunSummary], None] = lambda summary: None,
) -> RunSummary:
    """Charge everything that ``batches`` yield, after trying parked records once more.

    Each group is durable before it is counted; ``progress`` is told after every group.
    """
    summary = RunSummary()
    _retry_parked(committer, store, summary)
    groups = _tee(_grouped(batches))
    for outcomes in committer.stream(groups.commands()):
        for command, outcome in zip(groups.oldest(), outcomes, strict=True):
            summary.count(command, outcome)
        progress(summary)
    if summary.received:
        _note(committer, summary)
    return summary


class _tee:  # noqa: N801
    """Groups on their way, remembered until their outcomes come back (a few are in flight)."""

    def __init__(self, groups: Iterator[Sequence[ChargeUsage | RejectUsage]]) -> None:
        self._groups = groups
        self._flying: list[Sequence[ChargeUsage | RejectUsage]] = []

    def commands(self) -> Iterator[Sequence[ChargeUsage | RejectUsage]]:
        for group in self._groups:
            self._flying.append(group)
            yield group

    def oldest(self) -> Sequence[ChargeUsage | RejectUsage]:
        return self._flying.pop(0)


def _grouped(
    batches: Iterable[Sequence[ChargeUsage | RejectUsage]],
) -> Iterator[Sequence[ChargeUsage | RejectUsage]]:
    for batch in batches:
        for at in range(0, len(batch), GROUP):
            yield batch[at : at + GROUP]


def _retry_parked(committer: Committer, store: Store, summary: RunSummary) -> None:
    after = b""
    while parked := store.pending(committer.tenant, GROUP, after):
        after = parked[-1][0]
        usages = [msgspec.json.decode(payload, type=Usage) for _, payload in parked]
        outcomes, broken = committer.salvage([ChargeUsage(usage) for usage in usages])
        settled = [outcome.state is not UsageClass.PENDING for outcome in outcomes]
        summary.settled += sum(settled) - len(broken)


def _note(committer: Committer, summary: RunSummary) -> None:
    """Close the run with a line that says how many records ended where, so that nothing goes missing unseen."""
    counts = (
        summary.received,
        summary.charged,
        summary.zero_rated,
        summary.duplicate,
        summary.rejected,
        summary.pending,
    )

    def note(work: Work) -> None:
        key = proof.record_key("import", f"{work.at} {work.head[0]}")
        work.append(encode(ImportLine(key_id("imp", key), work.at, "", *counts)))

    committer.booked(note)
