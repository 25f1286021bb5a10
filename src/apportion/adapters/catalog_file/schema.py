"""The catalog's JSON Schema, derived from the records, with what a file may write beyond them."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from apportion.model.catalog import Catalog

#: Fields that hold a number as text; a file may write them as numbers too.
NUMBER_FIELDS = frozenset(
    "availability bound cap capacity convert credit fee first fixed flat free free_total least margin markup maximum"
    " minimum minimum_score most opening per period_maximum period_minimum platform premium price prices rate setup"
    " share size starting step success taxes throughput up_to".split()
)
_NUMBER = {"type": ["string", "number"]}


def catalog_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a catalog file; ``id`` is left out where a table's key gives it."""
    schema = msgspec.json.schema(Catalog)
    records = schema["$defs"]
    for name, record in records.items():
        record["description"] = inspect.cleandoc(record.get("description", "")).replace("``", "`")
        for field, rule in record["properties"].items():
            if field in NUMBER_FIELDS:
                _allow_numbers(rule)
        if "id" in record["properties"] and name != "Catalog":
            record["required"] = [field for field in record.get("required", ()) if field != "id"]
            record["properties"]["id"]["description"] = "The key that the record stands under; may be left out."
    file = records["Deck"]["properties"]["file"]
    file["description"] = "CSV (or .csv.gz) beside or below the catalog; its rows stand in for `rows`."
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Apportion catalog",
        **schema,
    }


def _allow_numbers(rule: dict[str, Any]) -> None:
    """Let a rule for text, or for a table of texts, take numbers as well."""
    if rule.get("type") == "string":
        rule.update(_NUMBER)
    for inner in (rule.get("additionalProperties"), *rule.get("anyOf", ())):
        if isinstance(inner, dict):
            _allow_numbers(inner)
