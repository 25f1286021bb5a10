"""The chain: link by link, checkpoint by checkpoint, and against the heads that were kept outside."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from blake3 import blake3

from apportion.engine.verify.verdict import Findings, Outside, Row
from apportion.ledger import proof
from apportion.model.journal import Checkpoint, End, Genesis

FORMAT = 1
_HEAD = msgspec.json.Decoder(Checkpoint | End)


class Chain:
    """Walks the rows of one stream in order; a broken link is named once and the walk goes on from what is claimed."""

    def __init__(self, findings: Findings, outside: Outside) -> None:
        self.findings = findings
        self.outside = outside
        self.n = 0
        self.head = proof.START
        self.tenant = ""
        self.key = ""
        self.last: Checkpoint | None = None
        self.signed_until = 0
        self._previous = ""
        self._before = (0, proof.START)
        self.notes: list[str] = []
        self._heads = _read_heads(self.notes, outside.heads)
        self._unproven = {raw: number for heads in self._heads.values() for number, _, raw in heads}

    def row(self, row: Row, hashes: list[str]) -> None:
        """Link a row; ``hashes`` are the claimed heads after its last lines (the last one always)."""
        if row.n != self.n + 1:
            self.findings.add("gap", row.place(), "", f"row {row.n} follows row {self.n}.")
        self._before = (self.n, self.head)
        head = self.head
        unknown = len(row.lines) - len(hashes)
        for index, line in enumerate(row.lines):
            head = blake3(head + line).digest()
            if index >= unknown and head.hex() != hashes[index - unknown]:
                claimed = hashes[index - unknown]
                self.findings.add(
                    "chain", row.place(index), _id_of(line), f"the bytes hash to {head.hex()}, not {claimed}."
                )
                head = bytes.fromhex(claimed)
        self.n, self.head = row.n, head
        if row.n in self._heads:
            self._against_heads(row, head)

    def _against_heads(self, row: Row, head: bytes) -> None:
        for line_number, record, _ in self._heads[row.n]:
            if record.head != head.hex() and self._mine(record):
                self.findings.add(
                    "head_mismatch", row.place(), "",
                    f"line {line_number} of the heads kept outside says {record.head} after row {row.n}, the chain "
                    f"has {head.hex()}: history was rewritten.",
                )  # fmt: skip

    def _mine(self, record: Checkpoint | End) -> bool:
        """Whether a head kept outside is of these books; several tenants share one file of heads."""
        return getattr(record, "tenant", "") in ("", self.tenant)

    def genesis(self, row: Row, index: int, line: Genesis) -> None:
        """The first line names tenant, format and key."""
        if row.n != 1 or index:
            self.findings.add("genesis", row.place(index), "", "a genesis line stands in the middle of the books.")
            return
        self.tenant, self.key = line.tenant, line.key
        if line.format > FORMAT:
            self.findings.add(
                "format", row.place(), "", f"the books have format {line.format}, newer than this program."
            )
        if self.outside.key and line.key != self.outside.key:
            self.findings.add("key", row.place(), "", f"the books are signed by {line.key}, not by the key given.")

    def checkpoint(self, row: Row, index: int, line: Checkpoint) -> None:
        """A signed head must stand where it says, follow the one before, and be signed by the key of the books."""
        add, place = self.findings.add, row.place(index)
        record = f"checkpoint {line.n}"
        if len(row.lines) != 1 or (line.n, line.head) != (self._before[0], self._before[1].hex()):
            add("checkpoint", place, record, f"signs row {line.n} {line.head}, but stands after row {self._before[0]}.")
        if line.previous != self._previous:
            add(
                "checkpoint", place, record, f"names {line.previous or 'none'} as the one before, not {self._previous}."
            )
        if not self._signed(line):
            add("signature", place, record, "the signature does not hold under the key of the books.")
        else:
            self.signed_until = line.n
            self._unproven.pop(row.lines[index], None)
        self._previous = blake3(row.lines[index]).hexdigest(16)
        self.last = line

    def close(self, place: str, *, older_ok: bool) -> None:
        """What must be true after the last row; ``older_ok`` when heads beyond the end are no fault."""
        if not self.n:
            self.findings.add("empty", place, "", "there are no rows.")
        elif not self.key:
            self.findings.add("genesis", place, "", "the books do not begin with a genesis line.")
        for number, record, raw in [head for heads in self._heads.values() for head in heads]:
            if (
                raw in self._unproven
                and isinstance(record, Checkpoint)
                and self._mine(record)
                and not self._signed(record)
            ):
                where = f"heads line {number}"
                self.findings.add("head_signature", where, "", f"is not signed by the key of the books: {raw[:80]!r}")
        mine = {n: found for n, heads in self._heads.items() for found, record, _ in heads if self._mine(record)}
        if not older_ok and mine:
            n = max(mine)
            if n >= self.n:
                number = mine[n]
                self.findings.add(
                    "cut_tail", place, "",
                    f"the books end at row {self.n}; line {number} of the heads kept outside signs row {n}.",
                )  # fmt: skip

    @property
    def has_heads(self) -> bool:
        """Whether there is anything outside to hold the books against."""
        return any(self._mine(record) for heads in self._heads.values() for _, record, _ in heads)

    def _signed(self, line: Checkpoint) -> bool:
        message = proof.checkpoint_message(self.tenant, line.stream, line.n, line.head, line.at, line.previous)
        return self.outside.check_signature(self.key, message, line.signature)


Heads = dict[int, list[tuple[int, Checkpoint | End, bytes]]]


def _read_heads(notes: list[str], lines: Iterable[bytes] | None) -> Heads:
    heads: Heads = {}
    for number, raw in enumerate(lines or (), 1):
        if raw.strip():
            try:
                record = _HEAD.decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                notes.append(f"Line {number} of the heads from outside is no signed head: {error}")
                continue
            heads.setdefault(record.n, []).append((number, record, raw.strip()))
    return heads


def _id_of(line: bytes) -> str:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return str(found.get("id", "")) if isinstance(found, dict) else ""
