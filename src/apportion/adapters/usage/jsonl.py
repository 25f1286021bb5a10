"""JSON Lines: one usage record a line, in the record's own JSON; quantities may be numbers, read from their text."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from apportion.adapters.lines import LINE_MAX
from apportion.adapters.usage.batch import Door, Intake, shown
from apportion.adapters.usage.cells import Instants, ident, label, number, weight
from apportion.adapters.usage.columns import attributes_of
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.agreement import Service
from apportion.model.references import near
from apportion.model.usage import PartUse, PayerUse, Usage

_ENTRIES_MAX = 1000
_PATH = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class _Number:
    """A JSON number, kept as its text: no type but a quantity takes it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class JsonDoor(Door):
    """Decodes a line into a tree, puts each value into its one form, and lets msgspec check the shape."""

    def __init__(self, intake: Intake, instants: Instants) -> None:
        self._intake, self._instants = intake, instants

    def record(self, line: bytes) -> Usage:
        """The record of a line; raises Refused naming the path at fault, such as ``payers[1].weight``."""
        tree = parse(line)
        service = self._fill(tree)
        _known(tree.get("quantities"), service.measures, "quantities")
        _known(tree.get("attributes"), attributes_of(service), "attributes")
        _numbers(tree, "")
        _labels(tree.get("attributes"))
        for at, part in _objects(tree, "parts"):
            _part(part, at, service)
        for at, payer in _objects(tree, "payers"):
            _payer(payer, at, service)
        try:
            usage = msgspec.convert(tree, Usage)
        except msgspec.ValidationError as error:
            _explain(error)
        if usage.end is not None and usage.end < usage.start:
            raise refuse(RefusalCode.BAD_TIME, "lies before the start.", field="end", fix="Correct the times.")
        names = {payer.payer for payer in usage.payers}
        if len(names) < len(usage.payers):
            raise refuse(RefusalCode.BAD_INPUT, "names somebody twice.", field="payers", fix="Name each once.")
        return usage

    def name(self, line: bytes) -> str:
        """The id in a refused line; empty when it can not be read."""
        try:
            found = parse(line).get("id")
            return ident(found, "id") if isinstance(found, str) else ""
        except Refused:
            return ""

    def _fill(self, tree: dict[str, Any]) -> Service:
        """Put ids and instants into their one form and fill in what was given for the file."""
        for field in ("service", "source"):
            if not tree.get(field):
                tree[field] = getattr(self._intake, field)
        for field in ("service", "source", "id"):
            if isinstance(tree.get(field, ""), str):
                tree[field] = ident(tree.get(field), field)
        start = tree["start"] = self._instant(tree.get("start"), "start")
        if tree.get("end") is not None:
            tree["end"] = self._instant(tree["end"], "end", start)
        name = tree["service"]
        if not isinstance(name, str):
            raise refuse(RefusalCode.BAD_INPUT, "must be text.", field="service", fix="Write it in quotes.")
        return self._intake.service_of(name)

    def _instant(self, value: Any, field: str, after: Any = None) -> Any:
        if value is not None and not isinstance(value, str):
            raise refuse(
                RefusalCode.BAD_TIME,
                "is not an RFC 3339 time.",
                field=field,
                fix='Write "2026-01-31T18:00:00Z"; epoch numbers are not read, their unit can not be told.',
            )
        return self._instants.read(value, field, after)


def parse(line: bytes, most: int = LINE_MAX) -> dict[str, Any]:
    """The JSON object of a line, numbers kept as text; refused when it is none or a key stands twice."""
    if len(line) > most:
        raise refuse(RefusalCode.BAD_INPUT, "The line is longer than 1 MiB.", fix="Split the record.")
    try:
        tree = _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise refuse(
            RefusalCode.BAD_INPUT, f"The line is not UTF-8 at byte {error.start + 1}.", fix="Save the file as UTF-8."
        ) from None
    except RecursionError:
        raise refuse(RefusalCode.BAD_INPUT, "The line is nested too deeply.", fix="Send a usage record.") from None
    except ValueError as error:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"The line is not JSON: {error}.",
            fix="One JSON object a line, ended by a line feed.",
        ) from None
    if type(tree) is not dict:
        raise refuse(RefusalCode.BAD_INPUT, "The line is not a JSON object.", fix='Such as {"id": "1", …}.')
    return tree


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for at, name in enumerate(names) if name in names[:at])
        raise refuse(RefusalCode.BAD_INPUT, "stands twice in one object.", field=shown(double), fix="Keep one.")
    return found


