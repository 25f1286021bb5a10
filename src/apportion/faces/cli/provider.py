"""The node of a provider: ``provider serve``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cyclopts import App

from apportion.errors import Misconfigured
from apportion.faces.cli.market import PROVIDER

if TYPE_CHECKING:
    from apportion.faces.api.server import Serving

_KEY = "APPORTION_KEY"


def serve(
    config: str,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8070,
    platform: str = "",
    quiet: bool = False,
    drain: int = 10,
) -> int:
    """A provider's node: it answers a platform's questions with signed bids, and bargains by its own tactic.

    Such as: apportion provider serve provider.toml --port 8070

    The public key that it prints stands in the platform's catalog beside its address. The protocol is described at
    /openapi.json. SIGTERM ends it. What stands in APPORTION_KEY is its key at the platform.

    Args:
        config: The file that says who it is, what it offers and how it bargains (TOML or JSON).
        host: The address to listen on; this machine alone when not given. Put a proxy with TLS before any other.
        port: The port, 8070 when not given; 0 takes a free one.
        platform: The address of a platform: requests of the node's own users are sent on to it, offers announced.
        quiet: Send requests on, and announce nothing.
        drain: How many seconds requests under way may take after SIGTERM.
    """
    try:
        from apportion.faces.api.server import Serving
    except ImportError as error:
        if (error.name or "").startswith("apportion."):
            raise
        raise Misconfigured(f"Serving needs more packages ({error.name}): pip install 'apportion[serve]'") from error
    key = os.environ.get(_KEY, "").strip()
    if platform and not key:
        raise Misconfigured(
            f"The platform asks for a key. Set {_KEY} to the provider's: apportion key create provider --party NAME."
        )
    return _serve(config, Serving(host, port, drain_seconds=drain), (platform, key, not quiet))


def _serve(config: str, serving: Serving, outward: tuple[str, str, bool]) -> int:
    from apportion.faces.api.server import listen
    from apportion.faces.provider.announcing import Announcing
    from apportion.faces.provider.desk import Desk
    from apportion.faces.provider.home import Home
    from apportion.faces.provider.server import serve as run
    from apportion.wiring import open_provider_node, open_whose

    node, signer, clock = open_provider_node(config)
    platform, key, announce = outward
    listening = listen(serving)
    host, port = listening.getsockname()[:2]
    desk = Desk(node, signer, clock.now)
    home = Home(platform, key, node.users, open_whose(config, node)) if platform else None
    telling = Announcing(desk, platform, key) if platform and announce else None
    print(f"public key of {node.provider}: {signer.public()}", flush=True)
    place = f"[{host}]" if ":" in host else host
    print(f"bidding for {node.provider} on http://{place}:{port} (protocol at /openapi.json)", flush=True)
    return run(desk, home, telling, serving, listening)


def commands(group: Any, default: Any) -> App:
    """The commands about providers."""
    found = App(name="provider", help="Providers: a node of one's own.", group=group, default_parameter=default)
    found.command(serve, help_format="markdown")
    for name, command in PROVIDER.items():
        found.command(command, name=name, help_format="markdown")
    return found
