"""Correcting charges: ``correct``."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from apportion.faces.cli.options import PLACE, TABLE, BadUsage, Place, TableAnswer
from apportion.faces.cli.reach import changing
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.exchange import ChargeView


def correct(
    charge: str,
    amount: str = "",
    /,
    *,
    reference: str = "",
    payer: str = "",
    provider: str = "",
    to: str = "",
    part: str = "",
    against: str = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Give a charge back or a part of it, or share its fee anew; what was booked stays.

    Such as: apportion correct chg_… 5.00 --reference complaint-17

    What was given back is a charge of its own, and is on the next statement. Everybody gives back what it earned.

    Args:
        charge: The charge to correct.
        amount: How much of it, tax and all; everything that stands when not given.
        reference: Makes it unique for ever: the same one corrects once.
        payer: The account that gets it; all who bear it when not given.
        provider: Who alone gives it back; everybody when not given.
        to: Share anew instead: this provider earns the amount more.
        part: With --to: for which part.
        against: With --to: which other provider earns it less; the platform when not given.
    """
    from apportion.engine.correcting.door import ResplitInput
    from apportion.faces.corrections import Corrections

    if to and not (part and amount):
        raise BadUsage("--to needs an amount and --part: who earns how much more, and for what.")
    reference = reference or f"correction-{secrets.token_hex(8)}"
    with changing(place) as books:
        corrections = Corrections(books.ask)
        if to:
            made = corrections.resplit(charge, ResplitInput(reference, part, to, amount, against))
        else:
            made = corrections.give_back(charge, reference, amount, payer, provider)
    if answer.give(_table(made), made):
        print(f"\n{made.id} corrects {made.origin}.")


def _table(made: ChargeView) -> Table:
    rows = [("pays", share.account, share.amount) for share in made.shares]
    rows += [("earns", f"{portion.provider} for {portion.part}", portion.amount) for portion in made.portions]
    rows += [("earns", "platform", made.platform)] if made.platform.strip("-0.") else []
    rows += [("tax", f"{tax.name} {tax.rate} %", tax.amount) for tax in made.taxes]
    rows += [("adds", "sponsor", made.sponsored)] if made.sponsored.strip("-0.") else []
    return Table(("what", "who", "amount", "currency"), [(*row, made.currency) for row in rows])
