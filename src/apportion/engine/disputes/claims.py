"""What a case is about: who disputes how much of a charge, and from whose accounts that would have to come."""

from __future__ import annotations

import msgspec

from apportion.engine.correcting.booking import movements_of
from apportion.engine.correcting.decision import Standing
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger.chart import account_key
from apportion.model.account import Account, Role
from apportion.model.charge import Charge, Portion
from apportion.model.dispute import OpenDispute
from apportion.money import Money
from apportion.money.exact import decimal_text
from apportion.stages.rate.correct import borne_of, earned_of, give_back, resplit


class Claim(msgspec.Struct):
    """What a party may dispute of a charge: at most ``most`` atoms, ``asked`` of them (0: all).

    ``provider`` claims it for ``part`` out of what ``against`` earns, whose account is ``other``; a payer has none of
    these. ``account`` is the party's; None for a provider that nobody ever paid.
    """

    standing: Standing
    account: Account | None
    most: int
    asked: int
    provider: str = ""
    part: str = ""
    against: str = ""
    other: str = ""

    @property
    def atoms(self) -> int:
        """What is disputed."""
        return self.asked or self.most

    def check(self) -> None:
        """Raises:
        Refused: BAD_AMOUNT when it is not above zero and at most what stands.
        """
        if not 0 < self.atoms <= self.most:
            text, code = decimal_text(max(self.most, 0), self.standing.asset.scale), self.standing.asset.code
            raise refuse(
                RefusalCode.BAD_AMOUNT, f"{text} {code} stands to be disputed.", field="amount",
                fix="Dispute more than nothing, and at most that.",
            )  # fmt: skip

    def earned(self, work: Work) -> dict[str, int]:
        """What each account earns of the charge as it stands, in atoms."""
        asset, now = self.standing.asset, self.standing.charge
        moved = movements_of(work, now, asset)
        return {account.public: atoms for account, atoms in moved if atoms > 0 and account.role is not Role.EXCHANGE}

    def taken(self, work: Work) -> list[tuple[Account, int]]:
        """From whose accounts it would come if it was granted now: by the same arithmetic, as atoms above zero.

        What was earned in another currency than the charge's is not among it.
        """
        asset, now = self.standing.asset, self.standing.charge
        assert self.account is not None
        if self.provider:
            made = resplit(now, asset, (self.part, self.provider, self.account.public), self.atoms, self.against)
        else:
            made = give_back(now, asset, self.atoms, self.account.public)
        moved = movements_of(work, made, asset)
        return [(account, -atoms) for account, atoms in moved if atoms < 0 and account.role is not Role.EXCHANGE]


def claim_of(work: Work, terms: Terms, command: OpenDispute) -> Claim:
    """What a command disputes; the amount is not checked yet.

    Raises:
        Refused: NOT_FOUND, also when the charge is none of theirs; BAD_INPUT for what can not be disputed;
            BAD_AMOUNT, UNKNOWN_PROVIDER, UNKNOWN_PART.
    """
    standing = Standing.find(work, command.charge)
    amount = command.amount
    asked = Money.parse(amount, standing.asset).atoms if amount else 0
    if amount and asked <= 0:
        raise refuse(RefusalCode.BAD_AMOUNT, "is not above zero.", field="amount", fix="Leave it out to dispute all.")
    if command.payer and command.provider:
        raise refuse(RefusalCode.BAD_INPUT, "either a payer or a provider.", field="provider", fix="Name one of them.")
    if command.provider:
        return _provided(work, terms, command, standing, asked)
    if command.part or command.against:
        field = "part" if command.part else "against"
        raise refuse(
            RefusalCode.BAD_INPUT, "is for providers: a payer disputes what it bears.", field=field, fix="Leave it out."
        )
    account, borne = _payer(work, command, standing)
    return Claim(standing, account, borne, asked)


def nobodys(charge: str) -> Refused:
    """The one answer for a charge that is not there and for one that is none of theirs."""
    return refuse(RefusalCode.NOT_FOUND, f"there is no charge {charge[:60]!r}.", field="charge")


def _payer(work: Work, command: OpenDispute, standing: Standing) -> tuple[Account, int]:
    borne = borne_of(standing.charge, standing.asset)
    if command.payer:
        for _, asset in work.names.assets.values():  # whichever currency it pays in
            account = work.payer(command.payer, asset)
            if account is not None and account.public in borne:
                return account, borne[account.public]
        raise nobodys(command.charge)
    if len(borne) != 1:
        raise refuse(
            RefusalCode.BAD_INPUT, f"{command.charge} has {len(borne)} payers.", field="payer",
            fix="Say who disputes it: a payer, or a provider.",
        )  # fmt: skip
    public, atoms = next(iter(borne.items()))
    return numbered(work, public), atoms


def numbered(work: Work, public: str) -> Account:
    """An account by its public id, which the books hold."""
    return work.numbered(int(public.partition("_")[2]))


def _provided(work: Work, terms: Terms, command: OpenDispute, standing: Standing, asked: int) -> Claim:
    charge, asset, name = standing.charge, standing.asset, command.provider
    earned = earned_of(charge, asset)
    if name not in earned and not command.outside:
        raise nobodys(command.charge)
    if name not in earned and name not in terms.catalog.providers:
        raise refuse(RefusalCode.UNKNOWN_PROVIDER, f"the catalog has no provider {name[:60]!r}.", field="provider")
    if command.against not in earned or command.against == name:
        raise refuse(
            RefusalCode.UNKNOWN_PROVIDER, f"{command.against[:60]!r} is no other provider of it.", field="against",
            fix="Name another that earned a part of the charge, or nobody for the platform.",
        )  # fmt: skip
    other = next((one.account for one in charge.portions if one.provider == command.against), "")
    mine = next((one.account for one in charge.portions if one.provider == name), "")
    account = numbered(work, mine) if mine else work.keyed(account_key(Role.PROVIDER, name, str(asset)))
    part = _part(charge, command)
    return Claim(standing, account, earned[command.against], asked, name, part, command.against, other)


def _part(charge: Charge, command: OpenDispute) -> str:
    """The part that a provider says it delivered."""
    mine: list[Portion] = [one for one in charge.portions if one.provider == command.provider]
    parts = list(dict.fromkeys(one.part for one in mine or charge.portions))
    known = {one.part for one in charge.portions}
    if command.part:
        if command.part not in known:
            raise refuse(RefusalCode.UNKNOWN_PART, f"{charge.id} has no part {command.part[:60]!r}.", field="part")
        return command.part
    if len(parts) != 1:
        raise refuse(
            RefusalCode.BAD_INPUT, "which part is meant?", field="part", fix=f"Name it, of {', '.join(parts)}."
        )
    return parts[0]
