"""The two readers: a whole catalog, and one tariff."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as kinds

from apportion.adapters.catalog_file.deck import read_deck
from apportion.adapters.catalog_file.document import Document, fail, read_document
from apportion.adapters.catalog_file.shape import UNREAD, Enough, Shaper
from apportion.errors import Misconfigured, Refusal, Refused
from apportion.model.calendar import zone_of
from apportion.model.catalog import Catalog
from apportion.model.market import Offer
from apportion.model.references import check_catalog, near
from apportion.model.tariff import Tariff
from apportion.model.tariff_check import check

T = TypeVar("T", bound=msgspec.Struct)
_SHOWN = 20
_ROW = re.compile(r"(.*\bdeck)\.rows\[(\d+)\]")


def load_catalog(path: str | os.PathLike[str]) -> Catalog:
    """Read and check a catalog; price decks in files beside it are read in.

    Raises:
        Misconfigured: with every finding, each at its file, line and path, and with its fix.
    """
    document = read_document(os.fspath(path))
    if "components" in document.tree:
        fail(document.name, "The file holds one tariff, not a catalog.", "Put it under [tariffs.NAME].")
    shaper = Shaper(_local(document.tree.get("zone")))
    return _checked(document, shaper, Path(path).parent)


def parse_catalog(text: str, *, is_json: bool) -> Catalog:
    """A catalog that came as text, checked like a file; its price decks must stand in it, for there are no files.

    Raises:
        Misconfigured: with every finding, each at its line and path, and with its fix.
    """
    document = Document("catalog", text, is_json)
    shaper = Shaper(_local(document.tree.get("zone")))
    return _checked(document, shaper, None)


def _checked(document: Document, shaper: Shaper, folder: Path | None) -> Catalog:
    """The catalog of a document, with what its records say of one another."""
    try:
        catalog, unread = _build(document.tree, shaper, folder)
        wrong = check_catalog(catalog, unread)
    except Enough:
        catalog, wrong = Catalog(), []
    _report(document, shaper, wrong)
    return catalog


def read_tariff(spec: str | os.PathLike[str]) -> Tariff:
    """One checked tariff: a TOML or JSON file that holds it, ``CATALOG#id``, or ``-`` for standard input.

    A file's tariff that has no ``id`` is named after the file.

    Raises:
        Misconfigured: with every finding, each at its file, line and path, and with its fix.
    """
    path = os.fspath(spec)
    file, mark, name = path.rpartition("#")
    if mark and not Path(path).exists():
        tariffs = load_catalog(file).tariffs
        if name not in tariffs:
            fix = near(name, tariffs) or "It has " + ", ".join(list(tariffs)[:20]) + "."
            fail(Path(file).name, f"there is no tariff {name[:80]!r}.", fix)
        return tariffs[name]
    document = read_document(path)
    if "tariffs" in document.tree:
        fail(document.name, "The file holds a catalog, not one tariff.", f"Name the tariff: {document.name}#ID.")
    stem = "tariff" if path == "-" else Path(path).stem.lower()
    shaper = Shaper(lambda instant: instant.replace(tzinfo=UTC))
    try:
        tariff = shaper.build({"id": stem, **document.tree}, _kind(Tariff), "")
    except Enough:
        tariff = UNREAD
    if tariff is not UNREAD:
        tariff = _with_deck(tariff, "", shaper, Path("." if path == "-" else path).parent)
    wrong = [] if tariff is UNREAD else check(tariff)
    _report(document, shaper, [msgspec.structs.replace(refusal, where=refusal.field) for refusal in wrong])
    return tariff


def load_record(path: str | os.PathLike[str], kind: type[T], check: Callable[[T], list[Refusal]]) -> T:
    """A file that holds one record, such as a request; or one with ``tariffs`` of its own, such as a provider's node.

    Raises:
        Misconfigured: with every finding, each at its file, line and path, and with its fix.
    """
    document = read_document(os.fspath(path))
    shaper = Shaper(lambda instant: instant.replace(tzinfo=UTC))
    tree, tariffs = dict(document.tree), document.tree.get("tariffs")
    if type(tariffs) is dict:
        tree["tariffs"] = {name: {"id": name, **item} if type(item) is dict else item for name, item in tariffs.items()}
    try:
        record = shaper.build(tree, _kind(kind), "")
        if record is not UNREAD and tariffs is not None:
            read = {
                name: _with_deck(tariff, f"tariffs.{name}.", shaper, Path(path).parent)
                for name, tariff in record.tariffs.items()
            }
            record = msgspec.structs.replace(record, tariffs=read)
    except Enough:
        record = UNREAD
    _report(document, shaper, [] if record is UNREAD else check(record))
    assert isinstance(record, kind)
    return record


def _build(tree: dict[str, Any], shaper: Shaper, folder: Path | None) -> tuple[Catalog, set[str]]:
    """The catalog of all that could be read, record by record, and the paths of what could not."""
    made: dict[str, Any] = {}
    unread: set[str] = set()
    fields = {field.encode_name: field.type for field in _kind(Catalog).fields}
    for name, value in tree.items():
        kind = fields.get(name)
        if isinstance(kind, kinds.DictType) and isinstance(kind.value_type, kinds.StructType) and type(value) is dict:
            made[name] = {}
            for key, item in value.items():
                record = shaper.build(_named(key, item), kind.value_type, f"{name}.{key}")
                if isinstance(record, Tariff):
                    record = _with_deck(record, f"tariffs.{key}.", shaper, folder)
                elif isinstance(record, Offer):
                    record = _with_tariffs(record, f"offers.{key}.", shaper, folder)
                if record is UNREAD:
                    unread.add(f"{name}.{key}")
                else:
                    made[name][key] = record
        elif kind is not None:
            found = shaper.build(value, kind, name)
            if found is not UNREAD:
                made[name] = found
        else:
            shaper.build({name: value}, _kind(Catalog), "")
    return Catalog(**made), unread


def _named(key: str, item: Any) -> Any:
    """A record with the key it stands under as its id, and the whole tariffs of an offer with that of the offer."""
    if type(item) is not dict:
        return item
    whole = {field: {"id": key, **item[field]} for field in ("tariff", "retail") if type(item.get(field)) is dict}
    return {"id": key, **item, **whole}


def _with_tariffs(offer: Offer, where: str, shaper: Shaper, folder: Path | None) -> Offer:
    whole = {field: getattr(offer, field) for field in ("tariff", "retail")}
    made = {
        field: _with_deck(tariff, f"{where}{field}.", shaper, folder)
        for field, tariff in whole.items()
        if isinstance(tariff, Tariff)
    }
    return msgspec.structs.replace(offer, **made)


def _with_deck(tariff: Tariff, where: str, shaper: Shaper, folder: Path | None) -> Tariff:
    if tariff.deck is None or not tariff.deck.file:
        return tariff
    if folder is None:
        fail("catalog", f"{where}deck.file: there is no file beside this catalog.", "Put the rows into deck.rows.")
    return msgspec.structs.replace(tariff, deck=read_deck(tariff.deck, folder, f"{where}deck", shaper))


@functools.cache
def _kind(record: type[msgspec.Struct]) -> kinds.StructType:
    kind = kinds.type_info(record)
    assert isinstance(kind, kinds.StructType)
    return kind


def _local(zone: object) -> Any:
    """How instants without a zone are read: in the catalog's zone; a zone that is none is reported elsewhere."""
    try:
        place = zone_of(zone if isinstance(zone, str) else "UTC")
    except Refused:
        place = zone_of("UTC")

    def read(instant: datetime) -> datetime:
        return instant.replace(tzinfo=place).astimezone(UTC)

    return read


