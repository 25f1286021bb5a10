"""Prefetch: one set-based read of all that a group is known to touch, before anything of it is decided."""

from __future__ import annotations

from collections.abc import Sequence

from apportion.engine.funding.purse import foresee
from apportion.engine.market.decision import MarketDecision
from apportion.engine.once import Inner, OnceDecision
from apportion.engine.work import Work
from apportion.ports import Key, Store


def prefetch(work: Work, store: Store, decisions: Sequence[Inner]) -> Work:
    """Fill ``work`` with every key, person, account and residue that the decisions of a group name."""
    work.names.trim()
    names, tenant = work.names, work.writes.tenant
    keys: list[Key] = []
    people: set[str] = set()
    sharing: set[str] = set()  # those whose shares are rounded, so that they keep residues
    charts: set[str] = set()
    for decision in decisions:
        keys += decision.keys()
        charts.update(decision.charts())
        named = decision.people()
        people.update(named)
        if len(named) > 1:
            sharing.update(named)
    work.seen = store.seen(tenant, keys)
    once = {key for d in decisions if isinstance(d, OnceDecision) for key in (d.once.first, d.once.key)}
    if once:
        work.answered = store.answered(tenant, sorted(once))
    standing = [id for d in decisions if isinstance(d, OnceDecision | MarketDecision) for id in d.courses()]
    if standing:
        work.foresee(standing)
    payers = _payers(work, store, people)
    payers += foresee(work, payers)
    absent = sorted([key for key in charts if key not in names.accounts])
    if absent:
        names.accounts.update(store.account_keys(tenant, absent))
    numbers = [names.accounts[key] for key in charts if key in names.accounts]
    work.accounts = store.accounts(tenant, sorted({*numbers, *payers}))
    if sharing:
        numbers += _payers(work, store, sharing)
    work.residues = dict.fromkeys(numbers, 0) | store.residues(tenant, sorted(numbers))
    return work


def _payers(work: Work, store: Store, people: set[str]) -> list[int]:
    """Numbers of the accounts, in any currency, of people by name; those that are not known yet are looked up."""
    names, tenant = work.names, work.writes.tenant
    unknown = sorted([name for name in people if name not in names.people])
    if unknown:
        names.people.update(store.handles(tenant, unknown))
    numbers, wanted = [], {}
    parties = [names.people[name] for name in people if name in names.people]
    for _, asset in names.assets.values():
        for party in parties:
            number = names.payers.get((party, asset.code))
            if number is not None:
                numbers.append(number)
            else:
                wanted[f"payer:{party}:{asset}"] = (party, asset.code)
    if wanted:
        found = store.account_keys(tenant, sorted(wanted))
        names.payers.update((wanted[key], number) for key, number in found.items())
        numbers += found.values()
    return numbers
