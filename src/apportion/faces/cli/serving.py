"""A node: ``serve``, and the keys of those who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from apportion.faces.cli.hearing import HEARING, Hearing
from apportion.faces.cli.mailing import MAILING, Mailing
from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer
from apportion.faces.cli.payments import PAYING, Paying
from apportion.faces.cli.reach import beginning, changing, reading

if TYPE_CHECKING:
    from apportion.faces.api.server import Serving


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    log: Literal["info", "warning"] = "info",
    drain: int = 30,
    allow_private_addresses: bool = False,
    no_schedule: bool = False,
    paying: Paying = PAYING,
    hearing: Hearing = HEARING,
    mailing: Mailing = MAILING,
    place: Place = PLACE,
) -> int:
    """A node: the API over HTTP, for many clients at once, on one store.

    Such as: apportion serve --store books.db --port 8080

    Ready when /ready answers 200; the API is described at /docs. The first start prints an operator's key, once.
    SIGTERM ends it: what was accepted is finished and the books are sealed. Logs are JSON lines on standard error.

    Args:
        host: The address to listen on; this machine alone when not given. Put a proxy with TLS before any other.
        port: The port, 8080 when not given; 0 takes a free one.
        log: info writes a line per request; warning only what went wrong.
        drain: How many seconds requests under way may take after SIGTERM.
        allow_private_addresses: Also call addresses without TLS and inside networks that are not public.
        no_schedule: Leave what the catalog's schedule wants done to other nodes.
    """
    from apportion.errors import Misconfigured

    try:
        from apportion.faces.api.server import Serving
    except ImportError as error:
        if (error.name or "").startswith("apportion."):
            raise
        raise Misconfigured(f"Serving needs more packages ({error.name}): pip install 'apportion[serve]'") from error
    return _serve(
        Serving(host, port, drain_seconds=drain, schedule=not no_schedule), log, place,
        ((paying, hearing, mailing), allow_private_addresses),
    )  # fmt: skip


def _serve(serving: Serving, log: str, place: Place, outside: tuple[tuple[Paying, Hearing, Mailing], bool]) -> int:
    from apportion.faces.api.node import Node
    from apportion.faces.api.server import listen
    from apportion.faces.api.server import serve as run
    from apportion.faces.api.watch import Watch
    from apportion.wiring import open_providers, open_tenants

    listening = listen(serving)
    host, port = listening.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    engines = open_tenants(place.store, [place.tenant], address=f"http://{_host(here)}:{port}")
    node = Node(engines, lambda: open_tenants(place.store, writable=False))
    if not serving.schedule:
        node.schedules = None
    for told in outside[0]:
        told.begin(node, private=outside[1])
    node.broker_by(open_providers(signer=next(iter(engines.values())).signer, private=outside[1]))
    secret = node.first_key(place.tenant)
    if secret:
        print(f"operator key, shown this once: {secret}", flush=True)
    store = place.store if "://" not in place.store else "PostgreSQL"  # its address may hold a password
    print(f"serving {store} on http://{_host(host)}:{port} (API at /docs)", flush=True)
    return run(node, Watch(log), serving, listening)


def _host(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def create(
    role: Literal["operator", "auditor", "user", "provider"],
    /,
    *,
    party: str = "",
    source: tuple[str, ...] = (),
    label: str = "",
    expires: str = "",
    service: tuple[str, ...] = (),
    payer: tuple[str, ...] = (),
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Make a key; its secret is printed this once and kept nowhere.

    Such as: apportion key create provider --party dora --source meter-7

    Args:
        role: What its holder may do: operator everything, auditor see everything, user and provider see their own.
        party: The payer or provider it speaks for, as the catalog and the usage name them.
        source: A usage source that this key may write, and no other key that does not name it; may be repeated.
        label: A note for whoever lists the keys.
        expires: An instant after which it opens nothing, such as 2030-01-31T18:00:00Z.
        service: A service that usage sent with this key may be of, any when not given; may be repeated.
        payer: A payer that usage sent with this key may name, any when not given; may be repeated.
    """
    from apportion.engine.exchange import KeyInput
    from apportion.model.access import AccessRole

    with beginning(place) as books:
        made = books.create_key(KeyInput(AccessRole(role), party, source, label, expires, service, payer))
    answer.give(made, f"{made.secret}\n\nThe {role}'s key {made.key.id}. It is not shown again.")


def show(*, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """List the keys of a tenant; secrets are kept nowhere."""
    from apportion.faces.tables import Table

    with reading(place) as books:
        keys = books.keys()
    columns = ("id", "role", "party", "label", "created", "expires", "revoked")
    answer.give(Table(columns, [tuple(_text(getattr(key, name)) for name in columns) for key in keys]), keys)


def _text(value: object) -> str:
    return str(getattr(value, "value", value))


def revoke(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """End a key for ever.

    Args:
        id: The key's id: the part of it between the first two underscores.
    """
    with changing(place) as books:
        ended = books.revoke_key(id)
    answer.give(ended, f"The key {ended.id} opens nothing any more.")
