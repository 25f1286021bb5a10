"""Tariffs for tests, out of plain data as TOML gives it: numbers of any exact kind are kept as their text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.tariff import Tariff


def numbers_as_text(value: object) -> object:
    """Plain data with every number as its text, so that a price may be written with or without quotes."""
    if isinstance(value, Mapping):
        return {key: numbers_as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [numbers_as_text(item) for item in value]
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if type(value) is int else value


def read_tariff(plain: object) -> Tariff:
    """A tariff out of plain data (TOML or JSON read with ``parse_float=Decimal``).

    Raises:
        Refused: CATALOG_INVALID with the path of the field; contradictions between fields are ``check``'s matter.
    """
    try:
        return msgspec.convert(numbers_as_text(plain), Tariff, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise refuse(RefusalCode.CATALOG_INVALID, message + ".", field=path.rstrip("`")) from None
