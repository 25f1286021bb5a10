"""Corrections of a charge: what is given back, shared anew or priced anew, as a charge that adds to it.

All functions are pure. ``standing`` is a charge with everything that corrected it so far; what they return corrects it
(``origin`` names it, ``id`` is empty), and keeps every sum of a charge: amount + tax = total = Σ shares
= Σ portions + platform + Σ taxes − sponsored. Amounts are atoms of the charge's ``asset``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.charge import Charge, Portion, PriceLine, Share, TaxLine
from apportion.money import Asset, Exact, Money, allocate
from apportion.money.exact import decimal_text
from apportion.stages.rate.amounts import within
from apportion.stages.rate.reconvert import combined, converted

STOCK = ("bucket", "allowance")  # sources that may have ended: what they paid comes back to the payer's own account
Place = tuple[str, str, str]  # part, provider and the provider's account
Rate = tuple[str, str]
_K = TypeVar("_K")


class Change(msgspec.Struct):
    """What is added to a charge, in atoms.

    ``shares`` are account, bearer, source and atoms; ``taxes`` have a base and a tax.
    """

    shares: list[tuple[str, str, str, int]] = []
    portions: dict[Place, int] = {}
    taxes: dict[Rate, tuple[int, int]] = {}
    net: int = 0
    platform: int = 0
    sponsored: int = 0

    def charge(self, standing: Charge, asset: Asset, label: str, note: str = "", fresh: Charge | None = None) -> Charge:
        """The change as a charge of its own, told by one price line called ``label``; ``fresh`` as in ``converted``."""

        def text(atoms: int) -> str:
            return decimal_text(atoms, asset.scale)

        tax = sum(tax for _, tax in self.taxes.values())
        exact = Exact(self.net, asset.unit).text()
        made = Charge(
            "", "", standing.service, standing.at, standing.currency, standing.tariff, standing.catalog, standing.rule,
            exact, text(self.net), text(self.net + tax), text(self.platform), standing.platform_account,
            tax=text(tax) if tax else "0",
            sponsored=text(self.sponsored) if self.sponsored else "0",
            sponsor=standing.sponsor if self.sponsored else "",
            lines=(PriceLine(label, "", "", "", exact, note),),
            portions=tuple(
                Portion(part, provider, account, "", text(atoms))
                for (part, provider, account), atoms in self.portions.items()
                if atoms
            ),
            shares=tuple(
                Share(account, text(atoms), "", source, bearer if bearer != account else "")
                for account, bearer, source, atoms in self.shares
                if atoms
            ),
            taxes=tuple(
                TaxLine(name, rate, text(base), text(tax))
                for (name, rate), (base, tax) in self.taxes.items()
                if base or tax
            ),
            origin=standing.id,
        )  # fmt: skip
        return converted(made, standing, asset, fresh)


def give_back(
    standing: Charge, asset: Asset, atoms: int, payer: str = "", provider: str = "", *, label: str = "refund"
) -> Charge:
    """Give ``atoms`` of what payers bear back, tax and all.

    It goes to the ``payer`` named (its account), else to all by what they bear; it is taken from the ``provider``
    named, else from everybody by what they earn. Given back in pieces, a charge ends at zero for each to the atom.

    Raises:
        Refused: BAD_AMOUNT above what stands, or what the provider earns; UNKNOWN_PAYER, UNKNOWN_PROVIDER who has no
            part in it.
    """
    borne = borne_of(standing, asset)
    if payer and payer not in borne:
        raise refuse(RefusalCode.UNKNOWN_PAYER, f"{payer[:60]} bears nothing of {standing.id}.", field="payer")
    most = borne[payer] if payer else sum(borne.values())
    if not 0 < atoms <= most:
        raise refuse(
            RefusalCode.BAD_AMOUNT,
            f"of {standing.id} there is {decimal_text(max(most, 0), asset.scale)} {asset.code} left to be given back.",
            field="amount",
            fix="Give back more than nothing, and at most that.",
        )
    change = Change()
    parts = {payer: atoms} if payer else _by_weight(atoms, borne)
    for bearer, back in parts.items():
        change.shares += _returned(standing, asset, bearer, back)
    total = _atoms(standing.total, asset)
    change.taxes, change.net = _untaxed(standing, asset, atoms)
    _take(change, standing, asset, provider, whole=atoms == total)
    return change.charge(standing, asset, label)


def borne_of(standing: Charge, asset: Asset) -> dict[str, int]:
    """What each payer still bears, by its account."""
    borne: dict[str, int] = {}
    for share in standing.shares:
        borne[share.bearer] = borne.get(share.bearer, 0) + _atoms(share.amount, asset)
    return borne


def earned_of(standing: Charge, asset: Asset) -> dict[str, int]:
    """What each provider still earns, by its name; the platform's under no name."""
    earned = {"": _atoms(standing.platform, asset)}
    for portion in standing.portions:
        earned[portion.provider] = earned.get(portion.provider, 0) + _atoms(portion.amount, asset)
    return earned


