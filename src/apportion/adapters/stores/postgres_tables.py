"""The tables on PostgreSQL, as the migrations that make them; tenant comes first in every key.

The journal is the truth, as in ``tables.py``. ``turn`` is what writers pass on to one another: where the chain ends,
the epoch of what they remember, and the next free numbers. Free text that people send is kept as bytes: PostgreSQL's
text can not hold every character.
"""

from __future__ import annotations

from typing import NamedTuple

SPACE = "apportion_books"  # the PostgreSQL schema that holds the tables

_FIRST = """
CREATE TABLE tenant (id integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE turn (tenant integer PRIMARY KEY, n bigint NOT NULL, hash bytea NOT NULL, epoch bigint NOT NULL,
  account bigint NOT NULL, party bigint NOT NULL, hold bigint NOT NULL) WITH (fillfactor = 10);
CREATE TABLE fact (tenant integer, name text COLLATE "C", value text NOT NULL, PRIMARY KEY (tenant, name))
  WITH (fillfactor = 50);
CREATE TABLE journal (tenant integer, stream integer, n bigint, body bytea NOT NULL, hash bytea NOT NULL,
  PRIMARY KEY (tenant, stream, n));
CREATE TABLE seen (tenant integer, key bytea, state text NOT NULL, digest bytea NOT NULL, n bigint NOT NULL,
  PRIMARY KEY (tenant, key));
CREATE TABLE account (tenant integer, id bigint, role text NOT NULL, asset integer NOT NULL, party bigint NOT NULL,
  key text COLLATE "C" NOT NULL, credit bigint, posted bigint NOT NULL, held bigint NOT NULL CHECK (held >= 0),
  PRIMARY KEY (tenant, id)) WITH (fillfactor = 50);
CREATE UNIQUE INDEX account_key ON account (tenant, key);
CREATE TABLE residue (tenant integer, account bigint, value bigint NOT NULL, PRIMARY KEY (tenant, account))
  WITH (fillfactor = 50);
CREATE TABLE personal (tenant integer, party bigint, field text COLLATE "C", record bytea, value bytea NOT NULL,
  written boolean NOT NULL, PRIMARY KEY (tenant, party, field, record));
CREATE UNIQUE INDEX personal_handle ON personal (tenant, value) WHERE field = 'handle';
CREATE TABLE running (tenant integer, account bigint, key text COLLATE "C", num text NOT NULL, den text NOT NULL,
  PRIMARY KEY (tenant, account, key)) WITH (fillfactor = 80);
CREATE TABLE hold (tenant integer, id bigint, account bigint NOT NULL, owner bytea NOT NULL, amount bigint NOT NULL,
  captured bigint NOT NULL, released bigint NOT NULL, expires text COLLATE "C" NOT NULL, state text NOT NULL,
  CHECK (captured >= 0 AND released >= 0 AND captured + released <= amount), PRIMARY KEY (tenant, id));
CREATE INDEX hold_expiry ON hold (tenant, expires) WHERE state = 'open';
CREATE TABLE pending (tenant integer, key bytea, party bigint NOT NULL, payload bytea NOT NULL,
  PRIMARY KEY (tenant, key));
CREATE TABLE closed (tenant integer, period text COLLATE "C", account bigint, n bigint NOT NULL,
  PRIMARY KEY (tenant, period, account));
CREATE TABLE idempotency (tenant integer, key bytea, fingerprint bytea NOT NULL, state text NOT NULL,
  id text NOT NULL, n bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant, key));
CREATE TABLE document (tenant integer, name text COLLATE "C", party bigint NOT NULL, body bytea NOT NULL,
  PRIMARY KEY (tenant, name));
CREATE TABLE course (tenant integer, id text COLLATE "C", due text COLLATE "C" NOT NULL, line bytea NOT NULL,
  PRIMARY KEY (tenant, id)) WITH (fillfactor = 80);
CREATE INDEX course_due ON course (tenant, due) WHERE due <> '';
"""

