"""Files for the bank: valid by the schema, the same for the same payouts, and refused when they could not be."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
import xmlschema
from sepaxml import validation

from apportion.adapters.bank import SCHEMA, SepaBank
from apportion.errors import Refused
from apportion.model.payee import BankFile, BankTransfer

SPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.03}"
TRANSFERS = (
    BankTransfer("P1", "Ötto & Söhne", "CH9300762011623852957", "", 3192, "SET-000001 otto"),
    BankTransfer("P2", "李 Dora", "GB82WEST12345698765432", "WESTGB2LXXX", 1, "SET-000001 dora"),
)
FILE = BankFile(
    "SET-000001-1-2bc48895", "2026-11-20T10:00:00.5Z", "Parcels Ltd", "DE89370400440532013000", "COBADEFFXXX", "EUR",
    TRANSFERS,
)  # fmt: skip


def texts(raw: bytes, tag: str) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(raw).iter(f"{SPACE}{tag}")]


@pytest.mark.parametrize("currency", ["EUR", "USD", "CHF"])
def test_it_is_valid_and_says_what_is_paid(currency: str) -> None:
    raw = SepaBank().pain001(msgspec.structs.replace(FILE, currency=currency))
    schema = Path(validation.__file__).parent / "schemas" / f"{SCHEMA}.xsd"
    xmlschema.XMLSchema(str(schema)).validate(raw.decode())
    assert texts(raw, "InstdAmt") == ["31.92", "0.01"] and texts(raw, "CtrlSum") == ["31.93", "31.93"]
    assert texts(raw, "EndToEndId") == ["P1", "P2"] and texts(raw, "MsgId") == [FILE.id]
    assert texts(raw, "CreDtTm") == ["2026-11-20T10:00:00"] and texts(raw, "ReqdExctnDt") == ["2026-11-20"]
    assert ("SEPA" in raw.decode()) is (currency == "EUR")


def test_it_is_the_same_file_byte_for_byte() -> None:
    assert SepaBank().pain001(FILE) == SepaBank().pain001(FILE)


@pytest.mark.parametrize("change", [{"iban": "no iban"}, {"name": ""}, {"bic": "???"}])
def test_what_would_not_be_valid_is_refused(change: dict[str, str]) -> None:
    bad = msgspec.structs.replace(TRANSFERS[0], **change)
    with pytest.raises(Refused):
        SepaBank().pain001(msgspec.structs.replace(FILE, transfers=(bad,)))