def resplit(
    standing: Charge, asset: Asset, to: Place, atoms: int, against: str = "", *, label: str = "share"
) -> Charge:
    """Let ``to`` earn ``atoms`` more, out of what ``against`` (the platform, when empty) earns of the charge.

    Raises:
        Refused: BAD_AMOUNT above what that is; UNKNOWN_PROVIDER when ``against`` has no portion.
    """
    earned = earned_of(standing, asset)
    if against not in earned or against == to[1]:
        raise refuse(
            RefusalCode.UNKNOWN_PROVIDER, f"{against[:60]!r} is no other provider of {standing.id}.", field="against"
        )
    if not 0 < atoms <= earned[against]:
        raise refuse(
            RefusalCode.BAD_AMOUNT,
            f"{against or 'the platform'} earns {decimal_text(max(earned[against], 0), asset.scale)} of {standing.id}.",
            field="amount",
            fix="Name more than nothing, and at most that.",
        )
    change = Change(portions={to: atoms})
    if against:
        places = {_place(p): _atoms(p.amount, asset) for p in standing.portions if p.provider == against}
        for place, part in _by_weight(atoms, places).items():
            change.portions[place] = -part
    else:
        change.platform = -atoms
    return change.charge(standing, asset, label)


def difference(standing: Charge, fresh: Charge, asset: Asset, *, label: str) -> Charge:
    """What makes of a charge as it stands what it should have been: ``fresh``, of the same payers and service.

    What a payer has too much is given back to where it was drawn; what is missing falls on its own account.
    """
    change = Change(
        net=_atoms(fresh.amount, asset) - _atoms(standing.amount, asset),
        platform=_atoms(fresh.platform, asset) - _atoms(standing.platform, asset),
        sponsored=_atoms(fresh.sponsored, asset) - _atoms(standing.sponsored, asset),
    )
    before, now = borne_of(standing, asset), borne_of(fresh, asset)
    for bearer in {**before, **now}:
        more = now.get(bearer, 0) - before.get(bearer, 0)
        if more > 0:
            change.shares.append((bearer, bearer, "", more))
        elif more < 0:
            change.shares += _returned(standing, asset, bearer, -more)
    for sign, charge in ((1, fresh), (-1, standing)):
        for portion in charge.portions:
            change.portions[_place(portion)] = change.portions.get(_place(portion), 0) + sign * _atoms(
                portion.amount, asset
            )
        for line in charge.taxes:
            base, tax = change.taxes.get((line.name, line.rate), (0, 0))
            change.taxes[line.name, line.rate] = (
                base + sign * _atoms(line.base, asset), tax + sign * _atoms(line.amount, asset),
            )  # fmt: skip
    accounts = {"platform_account": fresh.platform_account or standing.platform_account,
                "sponsor": fresh.sponsor or standing.sponsor}  # fmt: skip
    return change.charge(msgspec.structs.replace(standing, **accounts), asset, label, fresh=fresh)


def combine(standing: Charge, correction: Charge, asset: Asset) -> Charge:
    """How a charge stands with one more correction."""

    def text(*amounts: str) -> str:
        return decimal_text(sum(_atoms(amount, asset) for amount in amounts), asset.scale)

    places = {_place(portion): portion.amount for portion in correction.portions}
    portions = [
        msgspec.structs.replace(p, amount=text(p.amount, places.pop(_place(p), "0")), lines=())
        for p in standing.portions
    ]
    portions += [Portion(part, who, account, "", text(amount)) for (part, who, account), amount in places.items()]
    taxed = {(line.name, line.rate): line for line in correction.taxes}
    taxes = []
    for line in standing.taxes:
        more = taxed.pop((line.name, line.rate), None)
        base, amount = (
            (text(line.base, more.base), text(line.amount, more.amount)) if more else (line.base, line.amount)
        )
        taxes.append(TaxLine(line.name, line.rate, base, amount))
    tax, sponsored = text(standing.tax, correction.tax), text(standing.sponsored, correction.sponsored)
    whole = msgspec.structs.replace(
        standing,
        exact=(Exact.parse(standing.exact) + Exact.parse(correction.exact)).reduced().text(),
        amount=text(standing.amount, correction.amount),
        total=text(standing.total, correction.total),
        platform=text(standing.platform, correction.platform),
        platform_account=standing.platform_account or correction.platform_account,
        tax=tax if tax.strip("-0.") else "0",
        sponsored=sponsored if sponsored.strip("-0.") else "0",
        sponsor=standing.sponsor or correction.sponsor,
        lines=(),
        portions=tuple(portions),
        shares=_shares(standing, correction, asset),
        taxes=(*taxes, *taxed.values()),
    )
    return combined(whole, standing, correction, asset)


