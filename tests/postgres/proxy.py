"""A door before PostgreSQL that can be told to misbehave: cut, go silent, or swallow the answer to a COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Passes everything on between a TCP port of its own and the server's Unix socket.

    ``mood``: "" passes on; "lose question" cuts when a COMMIT comes, before the server hears it; "lose answer" lets it
    through and cuts before the answer; "silent" passes nothing on any more, and leaves the connection open.
    The first three moods of trouble happen once.
    """

    def __init__(self, target: str) -> None:
        self.mood = ""
        self.troubles = 0
        self._target = target
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def dsn(self, database: str) -> str:
        """The address of a database behind this door."""
        return f"postgresql://apportion@127.0.0.1:{self.port}/{database}?sslmode=disable&gssencmode=disable"

    def close(self) -> None:
        """Let nobody in any more."""
        self._door.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                stop = threading.Event()
                threading.Thread(target=self._questions, args=(client, server, stop), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server, stop), daemon=True).start()

    def _questions(self, client: socket.socket, server: socket.socket, stop: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                if b"COMMIT" in data and self.mood in ("lose question", "lose answer"):
                    heard = self.mood == "lose answer"
                    self.mood, self.troubles = "", self.troubles + 1
                    if heard:
                        stop.set()
                        server.sendall(data)
                        continue
                    break
                if self.mood != "silent":
                    server.sendall(data)
        self._end(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, stop: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                if stop.is_set():
                    break
                if self.mood != "silent":
                    client.sendall(data)
        self._end(client, server)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
