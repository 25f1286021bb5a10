"""Usage as it comes over HTTP: a batch of records or CloudEvents, through the same door as usage files.

A record that is already in its one form takes a short way; anything else goes the long way, which names what is wrong.
A record that can not be read is written down as refused, as in a file; the good ones go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC
from typing import Any

import msgspec
from blake3 import blake3

from apportion.adapters.usage import parse, usage_door
from apportion.engine.operations import RECORDS_MAX
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, RejectUsage
from apportion.model.usage import Usage

_PLAIN = re.compile(r"0|[1-9][0-9]{0,15}|(?:0|[1-9][0-9]{0,15})\.[0-9]{0,15}[1-9]", re.ASCII).fullmatch
_USAGES = msgspec.json.Decoder(list[Usage])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_ENCODE = msgspec.json.Encoder().encode
_FINE = re.compile(rb"\.[0-9]{7,}[Zz+-]")  # finer than microseconds: cut off the long way, rounded the short one

Command = ChargeUsage | RejectUsage
MayWrite = Callable[[str], bool]


class Event(msgspec.Struct, frozen=True):
    """A CloudEvent 1.0 in JSON, structured mode; extension attributes are allowed and ignored."""

    specversion: str
    id: str
    source: str
    type: str
    data: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b""))
    subject: str = ""
    time: str = ""
    datacontenttype: str = "application/json"
    data_base64: str = ""


_EVENT = msgspec.json.Decoder(Event)


class Receiving:
    """The door for one catalog; kept as long as that is in force."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._door = usage_door(catalog.services, catalog.zone)
        self._known = {id: _Known(service) for id, service in catalog.services.items()}

    def usages(self, body: bytes, may_write: MayWrite) -> list[Command]:
        """The commands of a JSON list of usage records.

        Raises:
            Refused: BAD_INPUT when it is no list, or has too many records.
            Forbidden: a source is not this key's to write.
        """
        try:
            usages = _USAGES.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            usages = []
        if usages and len(usages) <= RECORDS_MAX and _unambiguous(body, usages) and all(map(self._plain, usages)):
            _permit({usage.source for usage in usages}, may_write)
            return [ChargeUsage(usage) for usage in usages]
        return self._slowly([bytes(raw) for raw in _bounded(_decoded(_RAWS, body))], may_write)

    def events(self, body: bytes, media: str, may_write: MayWrite) -> list[Command]:
        """The commands of one CloudEvent, or of a batch of them.

        Raises:
            Refused: BAD_INPUT when it is no CloudEvent; Forbidden as above.
        """
        batch = media == "application/cloudevents-batch+json"
        raws = [bytes(raw) for raw in _bounded(_decoded(_RAWS, body))] if batch else [body]
        return self._slowly([_record(raw) for raw in raws], may_write)

    def _slowly(self, raws: list[bytes], may_write: MayWrite) -> list[Command]:
        commands = [self._command(raw) for raw in raws]
        _permit({c.usage.source if isinstance(c, ChargeUsage) else c.source for c in commands}, may_write)
        return commands

    def _command(self, raw: bytes) -> Command:
        try:
            return ChargeUsage(self._door.record(raw))
        except Refused as error:
            source = _text_at(raw, "source")
            if not source:
                raise
            return RejectUsage(source, self._door.name(raw), blake3(raw).digest(), error.refusal)

    def _plain(self, usage: Usage) -> bool:
        """Whether the long way would leave a record as it is."""
        known = self._known.get(usage.service)
        if known is None or usage.parts or not usage.payers or usage.start.tzinfo is not UTC:
            return False
        if usage.end is not None and (usage.end.tzinfo is not UTC or usage.end < usage.start):
            return False
        if not (known.measures >= usage.quantities.keys() and known.attributes >= usage.attributes.keys()):
            return False
        texts = [usage.source, usage.id, *usage.attributes.values()]
        for payer in usage.payers:
            if payer.weight or payer.quantities:
                return False
            texts.append(payer.payer)
        if len(usage.payers) > 1 and len({payer.payer for payer in usage.payers}) < len(usage.payers):
            return False
        return (
            1970 <= usage.start.year < 9000
            and all(map(_simple, texts))
            and all(_PLAIN(text) is not None for text in usage.quantities.values())
        )


def _unambiguous(body: bytes, usages: list[Usage]) -> bool:
    """Whether nothing in a body is said twice, escaped, or finer than it is read."""
    return b"\\" not in body and body.count(b'"') == _ENCODE(usages).count(b'"') and not _FINE.search(body)


def _simple(text: str) -> bool:
    return 0 < len(text) <= 255 and text.isascii() and text.isprintable() and text[0] != " " and text[-1] != " "


class _Known:
    """The names that records of a service may use."""

    def __init__(self, service: Service) -> None:
        self.measures = frozenset(service.measures)
        self.attributes = frozenset([*service.attributes, *service.personal, *service.evidence])


class Forbidden(Exception):
    """The key may not write this source."""

    def __init__(self, source: str) -> None:
        super().__init__(f"This key may not write the usage source {ascii(source[:60])}.")


def _permit(sources: Any, may_write: MayWrite) -> None:
    for source in sources:
        if not may_write(source):
            raise Forbidden(source)


def _decoded(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except RecursionError:
        raise refuse(RefusalCode.BAD_INPUT, "The body is nested too deeply.", fix="Send usage records.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        fix = "A list of usage records, or CloudEvents 1.0 in JSON: see /docs."
        raise refuse(RefusalCode.BAD_INPUT, f"The body can not be read: {error}.", fix=fix) from None


def _bounded(records: list[Any]) -> list[Any]:
    if len(records) > RECORDS_MAX:
        raise refuse(RefusalCode.BAD_INPUT, f"has more than {RECORDS_MAX:,} records.", fix="Split the request.")
    return records


def _record(raw: bytes) -> bytes:
    """The usage record that an event carries, as JSON."""
    parse(raw)  # refuses what is said twice
    event: Event = _decoded(_EVENT, raw)
    if event.specversion != "1.0":
        raise refuse(RefusalCode.BAD_INPUT, "is not 1.0.", field="specversion", fix="Send CloudEvents 1.0.")
    if event.data_base64 or event.datacontenttype.partition(";")[0].strip() != "application/json":
        raise refuse(RefusalCode.BAD_INPUT, "the data is not JSON.", field="datacontenttype", fix="Send JSON data.")
    fields: dict[str, Any] = _decoded(_FIELDS, bytes(event.data)) if event.data else {}
    for field in ("source", "id"):
        if field in fields:
            raise refuse(
                RefusalCode.BAD_INPUT, "stands in the event itself.", field=f"data.{field}", fix="Leave it out."
            )
    more: dict[str, Any] = {"source": event.source, "id": event.id}
    if "service" not in fields:
        more["service"] = event.type
    if "start" not in fields and event.time:
        more["start"] = event.time
    if "payers" not in fields and event.subject:
        more["payers"] = [{"payer": event.subject}]
    return msgspec.json.encode(fields | more)


def _text_at(raw: bytes, field: str) -> str:
    try:
        return _TEXT.decode(_FIELDS.decode(raw)[field])[:255]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        return ""
