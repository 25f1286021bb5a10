"""What a booked use costs by other terms: the same use, parts, payers and places, priced and shared anew."""

from __future__ import annotations

import functools

import msgspec

from apportion.engine.close import usage_of
from apportion.engine.query import Record
from apportion.engine.rating import Given, Prepared, Rated, prepare
from apportion.engine.terms import Terms
from apportion.errors import RefusalCode, refuse
from apportion.model.charge import Charge, Portion, Share, TaxLine
from apportion.model.journal import UsageLine
from apportion.model.usage import PartUse, Usage
from apportion.money import Asset
from apportion.money.exact import decimal_text
from apportion.stages.rate import Pricer
from apportion.stages.rate.correct import difference

LABEL = "price correction"


def fresh_charge(usage: UsageLine, was: Charge, before: Terms, terms: Terms, tariff: str) -> Charge:
    """The charge of a use by ``terms``, with the retail tariff of this id; it ``was`` booked by those ``before``.

    Who paid and who delivered stays.

    Raises:
        Refused: PERIOD_OPEN when totals of a period count in it; NO_PRICE and whatever else the terms refuse.
    """
    prepared = prepare(delivered(usage, was), terms, Given(tariff, usage.period, was.allowances, was.held))
    rated = prepared.rated
    if rated is None or usage.period:
        raise refuse(RefusalCode.PERIOD_OPEN, "totals of its period count in its price.", field="service")
    if prepared.terms.asset != asset_of(was):
        raise refuse(RefusalCode.ASSET_MISMATCH, f"it was charged in {was.currency}.", field="currency")
    check_kept(usage, was, before, prepared)
    return _charge(was, prepared, rated)


def asset_of(charge: Charge) -> Asset:
    """The asset of a charge, whose amounts say its scale."""
    return Asset(charge.currency, len(charge.total.partition(".")[2]))


def delivered(usage: UsageLine, was: Charge) -> Usage:
    """The use with every part named by who delivered it, whoever the terms would choose now."""
    own = {(part.part, part.provider): part.quantities for part in usage.parts}
    places = [(portion.part, portion.provider) for portion in was.portions]
    parts = tuple([PartUse(*place, own.get(place, {})) for place in places])
    return msgspec.structs.replace(usage_of(Record(0, usage, was, None)), parts=parts)


def check_kept(usage: UsageLine, was: Charge, before: Terms, prepared: Prepared) -> None:
    """Of a personal attribute the books keep what the price needed: a deck with longer keys may need more."""
    for name in usage.macs:
        value = usage.attributes[name].removeprefix("+")
        told = {was.tariff, *(p.tariff for p in was.portions if p.tariff), *(t for s in was.shares for t in s.terms)}
        known = frozenset[str]().union(*(_longer(before.pricer(tariff), name, value) for tariff in sorted(told)))
        pricers = [*prepared.pricers, *(prepared.choice.cells.pricers if prepared.choice is not None else ())]
        for pricer in (prepared.retail, *pricers):
            if pricer is not None and not _longer(pricer, name, value) <= known:
                raise refuse(
                    RefusalCode.NO_PRICE, f"the books do not keep enough of {name!r} for the keys of this deck.",
                    field=f"attributes.{name}",
                )  # fmt: skip


@functools.lru_cache(1024)
def _longer(pricer: Pricer, name: str, value: str) -> frozenset[str]:
    """Keys of a tariff's deck by an attribute that begin with a value and go on."""
    deck = pricer.tariff.deck
    if deck is None or deck.by != name:
        return frozenset()
    keys = {row.key.removeprefix("+") for row in deck.rows}
    return frozenset(key for key in keys if key.startswith(value) and key != value)


def _charge(was: Charge, prepared: Prepared, rated: Rated) -> Charge:
    scale, split = prepared.terms.asset.scale, rated.split
    accounts = {(portion.part, portion.provider): portion.account for portion in was.portions}
    places = [(part.part, part.provider) for part in prepared.route.parts]
    if {*places} != accounts.keys():
        raise refuse(RefusalCode.UNKNOWN_PART, "the terms have another part, which nobody delivered.", field="parts")

    def text(atoms: int) -> str:
        return decimal_text(atoms, scale)

    borne = [rated.total] if rated.shares is None else list(rated.shares.shares)
    sponsored = split.sponsored + (0 if any(borne) else rated.total)
    paid = zip(prepared.payers, borne, strict=True)
    return msgspec.structs.replace(
        was,
        tariff=prepared.retail.tariff.id,
        rule=prepared.terms.service.apportion,
        exact=rated.retail.exact.text(),
        amount=text(rated.net),
        total=text(rated.total),
        platform=text(split.platform),
        tax=text(rated.total - rated.net) if rated.total != rated.net else "0",
        sponsored=text(sponsored) if sponsored else "0",
        lines=(),
        portions=tuple(
            Portion(*place, accounts[place], "", text(atoms))
            for place, atoms in zip(places, split.portions, strict=True)
        ),
        shares=tuple(Share(payer.payer, text(part)) for payer, part in paid if part is not None),
        taxes=tuple(TaxLine(name, rate, text(base), text(tax)) for name, rate, base, tax in rated.taxes),
    )


def correction(priced: Charge, fresh: Charge, catalog: str) -> Charge | None:
    """What makes of a charge, as it was ``priced`` last, what it costs by a catalog; None when nothing differs.

    Among payers with equal remainders an atom may have gone to another one, by whose name ties were broken: that alone
    is no difference.
    """
    made = difference(priced, fresh, asset_of(priced), label=LABEL)
    moved = [made.amount, made.total, made.platform, made.sponsored, *(p.amount for p in made.portions)]
    moved += [text for tax in made.taxes for text in (tax.base, tax.amount)]
    if not any(text.strip("-0.") for text in moved):
        if all(abs(int(share.amount.replace(".", ""))) <= 1 for share in made.shares):
            return None
    return msgspec.structs.replace(made, tariff=fresh.tariff, catalog=catalog, rule=fresh.rule)
