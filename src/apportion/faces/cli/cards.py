"""Cards: ``pay``, ``refund``, ``card …``, ``chargeback …`` and ``clearing``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer, Words
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.payments.saving import CardView
    from apportion.faces.cards import Cards
    from apportion.faces.cli.reach import Reach


def _cards(books: Reach) -> Cards:
    from apportion.faces.cards import Cards

    return Cards(books.ask, books.pages)


def pay(statement: str, /, *, method: str = "", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Charge what is open of a statement to the payer's saved card.

    Such as: apportion pay S-000001 --store http://127.0.0.1:8080

    A node sends the payment; on a file it waits there until one serves the file.

    Args:
        statement: The statement, by its id or number.
        method: A token of the payment processor, used for this payment alone; never a card number.
    """
    with changing(place) as books:
        made = _cards(books).pay(statement, method)
    answer.give(made, f"{made.id}: {made.amount} {made.currency} are wanted. apportion explain {made.id} tells more.")


def refund(
    payment: str,
    amount: Words = "",
    /,
    *,
    reference: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Give a payment back to the card that it came from, never more than was paid.

    Such as: apportion refund pay_… 5.00 --reference complaint-17

    Args:
        payment: The payment's id.
        amount: How much; all that is left when not given.
        reference: What makes it unique for ever; a fresh one when not given.
    """
    with changing(place) as books:
        made = _cards(books).refund(payment, reference or f"refund-{secrets.token_hex(8)}", amount)
    answer.give(made, f"{made.id}: {made.amount} {made.currency} go back for {made.payment}.")


def clearing(*, place: Place = PLACE, answer: TableAnswer = TABLE) -> int:
    """Every clearing account and the records that its balance is made of: processors, payouts under way, disputes.

    Exit code 1 when a balance is not the sum of its records.
    """
    with reading(place) as books:
        found = _cards(books).clearing()
    rows = []
    for one in found:
        rows.append((one.processor, one.currency, one.balance, one.cost, "", "" if one.explained else "not explained"))
        rows += [(one.processor, one.currency, rest.amount, "", rest.id, rest.why) for rest in one.remainders]
    answer.give(Table(("processor", "currency", "in transit", "cost", "record", "why"), rows), found)
    return 0 if all(one.explained for one in found) else 1


def save(
    payer: str,
    currency: str,
    /,
    *,
    return_to: str = "",
    reference: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Ask a payer for a card, which the payment processor keeps; a node is needed.

    Such as: apportion card save ada EUR --return-to https://shop.example/account --store http://127.0.0.1:8080

    Args:
        payer: The payer, by the name that usage calls them.
        currency: Of which account.
        return_to: Where the payer's browser comes back to from the processor's page; without it a secret is given.
        reference: What makes it unique for ever; a fresh one when not given.
    """
    from apportion.engine.payments.saving import CardInput

    given = CardInput(currency, reference or f"card-{secrets.token_hex(8)}", payer, return_to)
    with changing(place) as books:
        made = _cards(books).save(given)
    answer.give(made, f"{made.id}: {made.url or made.secret}")


def show(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """A card as it stands.

    Args:
        id: The card's id.
    """
    with reading(place) as books:
        found = _cards(books).get(id)
    answer.give(found, _said(found))


def remove(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Forget a card: its token is deleted.

    Args:
        id: The card's id.
    """
    with changing(place) as books:
        found = _cards(books).remove(id)
    answer.give(found, _said(found))


def _said(card: CardView) -> str:
    shown = f", {card.brand} that ends in {card.last4}, until {card.expires}" if card.last4 else ""
    return f"{card.id} is {card.state}{shown}{f' ({card.reason})' if card.reason else ''}."


def list_chargebacks(*, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """Chargebacks as they stand."""
    columns = ("id", "state", "amount", "taken", "fee", "currency", "payment", "reason", "respond_by")
    with reading(place) as books:
        found = list(_cards(books).chargebacks())
    answer.give(Table.of(found, columns), found)


def evidence(id: str, /, *, html: str = "", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """What answers a chargeback: the payment, the statement that it paid, the charges behind it.

    Such as: apportion chargeback evidence chb_… --html evidence.html

    Args:
        id: The chargeback's id.
        html: A file to write it to as a page, to print or to upload.
    """
    from apportion.faces.pages.evidence import evidence_page

    with reading(place) as books:
        found = _cards(books).evidence(id)
    if html:
        Path(html).write_text(evidence_page(found), encoding="utf-8")
    wrote = f", written to {html}" if html else "; --html FILE writes it as a page, --json as a record"
    answer.give(found, f"{len(found.charges)} charges answer {id} of {found.chargeback.amount}{wrote}.")


CARD: dict[str, Callable[..., Any]] = {"save": save, "show": show, "remove": remove}
CHARGEBACK: dict[str, Callable[..., Any]] = {"list": list_chargebacks, "evidence": evidence}


def commands(group: Any, default: Any) -> tuple[App, App]:
    """``apportion card …`` and ``apportion chargeback …`` for the program."""
    card = App(name="card", help="Cards that the payment processor keeps.", group=group, default_parameter=default)
    back = App(name="chargeback", help="Payments that a bank took back.", group=group, default_parameter=default)
    for app, table in ((card, CARD), (back, CHARGEBACK)):
        for name, command in table.items():
            app.command(command, name=name, help_format="markdown")
    return card, back
