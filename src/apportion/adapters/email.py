"""Notifier over SMTP: one connection a letter, with TLS, on a thread of its own so that no other call waits."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.delivery import Letter

_PORTS = {"smtp": 25, "smtps": 465}
_HERE = ("127.0.0.1", "::1", "localhost")


class MailServer(msgspec.Struct, frozen=True):
    """Where letters are handed in: ``plain`` permits no TLS; ``user`` and ``password`` when it asks for them."""

    host: str
    port: int
    tls: bool = False
    plain: bool = False
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"  # a password has no place in a log


def read_server(address: str, *, password: str = "", private: bool = False) -> MailServer:
    """``smtp://user@host:port`` (TLS is begun there) or ``smtps://…``; no TLS only on this machine, or ``private``.

    Raises:
        Refused: BAD_INPUT when it is neither.
    """
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        host = parts.hostname or ""
    except ValueError:
        port, host = 0, ""
    if not port or not host or parts.password or parts.path.strip("/") or parts.query:
        raise refuse(RefusalCode.BAD_INPUT, "is no mail server.", field="smtp", fix="Such as smtp://mail.example.org.")
    plain = private or host in _HERE
    return MailServer(host, port, parts.scheme == "smtps", plain, parts.username or "", password)


class SmtpNotifier:
    """Hands letters to a mail server as ``sender``; ``seconds`` bound each step of the talk."""

    def __init__(self, server: MailServer, sender: str, *, seconds: float = 10.0) -> None:
        self._server, self._sender, self._seconds = server, sender, seconds

    async def send(self, write: Callable[[], Letter]) -> str:
        """Have a letter written and hand it over; empty when it was taken, else the server's code or a word."""
        return await asyncio.to_thread(self._send, write)

    def _send(self, write: Callable[[], Letter]) -> str:
        server = self._server
        try:
            message = self._message(write())
            if server.tls:
                line: smtplib.SMTP = smtplib.SMTP_SSL(
                    server.host, server.port, timeout=self._seconds, context=ssl.create_default_context()
                )
            else:
                line = smtplib.SMTP(server.host, server.port, timeout=self._seconds)
            with line:
                line.ehlo()
                if not server.tls and line.has_extn("starttls"):
                    line.starttls(context=ssl.create_default_context())
                    line.ehlo()
                elif not server.tls and not server.plain:
                    return "no_tls"
                if server.user:
                    line.login(server.user, server.password)
                line.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            return str(next(iter(error.recipients.values()))[0])
        except smtplib.SMTPResponseException as error:
            return str(error.smtp_code)
        except (OSError, smtplib.SMTPException) as error:
            return type(error).__name__.lower()
        return ""

    def _message(self, letter: Letter) -> EmailMessage:
        made = EmailMessage()
        made["From"], made["To"], made["Subject"] = self._sender, letter.to, letter.subject
        made["Date"] = format_datetime(datetime.now(UTC))
        made["Message-ID"] = f"<{letter.id}@{self._sender.rpartition('@')[2].rstrip('>')}>"
        made["Auto-Submitted"] = "auto-generated"
        made.set_content(letter.text)
        if letter.html:
            made.add_alternative(letter.html, subtype="html")
        for name, kind, body in letter.files:
            main, _, sub = kind.partition("/")
            made.add_attachment(body, maintype=main, subtype=sub, filename=name)
        return made
