"""Forgetting a person: the rows that name them go, the books that count them stay."""

from __future__ import annotations

import msgspec

from apportion.engine.catalogs import canonical, without_people
from apportion.engine.commit import Committer
from apportion.engine.work import encode
from apportion.errors import RefusalCode, refuse
from apportion.model.catalog import Catalog
from apportion.model.ids import number_id
from apportion.model.journal import ForgetLine
from apportion.ports import Store


def forget(committer: Committer, store: Store, name: str) -> int:
    """Delete the personal rows, salt, parked usage and documents of the party ``name``; how many rows went.

    Raises:
        Refused: NOT_FOUND when nobody is called so.
    """
    tenant = committer.tenant
    party = store.handles(tenant, [name]).get(name)
    if party is None:
        raise refuse(RefusalCode.NOT_FOUND, f"nobody is called {name[:60]!r}.", field="party")
    work = committer.work()
    for version in store.catalogs(tenant):
        catalog = msgspec.json.decode(store.document(tenant, version), type=Catalog)
        work.writes.documents.append((version, 0, canonical(without_people(catalog, name))))
    work.append(encode(ForgetLine(number_id("pty", party), work.at)))
    committer.land(work)
    committer.names.people.pop(name, None)
    committer.terms = None
    return store.forget(tenant, party)
