"""The tables, as the SQL that makes them; tenant comes first in every key.

The journal is the truth; every other table is what can be derived from it, kept so that a group is decided
without reading history. Personal rows stand apart and are the only ones that are ever deleted.
"""

SCHEMA = 2

#: The tables of the first schema.
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tenant (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE fact (tenant INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (tenant, name))
  WITHOUT ROWID;
CREATE TABLE journal (tenant INTEGER NOT NULL, stream INTEGER NOT NULL, n INTEGER NOT NULL, body BLOB NOT NULL,
  hash BLOB NOT NULL, PRIMARY KEY (tenant, stream, n));
CREATE TABLE seen (tenant INTEGER NOT NULL, key BLOB NOT NULL, state TEXT NOT NULL, digest BLOB NOT NULL,
  n INTEGER NOT NULL,  PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE TABLE account (tenant INTEGER NOT NULL, id INTEGER NOT NULL, role TEXT NOT NULL, asset INTEGER NOT NULL,
  party INTEGER NOT NULL, key TEXT NOT NULL, credit INTEGER, posted INTEGER NOT NULL, held INTEGER NOT NULL,
  CHECK (typeof(posted) = 'integer' AND typeof(held) = 'integer' AND held >= 0), PRIMARY KEY (tenant, id))
  WITHOUT ROWID;
CREATE UNIQUE INDEX account_key ON account (tenant, key);
CREATE TABLE personal (tenant INTEGER NOT NULL, party INTEGER NOT NULL, field TEXT NOT NULL, record BLOB NOT NULL,
  value BLOB NOT NULL, PRIMARY KEY (tenant, party, field, record)) WITHOUT ROWID;
CREATE INDEX personal_handle ON personal (tenant, value) WHERE field = 'handle';
CREATE TABLE running (tenant INTEGER NOT NULL, account INTEGER NOT NULL, key TEXT NOT NULL, num TEXT NOT NULL,
  den TEXT NOT NULL, PRIMARY KEY (tenant, account, key)) WITHOUT ROWID;
CREATE TABLE residue (tenant INTEGER NOT NULL, account INTEGER NOT NULL, value INTEGER NOT NULL,
  PRIMARY KEY (tenant, account)) WITHOUT ROWID;
CREATE TABLE hold (tenant INTEGER NOT NULL, id INTEGER NOT NULL, account INTEGER NOT NULL, owner TEXT NOT NULL,
  amount INTEGER NOT NULL, captured INTEGER NOT NULL, released INTEGER NOT NULL, expires TEXT NOT NULL,
  state TEXT NOT NULL, CHECK (captured >= 0 AND released >= 0 AND captured + released <= amount),
  PRIMARY KEY (tenant, id)) WITHOUT ROWID;
CREATE INDEX hold_expiry ON hold (tenant, expires) WHERE state = 'open';
CREATE TABLE pending (tenant INTEGER NOT NULL, key BLOB NOT NULL, party INTEGER NOT NULL, payload BLOB NOT NULL,
  PRIMARY KEY (tenant, key)) WITHOUT ROWID;
CREATE TABLE closed (tenant INTEGER NOT NULL, period TEXT NOT NULL, account INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (tenant, period, account)) WITHOUT ROWID;
CREATE TABLE document (tenant INTEGER NOT NULL, name TEXT NOT NULL, party INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (tenant, name)) WITHOUT ROWID;
CREATE TABLE idempotency (tenant INTEGER NOT NULL, key BLOB NOT NULL, fingerprint BLOB NOT NULL,
  state TEXT NOT NULL, id TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL DEFAULT (unixepoch()),
  PRIMARY KEY (tenant, key)) WITHOUT ROWID;
"""

#: What each schema after the first adds to a store of the one before.
ADDED = {
    2: """
CREATE TABLE course (tenant INTEGER NOT NULL, id TEXT NOT NULL, due TEXT NOT NULL, line BLOB NOT NULL,
  PRIMARY KEY (tenant, id)) WITHOUT ROWID;
CREATE INDEX course_due ON course (tenant, due) WHERE due <> '';
""",
}
