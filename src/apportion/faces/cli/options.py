"""Options that commands share: how the answer is written, and which books it is about."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from apportion.faces import tables

if TYPE_CHECKING:
    from apportion.engine.engine import Engine
    from apportion.faces.client import Client


TRIES = 5  # how often a node is asked before it counts as away


class BadUsage(Exception):
    """The command was called in a way that has no meaning; exit code 2."""


@Parameter(name="*")
@dataclass(frozen=True)
class Answer:
    """How the answer is written."""

    json: Annotated[bool, Parameter(help="Answer as JSON; errors too, on standard error.")] = False

    def give(self, value: Any, text: str) -> None:
        """Write a value as JSON, or else the text."""
        if self.json:
            tables.write_json(value)
        else:
            print(text)


@Parameter(name="*")
@dataclass(frozen=True)
class TableAnswer:
    """How a table is written."""

    json: Annotated[bool, Parameter(help="Answer as JSON; errors too, on standard error.")] = False
    csv: Annotated[bool, Parameter(help="Answer as CSV with a header.")] = False

    def __post_init__(self) -> None:
        if self.json and self.csv:
            raise BadUsage("--json and --csv are two answers. Choose one.")

    def give(self, table: tables.Table, value: Any = None) -> bool:
        """Write the table; as JSON ``value`` when there is one. Whether it went to a person, who may be told more."""
        if self.json:
            tables.write_json(table.objects() if value is None else value)
        elif self.csv:
            tables.write_csv(table)
        else:
            tables.write_table(table)
        return not (self.json or self.csv)


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Which books a command is about."""

    store: Annotated[
        str,
        Parameter(
            help="The file of the books, apportion.db when not given; or postgresql://… of a database; or http://… of "
            "a node, whose key stands in APPORTION_KEY."
        ),
    ] = "apportion.db"
    tenant: Annotated[str, Parameter(help="The tenant whose books they are; main when not given.")] = "main"

    @property
    def remote(self) -> bool:
        """Whether a node has the books."""
        return self.store.startswith(("http://", "https://"))

    def client(self) -> Client:
        """The node that has the books, asked with the key in APPORTION_KEY.

        Raises:
            Misconfigured: there is no key.
            BadUsage: a tenant is named, though the key alone says whose books they are.
        """
        import os

        from apportion.errors import Misconfigured
        from apportion.faces.client import Client

        if self.tenant != PLACE.tenant:
            raise BadUsage("A node is asked with a key, and the key says whose books they are. Leave out --tenant.")
        key = os.environ.get("APPORTION_KEY", "").strip()
        if not key:
            raise Misconfigured(
                f"The node at {self.store} asks for a key. Set APPORTION_KEY to one: the first start of apportion "
                "serve prints an operator's, apportion key create makes more."
            )
        return Client(self.store, key=key, tries=TRIES)

    def read(self) -> Engine:
        """The books, open for reading.

        Raises:
            NotFound: the store has no such tenant.
        """
        from pathlib import Path

        if "://" not in self.store and Path(self.store).is_file():
            self._known()
        return self._open(writable=False)

    def _known(self) -> None:
        from apportion.adapters.stores.sqlite import SqliteStore
        from apportion.errors import NotFound

        store = SqliteStore(self.store, writable=False)
        tenants = list(store.tenants())
        store.close()
        if self.tenant not in tenants:
            names = ", ".join(tenants[:20]) or "none yet"
            raise NotFound(f"{self.store} has no tenant {self.tenant!r}. Name one of its own with --tenant: {names}.")

    def write(self) -> Engine:
        """The books, open for writing; made when there are none."""
        return self._open(writable=True)

    def change(self) -> Engine:
        """The books, open for writing; they must be there."""
        if "://" not in self.store:
            self.read().close()
        return self._open(writable=True)

    def words(self) -> str:
        """The options that lead another command to the same books."""
        store = f" --store {shlex.quote(self.store)}" if self.store != PLACE.store else ""
        return store + (f" --tenant {shlex.quote(self.tenant)}" if self.tenant != PLACE.tenant else "")

    def _open(self, *, writable: bool) -> Engine:
        from apportion.errors import Misconfigured
        from apportion.wiring import open_engine

        if self.remote:
            raise Misconfigured(
                "This is not asked of a node. Run it where the books are, on the file or database itself; or export "
                f"them, apportion export --store {shlex.quote(self.store)} --out books.jsonl, and verify books.jsonl."
            )
        return open_engine(self.store, tenant=self.tenant, writable=writable)


def _no_option(kind: Any, word: str) -> None:
    """Words may begin with a hyphen (a negative number, ``-`` for standard input); two of them mean an option."""
    if word.startswith("--"):
        raise ValueError(f"there is no option {word[:40]!r}.")


Words = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_option)]
ANSWER, TABLE, PLACE = Answer(), TableAnswer(), Place()
Live = Annotated[bool, Parameter(name="--progress", help="Live progress on standard error, also without a terminal.")]


def read(words: dict[str, Any], kind: Any) -> Any:
    """The record that a command's words make.

    Raises:
        Refused: BAD_INPUT, with the field.
    """
    import msgspec

    from apportion.errors import RefusalCode, refuse

    try:
        return msgspec.convert(words, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise refuse(RefusalCode.BAD_INPUT, f"{message}.", field=path.rstrip("`").lstrip(".")) from None
