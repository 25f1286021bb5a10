"""Usage files as the engine takes them: batches of commands, each line either a record to charge or one to refuse."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from blake3 import blake3

from apportion.adapters import usage as usage_files
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, RejectUsage
from apportion.model.tariff import Tariff

Commands = list[ChargeUsage | RejectUsage]


def read_usage(
    path: str | os.PathLike[str], catalog: Catalog, *, service: str = "", source: str = "", zone: str = ""
) -> Iterator[Commands]:
    """A usage file (CSV, JSON Lines, Parquet, ``-`` for standard input) as batches for ``Engine.run``.

    Args:
        path: the file; its ending says the format.
        catalog: whose services and time zone it is read by.
        service: the service of records that name none.
        source: the source of records that name none.
        zone: the zone of times without an offset, the catalog's when not given.

    Raises:
        Refused: the ending names no format.
    """
    zone = zone or catalog.zone
    return commands_of(
        usage_files.read_usage(path, catalog.services, service=service, source=source, zone=zone), source
    )


def commands_of(batches: Iterable[usage_files.Batch], source: str = "") -> Iterator[Commands]:
    """Batches of a reader as batches of commands; a reject belongs to ``source``, or to the file it stands in."""
    for batch in batches:
        commands: Commands = [ChargeUsage(record) for record in batch.records]
        if batch.rejects:
            placed = list(zip(batch.lines, commands, strict=True))
            placed += [(reject.line, _refused(batch, reject, source)) for reject in batch.rejects]
            commands = [command for _, command in sorted(placed, key=lambda pair: pair[0])]
        yield commands


def _refused(batch: usage_files.Batch, reject: usage_files.Rejected, source: str) -> RejectUsage:
    digest = bytes.fromhex(reject.digest)
    if not digest:  # the file itself is at fault
        digest = blake3(f"{batch.file}:{reject.line} {reject.refusal.message}".encode()).digest()
    return RejectUsage(source or batch.file, reject.id, digest, reject.refusal)


def any_service(tariff: Tariff, catalog: Catalog | None = None) -> dict[str, Service]:
    """Stands in for the services when a file is only priced: it takes every name, with what the tariff can price.

    With the tariff's ``catalog`` it also knows what the services of that catalog measure, which is then not priced.
    """
    services = list(catalog.services.values()) if catalog is not None else []
    measures = {c.measure: "" for c in tariff.components if c.measure}
    attributes = [tariff.deck.by] if tariff.deck is not None else []
    parts: dict[str, Part] = {}
    for service in services:
        measures |= service.measures
        attributes += [*service.attributes, *service.personal, *service.evidence]
        parts |= service.parts
    names = tuple(name for name in dict.fromkeys(attributes) if name not in measures)
    return {"*": Service("*", tariff.id, parts, measures=measures, attributes=names)}
