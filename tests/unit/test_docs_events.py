"""The page on events: it names every type that can be told, and its receiver believes what a node sends."""

from __future__ import annotations

import re
from pathlib import Path

from apportion.engine.events import telling as events
from apportion.engine.events.watching import Heard
from apportion.engine.sessions import words
from apportion.faces.api.deliveries import signed

PAGE = (Path(__file__).resolve().parents[2] / "docs/how-to/events-and-webhooks.md").read_text()


def test_every_type_stands_in_the_catalogue() -> None:
    catalogue = PAGE.partition("## What is told")[2]
    for types in events.TYPES.values():
        for type in types:
            assert f"`{type}{'…' * type.endswith('.')}`" in catalogue, type
    session = next(line for line in catalogue.splitlines() if line.startswith("| `session"))
    for event in words._EVENTS:
        assert f"`{event}`" in session or f"`session.{event}`" in session, event
    for type in re.findall(r"`([a-z]+\.[a-z_]+)`", catalogue):
        assert events.known_type(type), type


def test_the_receiver_of_the_page_believes_us_alone() -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def receive" in block)
    scope: dict[str, object] = {}
    exec(code, scope)
    heard = Heard(1, "", "evt_1", "hold.placed", b'{"id":"evt_1","type":"hold.placed","subject":"hold_00001"}')
    headers = signed(bytes(range(32)), heard)
    receive = scope["receive"]
    secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert receive(secret, headers, heard.body)["subject"] == "hold_00001"  # type: ignore[operator]
    assert receive(secret, headers, heard.body + b" ") is None  # type: ignore[operator]
    assert receive("whsec_" + "B" * 43 + "=", headers, heard.body) is None  # type: ignore[operator]
