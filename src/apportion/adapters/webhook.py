"""Webhooks over HTTP: one signed POST to an address that somebody gave us, and nothing that it could turn it into.

A name is looked up once, every address it stands for must lie outside of our networks, and the connection is made to
the one that was judged; certificates are checked against the name. No redirect is followed, no proxy is taken from the
environment, no connection is shared between receivers, and of an answer no more than its head is read.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import ssl
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from apportion.errors import Refused
from apportion.model.endpoint import Endpoint, public, read_endpoint

if TYPE_CHECKING:
    import httpx2

PATIENCE = 10
_HEADERS = {"content-type": "application/json", "user-agent": "apportion/1", "accept-encoding": "identity"}


class Courier:
    """Carries events to receivers; used on one event loop.

    ``private`` lets it into our own networks; ``seconds`` is how long connecting, sending and answering may take, each;
    ``trusted`` says whose certificates are believed, the usual ones when it is not given.
    """

    def __init__(
        self, *, private: bool = False, seconds: float = PATIENCE, trusted: ssl.SSLContext | None = None
    ) -> None:
        self._private, self._seconds, self._trusted = private, seconds, trusted
        self._http: httpx2.AsyncClient | None = None

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status that a receiver answered; 0 when there was no answer, for whatever reason."""
        try:
            endpoint = read_endpoint(url, private=self._private)
            address = await judged(endpoint, private=self._private)
            return await self._sent(endpoint, address, {**_HEADERS, **headers}, body)
        except _no_answer():
            return 0

    async def _sent(self, endpoint: Endpoint, address: str, headers: dict[str, str], body: bytes) -> int:
        host = f"[{address}]" if ":" in address else address
        url = f"{endpoint.scheme}://{host}:{endpoint.port}{endpoint.target}"
        request = self._client().build_request(
            "POST", url, content=body, headers={**headers, "host": endpoint.authority},
            extensions={"sni_hostname": endpoint.host},
        )  # fmt: skip
        answer = await self._client().send(request, stream=True)
        await answer.aclose()  # its body is nobody's business, however long it is
        return answer.status_code

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:
            import httpx2

            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
            self._http = httpx2.AsyncClient(
                verify=self._trusted or httpx2.create_ssl_context(trust_env=False), trust_env=False,
                follow_redirects=False, timeout=self._seconds, limits=limits,
            )  # fmt: skip
        return self._http


async def judged(endpoint: Endpoint, *, private: bool, lookups: Executor | None = None) -> str:
    """An address of the host that may be called; names are looked up on ``lookups``, the loop's own when not given.

    Raises:
        OSError: the name is not known, or leads inside.
    """
    if endpoint.literal is not None:
        addresses = [endpoint.host]
    else:
        look = functools.partial(socket.getaddrinfo, endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(lookups, look)
        addresses = [str(one[4][0]).partition("%")[0] for one in found]
    if not addresses or not (private or all(public(ipaddress.ip_address(one)) for one in addresses)):
        raise OSError("no address that may be called")
    return addresses[0]


@functools.cache
def _no_answer() -> tuple[type[Exception], ...]:
    """What can go wrong on the way; to the outside all of it is the same."""
    import httpx2

    return (Refused, OSError, ValueError, httpx2.HTTPError, httpx2.InvalidURL)
