"""C14: An agent negotiates for the user inside a private mandate: within it, for less, and nothing of it is told."""

from __future__ import annotations

import sqlite3
import threading
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import pytest

from tests.claims.bargaining import Bargaining, bargaining, logged
from tests.claims.conftest import Json, Program

CREW = {"oak": ("0.10", "linear"), "elm": ("0.11", "boulware"), "ash": ("0.12", "tit-for-tat")}
#: a limit that nothing else is called; what it is in atoms, and without the tax on the call itself
LIMIT = "18.731649358"
TOLD = (LIMIT, LIMIT.replace(".", ""), "18.73164")
MANDATE = {"limit": LIMIT, "rounds": 7, "seconds": 20, "pace": "2.5", "quality": 0}


def listened(node: Bargaining, found: bytearray, stop: threading.Event) -> threading.Thread:
    """A thread that reads the stream of events from the beginning of the books."""

    def read() -> None:
        asked = urllib.request.Request(
            f"http://{node.address}/v1/events/stream?after=start", headers={"authorization": f"Bearer {node.key}"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as stream:
                while not stop.is_set():
                    found.extend(stream.readline())
        except OSError:
            pass  # the node has ended

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def hidden(told: bytes, where: str) -> None:
    """Nothing of the mandate stands there."""
    for text in TOLD:
        assert text.encode() not in told, f"{text} stands in {where}"


def files(folder: Path) -> dict[str, bytes]:
    """All that lies in the folder of the platform, books and logs."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


def stored(path: Path) -> Iterator[bytes]:
    """Every text and blob of the store, unpacked where it is packed."""
    with closing(sqlite3.connect(path)) as store:
        for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in store.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    if isinstance(cell, str | bytes):
                        content = cell.encode() if isinstance(cell, str) else cell
                        yield content
                        with suppress(zlib.error):
                            yield zlib.decompress(content)


def test_an_agent_agrees_within_its_mandate_and_that_is_charged(apportion: Program) -> None:
    program = logged(apportion, apportion.folder / "platform.log")
    stop, events = threading.Event(), bytearray()
    with bargaining(program, CREW) as node:
        listened(node, events, stop)
        ada = node.key_of("ada")
        shown = node.negotiate(key=ada, status=201, mandate=MANDATE)
        assert shown["state"] == "agreed" and shown["agent"], shown.get("reason")
        (one,) = shown["plan"]["scenarios"]
        agreed = Decimal(one["total"])
        assert agreed <= Decimal(LIMIT) and agreed < Decimal("19.92"), "less than the best first offer"
        session = node.deliver(node.ask("GET", f"/v1/plans/{shown['agreed']}", key=ada))
        assert Decimal(session["charged"]) == agreed
        winner = one["parts"][0]["provider"]
        node.ask("GET", f"/v1/negotiations/{shown['id']}", key=node.key_of(winner, "provider"), status=404)
        paths = (f"/v1/negotiations/{shown['id']}", f"/v1/plans/{shown['agreed']}", "/v1/negotiations")
        views = repr([node.ask("GET", path) for path in paths])
        hidden(views.encode(), "what the operator sees")
        books = node.stop()
        stop.set()
        wire = {name: bytes(one.heard) for name, one in node.bidders.items()}
        logs = {name: one.log.read_bytes() for name, one in node.bidders.items()}
        assert Decimal(50) - books.balances("payer")["ada"] == agreed
    assert all(b'"counter"' in heard for heard in wire.values()), "all were bargained with"
    assert b"session" in events
    for name in CREW:
        hidden(wire[name], f"what {name} is sent")
        hidden(logs[name], f"the log of {name}")
    hidden(bytes(events), "the stream of events")
    hidden(program("export", "--store", "books.db").out.encode(), "the export")
    assert books.of("negotiation")[-1]["state"] == "agreed"
    here = files(program.folder)
    assert b'"operation": "negotiate"' in here["platform.log"]
    for name, content in here.items():
        hidden(content, name)
    cells = list(stored(program.folder / "books.db"))
    assert any(b'"counter"' in one for one in cells), "what was said is there"
    for content in cells:
        hidden(content, "the store")


def test_it_walks_away_when_nobody_goes_so_low(apportion: Program) -> None:
    with bargaining(apportion, CREW) as node:
        shown = node.negotiate(mandate={"limit": "14.6", "rounds": 4, "seconds": 20})  # oak keeps 11 net, or 14.64
        assert shown["state"] == "walked-away" and shown["reason"] and "plan" not in shown
        met = node.negotiate(mandate={"limit": "16", "rounds": 6, "seconds": 20})
        assert met["state"] == "agreed" and Decimal(met["plan"]["scenarios"][0]["total"]) <= 16
        books = node.stop()
        assert len(books.of("plan")) == 1 and not books.of("charge")


@pytest.mark.parametrize("words", [["--limit", "17"], ["--mandate", "mandate.toml"]])
def test_the_command_with_a_limit(apportion: Program, words: list[str]) -> None:
    with bargaining(apportion, {"oak": CREW["oak"]}) as node:
        node.program.folder.joinpath("mandate.toml").write_text('limit = "17"\nrounds = 5\n')
        node.program.folder.joinpath("request.toml").write_text(
            'service = "call"\npayers = [{ payer = "ada" }]\nquantities = { minutes = "100" }\n'
        )
        asked = Program(apportion.folder, apportion.command, {**apportion.env, "APPORTION_KEY": node.key})
        store = ["--store", f"http://{node.address}"]
        shown: Json = asked("negotiate", "request.toml", *words, *store, "--json").json()
        assert shown["state"] == "agreed" and Decimal(shown["plan"]["scenarios"][0]["total"]) <= 17
        told = asked("negotiate", "request.toml", *words, *store, "--begin").out
        assert "Agreed: " in told and " runs by pln_" in told
        assert "Nothing was agreed" in asked("negotiate", "request.toml", "--limit", "13", *store, code=1).out
        node.stop()
