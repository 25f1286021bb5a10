"""Where providers and the platform have their money: kept beside the books, never in the chain."""

from __future__ import annotations

import re

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.payment import check_method

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_BIC = re.compile(r"[A-Z]{6}[A-Z2-9][A-NP-Z0-9]([A-Z0-9]{3})?", re.ASCII)
_NAME_MAX = 70


class Payee(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a provider, or the platform itself, has its money.

    ``name`` is the holder of the account ``iban``, at the bank ``bic`` if one must say. ``destination`` is what the
    processor of transfers calls it.
    """

    name: str = ""
    iban: str = ""
    bic: str = ""
    destination: str = ""

    def __repr__(self) -> str:
        return "Payee(…)"  # where somebody has money has no place in a log


class BankTransfer(msgspec.Struct, frozen=True):
    """One credit transfer of a file for the bank: ``units`` (cents) to the account ``iban`` of ``name``."""

    id: str
    name: str
    iban: str
    bic: str
    units: int
    text: str


class BankFile(msgspec.Struct, frozen=True):
    """Credit transfers from the account ``iban`` of ``name``; ``id`` is the same for the same file for ever."""

    id: str
    at: str
    name: str
    iban: str
    bic: str
    currency: str
    transfers: tuple[BankTransfer, ...]


def check_payee(given: Payee) -> Payee:
    """The same as banks write it: an IBAN without spaces, in capitals.

    Raises:
        Refused: BAD_INPUT for an IBAN that does not check, a BIC that is none, a name missing beside an IBAN, or a
            destination that is a card number.
    """
    iban, bic = ("".join(text.split()).upper() for text in (given.iban, given.bic))
    name = " ".join(given.name.split())
    if iban and not valid_iban(iban):
        raise refuse(RefusalCode.BAD_INPUT, "is no IBAN: its check digits do not fit.", field="iban")
    if bic and not _BIC.fullmatch(bic):
        raise refuse(RefusalCode.BAD_INPUT, "is no BIC.", field="bic", fix="8 or 11 characters, such as COBADEFFXXX.")
    if (iban and not name) or len(name) > _NAME_MAX or not (name.isprintable() or not name):
        raise refuse(RefusalCode.BAD_INPUT, f"of the holder has 1 to {_NAME_MAX} characters that print.", field="name")
    if given.destination:
        check_method(given.destination, "destination")
    return Payee(name, iban, bic, given.destination)


def valid_iban(text: str) -> bool:
    """Whether the check digits of an IBAN fit (ISO 13616: the rest of a division by 97 is 1)."""
    if not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1
