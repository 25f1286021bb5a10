"""Forgetting a person: the rows that name them go, the books that count them stay."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from apportion.engine.catalogs import canonical, without_people
from apportion.engine.charging import rejected_line
from apportion.engine.commit import Committer
from apportion.engine.work import Work, encode
from apportion.errors import Refusal, RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.catalog import Catalog
from apportion.model.ids import number_id
from apportion.model.journal import ForgetLine
from apportion.model.usage import Usage, UsageClass
from apportion.ports import Store


def forget(committer: Committer, store: Store, name: str) -> int:
    """Delete the personal rows, salt, parked usage and documents of the party ``name``; how many rows went.

    Usage that waits and names this person can never be charged again: the books say so, as a rejection.

    Raises:
        Refused: NOT_FOUND when nobody is called so.
    """
    party = committer.booked(lambda work: _book(work, store, name))
    committer.names.people.pop(name, None)
    committer.terms = None
    return committer.repeated(lambda: store.forget(committer.tenant, party))


def _book(work: Work, store: Store, name: str) -> int:
    """Book that a party is forgotten; its number."""
    tenant = work.writes.tenant
    party = store.handles(tenant, [name]).get(name)
    if party is None:
        raise refuse(RefusalCode.NOT_FOUND, f"nobody is called {name[:60]!r}.", field="party")
    for version in store.catalogs(tenant):
        catalog = msgspec.json.decode(store.document(tenant, version), type=Catalog)
        work.writes.documents.append((version, 0, canonical(without_people(catalog, name))))
    for key, usage in _parked(store, tenant, name):
        digest = proof.blake3(encode(usage)).digest(8)
        refusal = Refusal(RefusalCode.UNKNOWN_PAYER, field="payers")
        line = rejected_line(key, usage.source, usage.id, usage.service, digest, refusal)
        work.record(key, UsageClass.REJECTED.value, digest, line)
        work.writes.pending.append((key, 0, None))
    work.append(encode(ForgetLine(number_id("pty", party), work.at)))
    return party


def _parked(store: Store, tenant: int, name: str) -> Iterator[tuple[bytes, Usage]]:
    """Parked usage that names a payer."""
    after = b""
    while page := store.pending(tenant, 1000, after):
        after = page[-1][0]
        for key, payload in page:
            usage = msgspec.json.decode(payload, type=Usage)
            if any(payer.payer == name for payer in usage.payers):
                yield key, usage
