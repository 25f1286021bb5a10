"""Settings and open(): the only place where the engine meets its adapters."""

from __future__ import annotations

from pathlib import Path

import msgspec

from apportion.adapters.outside import HeadsFile, KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.errors import Misconfigured, StoreUnavailable


class Settings(msgspec.Struct, frozen=True):
    """How to open the books: the ``store`` file, the ``tenant``, and where the signing ``key`` lies.

    ``key`` defaults to ``<store>.key``; heads go to ``<store>.heads``.
    """

    store: str = "apportion.db"
    tenant: str = "main"
    key: str = ""


def open_engine(store: str = "apportion.db", *, tenant: str = "main", writable: bool = True, key: str = "") -> Engine:
    """Open the books in the file ``store`` (or ``:memory:``), making them when there are none.

    Raises:
        StoreUnavailable: the file is locked, missing (when not ``writable``), or no store.
        Misconfigured: the address is of a kind that this version does not open.
    """
    if "://" in store:
        raise Misconfigured(f"{store.partition('://')[0]}:// stores arrive with a later release. Name a file instead.")
    memory = store == ":memory:"
    if not memory and not writable and not Path(store).exists():
        raise StoreUnavailable(f"There is no store at {store}. `apportion run CATALOG USAGE --store {store}` makes one.")
    books = SqliteStore(store, writable=writable)
    signer = KeyFile(None if memory or not writable else key or store + ".key")
    heads = HeadsFile(None if memory else store + ".heads")
    return Engine(books, tenant, (SystemClock(), SystemRandom(), signer), heads.announce, writable=writable)
