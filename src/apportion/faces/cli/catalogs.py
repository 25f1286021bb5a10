"""Terms: ``catalog check``, ``apply``, ``show`` and ``diff``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer
from apportion.faces.cli.reach import beginning, reading
from apportion.faces.tables import Table, write_table

if TYPE_CHECKING:
    from apportion.model.catalog import Catalog

_TABLES = ("services", "tariffs", "providers", "agreements", "payers")


def check(file: str, /, *, answer: Answer = ANSWER) -> int:
    """Read a catalog file and report everything that is wrong with it.

    Exit code 1 when anything is.

    Args:
        file: The catalog (TOML or JSON).
    """
    from apportion.adapters.catalog_file import load_catalog
    from apportion.errors import Misconfigured
    from apportion.faces.cli.failure import refusal_data

    try:
        catalog = load_catalog(file)
    except Misconfigured as error:
        findings = [refusal_data(refusal) for refusal in error.refusals]
        answer.give({"file": file, "ok": False, "findings": findings}, str(error))
        return 1
    counts = ", ".join(f"{len(getattr(catalog, name))} {name}" for name in _TABLES if getattr(catalog, name))
    answer.give({"file": file, "ok": True, "findings": []}, f"{Path(file).name} is in order: {counts or 'empty'}.")
    return 0


def apply(file: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Put a catalog into force: a new immutable version, unless it is the one in force already.

    What was charged before keeps the terms that it was charged by.

    Args:
        file: The catalog (TOML or JSON).
    """
    from apportion.adapters.catalog_file import load_catalog

    catalog = load_catalog(file)
    with beginning(place) as books:
        version = books.apply(catalog)
    answer.give({"catalog": version}, f"{version} is in force.")


def show(name: str = "", /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """The catalog in force, another version of it, or one of its records.

    Args:
        name: A version (cat_…), a catalog file, or the id of a service, tariff, provider, agreement or payer.
    """
    import json

    import msgspec

    from apportion.errors import RefusalCode, refuse

    if not name or name.startswith("cat_") or Path(name).is_file():
        version, catalog = _version(name, place)
        if answer.json:
            answer.give({"catalog": version} | msgspec.to_builtins(catalog), "")
        else:
            _tell(version, catalog)
        return
    _, catalog = _version("", place)
    found = {table: getattr(catalog, table)[name] for table in _TABLES if name in getattr(catalog, table)}
    if not found:
        raise refuse(
            RefusalCode.NOT_FOUND,
            f"the catalog in force has no record {name[:60]!r}.",
            field="name",
            fix="See apportion catalog show.",
        )
    plain = msgspec.to_builtins(found)
    answer.give(plain, json.dumps(plain, indent=2, ensure_ascii=False))


def diff(a: str, b: str = "", /, *, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """What changed between two catalogs.

    Such as: apportion catalog diff old.toml new.toml

    Args:
        a: A catalog file or a version (cat_…).
        b: Another; the version in force when not given.
    """
    import msgspec

    first, second = (msgspec.to_builtins(_version(name, place)[1]) for name in (a, b))
    changes = list(differences(first, second))
    table = Table(("change", "where", "before", "after"), changes)
    if answer.json or answer.csv or changes:
        answer.give(table)
    else:
        print("Nothing differs.")


def _version(name: str, place: Place) -> tuple[str, Catalog]:
    """A catalog with what it is called: a file, a stored version, or the version in force."""
    if name and not name.startswith("cat_"):
        from apportion.adapters.catalog_file import load_catalog

        return name, load_catalog(name)
    with reading(place) as books:
        return books.catalog(name)


def _tell(version: str, catalog: Catalog) -> None:
    print(f"{catalog.name or 'catalog'}  {version}")
    if catalog.invented:
        print(f"Invented: {catalog.invented}")
    services = [
        (s.id, s.retail, s.apportion, ", ".join(s.parts), ", ".join(f"{m} ({u})" for m, u in s.measures.items()))
        for s in catalog.services.values()
    ]
    tariffs = [
        (t.id, t.currency, ", ".join(c.name for c in t.components[:8]), str(len(t.deck.rows)) if t.deck else "")
        for t in catalog.tariffs.values()
    ]
    providers = [(p.id, p.name, "invented" if p.invented else "") for p in catalog.providers.values()]
    for columns, rows in (
        (("service", "retail", "rule", "parts", "measures"), services),
        (("tariff", "currency", "components", "deck rows"), tariffs),
        (("provider", "name", ""), providers),
    ):
        if rows:
            print()
            write_table(Table(columns, rows))
    print(f"\n{len(catalog.payers)} payers, {len(catalog.agreements)} agreements.")


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Every leaf that was added, removed or changed between two plain trees, as (change, path, before, after)."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            at = f"{path}.{key}".lstrip(".")
            if key not in after:
                yield ("removed", at, _short(before[key]), "")
            elif key not in before:
                yield ("added", at, "", _short(after[key]))
            else:
                yield from differences(before[key], after[key], at)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from differences(_keyed(before), _keyed(after), path)
    elif before != after:
        yield ("changed", path, _short(before), _short(after))


def _keyed(items: list[Any] | tuple[Any, ...]) -> dict[str, Any]:
    """A list as a table, so that an inserted item is one change: by name or key where items have one, else by place."""
    found: dict[str, Any] = {}
    for place, item in enumerate(items):
        name = (item.get("name") or item.get("key")) if isinstance(item, dict) else None
        key = f"{name}" if name else f"{place + 1}"
        found[key if key not in found else f"{key}#{place + 1}"] = item
    return found


def _short(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
