"""Provider nodes over HTTP: the platform's side of the protocol that ``GET /openapi.json`` of a node describes.

``POST {address}/quotes`` asks for a signed bid, ``POST {address}/quotes/{rfq}/rounds`` answers it with a
counter-offer, ``…/accept`` takes a bid exactly as it was signed, ``…/end`` gives it up. Every body is JSON; with a
signer the header ``Apportion-Signature`` holds an Ed25519 signature over its bytes, so that a node can know who asks.

Every address is judged as those of webhooks are. Each has connections of its own, so that none is used for another
name; no redirect is followed, and of an answer no more than a bid may have is read.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from apportion.adapters.outside import signature_holds
from apportion.adapters.webhook import judged
from apportion.errors import Refused
from apportion.model.bid import BID_BYTES, Acceptance, Asked, Finished, bytes_of
from apportion.model.endpoint import Endpoint, read_endpoint
from apportion.ports import Heard, Signer

if TYPE_CHECKING:
    import httpx2

SIGNATURE = "apportion-signature"
#: so many nodes are asked at a time, the next so many seconds later, whether those have answered or not
_WAVE, _PAUSE = 64, 0.015
_LINES_MAX, _NAMES_SECONDS, _IDLE_SECONDS, _LOOKUPS = 1000, 30, 60, 32
_HEADERS = {"content-type": "application/json", "user-agent": "apportion/1", "accept-encoding": "identity"}


class _Line(msgspec.Struct):
    """The connections to one node, and the judged address they lead to until it is looked up again."""

    address: str
    until: float
    wire: httpx2.AsyncHTTPTransport


class HttpProviders:
    """ProviderPort over this protocol; used on one event loop.

    ``private`` lets it into our own networks; ``seconds`` is how long connecting, sending and answering may take, each;
    ``trusted`` says whose certificates are believed, the usual ones when it is not given.
    """

    def __init__(
        self,
        signer: Signer | None = None,
        *,
        private: bool = False,
        seconds: float = 10.0,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._signer, self._private, self._seconds, self._trusted = signer, private, seconds, trusted
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._last = (b"", "")
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="names")  # names that hang keep to themselves

    async def ask(self, asked: Sequence[tuple[str, Asked]], told: Callable[[int, Heard], None]) -> None:
        """Ask many at once; ``told`` gets every answer when it comes, with the place of its question."""
        async with asyncio.TaskGroup() as group:
            for at, (address, question) in enumerate(asked):
                if at and at % _WAVE == 0:  # else all would be sent before any answer is read
                    await asyncio.sleep(_PAUSE)
                group.create_task(self._ask(at, address, question, told))

    async def _ask(self, at: int, address: str, asked: Asked, told: Callable[[int, Heard], None]) -> None:
        path = "/quotes" if asked.round == 1 else f"/quotes/{asked.id}/rounds"  # where rounds go
        try:
            heard = await self._post(address, path, bytes_of(asked))
        except Exception as error:  # one node is not to end what others say
            heard = Heard(fault="unreachable", detail=type(error).__name__)
        told(at, heard)

    async def accept(self, address: str, rfq: str, accepted: Acceptance) -> Heard:
        """Accept a bid exactly as it was signed."""
        return await self._post(address, f"/quotes/{rfq}/accept", msgspec.json.encode(accepted))

    async def end(self, address: str, rfq: str, finished: Finished) -> Heard:
        """Tell that nothing more comes of a request, or that what was agreed has ended."""
        return await self._post(address, f"/quotes/{rfq}/end", msgspec.json.encode(finished))

    def holds(self, key: str, message: bytes, signature: str) -> bool:
        """Whether an Ed25519 signature is by a key."""
        return signature_holds(key, message, signature)

    async def _post(self, address: str, path: str, body: bytes) -> Heard:
        """One request; sent again once when a connection that was kept had gone, which all of them can bear."""
        faults = _faults()
        for again in (False, True):
            try:
                endpoint = read_endpoint(address.rstrip("/") + path, private=self._private, field="address")
                return await self._sent(await self._line(endpoint), endpoint, body)
            except faults.gone as error:
                if again:
                    return Heard(fault="unreachable", detail=type(error).__name__)
            except faults.late:
                return Heard(fault="late")
            except Refused as error:
                return Heard(fault="unreachable", detail=error.refusal.sentence()[:200])
            except faults.all as error:
                return Heard(fault="unreachable", detail=type(error).__name__)
        raise AssertionError("two tries always end")

    async def _line(self, endpoint: Endpoint) -> _Line:
        """The connections to the host of an address.

        Raises:
            OSError: its name is not known, or leads inside.
        """
        import httpx2

        name = f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}"
        line, now = self._lines.get(name), time.monotonic()
        if line is not None and now < line.until:
            self._lines.move_to_end(name)
            return line
        address = await judged(endpoint, private=self._private, lookups=self._lookups)
        if line is not None and line.address == address:
            line.until = now + _NAMES_SECONDS
            return line
        limits = httpx2.Limits(max_connections=16, max_keepalive_connections=4, keepalive_expiry=_IDLE_SECONDS)
        wire = httpx2.AsyncHTTPTransport(verify=self._context(), trust_env=False, limits=limits)
        made = self._lines[name] = _Line(address, now + _NAMES_SECONDS, wire)
        if line is not None:
            await line.wire.aclose()
        while len(self._lines) > _LINES_MAX:
            await self._lines.popitem(last=False)[1].wire.aclose()
        return made

    def _context(self) -> ssl.SSLContext:
        if self._trusted is None:
            import httpx2

            self._trusted = httpx2.create_ssl_context(trust_env=False)
        return self._trusted

    def _signature(self, signer: Signer, body: bytes) -> str:
        """The signature of a body; the last one is remembered, since many are asked the same."""
        if self._last[0] != body:
            self._last = body, signer.sign(body)
        return self._last[1]

    async def _sent(self, line: _Line, endpoint: Endpoint, body: bytes) -> Heard:
        import httpx2

        host = f"[{line.address}]" if ":" in line.address else line.address
        headers: Mapping[str, str] = {**_HEADERS, "host": endpoint.authority}
        if self._signer is not None:
            headers = {**headers, SIGNATURE: self._signature(self._signer, body)}
        seconds = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        request = httpx2.Request(
            "POST", f"{endpoint.scheme}://{host}:{endpoint.port}{endpoint.target}", content=body, headers=headers,
            extensions={"sni_hostname": endpoint.host, "timeout": seconds},
        )  # fmt: skip
        answer = await line.wire.handle_async_request(request)
        try:
            if answer.status_code != 200:
                return Heard(fault="http", detail=f"It answered {answer.status_code}.")
            parts, size = [], 0
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size > BID_BYTES:
                    return Heard(fault="oversized", detail=f"It is larger than {BID_BYTES >> 10} KiB.")
                parts.append(chunk)
            return Heard(b"".join(parts))
        finally:
            await answer.aclose()


class _Faults(msgspec.Struct, frozen=True):
    """What can go wrong on the way: a connection that had ``gone``, too ``late``, and ``all`` the rest."""

    gone: tuple[type[Exception], ...]
    late: tuple[type[Exception], ...]
    all: tuple[type[Exception], ...]


@functools.cache
def _faults() -> _Faults:
    import httpx2

    return _Faults(
        (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError),
        (httpx2.TimeoutException,),
        (OSError, ValueError, httpx2.HTTPError, httpx2.InvalidURL),
    )
