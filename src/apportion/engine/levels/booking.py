"""A missed level as an adjustment: what the payer is credited, and what its provider and the taxes lose by it."""

from __future__ import annotations

import msgspec

from apportion.engine.correcting.booking import book_made
from apportion.engine.work import Work
from apportion.ledger import proof
from apportion.model.account import Role
from apportion.model.charge import Charge, Portion, PriceLine, Share, TaxLine
from apportion.model.ids import key_id
from apportion.model.level import Level, LevelLine, LevelState
from apportion.money import Asset, Exact, Money, parse_asset
from apportion.money.exact import decimal_text
from apportion.stages.meter.level import words

RULE = "service-level"


def level_id(agreement: str, account: str, period: str) -> str:
    """``lvl_…`` of an agreement in a period, for one account of its payer."""
    return key_id("lvl", proof.record_key("level", f"{agreement}\x00{account}\x00{period}"))


def state_of(levels: tuple[Level, ...], credit: int, review: str, asset: Asset) -> str:
    """What comes of a level that was just measured, with so many atoms to be given back."""
    if all(level.kept for level in levels):
        return LevelState.KEPT.value
    if not credit:
        return LevelState.MISSED.value
    above = bool(review) and credit > Money.parse(review, asset).atoms
    return LevelState.REVIEW.value if above else LevelState.CREDITED.value


def tax_lines(taxes: dict[tuple[str, str], tuple[int, int]], asset: Asset) -> tuple[TaxLine, ...]:
    """Taxes by name and rate as lines of the books."""
    return tuple(
        TaxLine(name, rate, decimal_text(base, asset.scale), decimal_text(tax, asset.scale))
        for (name, rate), (base, tax) in sorted(taxes.items())
    )


def adjustment(line: LevelLine, provider: str) -> Charge:
    """The charge that gives a level's credit back; ``provider`` is the account of the provider at fault.

    It is about the last use that counted, so it stands on the next statement from that one's on.
    """
    asset = parse_asset(line.asset)
    total = Money.parse(line.credit, asset).atoms
    tax = sum(Money.parse(one.amount, asset).atoms for one in line.taxes)

    def less(atoms: int) -> str:
        return decimal_text(-atoms, asset.scale)

    missed = [level for level in line.levels if not level.kept]
    each = Exact(-(total - tax), asset.unit * len(missed))
    key = proof.record_key("level-adjustment", line.id)
    return Charge(
        key_id("chg", key), "", line.service, line.last, asset.code, "", line.catalog, RULE,
        Exact(-(total - tax), asset.unit).text(), less(total - tax), less(total), decimal_text(0, asset.scale),
        tax=less(tax) if line.taxes else "0",
        lines=tuple(PriceLine(f"Service level credit: {words(level)}", "", "1", "", each.text()) for level in missed),
        portions=(Portion(", ".join(line.parts), line.provider, provider, "", less(total - tax)),),
        shares=(Share(line.account, less(total)),),
        taxes=tuple(
            TaxLine(t.name, t.rate, less(Money.parse(t.base, asset).atoms), less(Money.parse(t.amount, asset).atoms))
            for t in line.taxes
        ),
        origin=line.id,
    )  # fmt: skip


def adjusted(work: Work, line: LevelLine) -> LevelLine:
    """Book a level's credit, in one row with the level as it then stands; whatever the provider has."""
    asset = parse_asset(line.asset)
    provider = work.account(Role.PROVIDER, line.provider, asset)
    charge = adjustment(line, provider.public)
    made = msgspec.structs.replace(line, made=charge.id)
    book_made(work, proof.record_key("level-adjustment", line.id), b"", charge, asset, made)
    return made


__all__ = ["adjusted", "adjustment", "level_id", "state_of", "tax_lines"]
