"""The shape of records: a plain tree into frozen structs, reporting everything that does not fit, not the first only.

Where text is expected a number or a date may stand, and is read as it is written: ``price = 0.01`` is the text
``0.01``, never a binary fraction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
import msgspec.inspect as kinds

from apportion.adapters.catalog_file.document import Number
from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.references import near
from apportion.money import Exact

UNREAD: Any = object()
FINDINGS_MAX = 1000
_TEXT_MAX = 10_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WORDS = {bool: "true or false", int: "a number", Number: "a number", str: "text", list: "a list", dict: "a table"}


class Enough(Exception):
    """So much is wrong that nobody needs to know the rest."""


class Shaper:
    """Builds records of a tree; ``refusals`` collects what did not fit, with the dotted path as its place.

    ``local`` turns a time without a zone into UTC. ``decks`` keeps, by path, the file that a deck was read from and
    the line of each row, so that what is found in a row later can be placed there.
    """

    def __init__(self, local: Callable[[datetime], datetime]) -> None:
        self.refusals: list[Refusal] = []
        self.placed: list[Refusal] = []
        self.decks: dict[str, tuple[str, Sequence[int]]] = {}
        self._local = local

    def add(self, where: str, message: str, fix: str = "", code: RefusalCode = RefusalCode.CATALOG_INVALID) -> Any:
        """Report a finding; gives ``UNREAD``, so that a caller can return it.

        Raises:
            Enough: there are as many as anybody reads.
        """
        if len(self.refusals) >= FINDINGS_MAX:
            raise Enough
        self.refusals.append(Refusal(code, message, field=where.rpartition(".")[2], fix=fix, where=where))
        return UNREAD

    def add_at(self, place: str, message: str, fix: str = "") -> None:
        """Report a finding in another file, at its line."""
        self.placed.append(Refusal(RefusalCode.CATALOG_INVALID, message, fix=fix, where=place))

    def build(self, value: Any, kind: kinds.Type, where: str) -> Any:
        """``value`` as what ``kind`` (of ``msgspec.inspect``) says; ``UNREAD`` when it does not fit."""
        if isinstance(kind, kinds.StructType):
            return self._struct(value, kind, where)
        if isinstance(kind, kinds.UnionType):
            return self._union(value, kind, where)
        if isinstance(kind, kinds.DictType):
            return self._dict(value, kind, where)
        if isinstance(kind, kinds.VarTupleType):
            return self._tuple(value, kind, where)
        if isinstance(kind, kinds.TupleType):
            return self._fixed(value, kind, where)
        if isinstance(kind, kinds.StrType):
            return self._text(value, where)
        if isinstance(kind, kinds.LiteralType):
            return self._literal(value, kind, where)
        if isinstance(kind, kinds.BoolType):
            return value if type(value) is bool else self._wrong(value, where, "true or false")
        if isinstance(kind, kinds.IntType):
            return value if type(value) is int else self._wrong(value, where, "a whole number")
        if isinstance(kind, kinds.DateTimeType):
            return self._instant(value, where)
        raise AssertionError(f"catalog records hold no {kind}")

    def _struct(self, value: Any, kind: kinds.StructType, where: str) -> Any:
        if type(value) is not dict:
            return self._wrong(value, where, "a table")
        fields, made, whole = {field.encode_name: field for field in kind.fields}, {}, True
        for name, item in value.items():
            at = f"{where}.{name}".lstrip(".")
            if name in fields:
                made[fields[name].name] = self.build(item, fields[name].type, at)
                whole = whole and made[fields[name].name] is not UNREAD
            elif name != kind.tag_field:
                fix = near(name, fields) or "It may be one of " + ", ".join(fields) + "."
                self.add(at, f"the field {name[:60]!r} is not known here.", fix, RefusalCode.UNKNOWN_FIELD)
                whole = False
        for name, field in fields.items():
            if field.required and name not in value:
                self.add(f"{where}.{name}".lstrip("."), "is missing.", f"Add {name}.")
                whole = False
        return kind.cls(**made) if whole else UNREAD

    def _union(self, value: Any, kind: kinds.UnionType, where: str) -> Any:
        if value is None and any(isinstance(one, kinds.NoneType) for one in kind.types):
            return None
        options = [one for one in kind.types if not isinstance(one, kinds.NoneType)]
        if len(options) == 1:
            return self.build(value, options[0], where)
        texts = [one for one in options if isinstance(one, kinds.StrType)]
        if texts:  # a name, or the whole record in its place
            records = [one for one in options if isinstance(one, kinds.StructType)]
            return self.build(value, records[0] if type(value) is dict else texts[0], where)
        choices = [value for one in options if isinstance(one, kinds.LiteralType) for value in one.values]
        if choices:
            return self._literal(value, kinds.LiteralType(tuple(choices)), where)
        tagged = {str(one.tag): one for one in options if isinstance(one, kinds.StructType)}
        field = next(iter(tagged.values())).tag_field or "type"
        if type(value) is not dict:
            return self._wrong(value, where, "a table")
        tag = value.get(field)
        if not isinstance(tag, str) or tag not in tagged:
            said = "is missing." if tag is None else f"{str(tag)[:60]!r} is not known here."
            fix = (near(tag, tagged) if isinstance(tag, str) else "") or "One of " + ", ".join(tagged) + "."
            return self.add(f"{where}.{field}", said, fix)
        return self.build(value, tagged[tag], where)

    def _dict(self, value: Any, kind: kinds.DictType, where: str) -> Any:
        if type(value) is not dict:
            return self._wrong(value, where, "a table")
        made = {name: self.build(item, kind.value_type, f"{where}.{name}") for name, item in value.items()}
        return UNREAD if any(item is UNREAD for item in made.values()) else made

    def _tuple(self, value: Any, kind: kinds.VarTupleType, where: str) -> Any:
        if type(value) is not list:
            return self._wrong(value, where, "a list")
        made = tuple(self.build(item, kind.item_type, f"{where}[{at}]") for at, item in enumerate(value))
        return UNREAD if any(item is UNREAD for item in made) else made

    def _fixed(self, value: Any, kind: kinds.TupleType, where: str) -> Any:
        length = len(kind.item_types)
        if type(value) is not list:
            return self._wrong(value, where, f"a list of {length}")
        if len(value) != length:
            return self.add(where, f"must hold {length}, not {len(value)}.", f"Write a list of {length}.")
        items = zip(value, kind.item_types, strict=True)
        made = tuple(self.build(item, one, f"{where}[{at}]") for at, (item, one) in enumerate(items))
        return UNREAD if any(item is UNREAD for item in made) else made

    def _text(self, value: Any, where: str) -> Any:
        if type(value) is int:
            value = Number(str(value))
        if type(value) is Number:
            try:
                return Exact.parse(value.text).text()
            except Refused as refused:
                return self.add(where, refused.refusal.message, refused.refusal.fix)
        if isinstance(value, datetime | date | time):
            return value.isoformat().replace("+00:00", "Z")
        if type(value) is not str:
            return self._wrong(value, where, "text")
        if len(value) > _TEXT_MAX or _CONTROL.search(value):
            return self.add(where, f"has control characters, or more than {_TEXT_MAX} of any.", "Remove them.")
        return value

    def _literal(self, value: Any, kind: kinds.LiteralType, where: str) -> Any:
        if type(value) in (str, int) and value in kind.values:
            return value
        options = [str(option) for option in kind.values if option != ""]
        said = f"{value[:60]!r}" if isinstance(value, str) else _WORDS.get(type(value), "this")
        fix = (near(value, options) if isinstance(value, str) else "") or "One of " + ", ".join(options) + "."
        return self.add(where, f"{said} is none of the choices.", fix)

    def _instant(self, value: Any, where: str) -> Any:
        if isinstance(value, str):
            try:
                value = msgspec.convert(value, date if len(value) == 10 else datetime)
            except msgspec.ValidationError:
                value = None
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if not isinstance(value, datetime):
            return self.add(
                where, "is not a time.", "Such as 2026-01-31T18:00:00Z, or 2026-01-31.", RefusalCode.BAD_TIME
            )
        try:
            return value.astimezone(UTC) if value.tzinfo else self._local(value)
        except (OverflowError, ValueError):
            return self.add(where, "is outside the calendar.", "Correct the year.", RefusalCode.BAD_TIME)

    def _wrong(self, value: Any, where: str, wanted: str) -> Any:
        said = _WORDS.get(type(value), "nothing" if value is None else "a date")
        return self.add(where, f"must be {wanted}, not {said}.", f"Write {wanted}.")
