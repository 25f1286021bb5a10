"""Catalog versions: immutable, named by the hash of their canonical JSON, applied by adding one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import tzdata

from apportion.engine.commit import Committer
from apportion.engine.credit.policy import check_trust, follow
from apportion.engine.planned import plans_of
from apportion.engine.terms import Terms
from apportion.engine.work import Work, encode
from apportion.errors import Misconfigured, NotFound, Refusal, RefusalCode
from apportion.ledger import proof
from apportion.model.catalog import Catalog
from apportion.model.command import OpenPayer
from apportion.model.journal import CatalogLine, ZonesLine
from apportion.model.party import Payer
from apportion.ports import Store


def canonical(catalog: Catalog) -> bytes:
    """The bytes that a catalog's hash covers: sorted keys, defaults left out, no spaces.

    Encoded twice, because a default is left out only when it is the very object; what was read back is stable.
    """
    again = msgspec.json.decode(msgspec.json.encode(catalog), type=Catalog)
    return msgspec.json.encode(again, order="sorted")


def without_people(catalog: Catalog, only: str = "") -> Catalog:
    """The catalog without its payers, their agreements and exemptions (``only``: without this one payer)."""

    def gone(payer: str) -> bool:
        return bool(payer) and payer == (only or payer)

    def unlinked(payer: Payer) -> Payer:
        kept = tuple(one for one in payer.alternates if not gone(one.payer))
        return payer if kept == payer.alternates else msgspec.structs.replace(payer, alternates=kept)

    return msgspec.structs.replace(
        catalog,
        payers={k: unlinked(v) for k, v in catalog.payers.items() if not gone(k)},
        agreements={k: v for k, v in catalog.agreements.items() if not gone(v.payer)},
        services={
            k: msgspec.structs.replace(v, exempt=tuple(p for p in v.exempt if not gone(p)))
            for k, v in catalog.services.items()
        },
    )


def catalog_id(body: bytes) -> str:
    """``cat_`` and 32 hexadecimal digits of the BLAKE3 of the canonical bytes."""
    return "cat_" + proof.blake3(body).hexdigest(16)


def scale_of(committer_assets: dict[str, Any]) -> Callable[[str], int | None]:
    """The scale that the store has fixed for a currency, or None."""
    return lambda code: committer_assets[code][1].scale if code in committer_assets else None


def apply_catalog(committer: Committer, store: Store, catalog: Catalog) -> str:
    """Make ``catalog`` the version in force, opening its payers' accounts; the same one twice changes nothing.

    Returns the version's id.

    Raises:
        Misconfigured: it gives a currency another scale than the store has.
    """
    tenant = committer.tenant
    _check_scales(committer, catalog)
    check_trust(catalog)
    full, public = canonical(catalog), canonical(without_people(catalog))
    version = catalog_id(public)
    catalog = msgspec.json.decode(full, type=Catalog)  # in the order in which it is read back, now and after a restart
    terms = Terms(catalog, version, scale_of(committer.names.assets), plans_of(store, tenant))
    if store.fact(tenant, "catalog") == version and store.document(tenant, version) == full:
        committer.terms = terms
        return version
    payers = list(catalog.payers.values())  # first: who dies among them leaves the catalog to be applied again
    since, first = store.head(tenant, 0)[0], store.next_numbers(tenant)[0]
    with committer.applying(terms):
        for at in range(0, len(payers), 1000):
            committer.commit([OpenPayer(payer) for payer in payers[at : at + 1000]])
        follow(committer, store, terms, since, first)
        committer.booked(lambda work: _put_into_force(work, store, terms, (public, full)))
    return version


def _put_into_force(work: Work, store: Store, terms: Terms, bodies: tuple[bytes, bytes]) -> None:
    """Book that a catalog is in force: what the chain holds of it, and the whole of it beside the chain."""
    version, (public, full) = terms.version, bodies
    if not store.fact(work.writes.tenant, f"catalog:{version}"):
        n = work.append(encode(CatalogLine(version, msgspec.Raw(public))))
        work.writes.facts.append((f"catalog:{version}", str(n)))
    work.writes.facts.append(("catalog", version))
    work.writes.documents.append((version, 0, full))


def _check_scales(committer: Committer, catalog: Catalog) -> None:
    for code, scale in catalog.currencies.items():
        known = committer.names.assets.get(code)
        if known is not None and known[1].scale != scale:
            refusal = Refusal(
                RefusalCode.ASSET_MISMATCH,
                f"the store counts {code} with {known[1].scale} decimals for ever.",
                f"currencies.{code}",
                f"Write {known[1].scale}, or use a new store.",
            )
            raise Misconfigured(refusal.sentence(), (refusal,))


def note_zones(committer: Committer, store: Store) -> None:
    """Write down by which version of the time zone database local time is reckoned from here on."""

    def note(work: Work) -> None:
        if store.fact(committer.tenant, "zones") != tzdata.IANA_VERSION and not work.writes.facts:
            work.append(encode(ZonesLine(tzdata.IANA_VERSION, work.at)))
            work.writes.facts.append(("zones", tzdata.IANA_VERSION))

    if store.fact(committer.tenant, "zones") != tzdata.IANA_VERSION:
        committer.booked(note)


def load_terms(store: Store, tenant: int, version: str = "", assets: dict[str, Any] | None = None) -> Terms:
    """The catalog version in force (or the one named), read back from the books.

    Raises:
        NotFound: no catalog was applied, or none has this id.
    """
    name = version or store.fact(tenant, "catalog")
    body = store.document(tenant, name) if name.startswith("cat_") else b""
    if not body and version:
        raise NotFound(f"The books have no catalog {version[:60]!r}.")
    if not body:
        raise NotFound("The store has no catalog yet. Run `apportion catalog apply FILE` first.")
    return Terms(msgspec.json.decode(body, type=Catalog), name, scale_of(assets or {}), plans_of(store, tenant))