def _shares(standing: Charge, correction: Charge, asset: Asset) -> tuple[Share, ...]:
    """Shares with those of a correction: what came back is off its own share first, then off the payer's others."""
    shares = [(share, _atoms(share.amount, asset)) for share in standing.shares]
    for more in correction.shares:
        left = _atoms(more.amount, asset)
        order = sorted(
            (place for place, (share, _) in enumerate(shares) if share.bearer == more.bearer),
            key=lambda place: (shares[place][0].account != more.account, place),
        )
        for place in order:
            share, atoms = shares[place]
            step = left if left > 0 and share.account == more.account else max(left, -atoms) if left < 0 else 0
            shares[place], left = (share, atoms + step), left - step
        if left:
            shares.append((Share(more.account, "0", "", more.source, more.payer), left))
    return tuple(msgspec.structs.replace(share, amount=decimal_text(n, asset.scale)) for share, n in shares)


def _returned(standing: Charge, asset: Asset, bearer: str, atoms: int) -> list[tuple[str, str, str, int]]:
    """Give a payer back what it bears, to where it was drawn from."""
    mine = [share for share in standing.shares if share.bearer == bearer]
    weights = {place: _atoms(share.amount, asset) for place, share in enumerate(mine)}
    found: dict[tuple[str, str, str], int] = {}
    for place, back in _by_weight(atoms, weights).items():
        share = mine[place]
        own = share.source in STOCK or share.account == bearer
        key = (bearer, bearer, "") if own else (share.account, bearer, share.source)
        found[key] = found.get(key, 0) - back
    return [(*key, back) for key, back in found.items()]


def _untaxed(standing: Charge, asset: Asset, atoms: int) -> tuple[dict[Rate, tuple[int, int]], int]:
    """The taxes in what is given back, as base and tax, and its net amount: each category by its part of the total."""
    taxes = [(line, _atoms(line.base, asset), _atoms(line.amount, asset)) for line in standing.taxes]
    rest = _atoms(standing.amount, asset) - sum(base for _, base, _ in taxes)
    parts, untaxed = within(atoms, [(base, tax) for _, base, tax in taxes], rest)
    found = {(line.name, line.rate): (-base, -tax) for (line, _, _), (base, tax) in zip(taxes, parts, strict=True)}
    return found, -untaxed - sum(base for base, _ in parts)


def _take(change: Change, standing: Charge, asset: Asset, provider: str, *, whole: bool) -> None:
    """Take what goes back, net of tax, from who earned it; what a sponsor had added returns to it in proportion."""
    places = {_place(portion): _atoms(portion.amount, asset) for portion in standing.portions}
    if provider:
        own = {place: atoms for place, atoms in places.items() if place[1] == provider}
        if not own:
            raise refuse(
                RefusalCode.UNKNOWN_PROVIDER, f"{provider[:60]!r} earns nothing of {standing.id}.", field="provider"
            )
        if -change.net > sum(own.values()):
            most = decimal_text(max(sum(own.values()), 0), asset.scale)
            raise refuse(
                RefusalCode.BAD_AMOUNT,
                f"{provider} earns {most} of {standing.id}, less than is to be given back net of tax.",
                field="amount",
                fix="Let it give back at most that, and the others the rest.",
            )
        change.portions = {place: -atoms for place, atoms in _by_weight(-change.net, own).items()}
        return
    sponsored, net = _atoms(standing.sponsored, asset), _atoms(standing.amount, asset)
    if sponsored > 0:
        left = {"back": -change.net, "rest": net + change.net}
        change.sponsored = -sponsored if whole else -_by_weight(sponsored, left)["back"]
    earned = {**places, ("", "", ""): _atoms(standing.platform, asset)}
    taken = _by_weight(-change.net - change.sponsored, earned)
    change.platform = -taken.pop(("", "", ""))
    change.portions = {place: -atoms for place, atoms in taken.items()}


def _by_weight(atoms: int, weights: Mapping[_K, int]) -> dict[_K, int]:
    """Atoms by largest remainder; what weighs nothing, or less, gets none while anything weighs."""
    positive: Sequence[int] = [max(weight, 0) for weight in weights.values()]
    if not any(positive):
        positive = [1] * len(positive)
    split = allocate(atoms, [Exact(weight) for weight in positive], [str(name) for name in weights])
    return dict(zip(weights, split.shares, strict=True))


def _place(portion: Portion) -> Place:
    return portion.part, portion.provider, portion.account


def _atoms(text: str, asset: Asset) -> int:
    return Money.parse(text, asset).atoms
