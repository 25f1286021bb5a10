"""Usage as it comes over HTTP: a batch of records or CloudEvents, through the same door as usage files.

A record that is already in its one form takes a short way; anything else goes the long way, which names what is wrong.
A record that can not be read is written down as refused, as in a file; the good ones go on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC
from typing import Any

import msgspec
from blake3 import blake3

from apportion.adapters.lines import LINE_MAX
from apportion.adapters.usage import parse, usage_door
from apportion.engine.operations import RECORDS_MAX
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import Credential
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, RejectUsage
from apportion.model.session_asked import SessionAsked
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
        long = len(body) > LINE_MAX and _too_long(body)
        try:
            usages = [] if long else _USAGES.decode(body)
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
        if batch and len(body) > LINE_MAX:
            _too_long(body)
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
        if known is None or not usage.payers or usage.start.tzinfo is not UTC:
            return False
        if usage.end is not None and (usage.end.tzinfo is not UTC or usage.end < usage.start):
            return False
        if not (known.measures >= usage.quantities.keys() and known.attributes >= usage.attributes.keys()):
            return False
        texts = [usage.source, usage.id, *usage.attributes.values()]
        for part in usage.parts:
            if part.quantities or part.part not in known.parts:
                return False
            texts.append(part.provider)
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
        self.measures, self.parts = frozenset(service.measures), frozenset(service.parts)
        self.attributes = frozenset([*service.attributes, *service.personal, *service.evidence])


class Forbidden(Exception):
    """The key may not write this source, or not of this service, or not name this payer."""

    def __init__(self, name: str, what: str = "write the usage source") -> None:
        super().__init__(f"This key may not {what} {ascii(name[:60])}.")


def bounded(caller: Credential, given: Any) -> None:
    """Hold usage, or the session that is to be opened, against what the key is limited to.

    Raises:
        Forbidden: it is of a service, or names a payer, that the key may not charge.
    """
    if not (caller.services or caller.payers):
        return
    asked: list[Usage | SessionAsked] = [given] if isinstance(given, SessionAsked) else []
    if isinstance(given, list):
        asked += [command.usage for command in given if isinstance(command, ChargeUsage)]
    for one in asked:
        if caller.services and one.service not in caller.services:
            raise Forbidden(one.service, "charge the service")
        for payer in one.payers:
            if caller.payers and payer.payer not in caller.payers:
                raise Forbidden(payer.payer, "charge the payer")


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


class _Counted(msgspec.Struct, gc=False):
    """Any object in a list; one too many ends the reading, before there is memory for millions of them."""

    def __post_init__(self) -> None:
        _count.left -= 1
        if _count.left < 0:
            raise refuse(RefusalCode.BAD_INPUT, f"has more than {RECORDS_MAX:,} records.", fix="Split the request.")


_count = threading.local()
_COUNTER = msgspec.json.Decoder(list[_Counted])


def _too_long(body: bytes) -> bool:
    """Whether a record of a large body is longer than any may be.

    Raises:
        Refused: BAD_INPUT, when it is no list of objects, or has too many.
    """
    _count.left = RECORDS_MAX
    _decoded(_COUNTER, body)
    return any(memoryview(raw).nbytes > LINE_MAX for raw in _decoded(_RAWS, body))


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
        found = _FIELDS.decode(raw)[field]
        return _TEXT.decode(found)[:255] if memoryview(found).nbytes < LINE_MAX else ""
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError):
        return ""