def _constant(text: str) -> NoReturn:
    raise refuse(RefusalCode.BAD_QUANTITY, f"{text} is not a number that can be charged.", fix="Send a decimal.")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_Number, parse_int=_Number, parse_constant=_constant)


def _objects(tree: dict[str, Any], field: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects in a list, each with its path; what is no object is left for msgspec to refuse."""
    items = tree.get(field)
    if not isinstance(items, list):
        return []
    if len(items) > _ENTRIES_MAX:
        raise refuse(RefusalCode.BAD_INPUT, f"has more than {_ENTRIES_MAX} entries.", field=field, fix="Split the use.")
    return [(f"{field}[{at}].", item) for at, item in enumerate(items) if isinstance(item, dict)]


def _part(part: dict[str, Any], at: str, service: Service) -> None:
    name = part.get("part")
    if not isinstance(name, str) or name not in service.parts:
        said = shown(name) if isinstance(name, str) else "nothing"
        raise refuse(
            RefusalCode.UNKNOWN_PART,
            f"{said} is no part of the service {service.id!r}.",
            field=f"{at}part",
            fix=near(name, service.parts) if isinstance(name, str) else "Name the part.",
        )
    if not part.get("provider"):
        part["provider"] = service.parts[name].provider
    _text(part, "provider", at)
    _known(part.get("quantities"), service.measures, f"{at}quantities")
    _numbers(part, at)


def _payer(payer: dict[str, Any], at: str, service: Service) -> None:
    _text(payer, "payer", at)
    share = payer.get("weight", "")
    if isinstance(share, _Number):
        share = share.text
    if isinstance(share, str) and share:
        payer["weight"] = weight(share, f"{at}weight")
    _known(payer.get("quantities"), service.measures, f"{at}quantities")
    _numbers(payer, at)


def _text(tree: dict[str, Any], field: str, at: str) -> None:
    if isinstance(tree.get(field, ""), str):
        tree[field] = ident(tree.get(field), at + field)


def _known(values: Any, names: Any, field: str) -> None:
    """Refuse names that the service does not have; a misspelled measure must not be lost."""
    if isinstance(values, dict):
        for name in values:
            if name not in names:
                raise refuse(
                    RefusalCode.UNKNOWN_FIELD,
                    f"{shown(name)} is none that the service has.",
                    field=field,
                    fix=near(name, names) or "Add it to the service in the catalog, or leave it out.",
                )


def _numbers(tree: dict[str, Any], at: str) -> None:
    """Quantities as plain decimal text, out of numbers or text."""
    quantities = tree.get("quantities")
    if isinstance(quantities, dict):
        for name, value in quantities.items():
            if isinstance(value, _Number):
                value = value.text
            if isinstance(value, str):
                quantities[name] = number(value, f"{at}quantities.{name}")


def _labels(attributes: Any) -> None:
    if isinstance(attributes, dict):
        for name, value in attributes.items():
            if isinstance(value, str):
                attributes[name] = label(value, f"attributes.{name}")


def _explain(error: msgspec.ValidationError) -> NoReturn:
    """msgspec's words as a refusal, with the path as its field."""
    match = _PATH.fullmatch(str(error))
    message, field = (match[1], match[2] or "") if match else (str(error), "")
    unknown = _UNKNOWN.fullmatch(message)
    if unknown:
        holder = PayerUse if field.startswith("payers") else PartUse if field.startswith("parts") else Usage
        raise refuse(
            RefusalCode.UNKNOWN_FIELD,
            f"The field {shown(unknown[1])} is not known here.",
            field=field,
            fix=near(unknown[1], holder.__struct_fields__) or "One of " + ", ".join(holder.__struct_fields__) + ".",
        ) from None
    message = message.replace("`_Number`", "a number").replace("`", "'")
    raise refuse(RefusalCode.BAD_INPUT, f"{message}.", field=field, fix="See the reference of usage files.") from None
