"""Value in and value set aside: top-ups, payers' terms, holds; each decided on the working set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apportion.engine.credit.line import keeps, received
from apportion.engine.funding.opening import fund
from apportion.engine.sessions.waiters import wake
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import holds, proof
from apportion.ledger.booking import book, topup_movements
from apportion.model.account import Account, Role
from apportion.model.command import EndHold, OpenPayer, Outcome, PlaceHold, SweepHold, TopUp
from apportion.model.hold import Hold, HoldState
from apportion.model.ids import key_id, number_id
from apportion.model.journal import CreditLine, HoldLine
from apportion.money import Money
from apportion.money.exact import decimal_text
from apportion.ports import Key


class ValueDecision(Unforeseen):
    """A command about one payer's value; ``decide`` answers with the id of the record it made."""

    def __init__(self, command: OpenPayer | TopUp | PlaceHold | EndHold | SweepHold, terms: Terms) -> None:
        self.command = command
        self.terms = terms

    def keys(self) -> tuple[Key, ...]:
        """Dedup keys to look up."""
        if isinstance(self.command, TopUp):
            return (proof.record_key("topup", self.command.reference),)
        if isinstance(self.command, OpenPayer):
            return (proof.record_key("opening", self.command.payer.id),)
        return ()

    def people(self) -> list[str]:
        """Names of payers to look up."""
        if isinstance(self.command, OpenPayer):
            return [self.command.payer.id, *(alternate.payer for alternate in self.command.payer.alternates)]
        return [self.command.payer] if isinstance(self.command, TopUp | PlaceHold) else []

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        command = self.command
        try:
            if isinstance(command, OpenPayer):
                return self._open(work, command)
            if isinstance(command, TopUp):
                return self._top_up(work, command)
            if isinstance(command, PlaceHold):
                return self._place(work, command)
            if isinstance(command, EndHold):
                return self._end(work, command)
            return self._sweep(work, command)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)

    def _payer(self, work: Work, name: str, currency: str) -> Account:
        account = work.payer(name, self.terms.asset(currency))
        if account is None and self.terms.bills_in(name, currency):
            account = work.open_payer(name, self.terms.asset(currency), 0)
        if account is None:
            raise refuse(
                RefusalCode.UNKNOWN_PAYER,
                f"no account in {currency} is open for this payer.",
                field="payer",
                fix="Add the payer to the catalog and apply it.",
            )
        return account

    def _open(self, work: Work, command: OpenPayer) -> Outcome:
        payer = command.payer
        asset = self.terms.asset(payer.currency)
        credit = Money.parse(payer.credit, asset, field="credit").atoms
        opening = Money.parse(payer.opening, asset, field="opening").atoms
        account = work.payer(payer.id, asset)
        if account is None:
            account = work.open_payer(payer.id, asset, credit)
        elif account.credit != credit and not keeps(work, account, credit):
            account.credit = credit
            work.touch(account)
            work.append(encode(CreditLine(account.public, work.at, payer.credit)))
        key = self.keys()[0]
        if opening > 0 and key not in work.seen:
            self._credit(work, account, opening, key, "opening")
        fund(work, self.terms, account, payer)
        return Outcome(None, account.public)

    def _top_up(self, work: Work, command: TopUp) -> Outcome:
        account = self._payer(work, command.payer, command.currency)
        asset = self.terms.asset(command.currency)
        amount = Money.parse(command.amount, asset)
        if amount.atoms <= 0:
            raise refuse(RefusalCode.BAD_AMOUNT, "a top-up must be above zero.", field="amount")
        key = self.keys()[0]
        digest = proof.record_key(account.public, str(amount))[:8]
        if work.made(key, digest, "top-up") is not None:
            return Outcome(None, key_id("top", key), total=amount.atoms)
        self._credit(work, account, amount.atoms, key, "topup", digest)
        return Outcome(None, key_id("top", key), total=amount.atoms)

    def _credit(self, work: Work, account: Account, atoms: int, key: Key, kind: str, digest: bytes = b"") -> None:
        receive(work, account, atoms, key, kind, cause=key_id("top", key), digest=digest)

    def _place(self, work: Work, command: PlaceHold) -> Outcome:
        account = self._payer(work, command.payer, command.currency)
        asset = self.terms.asset(command.currency)
        amount = Money.parse(command.amount, asset).atoms
        hold = Hold(work.names.next_hold, account.id, command.owner, amount, command.expires)
        holds.place(hold, account)
        work.names.next_hold += 1
        return self._note(work, hold, account)

    def _end(self, work: Work, command: EndHold) -> Outcome:
        hold = work.hold(command.hold)
        account = work.numbered(hold.account)
        asset = work.asset_of(account)
        holds.capture(hold, account, Money.parse(command.amount, asset).atoms, final=command.final)
        return self._note(work, hold, account)

    def _sweep(self, work: Work, command: SweepHold) -> Outcome:
        hold = work.hold(command.hold)
        account = work.numbered(hold.account)
        if hold.state is HoldState.OPEN and hold.expires <= work.at:
            holds.release(hold, account, HoldState.EXPIRED)
            return self._note(work, hold, account)
        return Outcome(None, number_id("hold", hold.id))

    def _note(self, work: Work, hold: Hold, account: Account) -> Outcome:
        work.append(hold_line(work, hold, account))
        return Outcome(None, number_id("hold", hold.id), total=hold.open)


def receive(
    work: Work,
    account: Account,
    atoms: int,
    key: Key,
    kind: str,
    *,
    cause: str,
    digest: bytes = b"",
    processor: str = "",
    source: Account | None = None,
    lines: Callable[[], Sequence[bytes]] = tuple,
) -> None:
    """Book value that came in from outside for a payer, remembered under ``key``; ``lines`` stand in the same row.

    What a ``processor`` has taken is in transit until it pays it out; it may come from another ``source``; anything
    else is cash.

    Raises:
        Refused: OVERFLOW, before anything has changed.
    """
    asset = work.asset_of(account)
    cash = source or (
        work.account(Role.TRANSIT, processor, asset) if processor else work.account(Role.CASH, "outside", asset)
    )
    movements = topup_movements(account, cash, atoms)
    entry = book(key_id("ent", key), cause, kind, work.at, (str(asset), asset.scale), movements)
    work.touch(account)
    work.touch(cash)
    credit = received(work, account, atoms, key)
    woken = wake(work, account)
    work.record(key, "done", digest, *lines(), encode(entry), *(credit.lines if credit is not None else ()), *woken)
    if credit is not None:
        credit.noted()


def hold_line(work: Work, hold: Hold, account: Account) -> bytes:
    """Note that a hold is new or changed; its line, for the caller to append."""
    asset = work.asset_of(account)
    work.touch(account)
    work.set_hold(hold)
    amounts = [decimal_text(atoms, asset.scale) for atoms in (hold.amount, hold.open, hold.captured, hold.released)]
    name, state = number_id("hold", hold.id), hold.state.value
    return encode(HoldLine(name, account.public, str(asset), hold.owner, state, work.at, hold.expires, *amounts))
