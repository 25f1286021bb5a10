"""Payments on the working set: when one may be made, that it is sent, how it ended; each decided in the commit loop.

A payment is written down before the processor hears of it, and again before each time that it is sent, so that
whoever finds it later knows what may have happened outside. Value comes in only when the processor has said so: once,
in the row that says that the payment succeeded.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from apportion.engine.funding import purse as funding
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.value import receive
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.model.account import Account, Role
from apportion.model.card import ReceiptLine
from apportion.model.command import Outcome
from apportion.model.funding import FundingLine
from apportion.model.ids import key_id, number_id, read_key, read_number
from apportion.model.payment import (
    LIVE,
    EndPayment,
    PaidLine,
    PaymentLine,
    PaymentState,
    RequestPayment,
    SendPayment,
    check_method,
    spoken,
)
from apportion.money import Asset, Money
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.money.rounding import Rounding, nearest
from apportion.ports import Person

METHOD = "method"  # the personal row that holds a token: a payer's own, or with a payment's key that payment's alone
AUTO = "auto"
REST_SECONDS = 3600  # after a failure nothing is fetched unasked for so long, unless the payer's funding changes
_LINE = msgspec.json.Decoder(PaymentLine)


def request(work: Work, account: Account, atoms: int = 0, cause: str = AUTO, method: str = "") -> PaymentLine | None:
    """Let a payment fetch value for ``account`` because it runs short; the one that is under way if there is one.

    ``atoms`` are rounded up to the currency's minor unit; 0 stands for what the payer's funding fetches at a time. None
    when it must not be: the funding does not say so and no ``method`` is given, this month's limit is reached, or the
    last payment failed and nothing has changed since. Nothing is charged here and no headroom is added: that is the
    processor's word.
    """
    terms, paid = funding_of(work, account), paid_of(work, account)
    last = payment_of(work, paid.last) if paid is not None else None
    if last is not None and last.state in LIVE:
        return last
    if not method and (terms is None or not terms.topup or _rests(work, terms, last)):
        return None
    asset = work.asset_of(account)
    if not atoms and terms is not None and terms.topup:
        atoms = Money.parse(terms.topup, asset).atoms
    try:
        unit = minor_unit(asset)
        id = payment_id(work, account, f"{cause}\x00{last.id if last is not None else ''}")
        return _create(work, account, (nearest(atoms, unit, Rounding.UP) * unit, id, cause), method)
    except Refused:
        return None


def fetch(work: Work, shares: Iterable[tuple[Account, int | None]], service: str) -> None:
    """Let payments fetch value for those payers who can not bear their share of a record of ``service`` (atoms)."""
    for account, atoms in shares:
        if atoms and atoms > funding.Purse(work, account, service).available():
            request(work, account)


def order(work: Work, account: Account, atoms: int, cause: str, method: str = "") -> PaymentLine:
    """Make the payment that somebody asked for, once per ``cause`` for ever; the same one when it is asked for again.

    Raises:
        Refused: BAD_AMOUNT; CONFLICT when another one is under way, or this cause had another amount; PAYMENT_LIMIT;
            BAD_INPUT when there is no means of payment, or one that is no token.
    """
    id = payment_id(work, account, cause)
    known = payment_of(work, id)
    if known is None:
        return _create(work, account, (atoms, id, cause), method)
    if Money.parse(known.amount, work.asset_of(account)).atoms != atoms:
        raise refuse(
            RefusalCode.CONFLICT,
            "this reference was used before for another amount.",
            field="reference",
            fix="Every payment needs a reference of its own.",
        )
    return known


def payment_id(work: Work, account: Account, cause: str) -> str:
    """``pay_…`` of an account and a cause; no other books that the processor works for can come to the same.

    Raises:
        Refused: BAD_INPUT, when the payer was forgotten, and the means of payment with it.
    """
    try:
        salt = work.salts_of(account.party)
    except KeyError:
        raise _no_method() from None
    return payment_name(salt, account.public, cause)


def payment_name(salt: bytes, account: str, cause: str) -> str:
    """The id of the payment into an ``account`` (``acc_…``) for a ``cause``; ``salt`` is its payer's."""
    return key_id("pay", bytes.fromhex(proof.personal_mac(salt, f"payment\x00{account}\x00{cause}")))


def _no_method() -> Refused:
    return refuse(
        RefusalCode.BAD_INPUT,
        "no means of payment is stored for this payer.",
        field="method",
        fix="Save a card, name a token of the payment processor, or give the payer auto_topup in the catalog.",
    )


