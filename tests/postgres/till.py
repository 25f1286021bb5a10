"""The smallest engine there is: takes one atom at a time from a bounded account, in groups, through the Store port."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from apportion.adapters.stores.postgres import PostgresStore, Unwritten
from apportion.model.account import Account, Role
from apportion.ports import Opened, Writes

PAYER, PROVIDER = 1, 2


def open_accounts(store: PostgresStore, posted: int) -> int:
    """A payer with some value and a provider without; the tenant."""
    tenant = store.tenant("main")
    n = store.turn(tenant).n
    opened = [
        Opened(Account(PAYER, "", Role.PAYER, 1), "payer"),
        Opened(Account(PROVIDER, "", Role.PROVIDER, 1), "provider"),
    ]
    journal = [(n + 1, b"opened", bytes(32))]
    store.write(Writes(tenant, 0, journal=journal, opened=opened, accounts=[Account(PAYER, "", Role.PAYER, 1, posted)]))
    return tenant


def take(store: PostgresStore, tenant: int, keys: Sequence[bytes], attempts: int = 50) -> list[str]:
    """Move one atom for every key that is new, while there are any: ``charged``, ``again`` or ``short`` for each."""
    for _ in range(attempts):
        try:
            return take_once(store, tenant, keys)
        except Unwritten:
            continue
    raise AssertionError("never got through")


def take_once(store: PostgresStore, tenant: int, keys: Sequence[bytes]) -> list[str]:
    """One attempt."""
    n = store.turn(tenant).n
    seen = store.seen(tenant, keys)
    accounts = store.accounts(tenant, [PAYER, PROVIDER])
    residue = store.residues(tenant, [PROVIDER]).get(PROVIDER, 0)
    writes = Writes(tenant, 0)
    answers = []
    for key in keys:
        if key in seen:
            answers.append("again")
        elif accounts[PAYER].posted == 0:
            answers.append("short")
        else:
            n, residue = n + 1, residue + 1
            accounts[PAYER].posted -= 1
            accounts[PROVIDER].posted += 1
            writes.journal.append((n, b"charge " + key.hex().encode(), hashlib.sha256(key).digest()))
            writes.seen.append((key, "charged", b"", n))
            answers.append("charged")
    if writes.journal:
        writes.accounts, writes.residues = list(accounts.values()), [(PROVIDER, residue)]
        store.write(writes)
    else:
        store.drop()
    return answers


def settled(store: PostgresStore, tenant: int) -> tuple[int, int, int, int]:
    """(left with the payer, earned by the provider, rows of charges, residues)."""
    balances = {account.id: account.posted for _, account in store.all_accounts(tenant)}
    rows = [body for _, body, _ in store.journal(tenant, 0, 0, 10**9) if body.startswith(b"charge")]
    assert len(set(rows)) == len(rows) == sum(1 for _ in store.all_seen(tenant)), "nothing is booked twice"
    return balances[PAYER], balances[PROVIDER], len(rows), store.all_residues(tenant).get(PROVIDER, 0)