#: Each brings the store one schema further; never change one that was released, add another.
MIGRATIONS = (_FIRST,)
SCHEMA = len(MIGRATIONS)


class Table(NamedTuple):
    """A table as the set-based statements need it: its columns after ``tenant`` with their types, keys first."""

    name: str
    columns: tuple[tuple[str, str], ...]
    keys: int = 1

    @property
    def types(self) -> list[str]:
        """Types of a whole row, tenant included."""
        return ["int4", *[type for _, type in self.columns]]

    def copy(self) -> str:
        """New rows by COPY."""
        names = ", ".join(name for name, _ in self.columns)
        return f"COPY {self.name} (tenant, {names}) FROM STDIN (FORMAT BINARY)"

    def insert(self) -> str:
        """One new row."""
        names = ", ".join(name for name, _ in self.columns)
        return f"INSERT INTO {self.name} (tenant, {names}) VALUES (%s{', %s' * len(self.columns)})"

    def update(self) -> str:
        """Existing rows out of one array a column, answering the keys of those that were there."""
        keys = [name for name, _ in self.columns[: self.keys]]
        values = [name for name, _ in self.columns[self.keys :]]
        types = dict(self.columns)
        match = [f"{self.name}.{keys[0]} = ANY(%s::{types[keys[0]]}[])"]  # found by key first, then matched by hash
        match += [f"{self.name}.{name} = new.{name}" for name in keys]
        return (
            f"UPDATE {self.name} SET {', '.join(f'{name} = new.{name}' for name in values)} "
            f"FROM unnest({', '.join(f'%s::{type}[]' for _, type in self.columns)}) "
            f"AS new({', '.join(name for name, _ in self.columns)}) "
            f"WHERE {self.name}.tenant = %s AND {' AND '.join(match)} "
            f"RETURNING {', '.join(f'{self.name}.{name}' for name in keys)}"
        )


JOURNAL = Table("journal", (("stream", "int4"), ("n", "int8"), ("body", "bytea"), ("hash", "bytea")), 2)
SEEN = Table("seen", (("key", "bytea"), ("state", "text"), ("digest", "bytea"), ("n", "int8")))
ANSWERED = Table(
    "idempotency", (("key", "bytea"), ("fingerprint", "bytea"), ("state", "text"), ("id", "text"), ("n", "int8"))
)
ACCOUNT = Table(
    "account",
    (
        ("id", "int8"), ("role", "text"), ("asset", "int4"), ("party", "int8"), ("key", "text"), ("credit", "int8"),
        ("posted", "int8"), ("held", "int8"),
    ),
)  # fmt: skip
STANDING = Table("account", (("id", "int8"), ("posted", "int8"), ("held", "int8"), ("credit", "int8")))
RESIDUE = Table("residue", (("account", "int8"), ("value", "int8")))
RUNNING = Table("running", (("account", "int8"), ("key", "text"), ("num", "text"), ("den", "text")), 2)
PERSONAL = Table(
    "personal", (("party", "int8"), ("field", "text"), ("record", "bytea"), ("value", "bytea"), ("written", "bool")), 3
)
HOLD = Table(
    "hold",
    (
        ("id", "int8"), ("account", "int8"), ("owner", "bytea"), ("amount", "int8"), ("captured", "int8"),
        ("released", "int8"), ("expires", "text"), ("state", "text"),
    ),
)  # fmt: skip
PENDING = Table("pending", (("key", "bytea"), ("party", "int8"), ("payload", "bytea")))
CLOSED = Table("closed", (("period", "text"), ("account", "int8"), ("n", "int8")), 2)
DOCUMENT = Table("document", (("name", "text"), ("party", "int8"), ("body", "bytea")))
FACT = Table("fact", (("name", "text"), ("value", "text")))
COURSE = Table("course", (("id", "text"), ("due", "text"), ("line", "bytea")))
