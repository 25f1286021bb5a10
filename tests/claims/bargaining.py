"""A platform whose providers bargain through nodes of their own: real processes, and a wire that is listened to."""

from __future__ import annotations

import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.claims.conftest import Json, Program
from tests.claims.market import Market

# A minute costs its provider what stands here; it asks half as much again and keeps a tenth. Users pay a tenth more
# than it earns and 0.10 a call, and a fifth of all of it as tax: 100 minutes for 15 are (0.10 + 16.5) × 1.2 = 19.92.
PLATFORM = """
name = "calls"
[payers]
ada = { currency = "EUR", opening = "50" }
ben = { currency = "EUR", opening = "50" }
[tariffs]
own = { currency = "EUR", tax = "vat", taxes = { vat = "20" }, components = [
    { kind = "flat", name = "connection", price = "0.10" }] }
list = { currency = "EUR", components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.5" }] }
[services.call]
retail = "own"
measures = { minutes = "min" }
market = { retail = "passed-on", markup = "10", deadline = 2000 }
[providers.telco]
"""
PART = '[services.call.parts.NAME]\nwholesale = { telco = "list" }\n'
NODE = """
provider = "NAME"
[bargaining]
tactic = "TACTIC"
margin = 10
markup = 50
rounds = 4
[tariffs.cost]
currency = "EUR"
[[tariffs.cost.components]]
kind = "unit"
name = "talk"
measure = "minutes"
price = COST
"""
OFFER = '[[offers]]\nservice = "call"\npart = "PART"\ntariff = "cost"\n'


class Bidder:
    """``apportion provider serve``; ``log`` is what it writes, ``heard`` every byte that reached it over the wire."""

    def __init__(self, program: Program, name: str, cost: str, tactic: str, *parts: str) -> None:
        folder = program.folder / name
        folder.mkdir()
        text = NODE.replace("NAME", name).replace("TACTIC", tactic).replace("COST", cost)
        text += "".join(OFFER.replace("PART", part) for part in parts or ("near",))
        (folder / "node.toml").write_text(text)
        self.log, self.heard = folder / "log", bytearray()
        command = [*program.command, "provider", "serve", "node.toml", "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=program.env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.name = name
        self.public = self._there = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.public = found[1] if (found := re.search(r": ([0-9a-f]{64})", line)) else self.public
            if found := re.search(r"http://[\d.]+:\d+", line):
                self._there = found[0]
                break
        assert self._there, "the provider's node did not start"
        self._wire = ThreadingHTTPServer(("127.0.0.1", 0), self._listening())
        self.address = f"http://127.0.0.1:{self._wire.server_address[1]}"
        threading.Thread(target=self._wire.serve_forever, daemon=True).start()

    def _listening(self) -> type[BaseHTTPRequestHandler]:
        """What passes everything on to the node, and writes it down."""
        bidder = self

        class Wire(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                bidder.heard.extend(self.requestline.encode() + str(self.headers).encode() + body)
                sent = urllib.request.Request(bidder._there + self.path, body, {"content-type": "application/json"})
                try:
                    with urllib.request.urlopen(sent, timeout=10) as answer:
                        status, said = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    status, said = error.code, error.read()
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *words: object) -> None:
                pass

        return Wire

    def end(self) -> None:
        self._wire.shutdown()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Bargaining(Market):
    """The platform, and what is said at its door to negotiate."""

    bidders: dict[str, Bidder]

    def negotiate(self, minutes: str = "100", *, key: str = "", status: int = 0, **more: object) -> Json:
        """Begin to negotiate for ada."""
        request = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"minutes": minutes}}
        return self.ask("POST", "/v1/negotiations", {"request": request, **more}, key=key, status=status)

    def move(self, id: str, move: str, *, key: str = "", status: int = 0, **given: object) -> Json:
        """Counter, accept or end."""
        return self.ask("POST", f"/v1/negotiations/{id}/{move}", given, key=key, status=status)


@contextmanager
def bargaining(
    program: Program, crew: dict[str, tuple[str, ...]], parts: tuple[str, ...] = ("near",)
) -> Iterator[Bargaining]:
    """A platform with a node for each provider of ``crew`` (name → cost of a minute, tactic, its parts)."""
    bidders = {name: Bidder(program, name, *more) for name, more in crew.items()}
    known = "".join(PART.replace("NAME", part) for part in parts)
    known += "".join(
        f'[providers.{one.name}]\naddress = "{one.address}"\nkey = "{one.public}"\n' for one in bidders.values()
    )
    try:
        platform = Bargaining(program, PLATFORM + known, "--allow-private-addresses")
        platform.bidders = bidders
        yield platform
    finally:
        for one in bidders.values():
            one.end()


def prices(shown: Json) -> dict[str, str]:
    """What each provider would earn by its offer that stands."""
    return {one["provider"]: one["price"] for one in shown["offers"] if one.get("price")}


def logged(program: Program, file: Path) -> Program:
    """The program, whose standard error goes to a file, whatever it runs."""
    return Program(program.folder, ["sh", "-c", f'exec "$0" "$@" 2>>{file}', *program.command], program.env)
