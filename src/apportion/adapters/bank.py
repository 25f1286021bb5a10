"""Files for the bank: ISO 20022 pain.001, by sepaxml, checked against the schema that comes with it."""

from __future__ import annotations

from datetime import date
from typing import Any

from apportion.errors import Misconfigured, RefusalCode, refuse
from apportion.model.payee import BankFile

SCHEMA = "pain.001.001.03"


class SepaBank:
    """Writes credit transfers; the same file for the same payouts, byte for byte, so that a bank knows it again."""

    def pain001(self, file: BankFile) -> bytes:
        """The file, valid by its schema.

        Raises:
            Refused: BAD_INPUT, when it would not be valid.
            Misconfigured: sepaxml is not installed.
        """
        try:
            from sepaxml import SepaTransfer
            from sepaxml.validation import ValidationError, try_valid_xml
        except ImportError as error:
            raise Misconfigured("Files for the bank need one more package: pip install 'apportion[payouts]'") from error
        payer: dict[str, Any] = {
            "name": file.name, "IBAN": file.iban, "currency": file.currency, "batch": True,
            "domestic": file.currency != "EUR",  # SEPA, which it names otherwise, moves euros alone
        }  # fmt: skip
        sepa = SepaTransfer(payer | ({"BIC": file.bic} if file.bic else {}), schema=SCHEMA, clean=True)
        for one in file.transfers:
            payment: dict[str, Any] = {
                "name": one.name, "IBAN": one.iban, "amount": one.units, "description": one.text,
                "execution_date": date.fromisoformat(file.at[:10]), "endtoend_id": one.id,
            }  # fmt: skip
            sepa.add_payment(payment | ({"BIC": one.bic} if one.bic else {}))
        made = _named(sepa.export(validate=False), file)
        try:
            try_valid_xml(made, SCHEMA)
        except ValidationError as error:
            raise refuse(
                RefusalCode.BAD_INPUT, "can not be written as pain.001: a name or an account is none that it can say.",
                field="payees",
            ) from error  # fmt: skip
        return made


def _named(raw: bytes, file: BankFile) -> bytes:
    """The same with names and instants of its own in the place of random ones."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(raw)
    space = root.tag.partition("}")[0] + "}"
    for count, (tag, text) in enumerate((("MsgId", file.id), ("CreDtTm", file.at[:19]))):
        found = root.find(f".//{space}{tag}")
        assert found is not None, f"pain.001 has no {tag} ({count})"
        found.text = text
    for count, found in enumerate(root.iter(f"{space}PmtInfId"), 1):
        found.text = f"{file.id}-{count}"
    ElementTree.register_namespace("", space.strip("{}"))
    body: bytes = ElementTree.tostring(root, "utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"
