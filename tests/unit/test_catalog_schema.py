"""The published JSON Schema of catalogs is the one that the records give, and takes what the reader takes."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from apportion.adapters.catalog_file import catalog_schema
from apportion.adapters.catalog_file.schema import NUMBER_FIELDS

ROOT = Path(__file__).resolve().parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_published_schema_is_fresh() -> None:
    generate = generator()
    page = "reference/catalog.schema.json"
    text = dict(generate.PAGES)[page]()
    assert (ROOT / "docs" / page).read_text() == text, "stale; run: python docs/generate.py"


def test_every_number_field_is_a_field() -> None:
    records = catalog_schema()["$defs"].values()
    assert {field for record in records for field in record["properties"]} >= NUMBER_FIELDS


def test_the_schema_takes_what_the_reader_takes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from tests.unit.adapters.test_catalog_file import SAME

    schema = catalog_schema()
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    validator(schema).validate(SAME)
    bad = json.loads(json.dumps(SAME))
    bad["tariffs"]["chat-cost"]["components"][0]["pirce"] = "1"
    assert list(validator(schema).iter_errors(bad))


def test_toml_numbers_pass_too() -> None:
    rule = catalog_schema()["$defs"]["Unit"]["properties"]["price"]
    assert rule["type"] == ["string", "number"]
    assert type(tomllib.loads("price = 0.01")["price"]) in (float, int)