def _report(document: Document, shaper: Shaper, more: Sequence[Refusal]) -> None:
    """Raise all findings together: ``where`` becomes file and line, ``field`` the dotted path."""
    placed = list(shaper.placed)
    for refusal in [*shaper.refusals, *more]:
        place = _row_place(refusal.where, shaper) or document.place(refusal.where)
        path = refusal.where if refusal.where.isprintable() else ascii(refusal.where)
        placed.append(msgspec.structs.replace(refusal, where=place, field=path))
    if not placed:
        return
    placed.sort(key=_by_line)
    lines = [refusal.sentence() for refusal in placed[:_SHOWN]]
    if len(placed) > _SHOWN:
        lines.append(f"and {len(placed) - _SHOWN} more.")
    count = f"{len(placed)} error{'s' * (len(placed) > 1)}"
    raise Misconfigured("\n  ".join([f"{document.name} has {count}:", *lines]), tuple(placed))


def _by_line(refusal: Refusal) -> tuple[str, int]:
    file, _, line = refusal.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (refusal.where, 0)


def _row_place(path: str, shaper: Shaper) -> str:
    """File and line of a deck row that came from a file; empty for any other path."""
    match = _ROW.match(path)
    if match is None or match[1] not in shaper.decks:
        return ""
    file, lines = shaper.decks[match[1]]
    return f"{file}:{lines[int(match[2])]}"
