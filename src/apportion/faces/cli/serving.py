"""A node: ``serve``, and the keys of those who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer

if TYPE_CHECKING:
    from apportion.faces.api.server import Serving


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    log: Literal["info", "warning"] = "info",
    drain: int = 30,
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
    """
    from apportion.errors import Misconfigured

    try:
        from apportion.faces.api.server import Serving
    except ImportError as error:
        raise Misconfigured(f"Serving needs more packages ({error.name}): pip install 'apportion[serve]'") from error
    return _serve(Serving(host, port, drain_seconds=drain), log, place)


def _serve(serving: Serving, log: str, place: Place) -> int:
    from apportion.faces.api.node import Node
    from apportion.faces.api.server import listen
    from apportion.faces.api.server import serve as run
    from apportion.faces.api.watch import Watch
    from apportion.wiring import open_tenants

    listening = listen(serving)
    engines = open_tenants(place.store, [place.tenant])
    node = Node(engines, lambda: open_tenants(place.store, writable=False))
    secret = node.first_key(place.tenant)
    if secret:
        print(f"operator key, shown this once: {secret}", flush=True)
    host, port = listening.getsockname()[:2]
    store = place.store if "://" not in place.store else "PostgreSQL"  # its address may hold a password
    print(f"serving {store} on http://{f'[{host}]' if ':' in host else host}:{port} (API at /docs)", flush=True)
    return run(node, Watch(log), serving, listening)


def create(
    role: Literal["operator", "auditor", "user", "provider"],
    /,
    *,
    party: str = "",
    source: tuple[str, ...] = (),
    label: str = "",
    expires: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Make a key; its secret is printed this once and kept nowhere.

    Such as: apportion key create provider --party dora --source meter-7

    On books that a node serves, ask the node: POST /v1/keys.

    Args:
        role: What its holder may do: operator everything, auditor see everything, user and provider see their own.
        party: The payer or provider it speaks for, as the catalog and the usage name them.
        source: A usage source that this key may write, and no other key that does not name it; may be repeated.
        label: A note for whoever lists the keys.
        expires: An instant after which it opens nothing, such as 2030-01-31T18:00:00Z.
    """
    from apportion.engine.access import new_key
    from apportion.engine.exchange import KeyInput
    from apportion.model.access import AccessRole

    with place.write() as engine:
        made, _ = new_key(engine, KeyInput(AccessRole(role), party, source, label, expires))
    answer.give(made, f"{made.secret}\n\nThe {role}'s key {made.key.id}. It is not shown again.")


def show(*, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """List the keys of a tenant; secrets are kept nowhere."""
    from apportion.engine.access import all_keys, shown
    from apportion.faces.tables import Table

    with place.read() as engine:
        keys = [shown(key) for key in all_keys(engine)]
    columns = ("id", "role", "party", "label", "created", "expires", "revoked")
    answer.give(Table(columns, [tuple(_text(getattr(key, name)) for name in columns) for key in keys]), keys)


def _text(value: object) -> str:
    return str(getattr(value, "value", value))


def revoke(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """End a key for ever.

    On books that a node serves, ask the node: DELETE /v1/keys/ID.

    Args:
        id: The key's id: the part of it between the first two underscores.
    """
    from apportion.engine.access import revoke_key, shown

    with place.change() as engine:
        ended = shown(revoke_key(engine, id))
    answer.give(ended, f"The key {ended.id} opens nothing any more.")
