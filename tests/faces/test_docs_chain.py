"""The page about the whole chain as a test: its programs are started, its commands run, and print what it shows."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.books_hold import check_books
from tests.faces.driving import ROOT, Cli
from tests.faces.test_docs_commands import blocks, missing

PAGE = "how-to/request-to-payout.md"
STAYS = ({"serve"}, {"fake-payments"}, {"provider", "serve"})  # programs that keep a terminal


class Terminals:
    """What a person who follows the page has open; ports are free ones, and ids and keys those that were printed."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.real: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.programs: list[subprocess.Popen[str]] = []

    def here(self, text: str) -> str:
        """A text of the page as it is here."""
        for said, is_ in self.real.items():
            text = text.replace(said, is_)
        return re.sub(r"\b(neg|pln|ses)_…", lambda found: self.ids[found[1]], text)

    def run(self, text: str) -> None:
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            printed = self.do(shlex.split(self.here(command)))
            for name, id in re.findall(r"\b(neg|pln|ses)_([0-9a-f]{32})", printed):
                self.ids[name] = f"{name}_{id}"
            lines = [line.rstrip() for line in printed.splitlines()]
            assert not missing(shown, lines), (command, missing(shown, lines), printed)

    def do(self, words: list[str]) -> str:
        """One command; what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        if words[0].startswith("APPORTION_KEY="):
            environment["APPORTION_KEY"] = words.pop(0).partition("=")[2]
        if words[0] == "curl":
            return curl(words[1:])
        assert words[0] == "apportion"
        if {*words[1:3]} & {"serve", "fake-payments"}:
            return self.start(words[1:], environment)
        if words[1] == "verify":
            self.stop()
        end = time.monotonic() + (20 if words[1] == "payouts" else 0)  # what is asked of the processor takes a moment
        while True:
            done = self.cli(*words[1:])
            assert done.code == 0, (words, done.err)
            if done.out.count("pyo_") >= 2 or time.monotonic() > end:
                break
            time.sleep(0.1)
        if words[1:3] == ["key", "create"]:
            self.real[f"KEY-OF-{words[5].upper()}"] = re.findall(r"apk_\w+", done.out)[0]
        return str(done.out)

    def start(self, words: list[str], environment: dict[str, str]) -> str:
        """A program that stays, on a free port; the page goes on once it has said where it is."""
        port = words[words.index("--port") + 1] if "--port" in words else "8080"
        words = [*words, "--port", "0"] if "--port" not in words else [*words[: words.index("--port")], "--port", "0",
                                                                       *words[words.index("--port") + 2 :]]  # fmt: skip
        command = [sys.executable, "-m", "apportion", *words]
        program = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.programs.append(program)
        assert program.stdout is not None
        said = ""
        for line in program.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.real[f"127.0.0.1:{port}"] = f"127.0.0.1:{found[1]}"
                break
        if found := re.search(r"public key of (\w+): (\w+)", said):
            self.real = {f"PUBLIC-KEY-OF-{found[1].upper()}": found[2], **self.real}
        if words[0] == "serve":
            os.environ["APPORTION_KEY"] = re.findall(r"apk_\w+", said)[0]
        return said

    def stop(self) -> None:
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.wait(30)
            assert program.stdout is not None
            program.stdout.close()
        self.programs = []


def curl(words: list[str]) -> str:
    """``curl`` as the page uses it; a refusal is an error here."""
    url, headers, body, file = "", dict[str, str](), None, ""
    rest = iter(words)
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        elif word == "-o":
            file = next(rest)
        elif word != "-s":
            url = word
    address, _, path = url.removeprefix("http://").partition("/")
    line = http.client.HTTPConnection(address, timeout=30)
    if body is not None:
        headers["content-type"] = "application/json"
    line.request("GET" if body is None else "POST", f"/{path}", body, headers)
    answer = line.getresponse()
    content = answer.read()
    line.close()
    assert answer.status < 300, (words, content)
    if file:
        Path(file).write_bytes(content)
        return ""
    return content.decode()


@contextmanager
def terminals(cli: Cli) -> Iterator[Terminals]:
    made = Terminals(cli)
    try:
        yield made
    finally:
        made.stop()


def test_from_the_request_to_the_payout(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APPORTION_KEY", "")
    files = ["catalog.toml", "ash.toml", "oak.toml"]
    with terminals(cli) as here:
        for language, text in blocks(PAGE):
            if language == "console":
                here.run(text)
            elif files:
                Path(files.pop(0)).write_text(text)
            else:
                known = Path("catalog.toml").read_text()
                Path("catalog.toml").write_text(known.replace("ash = {}\noak = {}\n", here.here(text)))
    assert Path("S-000001.pdf").read_bytes().startswith(b"%PDF")
    books = check_books(cli("export", "--store", "films.db").lines, paid=False)
    charged = {who: sum(Decimal(one[who]) for one in books.of["charge"]) for who in ("total", "platform", "tax")}
    assert charged == {"total": Decimal("12.792"), "platform": Decimal("1.06"), "tax": Decimal("2.132")}
    assert all(not books.posted(id) for id in books.role("provider", "clearing"))
