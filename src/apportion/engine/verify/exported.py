"""The proof of an export: lines from a file, nothing else needed but what is held outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec
from blake3 import blake3

from apportion.engine.verify.audit import Audit
from apportion.engine.verify.books import Wrong
from apportion.engine.verify.verdict import Outside, Row, Verdict
from apportion.engine.work import encode
from apportion.model.journal import Balance, End

_SUFFIX = re.compile(rb',"n":([1-9][0-9]{0,18}),"hash":"([0-9a-f]{64})"\}')
_PROGRESS = 1000


class _Reader:
    """Takes an export line by line: books first, then balances, then one ``end``."""

    def __init__(self, outside: Outside) -> None:
        self.audit = Audit(outside)
        self.findings = self.audit.findings
        self.outside = outside
        self.number = 0
        self.end: End | None = None
        self._row: Row | None = None
        self._hashes: list[str] = []
        self._hash = blake3()
        self._balances: set[str] = set()
        self._summary = False
        self.notes: list[str] = []

    def line(self, raw: bytes) -> None:
        """One line, with or without its line feed."""
        self.number += 1
        line = raw[:-1] if raw.endswith(b"\n") else raw
        place = f"line {self.number}"
        if self.end is not None:
            self.findings.add("after_end", place, "", "a line follows the end record.")
        elif line.startswith(b'{"type":"end"'):
            self._flush()
            self._end(place, line)
        else:
            self._hash.update(line + b"\n")
            if line.startswith(b'{"type":"balance"'):
                self._flush()
                self._balance(place, line)
            else:
                self._stored(place, line)

    def _stored(self, place: str, line: bytes) -> None:
        at = line.rfind(b',"n":')
        match = _SUFFIX.fullmatch(line, at) if at > 0 else None
        if match is None or self._summary:
            why = "stands after the balances." if match else "does not end in its number and hash."
            self.findings.add("unreadable", place, "", why)
            return
        n = int(match[1])
        if self._row is None or self._row.n != n:
            self._flush()
            self._row = Row(n, [], self.number)
        self._row.lines.append(line[:at] + b"}")
        self._hashes.append(match[2].decode())

    def _flush(self) -> None:
        if self._row is not None:
            if self._row.n % _PROGRESS == 0:
                self.outside.progress(self._row.n)
            self.audit.row(self._row, self._hashes)
            self._row, self._hashes = None, []

    def _balance(self, place: str, line: bytes) -> None:
        self._summary = True
        try:
            balance = msgspec.json.decode(line, type=Balance)
            if balance.account in self._balances or encode(balance) != line:
                raise Wrong("balance", "stands twice, or is not written as an export writes it.")
            self._balances.add(balance.account)
            self.audit.books.balance(place, balance)
        except Wrong as error:
            self.findings.add(error.code, place, "", str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.findings.add("unreadable", place, "", str(error))

    def _end(self, place: str, line: bytes) -> None:
        add = self.findings.add
        try:
            end = self.end = msgspec.json.decode(line, type=End)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            add("end", place, "", f"the end record can not be read: {error}")
            return
        if encode(end) != line:
            add("end", place, "", "the end record is not written as an export writes it.")
        digest = self._hash.hexdigest()
        if (end.count, end.hash) != (self.number - 1, digest):
            add("end", place, "", f"{self.number - 1} lines hash to {digest}, not {end.count} to {end.hash}.")
        last, chain = self.audit.chain.last, self.audit.chain
        if last is None or last.n != chain.n - 1:
            add("end", place, "", "the books do not end in a signed head.")
        elif (end.stream, end.n, end.head, end.at, end.signature) != (
            last.stream, last.n, last.head, last.at, last.signature
        ):  # fmt: skip
            add("end", place, "", f"the end record is not that of the last signed head, row {last.n}.")
        for account in self.audit.books.accounts.keys() - self._balances:
            add("balance", place, account, "no balance is given for this account.")

    def again(self, lines: Iterable[bytes]) -> None:
        """Measure service levels again, if there are any and the lines can be had once more."""
        self._flush()
        if self.audit.levels.first and not isinstance(lines, Iterator):
            self.audit.levels.again(_rows(lines))
        elif self.audit.levels.first:
            self.notes.append("Service levels were not measured again: the export can be read only once.")

    def verdict(self) -> Verdict:
        """What it comes to, after the last line."""
        self._flush()
        if self.end is None:
            self.findings.add("no_end", f"line {self.number}", "", "the export has no end record: it was cut off.")
        self.audit.chain.close(f"line {self.number}", older_ok=self.outside.prefix_ok)
        notes = [] if self.audit.chain.has_heads else [
            "No head from outside was given: the export proves what it covers, not that nothing came after, nor whose "
            "it is. Compare its key and head with those you hold."
        ]  # fmt: skip
        return self.audit.verdict([*self.notes, *notes])


def _rows(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The rows of an export once more, without what it adds to them."""
    n, found = 0, list[bytes]()
    for raw in lines:
        line = raw[:-1] if raw.endswith(b"\n") else raw
        at = line.rfind(b',"n":')
        match = _SUFFIX.fullmatch(line, at) if at > 0 else None
        if match is not None:
            if int(match[1]) != n:
                if found:
                    yield n, found
                n, found = int(match[1]), []
            found.append(line[:at] + b"}")
    if found:
        yield n, found


def verify_export(lines: Iterable[bytes], outside: Outside) -> Verdict:
    """Prove an export: every line, link, signature, sum and price of it.

    The signed head in its ``end`` stands for what it covers; heads from outside prove that it is the same history,
    and that it is complete up to them. Service levels are measured again by reading ``lines`` a second time: of an
    iterator, which can be read but once, the verdict notes that they were not.
    """
    reader = _Reader(outside)
    for raw in lines:
        reader.line(raw)
    reader.again(lines)
    return reader.verdict()
