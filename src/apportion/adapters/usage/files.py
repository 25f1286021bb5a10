"""The one door for usage files: the ending of the name says the format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from apportion.adapters.lines import numbered_lines
from apportion.adapters.usage.batch import Batch, Intake, read_lines
from apportion.adapters.usage.cells import Instants
from apportion.adapters.usage.csv import CsvDoor
from apportion.adapters.usage.jsonl import JsonDoor
from apportion.adapters.usage.parquet import read_parquet
from apportion.errors import RefusalCode, refuse
from apportion.model.agreement import Service

BATCH_RECORDS = 1000


def read_usage(
    path: str | os.PathLike[str],
    services: Mapping[str, Service],
    *,
    service: str = "",
    source: str = "",
    zone: str = "UTC",
    size: int = BATCH_RECORDS,
) -> Iterator[Batch]:
    """Read a usage file as a stream of batches; memory does not grow with its length.

    Nothing in a file raises: a bad line becomes a reject and the others go on; a bad header, and a file that is
    cut or damaged, end in a reject of their own.

    Args:
        path: ``….csv``, ``….jsonl`` (either also with ``.gz``), ``….parquet``, or ``-`` for JSON Lines on standard
            input.
        services: the catalog's services by id; a service under ``*`` takes every other name.
        service: the service of records that name none.
        source: the source of records that name none; (source, id) is unique for ever.
        zone: the IANA zone of times without an offset.
        size: lines in a batch.

    Raises:
        Refused: BAD_INPUT, when the name's ending is none of these.
        Misconfigured: the zone does not exist, or Parquet is not installed.
    """
    text = os.fspath(path)
    intake = Intake("stdin" if text == "-" else os.path.basename(text), services, service, source, size)
    instants = Instants(zone)
    plain = text.lower().removesuffix(".gz")
    if plain.endswith(".csv"):
        return read_lines(intake, numbered_lines(text), CsvDoor(intake, instants))
    if text == "-" or plain.endswith((".jsonl", ".ndjson")):
        return read_lines(intake, numbered_lines(text), JsonDoor(intake, instants))
    if text.lower().endswith(".parquet"):
        return read_parquet(text, intake, instants)
    raise refuse(
        RefusalCode.BAD_INPUT,
        f"{intake.file!r} has no ending that names a usage format.",
        field="path",
        fix="Use .csv, .jsonl, .csv.gz, .jsonl.gz or .parquet.",
    )


def usage_door(services: Mapping[str, Service], zone: str) -> JsonDoor:
    """The door for single records in JSON that come from elsewhere than a file."""
    return JsonDoor(Intake("request", services), Instants(zone))
