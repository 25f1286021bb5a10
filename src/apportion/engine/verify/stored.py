"""The proof of a store: its journal as an export's, then every table that is derived from it."""

from __future__ import annotations

from apportion.engine.verify.audit import DONE, Audit, Keyed, name_of
from apportion.engine.verify.derived import Derived
from apportion.engine.verify.verdict import Outside, Row, Verdict
from apportion.errors import Refused
from apportion.model.ids import key_id, read_key
from apportion.model.journal import UsageLine
from apportion.ports import Key, Seen, Store

_PAGE = 500


class _Remembered:
    """Holds the lines under whose keys the store remembers records against its ``seen`` table, page by page."""

    def __init__(self, audit: Audit, store: Store, tenant: int) -> None:
        self.findings, self._store, self._tenant = audit.findings, store, tenant
        self._matched = 0
        self._page: list[tuple[Row, Key, Keyed]] = []

    def take(self, row: Row, lines: list[Keyed]) -> None:
        """Note the keyed lines of a row, each key once."""
        keys: set[Key] = set()
        for line in lines:
            try:
                key = read_key(name_of(line))
            except Refused:
                continue
            if key not in keys:
                keys.add(key)
                self._page.append((row, key, line))
        if len(self._page) >= _PAGE:
            self._flush()

    def _flush(self) -> None:
        found = self._store.seen(self._tenant, [key for _, key, _ in self._page])
        for row, key, line in self._page:
            seen = found.get(key)
            if seen is not None and seen.n == row.n:
                self._matched += 1
            self._check(row, line, seen)
        self._page = []

    def _check(self, row: Row, line: Keyed, seen: Seen | None) -> None:
        add, place, name = self.findings.add, row.place(), name_of(line)
        if seen is None:
            add("seen_missing", place, name, "the store has forgotten this key: it could be booked twice.")
            return
        moved_on = isinstance(line, UsageLine) and line.state not in DONE and seen.n > row.n
        if seen.n != row.n and not moved_on:
            add("seen", place, name, f"the store remembers this key at row {seen.n}.")
        elif (
            isinstance(line, UsageLine)
            and seen.n == row.n
            and (seen.state, seen.digest.hex()) != (line.state, line.digest)
        ):
            stored = f"{seen.state} {seen.digest.hex()}"
            add("seen", place, name, f"remembered as {stored}, booked as {line.state} {line.digest}.")

    def close(self) -> None:
        """Keys that the store remembers, but that stand in no line of the row it names, would block a record."""
        self._flush()
        if sum(1 for _ in self._store.all_seen(self._tenant)) == self._matched:
            return
        for key, seen in self._store.all_seen(self._tenant):
            if key_id("", key).encode() not in self._store.row(self._tenant, 0, seen.n):
                where = f"seen {key.hex()}"
                message = f"remembered as {seen.state} at row {seen.n}, which holds no such record."
                self.findings.add("seen_extra", where, key_id("usg", key), message)


def verify_store(store: Store, tenant: int, tenant_name: str, outside: Outside) -> Verdict:
    """Prove a store, best a copy of it opened read-only: its journal, and every table that is derived from it.

    Rows after the last signed head are checked like all others; nobody vouches for them yet.
    """
    audit = Audit(outside)
    findings = audit.findings
    for place, message in outside.damage:
        findings.add("damaged", place, "", message)
    remembered = _Remembered(audit, store, tenant)
    try:
        upto, _ = store.head(tenant, 0)
        for n, body, stored in store.journal(tenant, 0, 0, upto):
            row = Row(n, body.split(b"\n"))
            remembered.take(row, audit.row(row, [stored.hex()]))
            if n % _PAGE == 0:
                outside.progress(n)
        remembered.close()
        if audit.levels.first:
            audit.levels.again((n, body.split(b"\n")) for n, body, _ in store.journal(tenant, 0, 0, upto))
        Derived(audit, store, tenant).check()
    except Exception as error:  # a damaged file is a finding; the driver's errors are not known here
        findings.add("damaged", f"row {audit.chain.n + 1}", "", f"{type(error).__name__}: {error}")
    if audit.chain.tenant and audit.chain.tenant != tenant_name:
        findings.add("genesis", "row 1", "", f"these are the books of {audit.chain.tenant!r}, not of {tenant_name!r}.")
    audit.chain.close(f"row {audit.chain.n}", older_ok=False)
    notes = []
    if audit.chain.n > audit.chain.signed_until + 1:
        notes.append(f"Rows {audit.chain.signed_until + 1} to {audit.chain.n} are not signed yet.")
    if not audit.chain.has_heads:
        if not outside.prefix_ok:
            findings.add(
                "completeness", f"row {audit.chain.n}", "",
                "prefix proven, completeness not: no signed head from outside was given to hold the end against.",
            )  # fmt: skip
        notes.append("No head from outside was given: completeness is not proven.")
    return audit.verdict(notes)
