"""Whose credit is followed: what a catalog says of trust and dunning, put into force payer by payer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from apportion.engine.credit.line import TRAIL, Credit
from apportion.engine.credit.trails import default_model, trails_of
from apportion.engine.terms import Terms
from apportion.engine.work import Names, Work, encode
from apportion.errors import Misconfigured, Refused
from apportion.model.account import Account, Role
from apportion.model.catalog import Catalog
from apportion.model.credit import Dunning, ModelLine, TrailLine, TrustPolicy
from apportion.model.ids import number_id
from apportion.money import Asset, Money
from apportion.ports import Store
from apportion.stages.credit import Trail, check_model

T = TypeVar("T")
_GROUP = 20_000


class Writer(Protocol):
    """What is needed of the writer of a tenant's books."""

    names: Names

    def booked(self, fill: Callable[[Work], T]) -> T: ...


class Rules(msgspec.Struct, frozen=True):
    """On which terms one payer is followed: what it may earn, how it is dunned, its fixed line in atoms."""

    policy: TrustPolicy | None
    dunning: Dunning | None
    least: int

    @property
    def any(self) -> bool:
        """Whether it is followed at all."""
        return self.policy is not None or self.dunning is not None


def check_trust(catalog: Catalog) -> None:
    """Refuse a catalog whose model is not what it says, or counts a factor the wrong way.

    Raises:
        Misconfigured: with the finding.
    """
    try:
        if catalog.trust_model is not None:
            check_model(catalog.trust_model)
    except Refused as error:
        wrong = msgspec.structs.replace(error.refusal, field=f"trust_model.{error.refusal.field}")
        raise Misconfigured(wrong.sentence(), (wrong,)) from None


def rules_of(terms: Terms, name: str, asset: Asset) -> Rules | None:
    """What a catalog says of a payer's credit in a currency; None when it does not know the payer."""
    catalog = terms.catalog
    payer = catalog.payers.get(name) or catalog.unknown_payers
    if payer is None or payer.currency != asset.code:
        return None
    policy = next((one for one in catalog.trust if payer.trust and one.currency == asset.code), None)
    dunning = catalog.dunning or (Dunning() if policy is not None else None)
    return Rules(policy, dunning, Money.parse(payer.credit, asset).atoms)


def opened(work: Work, terms: Terms, name: str, account: Account) -> Account:
    """The account, which was opened because usage named a new payer; followed from its first day, if anybody is."""
    asset = work.asset_of(account)
    rules = rules_of(terms, name, asset) if work.names.trust else None
    if rules is not None and rules.any:
        _begin(work, account, rules, Trail(str(asset)))
    return account


def follow(committer: Writer, store: Store, terms: Terms, since: int, first: int) -> None:
    """After a catalog's payers were opened: follow everybody whom its trust or dunning concerns, and nobody else.

    Of accounts that were there before, one pass over the books finds what they were asked for and paid; those from
    the number ``first`` on were opened after row ``since``.
    """
    catalog = terms.catalog
    if catalog.trust or catalog.dunning or committer.names.trust:
        while committer.booked(lambda work: _follow(work, store, terms, (since, first))):
            pass


def _follow(work: Work, store: Store, terms: Terms, opened_after: tuple[int, int]) -> bool:
    """Put the rules of some payers into force; whether there may be more of them."""
    note_model(work, terms)
    tenant, (after, first) = work.writes.tenant, opened_after
    trails = {line.account: line for line in _trails(store, tenant)}
    handles = store.all_handles(tenant)
    changed: list[tuple[int, Rules]] = []
    fresh: dict[str, Asset] = {}
    for _, account in store.all_accounts(tenant):
        if account.role is not Role.PAYER or account.party not in handles or len(changed) == _GROUP:
            continue
        asset = work.asset_of(account)
        rules = rules_of(terms, handles[account.party], asset)
        if rules is None:
            continue
        line = trails.get(account.public)
        if line is None or line.ended:
            if rules.any:
                fresh[account.public] = asset
                after = after if account.id >= first else 0
                changed.append((account.id, rules))
        elif Rules(line.policy, line.dunning, line.least) != rules:
            changed.append((account.id, rules))
    found = trails_of(store, tenant, fresh, after, work.head[0]) if fresh else {}
    for number, rules in changed:
        _change(work, work.numbered(number), rules, found)
    return len(changed) == _GROUP


def _change(work: Work, account: Account, rules: Rules, found: dict[str, Trail]) -> None:
    if account.public in found:
        _begin(work, account, rules, found[account.public])
        return
    credit = Credit(work, account)
    assert credit.line is not None, "who is not followed was found above"
    credit.line = replace(
        credit.line, policy=rules.policy, dunning=rules.dunning, least=rules.least, ended=not rules.any
    )
    credit.settle("trust" if rules.policy is not None else "catalog")
    credit.append()


def _begin(work: Work, account: Account, rules: Rules, trail: Trail) -> None:
    credit = Credit(work, account)
    line = TrailLine(
        id=number_id(TRAIL, account.id), account=account.public, at=work.at, policy=rules.policy,
        dunning=rules.dunning, least=rules.least,
    )  # fmt: skip
    credit.follow(line, trail)
    credit.settle("trust" if rules.policy is not None else "catalog")
    credit.append()


def note_model(work: Work, terms: Terms) -> None:
    """Write down by which model decisions are made from here on, so that anybody can make them again."""
    names = work.names
    if not terms.catalog.trust:
        if terms.catalog.dunning and not names.trust:
            note_followed(work)
        return
    model = terms.catalog.trust_model or default_model()
    if names.trust.strip("0"):
        line = work.row(int(names.trust)).split(b"\n")[-1]
        if msgspec.json.decode(line, type=ModelLine).model == model:
            return
    n = work.append(encode(ModelLine(model.version, work.at, model)))
    names.trust, names.model = str(n), (str(n), model)
    work.writes.facts.append((TRAIL, str(n)))


def note_followed(work: Work) -> None:
    """From here on somebody's credit is followed, though by no model: who writes must look."""
    if not work.names.trust:
        work.names.trust = "0"
        work.writes.facts.append((TRAIL, "0"))


def refresh_model(committer: Writer, terms: Terms) -> None:
    """A newer program may bring a newer model: from here on decisions are made by that one."""
    if terms.catalog.trust and committer.names.trust:
        committer.booked(lambda work: note_model(work, terms))


def _trails(store: Store, tenant: int) -> Iterator[TrailLine]:
    prefix = TRAIL + "_"
    for course in store.all_courses(tenant, prefix):
        if not course.id.startswith(prefix):
            return
        yield msgspec.json.decode(course.line, type=TrailLine)
