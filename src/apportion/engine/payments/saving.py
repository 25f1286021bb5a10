"""Saving a card, and paying a statement by it, as callers ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from apportion.engine import billing
from apportion.engine.engine import Engine
from apportion.engine.exchange import Currency, Input, Name, Text
from apportion.engine.payments import deeds
from apportion.engine.payments.bills import came_in
from apportion.engine.payments.cards import ASKED, REMOVED
from apportion.engine.payments.door import PaymentAnswer, pay_told
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import RefusalCode, Refused, StoreUnavailable, refuse
from apportion.ledger import proof
from apportion.model.access import AccessRole
from apportion.model.account import Account
from apportion.model.card import AskCard, CardLine, EndCard, PayStatement
from apportion.model.command import Outcome
from apportion.model.ids import key_id, read_key
from apportion.model.notice import CardAsked
from apportion.model.statement import CreditNote, Statement

WAIT = 20.0  # seconds that a processor has to say where a card is given


class CardInput(Input, frozen=True):
    """Ask a payer for a card, once per ``reference``. A user need not name the payer: it is the user.

    With ``return_to`` (an address) the answer is a page of the processor, from which the payer's browser comes back
    there; without it a secret, with which the processor's own script asks for the card. No card number ever comes here.
    """

    currency: Currency
    reference: Name
    payer: Text = ""
    return_to: Text = ""


class CardView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A card as it stands since ``at``: asked (at ``url``, or by ``secret``), saved, failed or removed."""

    id: str
    account: str
    processor: str
    state: str
    at: str
    url: str = ""
    secret: str = ""
    brand: str = ""
    last4: str = ""
    expires: str = ""
    reason: str = ""


class PayInput(Input, frozen=True):
    """Charge what is open of a statement by the saved card, or by ``method`` (a token, never a card number)."""

    method: Text = ""

    def __repr__(self) -> str:
        return "PayInput()"  # a token has no place in a log


def save_card(engine: Engine, call: Call) -> list[object]:
    """Ask the processor where a card is given, and note that it was asked.

    Raises:
        Refused: UNKNOWN_PAYER, NOT_FOUND for another payer, BAD_INPUT when no processor is there.
        StoreUnavailable: it did not say; asking again is safe.
    """
    given: CardInput = call.given
    account = _payer(engine, call, given)
    port, outside = engine.payments, engine.outside
    if port is None or outside is None:
        raise refuse(RefusalCode.BAD_INPUT, "this node has no payment processor.", field="payments", fix=_FIX)
    salt = engine.store.salts(engine.tenant, [account.party]).get(account.party)
    if salt is None:
        raise nothing()
    text = f"card\x00{account.public}\x00{proof.record_key('reference', given.reference).hex()}"
    id = key_id("crd", bytes.fromhex(proof.personal_mac(salt, text)))
    if engine.store.courses(engine.tenant, [id]):
        return [AskCard(id, account.id, port.name, "", "")]
    came: SimpleQueue[CardAsked] = SimpleQueue()

    def ended(result: Any, error: BaseException | None) -> None:
        came.put(result if error is None else CardAsked(fault=type(error).__name__.lower()))

    outside.submit(lambda: port.ask_card(id, given.return_to), WAIT, ended)
    try:
        asked = came.get(timeout=WAIT + 1)
    except Empty:
        asked = CardAsked(fault="no_answer")
    if asked.fault:
        raise StoreUnavailable(f"The payment processor did not say where a card is given ({asked.fault}).")
    details = {name: getattr(asked, name) for name in ("session", "url", "secret") if getattr(asked, name)}
    return [AskCard(id, account.id, port.name, msgspec.json.encode(details).decode(), engine.clock.now())]


_FIX = "Start it with --payments."


def _payer(engine: Engine, call: Call, given: CardInput) -> Account:
    """The account that a card is for."""
    payer = given.payer
    if call.caller.role is AccessRole.USER:
        if payer not in ("", call.caller.party):
            raise nothing()
        payer = call.caller.party
    store, tenant = engine.store, engine.tenant
    party = store.handles(tenant, [payer]).get(payer)
    asset = engine.books.asset(given.currency)
    key = f"payer:{party}:{asset}"
    number = store.account_keys(tenant, [key]).get(key) if party is not None else None
    if number is None:
        raise refuse(
            RefusalCode.UNKNOWN_PAYER,
            f"no account in {given.currency} is open for this payer.",
            field="payer",
            fix="Add the payer to the catalog and apply it.",
        )
    return store.accounts(tenant, [number])[number]


def card_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> CardView:
    """The card that was asked for."""
    if outcomes[0].refusal is not None:
        raise Refused(outcomes[0].refusal)
    return _view(engine, deeds.record(engine, outcomes[0].id, CardLine))


def card(engine: Engine, call: Call) -> CardView:
    """One card.

    Raises:
        Refused: NOT_FOUND, also when it is another's.
    """
    line: CardLine = deeds.record(engine, call.id, CardLine)
    if not Sight(engine, call.caller).may_see(line.account):
        raise nothing()
    return _view(engine, line)


def remove_card(engine: Engine, call: Call) -> CardView:
    """Forget a card: its token is deleted here.

    Raises:
        Refused: NOT_FOUND, CONFLICT when it failed before.
    """
    line: CardLine = deeds.record(engine, call.id, CardLine)
    if not Sight(engine, call.caller).may_see(line.account):
        raise nothing()
    return card_told(engine, call, engine.writer.commit([EndCard(call.id, line.n, REMOVED)]))


def _view(engine: Engine, line: CardLine) -> CardView:
    shown = deeds.details_of(engine, line)
    shown.pop("session", None)
    if line.state != ASKED:
        shown = {name: text for name, text in shown.items() if name not in ("url", "secret")}
    return CardView(line.id, line.account, line.processor, line.state, line.at, reason=line.reason, **shown)


def pay_statement(engine: Engine, call: Call) -> list[object]:
    """Charge what is open of a statement.

    Raises:
        Refused: NOT_FOUND, also when it is another's, or no statement of a payer.
    """
    document = Sight(engine, call.caller).statement(call.id)
    if not isinstance(document, Statement) or isinstance(document, CreditNote):
        raise nothing()
    key = read_key(document.id)
    n, upto = engine.store.seen(engine.tenant, [key])[key].n, engine.store.head(engine.tenant, 0)[0]
    rows = (body for _, body, _ in engine.store.journal(engine.tenant, 0, n, upto))
    came = came_in(rows, document.account, engine.books.asset(document.currency))
    given: PayInput = call.given
    others = set(document.beside) - {document.number}
    beside = tuple(line.id for line in billing.listing(engine) if line.number in others) if others else ()
    return [PayStatement(document.id, document.account, document.due, came, upto, given.method, beside)]


def statement_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> PaymentAnswer:
    """The payment of a statement."""
    return pay_told(engine, call, outcomes)
