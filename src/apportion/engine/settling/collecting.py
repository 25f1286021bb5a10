"""What a provider collects from a user for all who delivered: the user has paid, and the provider owes it."""

from __future__ import annotations

from apportion.engine.terms import Terms
from apportion.engine.value import receive
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.chart import account_key
from apportion.model.account import Role
from apportion.model.command import Outcome
from apportion.model.ids import key_id
from apportion.model.settlement import Collect
from apportion.money import Asset, Money
from apportion.ports import Key

COLLECTED = "collected"  # the kind of its entry


def collection_key(reference: str) -> Key:
    """The key of what was collected: one per reference for ever."""
    return proof.record_key(COLLECTED, reference)


def collect(work: Work, terms: Terms, command: Collect) -> Outcome:
    """Book what a provider took from a payer, within its net debit cap; once per reference.

    Raises:
        Refused: UNKNOWN_PROVIDER, UNKNOWN_PAYER, BAD_AMOUNT, CONFLICT; PAYMENT_LIMIT above the cap.
    """
    asset = terms.asset(command.currency)
    if command.provider not in terms.catalog.providers:
        raise refuse(
            RefusalCode.UNKNOWN_PROVIDER, f"the catalog has no provider {command.provider[:60]!r}.", field="provider"
        )
    payer = work.payer(command.payer, asset)
    if payer is None:
        raise refuse(
            RefusalCode.UNKNOWN_PAYER, f"{command.payer[:60]!r} has no account in {asset.code}.", field="payer"
        )
    atoms = Money.parse(command.amount, asset).atoms
    if atoms <= 0:
        raise refuse(RefusalCode.BAD_AMOUNT, "what was collected is above zero.", field="amount")
    key = collection_key(command.reference)
    digest = proof.record_key(f"{command.provider}\x00{payer.public}", f"{atoms} {asset}")[:8]
    known = work.made(key, digest, "collection")
    if known is not None:
        return Outcome(None, key_id("col", key), n=known.n)
    check_cap(work, terms, command.provider, asset, atoms, needed=command.capped)
    source = work.account(Role.PROVIDER, command.provider, asset)
    receive(work, payer, atoms, key, COLLECTED, cause=key_id("col", key), digest=digest, source=source)
    return Outcome(None, key_id("col", key), n=work.head[0])


def check_cap(work: Work, terms: Terms, provider: str, asset: Asset, atoms: int, *, needed: bool = False) -> None:
    """Refuse what would let a provider owe more than its net debit cap; without one, when a cap is ``needed``.

    Raises:
        Refused: PAYMENT_LIMIT.
    """
    cap = terms.catalog.providers[provider].debit_caps.get(asset.code)
    if cap is None:
        if needed:
            raise refuse(
                RefusalCode.PAYMENT_LIMIT, f"{provider} has no net debit cap in {asset.code}.", field="amount",
                fix="Agree on one with the operator: debit_caps of the catalog.",
            )  # fmt: skip
        return
    before = work.keyed(account_key(Role.PROVIDER, provider, str(asset)))
    posted = before.posted if before is not None else 0
    if posted - atoms < -Money.parse(cap, asset).atoms:
        raise refuse(
            RefusalCode.PAYMENT_LIMIT,
            f"{provider} would owe more than its net debit cap of {cap} {asset.code} allows.",
            field="amount",
            fix="Settle and collect what it owes first, or raise debit_caps in the catalog.",
        )
