"""Whose an account is, as an operator may know it: names of payers, of those forgotten the account's id."""

from __future__ import annotations

from apportion.ports import Store


class Owners:
    """Account id → owner, read once; payers by the names that usage calls them by."""

    def __init__(self, store: Store, tenant: int) -> None:
        handles = store.all_handles(tenant)
        self._names: dict[str, str] = {}
        self._forgotten: set[str] = set()
        for key, account in store.all_accounts(tenant):
            if not account.party:
                self._names[account.public] = key.partition(":")[2].rpartition(":")[0]
            elif account.party in handles:
                self._names[account.public] = handles[account.party]
            else:
                self._forgotten.add(account.public)

    def of(self, account: str) -> str:
        """The name of whoever has an account; its id, when that is forgotten."""
        return self._names.get(account, account)

    def known(self, account: str) -> bool:
        """Whether the name is still known."""
        return account in self._names
