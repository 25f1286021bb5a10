"""A node as its users reach it: a process of its own, JSON over HTTP, and afterwards the books that it leaves."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.claims.conftest import Books, Json, Program

_KEYS = itertools.count(1)


class Served:
    """``apportion serve`` on ``books.db`` of a folder, with a catalog in force; the one that is there, when empty."""

    def __init__(self, program: Program, catalog: str, *words: str) -> None:
        self.program = program
        if catalog:
            (program.folder / "catalog.toml").write_text(catalog, encoding="utf-8")
            program("catalog", "apply", "catalog.toml", "--store", "books.db")
        command = [*program.command, "serve", "--store", "books.db", "--port", "0", *words]
        self.process = subprocess.Popen(
            command, cwd=program.folder, env=program.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.key = self.address = ""
        for line in self.process.stdout:
            self.key = found[0] if (found := re.search(r"apk_\S+", line)) else self.key
            if found := re.search(r"http://([\d.]+:\d+)", line):
                self.address = found[1]
                return
        raise AssertionError("the node did not start")

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "", status: int = 0) -> Json:
        """One request; its answer, which must have the ``status`` (any that succeeds, when 0)."""
        line = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"authorization": f"Bearer {key or self.key}", "idempotency-key": f"k{next(_KEYS)}"}
        raw = None if body is None else json.dumps(body).encode()
        line.request(method, path, raw, {**headers, "content-type": "application/json"})
        answer = line.getresponse()
        text = answer.read()
        line.close()
        assert answer.status == status if status else answer.status < 300, f"{method} {path}: {text.decode()}"
        return json.loads(text)

    def top_up(self, payer: str, amount: str, currency: str = "EUR") -> None:
        given = {"payer": payer, "amount": amount, "currency": currency, "reference": f"bank {next(_KEYS)}"}
        self.ask("POST", "/v1/topups", given)

    def open(self, service: str, *payers: Any, status: int = 0, **more: Any) -> Json:
        """Open a session for payers, named or as records."""
        named = [{"payer": payer} if isinstance(payer, str) else payer for payer in payers]
        return self.ask("POST", "/v1/sessions", {"service": service, "payers": named, **more}, status=status)

    def report(self, session: str, number: int, used: dict[str, str], **more: Any) -> Json:
        """One report; the session after it."""
        given = {"reports": [{"number": number, "used": used, **more}]}
        answer = self.ask("POST", f"/v1/sessions/{session}/reports", given)
        assert "refusal" not in answer["reports"][0], answer
        return answer["session"]

    def session(self, id: str) -> Json:
        return self.ask("GET", f"/v1/sessions/{id}")

    def change(self, id: str, **given: Any) -> Json:
        return self.ask("POST", f"/v1/sessions/{id}/changes", given)

    def end(self, id: str) -> Json:
        return self.ask("POST", f"/v1/sessions/{id}/end", {})

    def until(self, id: str, right: Callable[[Json], bool], seconds: float = 10) -> Json:
        """The session once it is as it should be; the node looks at what is due once a second."""
        end = time.monotonic() + seconds
        while not right(found := self.session(id)):
            assert time.monotonic() < end, found
            time.sleep(0.05)
        return found

    def balance(self, owner: str, what: str = "posted") -> Decimal:
        """What somebody's account has."""
        accounts = self.ask("GET", "/v1/accounts?limit=200")["data"]
        return Decimal(next(one[what] for one in accounts if one["owner"] == owner))

    def stop(self) -> Books:
        """End the node; its books, which must add up and be proven."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.program("verify", "books.db", "--heads", "books.db.heads")
        books = Books(self.program, "books.db")
        books.add_up()
        return books
