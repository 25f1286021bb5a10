"""What a payer's funding says that can not be so, beside names that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from apportion.errors import RefusalCode, Refused
from apportion.model.party import Payer
from apportion.model.payment import check_method
from apportion.money import Asset, Money, parse_asset

CAP_PERIODS = ("day", "month", "ever")
#: the place under the payer, what is wrong, what to do, the code
Finding = tuple[str, str, str, RefusalCode]
_INVALID = RefusalCode.CATALOG_INVALID


def check_funding(payer: Payer, currencies: Mapping[str, str], scale: int | None) -> Iterator[Finding]:
    """Alternates are other payers of the same currency, each once; caps and top-ups are amounts above zero.

    ``currencies`` are those of the payers that there are; ``scale`` is what the catalog gives this payer's.
    """
    code, seen = payer.currency.partition("/")[0], set[str]()
    for i, alternate in enumerate(payer.alternates):
        at, name = f"alternates.{i}", alternate.payer
        if name == payer.id:
            yield f"{at}.payer", "is the payer itself.", "Name another: its own value comes first anyway.", _INVALID
        elif name in seen:
            yield f"{at}.payer", f"{name!r} stands twice.", "Name each alternate once.", _INVALID
        elif name in currencies and currencies[name].partition("/")[0] != code:
            message = f"{name!r} has {currencies[name]}, {payer.id!r} {payer.currency}."
            yield f"{at}.payer", message, f"Name a payer whose account is in {code}.", RefusalCode.ASSET_MISMATCH
        seen.add(name)
        if alternate.per not in CAP_PERIODS:
            message = f"{alternate.per[:40]!r} is no period of a cap."
            yield f"{at}.per", message, "One of " + ", ".join(CAP_PERIODS) + ".", _INVALID
        yield from _amount(f"{at}.cap", alternate.cap, payer.currency, scale)
    fetched = payer.auto_topup
    if fetched is not None:
        if not fetched.amount:
            yield "auto_topup.amount", "is empty.", "Say how much a payment fetches at a time.", _INVALID
        try:
            if fetched.method:
                check_method(fetched.method)
        except Refused as refused:
            yield "auto_topup.method", refused.refusal.message, refused.refusal.fix, _INVALID
        yield from _amount("auto_topup.amount", fetched.amount, payer.currency, scale)
        yield from _amount("auto_topup.limit", fetched.limit, payer.currency, scale)


def _amount(where: str, text: str, currency: str, scale: int | None) -> Iterator[Finding]:
    """An amount that is left out, or above zero; a currency that means nothing is reported elsewhere."""
    asset = _asset(currency, scale)
    if asset is None or not text:
        return
    try:
        atoms = Money.parse(text, asset).atoms
    except Refused as refused:
        yield where, refused.refusal.message, refused.refusal.fix, refused.refusal.code
        return
    if atoms <= 0:
        yield where, f"{text} is not above zero.", "Write an amount, or leave it out.", RefusalCode.BAD_AMOUNT


def _asset(currency: str, scale: int | None) -> Asset | None:
    try:
        return parse_asset(currency if "/" in currency or scale is None else f"{currency}/{scale}", store=True)
    except Refused:
        return None
