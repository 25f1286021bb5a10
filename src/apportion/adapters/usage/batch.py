"""Batches: what a usage file gives, a bounded number of records and rejects at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from blake3 import blake3

from apportion.adapters.lines import FileRefused
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.agreement import Service
from apportion.model.references import near
from apportion.model.usage import Usage

BATCH_BYTES = 8 << 20
ANY_SERVICE = "*"


class Rejected(msgspec.Struct, frozen=True):
    """A line that gave no record: its number (from 1), its id when it could be read, why, and its digest.

    ``digest`` is the BLAKE3 (hex) of the raw line, or of the row's JSON in Parquet; empty when the whole file is
    at fault. Of a line over 1 MiB it covers the first MiB.
    """

    line: int
    id: str
    refusal: Refusal
    digest: str = ""


class Batch(msgspec.Struct):
    """Some consecutive lines of ``file``: good ``records`` with their line numbers, and the ``rejects``.

    Records may share their small parts (payers, parts, attributes) with one another: treat them as immutable.
    """

    file: str
    records: list[Usage] = []
    lines: list[int] = []
    rejects: list[Rejected] = []

    def __len__(self) -> int:
        return len(self.records) + len(self.rejects)


class Intake(msgspec.Struct, frozen=True):
    """On what terms a file is read: the catalog's services, and what stands in for columns that are missing.

    ``services`` under the key ``*`` takes every service name that the others do not. ``size`` is the number of
    lines in a batch.
    """

    file: str
    services: Mapping[str, Service]
    service: str = ""
    source: str = ""
    size: int = 1000

    def service_of(self, name: str | None) -> Service:
        """The service that a record names, or the one given for all; UNKNOWN_SERVICE when there is none."""
        name = name or self.service
        found = self.services.get(name) or self.services.get(ANY_SERVICE)
        if found is not None and name:
            return found
        if not name:
            raise refuse(
                RefusalCode.UNKNOWN_SERVICE,
                "is missing.",
                field="service",
                fix="Name it in the record, or for the file.",
            )
        raise refuse(
            RefusalCode.UNKNOWN_SERVICE,
            f"{shown(name)} is not in the catalog.",
            field="service",
            fix=near(name, self.services) or "Add it to the catalog, or correct the name.",
        )


class Gathering:
    """Collects records and rejects of one file and hands them out as batches, by count or by bytes."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._bytes = 0
        self.batch = Batch(intake.file)

    def reject(self, line: int, refusal: Refusal, raw: bytes = b"", name: str = "") -> None:
        """Add a reject; its place becomes ``file:line``."""
        placed = msgspec.structs.replace(refusal, where=f"{self._intake.file}:{line}" if line else self._intake.file)
        digest = blake3(raw).hexdigest() if raw else ""
        self.batch.rejects.append(Rejected(line, name, placed, digest))

    def full(self, more_bytes: int) -> bool:
        """Whether the batch should be handed out, after a line of ``more_bytes`` was added."""
        self._bytes += more_bytes
        return len(self.batch) >= self._intake.size or self._bytes > BATCH_BYTES

    def take(self) -> Batch:
        """The batch so far; a new one begins."""
        done, self.batch, self._bytes = self.batch, Batch(self._intake.file), 0
        return done


class Door:
    """Makes one usage record of one raw line; a format is a subclass."""

    def record(self, line: bytes) -> Usage | None:
        """The record, None when the line is none (a header, a blank); raises Refused when it is bad."""
        raise NotImplementedError

    def name(self, line: bytes) -> str:
        """The id in a line that was refused, as far as it can be read."""
        raise NotImplementedError


def read_lines(intake: Intake, lines: Iterable[tuple[int, bytes]], door: Door) -> Iterator[Batch]:
    """Every line through the door; a bad one becomes a reject, a bad file ends in one."""
    gathering, number = Gathering(intake), 0
    try:
        for number, line in lines:
            try:
                record = door.record(line)
            except Refused as refused:
                gathering.reject(number, refused.refusal, line, door.name(line))
            else:
                if record is None:
                    continue
                gathering.batch.records.append(record)
                gathering.batch.lines.append(number)
            if gathering.full(len(line)):
                yield gathering.take()
    except FileRefused as stop:
        for refusal in stop.refusals:
            gathering.reject(stop.line or number + 1, refusal)
    if len(gathering.batch):
        yield gathering.take()


def shown(text: str, limit: int = 60) -> str:
    """Text of strangers as it may stand in a message: quoted, escaped, short."""
    return ascii(text) if len(text) <= limit else ascii(text[:limit]) + "…"
