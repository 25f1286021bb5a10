"""Settings and open(): the only place where the engine meets its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apportion.adapters.bank import SepaBank
from apportion.adapters.highs import solver
from apportion.adapters.outside import HeadsFile, KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.adapters.whose import Whose
from apportion.engine.engine import Engine
from apportion.errors import Misconfigured, Refused, StoreUnavailable
from apportion.model.endpoint import read_endpoint
from apportion.model.provider_node import ProviderNode, check_node
from apportion.ports import Clock, Notifier, PaymentPort, PayoutPort, ProviderPort, Random, Signer

_POSTGRES = ("postgresql://", "postgres://")


def open_engine(store: str = "apportion.db", *, tenant: str = "main", writable: bool = True, key: str = "") -> Engine:
    """Open the books in ``store`` (a file, ``:memory:`` or ``postgresql://…``), making them when there are none.

    Raises:
        StoreUnavailable: the file is locked, missing (when not ``writable``), or no store.
        Misconfigured: the address is of a kind that this version does not open.
    """
    books, signer, heads = _parts(store, writable, key)
    return _engine(books, tenant, (SystemClock(), SystemRandom(), signer), heads, writable=writable)


def open_tenants(
    store: str = "apportion.db",
    tenants: Sequence[str] = (),
    *,
    writable: bool = True,
    key: str = "",
    address: str = "",
) -> dict[str, Engine]:
    """The books of every tenant of a store, and of ``tenants``, over one connection; close the writers, then it.

    ``address`` is where they will be served: whoever else wants to write a file is told.

    Raises:
        StoreUnavailable: as ``open_engine``.
    """
    books, signer, heads = _parts(store, writable, key, address)
    outside = (SystemClock(), SystemRandom(), signer)
    names = dict.fromkeys([*tenants, *books.tenants()])
    return {name: _engine(books, name, outside, heads, writable=writable) for name in names}


def _engine(
    books: Any, tenant: str, outside: tuple[Clock, Random, Signer], heads: HeadsFile, *, writable: bool
) -> Engine:
    """The engine of one tenant's books, with the solver where it is installed, and how banks are told."""
    engine = Engine(books, tenant, outside, heads.announce, writable=writable)
    engine.solver = solver()
    engine.bank = SepaBank()
    return engine


STRIPE = "stripe"


def open_payments(
    address: str, *, key: str = "", secret: str = "", private: bool = False, seconds: float = 10.0
) -> PaymentPort:
    """The payment processor at an address, or ``stripe`` (``stripe+http://…`` is another address that speaks as it).

    ``key`` is what it knows us by, ``secret`` what it signs by; ``private`` allows any network.

    Raises:
        Misconfigured: the address is none that may be called, a package or the key is missing.
    """
    stripe, address = address == STRIPE or address.startswith(STRIPE + "+"), address.removeprefix(STRIPE).lstrip("+")
    try:
        if address:
            read_endpoint(address, private=private, field="payments")
    except Refused as error:
        more = "" if private else " --allow-private-addresses lets it be any."
        raise Misconfigured(error.refusal.sentence() + more) from None
    try:
        if stripe:
            from apportion.adapters.payments.stripe import StripePayments

            if not key:
                raise Misconfigured("Stripe needs its secret key in APPORTION_PAYMENTS_KEY.")
            return StripePayments(key=key, secret=secret, address=address, seconds=seconds)
        from apportion.adapters.payments.http import HttpPayments
    except ImportError as error:
        extra = "serve,stripe" if stripe else "serve"
        raise Misconfigured(f"Payments need more packages ({error.name}): pip install 'apportion[{extra}]'") from error
    return HttpPayments(address, key=key, secret=secret, seconds=seconds)


def open_payouts(address: str, *, key: str = "", private: bool = False, seconds: float = 10.0) -> PayoutPort:
    """The processor of transfers at an address; as ``open_payments``.

    Raises:
        Misconfigured: the address is none that may be called.
    """
    open_payments(address, key=key, private=private, seconds=seconds)  # the same checks
    from apportion.adapters.payments.http import HttpPayouts

    return HttpPayouts(address, key=key, seconds=seconds)


def open_providers(*, signer: Signer | None = None, private: bool = False, seconds: float = 10.0) -> ProviderPort:
    """The way to provider nodes; with a ``signer`` questions are signed, ``private`` allows any network.

    Raises:
        Misconfigured: a package is missing.
    """
    try:
        from apportion.adapters.providers.http import HttpProviders
    except ImportError as error:
        raise Misconfigured("Provider nodes need one more package: pip install 'apportion[serve]'") from error
    return HttpProviders(signer, private=private, seconds=seconds)


def open_mail(address: str, sender: str, password: str = "", *, private: bool = False) -> Notifier:
    """The mail server at an address (``smtp://…``, ``smtps://…``); ``private`` allows it to have no TLS.

    Raises:
        Misconfigured: the address is none.
    """
    from apportion.adapters.email import SmtpNotifier, read_server

    try:
        return SmtpNotifier(read_server(address, password=password, private=private), sender)
    except Refused as error:
        raise Misconfigured(error.refusal.sentence()) from None


def open_provider_node(path: str) -> tuple[ProviderNode, Signer, Clock]:
    """A provider's node as its file describes it, with the key that it signs by (made when there is none) and a clock.

    Raises:
        Misconfigured: with every finding in the file, or the key can not be read.
    """
    from apportion.adapters.catalog_file import load_record

    node = load_record(path, ProviderNode, check_node)
    return node, KeyFile(Path(path).parent / node.key), SystemClock()


def open_whose(path: str, node: ProviderNode) -> Whose:
    """What the node of a file knows of its users' plans and negotiations; in a file beside its key."""
    return Whose(Path(path).parent / f"{node.key}.users")


def _parts(store: str, writable: bool, key: str, address: str = "") -> tuple[Any, KeyFile, HeadsFile]:
    """A store with what stands beside it: the key that signs its heads, and the file that keeps them."""
    if store.startswith(_POSTGRES):
        return _postgres(store, writable, key)
    if "://" in store:
        raise Misconfigured(
            f"{store.partition('://')[0]}:// is no store. Name a file or postgresql://…; a node is asked with "
            "apportion.Client, or by the commands with --store."
        )
    memory = store == ":memory:"
    if not memory and not writable and not Path(store).exists():
        raise StoreUnavailable(
            f"There is no store at {store}. `apportion run CATALOG USAGE --store {store}` makes one."
        )
    books = SqliteStore(store, writable=writable, address=address)
    signer = KeyFile(None if memory or not writable else key or store + ".key")
    return books, signer, HeadsFile(None if memory else store + ".heads")


def _postgres(dsn: str, writable: bool, key: str) -> tuple[Any, KeyFile, HeadsFile]:
    try:
        from apportion.adapters.stores.postgres import PostgresStore
    except ImportError as error:
        raise Misconfigured("PostgreSQL needs one more package: pip install 'apportion[postgres]'") from error
    books = PostgresStore(dsn, writable=writable)
    signer = KeyFile((key or books.database + ".key") if writable else None)
    return books, signer, HeadsFile(books.database + ".heads")


def migrate(store: str) -> tuple[int, int]:
    """Bring a PostgreSQL store to this program's schema; (schema before, schema now).

    Raises:
        StoreUnavailable: a node is still writing, or the store is newer than this program.
        Misconfigured: the store is a file, which is brought up to date whenever it is opened.
    """
    if not store.startswith(_POSTGRES):
        raise Misconfigured("Only a PostgreSQL store is migrated; a file needs nothing.")
    from apportion.adapters.stores.postgres import migrate_store

    return migrate_store(store)
