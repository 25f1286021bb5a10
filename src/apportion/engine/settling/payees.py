"""Where providers have their money: documents beside the books, so that the chain never holds them."""

from __future__ import annotations

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger.chart import account_key
from apportion.model.account import Role
from apportion.model.payee import Payee, check_payee

PLATFORM = "platform"  # the name under which the platform's own account is kept


def payee_of(engine: Engine, name: str) -> Payee | None:
    """Where a provider, or the platform by its name, has its money; None when nobody said so."""
    body = engine.store.document(engine.tenant, _document(name))
    found = msgspec.json.decode(body, type=Payee) if body else None
    return found if found is not None and found != Payee() else None


def put_payee(engine: Engine, name: str, given: Payee) -> Payee:
    """Keep where somebody has its money; an empty one takes that back.

    Raises:
        Refused: BAD_INPUT; CONFLICT; UNKNOWN_PROVIDER when neither the catalog nor the books have one of this name.
    """
    providers = engine.terms().catalog.providers
    if name == PLATFORM and name in providers:
        raise refuse(
            RefusalCode.CONFLICT, "is both the platform and a provider of the catalog.", field="id",
            fix="Give the provider another id.",
        )  # fmt: skip
    if name != PLATFORM and name not in providers and not _has_account(engine, name):
        raise refuse(RefusalCode.UNKNOWN_PROVIDER, f"the catalog has no provider {name[:60]!r}.", field="id")
    payee = check_payee(given)

    def keep(work: Work) -> None:
        work.writes.documents.append((_document(name), 0, msgspec.json.encode(payee)))
        work.writes.facts.append(("payees", work.at))

    engine.writer.booked(keep)
    return payee


def _has_account(engine: Engine, name: str) -> bool:
    """Whether a provider that the catalog no longer has is still owed something, or was."""
    keys = [account_key(Role.PROVIDER, name, str(asset)) for asset in engine.books.assets.values()]
    return bool(engine.store.account_keys(engine.tenant, keys))


def _document(name: str) -> str:
    return f"payee_{name}"