def receipt(work: Work, line: PaymentLine) -> tuple[bytes, ...]:
    """The receipt of a payment that succeeded, where a processor keeps it; the caller appends it."""
    if not line.processor:
        return ()
    made = ReceiptLine(
        id="rcp" + line.id[3:], payment=line.id, account=line.account, asset=line.asset, processor=line.processor,
        at=work.at, amount=line.amount, reference=line.reference,
    )  # fmt: skip
    return (work.move(made),)


def payment_of(work: Work, id: str) -> PaymentLine | None:
    """A payment as it stands."""
    line = work.course(id) if id else b""
    return _LINE.decode(line) if line else None


def paid_of(work: Work, account: Account) -> PaidLine | None:
    """What payments have come to for an account; None before the first."""
    line = work.course(number_id("paid", account.id))
    return msgspec.json.decode(line, type=PaidLine) if line else None


def funding_of(work: Work, account: Account) -> FundingLine | None:
    """From where an account is funded; None when it has its own value alone."""
    return funding.funding_of(work, account.id)


def minor_unit(asset: Asset) -> int:
    """How many atoms the smallest amount has that a processor can charge.

    Raises:
        Refused: UNKNOWN_ASSET when it is no currency that anybody can be charged in.
    """
    digits = minor_digits(asset.code)
    if digits is None or digits > asset.scale:
        raise refuse(RefusalCode.UNKNOWN_ASSET, f"nobody can be charged in {asset}.", field="currency")
    return int(10 ** (asset.scale - digits))


def _rests(work: Work, terms: FundingLine, last: PaymentLine | None) -> bool:
    """Whether the payer's means of payment was refused a while ago, so that trying it again would only annoy."""
    if last is None or last.state != PaymentState.FAILED.value or terms.at > last.at:
        return False
    return (datetime.fromisoformat(work.at) - datetime.fromisoformat(last.at)).total_seconds() < REST_SECONDS


def _create(work: Work, account: Account, wanted: tuple[int, str, str], method: str) -> PaymentLine:
    atoms, id, cause = wanted
    asset, terms, paid = work.asset_of(account), funding_of(work, account), paid_of(work, account)
    if account.role is not Role.PAYER:
        raise refuse(RefusalCode.UNKNOWN_PAYER, f"{account.public} is no payer's account.", field="payer")
    if atoms <= 0 or atoms % minor_unit(asset):
        digits = minor_digits(asset.code)
        raise refuse(
            RefusalCode.BAD_AMOUNT, f"a payment is above zero and has at most {digits} decimals.", field="amount"
        )
    if method:
        check_method(method)
    elif terms is None or not (terms.card or terms.topup):
        raise _no_method()
    last = payment_of(work, paid.last) if paid is not None else None
    if last is not None and last.state in LIVE:
        raise refuse(
            RefusalCode.CONFLICT,
            f"{last.id} of this account is under way.",
            field="payer",
            fix="Wait until it has ended; one whose outcome is not known is asked for until it is.",
        )
    month = work.at[:7]
    before = Money.parse(paid.paid, asset).atoms if paid is not None and paid.month == month else 0
    if terms is not None and terms.topup_limit:
        if before + atoms > Money.parse(terms.topup_limit, asset).atoms:
            raise refuse(
                RefusalCode.PAYMENT_LIMIT,
                "payments of this month would pass the payer's limit.",
                field="amount",
                fix="Ask for less, or raise auto_topup.limit in the catalog.",
            )
    line = PaymentLine(
        id=id, due=work.at, n=1, account=account.public, asset=str(asset), amount=decimal_text(atoms, asset.scale),
        state=PaymentState.CREATED.value, cause=cause, at=work.at, requested=work.at,
        previous=last.id if last is not None else "",
    )  # fmt: skip
    if method:
        work.writes.people.append(Person(account.party, METHOD, method, read_key(id)))
    work.append(work.move(line), work.move(_paid(work, account, line, before + atoms)))
    work.names.soon = True
    return line


def _paid(work: Work, account: Account, line: PaymentLine, atoms: int) -> PaidLine:
    text = decimal_text(atoms, work.asset_of(account).scale)
    return PaidLine(
        id=number_id("paid", account.id), account=account.public, at=work.at, last=line.id,
        month=line.requested[:7], paid=text,
    )  # fmt: skip


