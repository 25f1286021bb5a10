"""C8: … sent electronically to the client device: told as an event, downloaded in any form, or by e-mail."""

from __future__ import annotations

import email
import http.client
import socket
import threading
from decimal import Decimal
from email import policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller

from tests.claims.bills import Bills, events
from tests.claims.conftest import Program

MAIL = '[profiles.mail]\nbilling = { channel = "email" }\n'


class Mailbox:
    """A mail server on this machine, that keeps what it takes; the first it does not take at once."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.letters: list[EmailMessage] = []
        self.refused = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        if not self.refused:
            self.refused += 1
            return "451 come again"
        letter = email.message_from_bytes(envelope.content, policy=policy.default)  # type: ignore[attr-defined]
        self.letters.append(letter)
        self.came.set()
        return "250 taken"


def test_the_device_is_told_and_downloads_its_statement(apportion: Program) -> None:
    node = Bills(apportion)
    session, _ = node.call()
    (bill,) = node.issue(session=session)
    mine = node.key_of("ada")
    line = http.client.HTTPConnection(node.address, timeout=20)
    headers = {"authorization": f"Bearer {mine}"}
    account = bill["account"]
    line.request("GET", f"/v1/accounts/{account}/events?after=start&types=statement.issued", headers=headers)
    answer, heard = line.getresponse(), b""
    while not events(heard):
        heard += answer.read1(65536)
    line.close()
    (told,) = events(heard)
    assert (told["type"], told["subject"], told["data"]["total"]) == ("statement.issued", bill["id"], "0.71")
    for form, kind, first in (
        ("pdf", "application/pdf", b"%PDF"),
        ("html", "text/html", b"<!doctype html>"),
        ("csv", "text/csv", b"number,kind"),
        ("text", "text/plain", "══".encode()),
    ):
        body, found = node.fetch(f"/v1/statements/{told['subject']}?format={form}", key=mine)
        assert found.startswith(kind) and body.startswith(first)
    node.fetch(f"/v1/statements/{told['subject']}?format=pdf", key=node.key_of("ben"), status=404)
    node.fetch(f"/v1/statements/{told['subject']}?format=doc", key=mine, status=422)
    node.stop()


def test_by_e_mail_it_comes_once_with_the_page_and_the_pdf(apportion: Program) -> None:
    box = Mailbox()
    words = ("--smtp", f"smtp://127.0.0.1:{box.port}", "--smtp-from", "billing@calls.example")
    node = Bills(apportion, MAIL, *words, profile="mail", ada='email = "ada@example.org", ')
    session, _ = node.call()
    (bill,) = node.issue(session=session)
    assert bill["channel"] == "email" and box.came.wait(20)
    other, _ = node.call("ben")
    node.issue(session=other)  # nobody asked for it by e-mail
    (letter,) = box.letters
    assert (letter["To"], letter["From"]) == ("ada@example.org", "billing@calls.example")
    assert letter["Message-ID"] == f"<{bill['id']}@calls.example>"
    assert "Statement S-000001" in letter["Subject"] and "0.71 EUR" in letter["Subject"]
    kinds = [part.get_content_type() for part in letter.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "application/pdf"]
    assert "0.71" in letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    node.until_line("letter", "sent")
    books = node.stop()
    box.controller.stop()
    states = [line["state"] for line in books.of("letter")]
    assert states == ["waiting", "waiting", "waiting", "waiting", "sent"]  # to be sent, sent, refused, sent, taken
    assert "ada@example.org" not in str(books.lines) and Decimal(bill["total"]) == Decimal("0.71")
