"""A record of the books made ready to be rated under other terms."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from apportion.engine.least_cost import held_by
from apportion.engine.rating import Given, Prepared, prepare, rate, single
from apportion.engine.terms import Terms
from apportion.engine.whatif.names import Owners
from apportion.engine.whatif.twins import Twin
from apportion.errors import RefusalCode, refuse
from apportion.model.calendar import period_of
from apportion.model.charge import Charge
from apportion.model.journal import UsageLine
from apportion.model.plan import PLAN
from apportion.model.usage import PayerUse, Usage
from apportion.money import Exact
from apportion.stages.rate import Pricer
from apportion.stages.rate.deck import DeckIndex


class Stands(Exception):
    """A charge is told as it was booked; the words say why."""


def made_ready(usage: UsageLine, charge: Charge, twin: Twin, owners: Owners, *, closing: bool = False) -> Prepared:
    """The record under the terms of the replay; rated already, unless a running total takes part.

    Ties among payers go by their names, as when a record is charged; ``closing`` by their accounts, as when a close
    rates it again.

    Raises:
        Refused: the terms have no price for it.
        Stands: its price was agreed by itself.
    """
    if agreed(charge):
        raise Stands("Its price was agreed in a plan")
    own, changed = twin.own.service(usage.service), twin.changed
    names = [owners.of(one.payer) for one in usage.payers]
    payers = [
        PayerUse(name, one.weight, one.quantities, one.pays or name in own.exempt)
        for name, one in zip(names, usage.payers, strict=True)
    ]
    made = Usage(
        usage.source, usage.id, usage.service, datetime.fromisoformat(usage.start),
        datetime.fromisoformat(usage.end) if usage.end else None, tuple(payers),
        twin.parts(usage.service, usage.parts), usage.quantities, usage.attributes,
    )  # fmt: skip
    given = None
    if closing or not all(owners.known(one.payer) for one in usage.payers):
        made, given = _nameless(usage, charge, (made, twin, owners), closing=closing)
    prepared = prepare(made, changed, given)
    if usage.macs:
        _enough_left(usage, charge, prepared, twin)
    if charge.allowances:
        _bought(prepared, charge)
    if usage.period:
        prepared.period = usage.period
    if prepared.rated is None and not prepared.running:
        prepared.rated = rate(prepared, lambda prefix: {})
    return prepared


def as_it_was(usage: UsageLine, charge: Charge, twin: Twin) -> Prepared:
    """The record under its own terms, as a close rates it again."""
    made = Usage(
        usage.source, usage.id, usage.service, datetime.fromisoformat(usage.start),
        datetime.fromisoformat(usage.end) if usage.end else None, usage.payers, usage.parts, usage.quantities,
        usage.attributes,
    )  # fmt: skip
    return prepare(made, twin.own, Given.of(charge, usage.period))


def agreed(charge: Charge) -> bool:
    """Whether a charge goes by the tariffs of a plan."""
    return charge.tariff.startswith(PLAN) or any(portion.tariff.startswith(PLAN) for portion in charge.portions)


def _nameless(
    usage: UsageLine, charge: Charge, named: tuple[Usage, Twin, Owners], *, closing: bool
) -> tuple[Usage, Given]:
    """The record with payers by other words than their names, and what their names would have said."""
    made, twin, owners = named
    own, changed = twin.own.service(usage.service), twin.changed.service(usage.service)
    accounts, names = [one.payer for one in usage.payers], [one.payer for one in made.payers]
    words = accounts if closing or len(accounts) == 1 else _ranked(charge, accounts)
    payers = [
        msgspec.structs.replace(one, payer=word, pays=one.pays and one.payer not in changed.exempt)
        for one, word in zip(made.payers, words, strict=True)
    ]
    first = names[0] if owners.known(accounts[0]) else ""
    if first:
        retail = changed.retail_at(first, made.start).tariff.id
    else:  # an agreement of its own shows by a tariff that was not the service's
        retail = changed.service.retail if charge.tariff == own.service.retail else charge.tariff
    period = usage.period or period_of(twin.changed.calendar(first), made.start).key
    if changed.service.allocate != "least-cost":
        held = []
    elif all(owners.known(account) for account in accounts):
        held = [(one, dict(zip(names, words, strict=True))) for one in held_by(changed, made)]
    else:
        held = [(one, dict(zip(accounts, words, strict=True))) for one in charge.held]
    agreed_on = tuple(msgspec.structs.replace(one, account=word[one.account]) for one, word in held)
    return msgspec.structs.replace(made, payers=tuple(payers)), Given(retail, period, charge.allowances, agreed_on)


def _ranked(charge: Charge, accounts: list[str]) -> list[str]:
    """Words for payers of whom some are forgotten, in the order in which rounding favoured them when it was booked.

    Names decide who gets an atom of two to whom the same is due; so it goes to whom it went.
    """
    borne = dict.fromkeys(accounts, Exact(0))
    weights = dict(borne)
    for share in charge.shares:
        borne[share.bearer] += Exact.parse(share.amount)
        weights[share.bearer] = Exact.parse(share.weight or "1")
    total, mass = sum(borne.values(), Exact(0)), sum(weights.values(), Exact(0))

    def gained(account: str) -> Exact:
        return borne[account] * mass - total * weights[account]

    order = sorted(accounts, key=lambda account: (Exact(0) - gained(account), account))
    return [f"{order.index(account):04} {account}" for account in accounts]


def _bought(prepared: Prepared, charge: Charge) -> None:
    """Units that allowances covered stay covered, with what was paid for them."""
    if prepared.terms.asset.code != charge.currency or not single(prepared):
        raise Stands("Allowances in another currency, or of one payer among several, covered it")
    if any(one.measure not in prepared.use.quantities for one in charge.allowances):
        raise Stands("Allowances covered what is not measured now")
    prepared.covered, prepared.rated = charge.allowances, None


# ── personal attributes, cut to what the price needed ──


def _enough_left(usage: UsageLine, charge: Charge, prepared: Prepared, twin: Twin) -> None:
    """Refuse a deck that asks more of a personal attribute than the books have kept.

    They have its longest key among the decks that priced it, so what any of those would have found further on is out;
    another deck may know a longer key, and whether that fits nobody can tell any more.
    """
    choice = prepared.choice.cells.pricers if prepared.choice is not None else ()
    asked = [p for p in (prepared.retail, *prepared.pricers, *choice) if p is not None and p.plans.deck is not None]
    before: list[Pricer] | None = None
    for pricer in dict.fromkeys(asked):
        deck = pricer.plans.deck
        if deck is None or deck.by not in usage.macs:
            continue
        if before is None:
            before = list(_decks(twin.own, (charge.tariff, *(portion.tariff for portion in charge.portions))))
        if any(twin.alike(one, pricer) for one in before):
            continue
        _check_deck(pricer, usage, before, prepared.use.start)


def _decks(terms: Terms, tariffs: Iterable[str]) -> Iterable[Pricer]:
    for name in dict.fromkeys(tariffs):
        if name and (found := terms.pricer(name)).plans.deck is not None:
            yield found


def _check_deck(pricer: Pricer, usage: UsageLine, before: list[Pricer], start: datetime) -> None:
    deck = pricer.plans.deck
    assert deck is not None
    decks = [one.plans.deck for one in before if one.plans.deck is not None and one.plans.deck.by == deck.by]
    kept = usage.attributes.get(deck.by, "")
    if kept and decks and all(one.exact for one in decks):
        return  # it was found as a whole, and so was kept as a whole
    for key in deck.possible(kept):
        if deck.sells(key, start) and not any(_excludes(one, deck, kept, key, start) for one in decks):
            raise refuse(
                RefusalCode.NO_PRICE,
                f"the tariff {pricer.tariff.id!r} asks more of {deck.by!r} than the books have kept of it.",
                field=f"attributes.{deck.by}",
                fix="Personal attributes are cut to what the price needed.",
            )


def _excludes(before: DeckIndex, deck: DeckIndex, kept: str, key: str, start: datetime) -> bool:
    """Whether a deck that priced the use would have kept more, if the value had this key of another deck."""
    if before.exact:
        return deck.exact and before.sells(key, start)
    row = before.find(key, start)
    return row is not None and len(row.key.removeprefix("+")) > len(kept.removeprefix("+"))
