"""Telling the platform what is offered, so that it also counts when there is no time to ask.

What is announced is the price that the node would ask first, with the capacity that is free. It lapses by itself, so
that a node that has died is not chosen for long.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import msgspec

from apportion.faces.api.watch import Watch
from apportion.faces.provider.desk import Desk
from apportion.model.market import Offer

_LOOK, _SECONDS = 1.0, 10.0


class Announcing:
    """Keeps a ``platform`` told, by the provider's ``key``; an announcement stands for ``stands`` seconds."""

    def __init__(self, desk: Desk, platform: str, key: str, *, stands: int = 600) -> None:
        self._desk, self._platform, self._key, self._stands = desk, platform.rstrip("/"), key, stands
        self._told: list[Offer] = []
        self._until = datetime.min.replace(tzinfo=UTC)
        self._again = 0.0

    async def run(self, watch: Watch) -> None:
        """Announce at once, whenever the free capacity changes, and before an announcement lapses."""
        import httpx2

        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        failed = False
        async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False, headers=headers) as http:
            while True:
                if self.due():
                    try:
                        answer = await http.put(f"{self._platform}/v1/offers", content=self.body())
                        why = "" if answer.status_code == 200 else f"http {answer.status_code}"
                        if not why and b'"refusal"' in answer.content:
                            why = "an offer was refused"
                            watch.event("the platform refused an offer", answer=answer.text[:1000])
                    except httpx2.HTTPError as error:
                        why = type(error).__name__
                    if why and not failed:
                        watch.event("the platform was not told", why=why)
                    failed = bool(why)
                    if failed:  # patience: it is asked anyway when there is time
                        self._again = time.monotonic() + 10 * _LOOK
                        self._told = []
                await asyncio.sleep(_LOOK)

    def due(self) -> bool:
        """Whether the platform knows something else than what is so, or soon nothing."""
        if time.monotonic() < self._again:
            return False
        now = datetime.now(UTC)
        self._desk.stock.expire(now)
        return self._desk.standing() != self._told or now + timedelta(seconds=self._stands // 2) > self._until

    def body(self) -> bytes:
        """The offers as they are sent, and from now on taken as told."""
        now = datetime.now(UTC)
        if now + timedelta(seconds=self._stands // 2) > self._until:
            self._until = now + timedelta(seconds=self._stands)
        self._told = self._desk.standing()
        until = self._until.isoformat(timespec="seconds").replace("+00:00", "Z")
        offers = [msgspec.structs.replace(offer, valid_until=until) for offer in self._told]
        return msgspec.json.encode({"offers": offers})
