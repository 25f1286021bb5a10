"""The courier: to the address that was judged and nowhere else, in bounded time and memory."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apportion.adapters.webhook import Courier

NAME = "hooks.example.test"


class Listening:
    """A server on the loopback that says ``reply`` to whoever connects, again and again if it is to be endless."""

    def __init__(self, reply: bytes, *, endless: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._reply, self._endless, self._tls = reply, endless, tls
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                wire, _ = self._server.accept()
            except OSError:
                return
            try:
                wire = self._tls.wrap_socket(wire, server_side=True) if self._tls is not None else wire
                self.heard.append(b"")
                while b"{}" not in self.heard[-1]:
                    chunk = wire.recv(1 << 16)
                    if not chunk:
                        break
                    self.heard[-1] += chunk
                wire.sendall(self._reply)
                while self._endless:
                    wire.sendall(b"x" * 65536)
                if not self._reply:
                    wire.recv(1)
            except OSError:
                pass  # it has hung up on us
            finally:
                wire.close()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    made: list[Listening] = []

    def one(reply: bytes = b"HTTP/1.1 204 No Content\r\n\r\n", **more: Any) -> Listening:
        made.append(Listening(reply, **more))
        return made[-1]

    yield one
    for server in made:
        server.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What names stand for, answer after answer: a name server of ours."""
    known: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host not in known:
            return real(host, port, *more, **named)
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(kind[ipaddress.ip_address(a).version], socket.SOCK_STREAM, 6, "", (a, port)) for a in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def post(url: str, **more: Any) -> int:
    async def once() -> int:
        return await Courier(**more).post(url, {"webhook-id": "evt_1"}, b"{}")

    return asyncio.run(once())


def test_a_name_is_called_at_the_address_it_stood_for(
    listen: Callable[..., Listening], names: dict[str, list[list[str]]]
) -> None:
    server = listen()
    names[NAME] = [["127.0.0.1"], ["192.0.2.1"]]  # asked again it would lead elsewhere
    assert post(f"http://{NAME}:{server.port}/a?b=c", private=True) == 204
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /a?b=c http/1.1" and body == b"{}"
    assert f"host: {NAME}:{server.port}".encode() in lines and b"webhook-id: evt_1" in lines
    assert names[NAME] == [["192.0.2.1"]]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], []]
)
def test_a_name_that_leads_inside_is_not_called(
    addresses: list[str], listen: Callable[..., Listening], names: dict[str, list[list[str]]]
) -> None:
    server = listen()
    names[NAME] = [addresses]
    assert post(f"https://{NAME}:{server.port}/") == 0
    assert post(f"https://127.0.0.1:{server.port}/") == 0
    time.sleep(0.05)
    assert server.heard == []


def test_no_redirect_and_no_proxy(listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch) -> None:
    target, proxy = listen(), listen()
    server = listen(b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:%d/\r\n\r\n" % target.port)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert post(f"http://127.0.0.1:{server.port}/", private=True) == 307
    assert (len(server.heard), target.heard, proxy.heard) == (1, [], [])


def test_an_answer_is_bounded_in_time_and_size(listen: Callable[..., Listening]) -> None:
    endless = listen(b"HTTP/1.1 200 OK\r\n\r\n", endless=True)
    silent, nonsense = listen(b""), listen(b"what?\r\n\r\n")
    long_head = listen(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n")
    began = time.monotonic()
    assert post(f"http://127.0.0.1:{endless.port}/", private=True, seconds=5) == 200
    assert post(f"http://127.0.0.1:{silent.port}/", private=True, seconds=0.3) == 0
    assert post(f"http://127.0.0.1:{nonsense.port}/", private=True) == 0
    assert post(f"http://127.0.0.1:{long_head.port}/", private=True) == 0
    silent.close()
    assert post(f"http://127.0.0.1:{silent.port}/", private=True, seconds=0.3) == 0
    assert time.monotonic() - began < 4


def test_certificates_are_checked_against_the_name(
    listen: Callable[..., Listening], names: dict[str, list[list[str]]], tmp_path: Path
) -> None:
    serving, believed = certified(tmp_path)
    server = listen(tls=serving)
    names[NAME] = names["other.example.test"] = [["127.0.0.1"]]
    assert post(f"https://{NAME}:{server.port}/", private=True, trusted=believed) == 204
    assert post(f"https://other.example.test:{server.port}/", private=True, trusted=believed) == 0
    assert post(f"https://127.0.0.1:{server.port}/", private=True, trusted=believed) == 0
    assert post(f"https://{NAME}:{server.port}/", private=True) == 0
    assert len([heard for heard in server.heard if heard]) == 1


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for the name, and who believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
