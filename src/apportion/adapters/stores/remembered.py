"""What the only writer of a file need not read again: balances, residues and heads as its last group left them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from apportion.model.account import Account
from apportion.ports import Writes

_KEPT = 50_000  # accounts of all tenants; beyond that all are forgotten and read again

Number = tuple[int, int]  # a tenant and one of its accounts


class Remembered:
    """A copy of rows that nobody else can change; whoever writes tells it, and whoever fails empties it."""

    def __init__(self) -> None:
        self.heads: dict[Number, tuple[int, bytes]] = {}  # by tenant and stream
        self._accounts: dict[Number, Account] = {}
        self._residues: dict[Number, int | None] = {}

    def note(self, writes: Writes) -> None:
        """Take over what a group that was just staged changes."""
        tenant = writes.tenant
        if len(self._accounts) > _KEPT or len(self._residues) > _KEPT:
            self._accounts.clear()
            self._residues.clear()
        if writes.journal:
            n, _, head = writes.journal[-1]
            self.heads[tenant, writes.stream] = n, head
        for account in writes.accounts:
            self._accounts[tenant, account.id] = replace(account)
        for number, value in writes.residues:
            self._residues[tenant, number] = value

    def forget(self) -> None:
        """Something broke: nothing is certain but what the file says."""
        self.heads.clear()
        self._accounts.clear()
        self._residues.clear()

    def accounts(
        self, tenant: int, ids: Sequence[int], read: Callable[[list[int]], dict[int, Account]]
    ) -> dict[int, Account]:
        """Accounts by number, each a copy for the asker to change; ``read`` finds those that are not remembered."""
        found, missing = {}, []
        for id in ids:
            known = self._accounts.get((tenant, id))
            if known is None:
                missing.append(id)
            else:
                found[id] = replace(known)
        if missing:
            if len(self._accounts) > _KEPT:
                self._accounts.clear()
            for id, account in read(missing).items():
                self._accounts[tenant, id] = account
                found[id] = replace(account)
        return found

    def residues(self, tenant: int, ids: Sequence[int], read: Callable[[list[int]], dict[int, int]]) -> dict[int, int]:
        """Residues by account; that an account has none is remembered too."""
        missing = [id for id in ids if (tenant, id) not in self._residues]
        if missing:
            read_now = read(missing)
            for id in missing:
                self._residues[tenant, id] = read_now.get(id)
        values = ((id, self._residues[tenant, id]) for id in ids)
        return {id: value for id, value in values if value is not None}
