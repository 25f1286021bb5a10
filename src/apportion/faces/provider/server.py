"""The process of a provider's node: it listens, answers, tells the platform what it offers, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn

from apportion.faces.api.server import Serving, protocol_of
from apportion.faces.api.watch import Watch
from apportion.faces.provider.announcing import Announcing
from apportion.faces.provider.app import ProviderApi
from apportion.faces.provider.desk import Desk
from apportion.faces.provider.home import Home


class _Server(uvicorn.Server):
    """A server that ends by returning."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(desk: Desk, home: Home | None, telling: Announcing | None, serving: Serving, listening: socket.socket) -> int:
    """Serve until a signal; the exit code."""
    watch = Watch("warning")
    api = ProviderApi(desk, home, watch.crash)
    config = uvicorn.Config(
        api, http=protocol_of(serving), ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=75,
        timeout_graceful_shutdown=serving.drain_seconds,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_run(_Server(config), api, (home, telling), listening, watch))
    return 0


async def _run(
    server: _Server, api: ProviderApi, outward: tuple[Home | None, Announcing | None], listening: socket.socket,
    watch: Watch,
) -> None:  # fmt: skip
    home, telling = outward
    loop = asyncio.get_running_loop()

    def end() -> None:
        api.draining = server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    going = asyncio.ensure_future(telling.run(watch)) if telling is not None else None
    await server.serve(sockets=[listening])
    if going is not None:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    if home is not None:
        await home.close()
