"""Letters over SMTP, against a real server: taken, refused for now or for ever, and never sent without TLS abroad."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller

from apportion.adapters.email import MailServer, SmtpNotifier, read_server
from apportion.errors import RefusalCode, Refused
from apportion.model.delivery import Letter

LETTER = Letter(
    "stm_1",
    "ada@example.org",
    "Statement S-1 · Größe",
    "24.00 €",
    "<p>24.00 €</p>",
    (("a.pdf", "application/pdf", b"%PDF"),),
)


class Box:
    """A mail server that answers what a test wants."""

    def __init__(self) -> None:
        self.answer, self.taken = "250 taken", list[bytes]()

    async def handle_RCPT(
        self, server: object, session: object, envelope: object, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 nobody here"
        envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]
        return "250 fine"

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        if self.answer.startswith("2"):
            self.taken.append(envelope.content)  # type: ignore[attr-defined]
        return self.answer


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def box() -> Iterator[tuple[Box, int]]:
    made, port = Box(), free_port()
    controller = Controller(made, hostname="127.0.0.1", port=port)
    controller.start()
    yield made, port
    controller.stop()


def sent(server: MailServer, letter: Letter = LETTER) -> str:
    return asyncio.run(SmtpNotifier(server, "billing@calls.example", seconds=5).send(lambda: letter))


def test_a_letter_comes_as_it_was_written(box: tuple[Box, int]) -> None:
    made, port = box
    assert sent(read_server(f"smtp://127.0.0.1:{port}")) == ""
    found = message_from_bytes(made.taken[0], policy=policy.default)
    assert (found["Message-ID"], found["Subject"]) == ("<stm_1@calls.example>", "Statement S-1 · Größe")
    assert found["Auto-Submitted"] == "auto-generated"
    text, page, file = (part for part in found.walk() if not part.is_multipart())
    assert text.get_content().strip() == "24.00 €" and page.get_content().strip() == "<p>24.00 €</p>"
    assert (file.get_filename(), file.get_content()) == ("a.pdf", b"%PDF")


def test_what_a_server_says_is_told_by_its_code(box: tuple[Box, int]) -> None:
    made, port = box
    server = read_server(f"smtp://127.0.0.1:{port}")
    for answer in ("451 later", "552 too large"):
        made.answer = answer
        assert sent(server) == answer[:3]
    assert sent(server, Letter("stm_2", "nobody@example.org", "s", "t")) == "550"
    assert not made.taken
    assert sent(read_server(f"smtp://127.0.0.1:{free_port()}")) == "connectionrefusederror"


def test_nothing_goes_out_without_tls_but_here(box: tuple[Box, int]) -> None:
    made, port = box
    assert sent(MailServer("127.0.0.1", port, plain=False)) == "no_tls" and not made.taken
    assert sent(MailServer("127.0.0.1", port, tls=True, plain=True)).endswith("error")
    assert read_server("smtp://mail.example.org").plain is False and read_server("smtp://localhost").plain
    assert read_server("smtps://u@mail.example.org").port == 465 and "secret" not in repr(
        MailServer("h", 1, password="secret")
    )


@pytest.mark.parametrize("address", ["http://x", "smtp://", "mail", "smtp://u:p@x", "smtp://x:99999", "smtp://x/path"])
def test_what_is_no_mail_server_is_refused(address: str) -> None:
    with pytest.raises(Refused) as refused:
        read_server(address)
    assert refused.value.refusal.code is RefusalCode.BAD_INPUT
