"""Catalog files: TOML or JSON into a checked catalog, with every error at its line.

Owns: reading, the shape of records, price decks, the published schema. Does not own: what the terms mean.
"""

from apportion.adapters.catalog_file.load import load_catalog, load_record, parse_catalog, read_tariff
from apportion.adapters.catalog_file.schema import catalog_schema

__all__ = ["catalog_schema", "load_catalog", "load_record", "parse_catalog", "read_tariff"]