class PaymentDecision(Unforeseen):
    """A command about one payment; ``decide`` answers with its id."""

    def __init__(self, command: RequestPayment | SendPayment | EndPayment, terms: Terms) -> None:
        self.command, self.terms = command, terms

    def people(self) -> list[str]:
        """Names of payers to look up."""
        return [self.command.payer] if isinstance(self.command, RequestPayment) else []

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command = self.command
        try:
            if isinstance(command, RequestPayment):
                return self._request(work, command)
            line = payment_of(work, command.id)
            if line is None or line.state not in LIVE:
                raise refuse(RefusalCode.CONFLICT, f"{command.id} is not under way.", field="id")
            if isinstance(command, SendPayment):
                return _send(work, command, line)
            return _end(work, command, line)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)

    def _request(self, work: Work, command: RequestPayment) -> Outcome:
        asset = self.terms.asset(command.currency)
        account = work.payer(command.payer, asset)
        if account is None:
            raise refuse(
                RefusalCode.UNKNOWN_PAYER,
                f"no account in {command.currency} is open for this payer.",
                field="payer",
                fix="Add the payer to the catalog and apply it.",
            )
        atoms = Money.parse(command.amount, asset).atoms
        return Outcome(None, order(work, account, atoms, reference_cause(command.reference), command.method).id)


def reference_cause(reference: str) -> str:
    """A caller's reference as the books may hold it: callers may write names into it."""
    return key_id("ref", proof.record_key("reference", reference))


def _send(work: Work, command: SendPayment, line: PaymentLine) -> Outcome:
    """Note one more try; of several nodes that mean to send the same, the first one does."""
    if line.n != command.n:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
    state = PaymentState.SENT.value if line.state == PaymentState.CREATED.value else line.state
    sent = msgspec.structs.replace(
        line, n=line.n + 1, state=state, at=work.at, tries=line.tries + 1, due=command.due, reason="",
        processor=command.processor or line.processor,
    )  # fmt: skip
    work.append(work.move(sent))
    return Outcome(None, sent.id, n=sent.n)


def _end(work: Work, command: EndPayment, line: PaymentLine) -> Outcome:
    """Note what the processor said. An outcome counts whoever brings it; no outcome, only while nothing else came."""
    if line.state == PaymentState.CREATED.value:
        if command.outcome != PaymentState.FAILED.value:
            raise refuse(RefusalCode.CONFLICT, f"{line.id} was never sent.", field="id")
    told = msgspec.structs.replace(
        line, n=line.n + 1, at=work.at, reference=spoken(command.reference) or line.reference,
        reason=spoken(command.reason), due="",
    )  # fmt: skip
    wrong = ""  # why a success is none of ours: only a person can tell
    if command.outcome == PaymentState.FAILED.value:
        _fail(work, msgspec.structs.replace(told, state=PaymentState.FAILED.value))
        return Outcome(None, line.id)
    if command.outcome == PaymentState.SUCCEEDED.value:
        wrong = _receive(work, command, msgspec.structs.replace(told, state=PaymentState.SUCCEEDED.value))
        if not wrong:
            return Outcome(None, line.id)
    if line.n != command.n:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
    state = line.state if command.outcome == "pending" else PaymentState.UNKNOWN.value
    late = line.late or (work.at if command.late or wrong else "")
    still = msgspec.structs.replace(
        told, state=state, asked=line.asked + 1, due=command.due, late=late, reason=wrong or told.reason
    )
    work.append(work.move(still))
    return Outcome(None, line.id)


def _receive(work: Work, command: EndPayment, line: PaymentLine) -> str:
    """Let the value in, the payment and its entry in one row; or else why it can not be, and nothing is changed."""
    account = work.numbered(read_number(line.account))
    asset = work.asset_of(account)
    try:
        charged = Money.parse(command.amount, asset)
        if command.currency != asset.code or charged.text() != line.amount:
            return "other_amount"
        key = read_key(line.id)
        receive(
            work, account, charged.atoms, key, "topup", cause=line.id, processor=line.processor,
            lines=lambda: (work.move(line), *receipt(work, line)),
        )  # fmt: skip
    except Refused as error:
        return "overflow" if error.refusal.code is RefusalCode.OVERFLOW else "other_amount"
    return ""


def _fail(work: Work, line: PaymentLine) -> None:
    """Nothing came in: it counts no more for the month in which it was requested."""
    account = work.numbered(read_number(line.account))
    asset, paid = work.asset_of(account), paid_of(work, account)
    lines = [work.move(line)]
    if paid is not None and paid.month == line.requested[:7]:
        atoms = Money.parse(paid.paid, asset).atoms - Money.parse(line.amount, asset).atoms
        lines.append(work.move(msgspec.structs.replace(paid, at=work.at, paid=decimal_text(atoms, asset.scale))))
    work.append(*lines)
