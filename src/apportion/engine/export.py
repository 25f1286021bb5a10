"""The complete books as JSON Lines, in book order, up to a signed head; consistent under full write load.

Every stored line is written as its stored bytes with ``,"n":…,"hash":"…"`` spliced before the last brace, so whoever
strips exactly that suffix holds what the hash covers. After the books come the balances that they lead to, derived
from the exported lines and never read from live rows, and one ``end`` line that says how many lines there were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from blake3 import blake3

from apportion.engine.engine import Engine
from apportion.engine.work import encode
from apportion.errors import NotFound
from apportion.ledger import proof
from apportion.model.journal import AccountLine, Balance, Checkpoint, End, Entry, HoldLine
from apportion.money.exact import decimal_text
from apportion.ports import Store

CHECKPOINT = b'{"type":"checkpoint"'
_PAGE = 500


def last_checkpoint(store: Store, tenant: int, stream: int = 0) -> tuple[int, Checkpoint] | None:
    """The latest signed head and the row that holds it, searched backwards page by page; None when there is none."""
    upto, _ = store.head(tenant, stream)
    while upto > 0:
        found = None
        after = max(0, upto - _PAGE)
        for n, body, _ in store.journal(tenant, stream, after, upto):
            if body.startswith(CHECKPOINT):
                found = n, body
        if found is not None:
            return found[0], msgspec.json.decode(found[1], type=Checkpoint)
        upto = after
    return None


def sealed(engine: Engine) -> int:
    """Sign whatever came since the last checkpoint; how many rows an export will hold.

    The engine must be open for writing. A process that was killed leaves rows behind that nobody signed; those too.
    """
    assert engine.committer is not None, "the books were opened for reading"
    engine.committer.seal()
    found = last_checkpoint(engine.store, engine.tenant)
    return found[0] if found is not None else 0


class Balances:
    """What the exported lines leave on each account: O(accounts) memory."""

    def __init__(self) -> None:
        self.scales: dict[str, int] = {}
        self.posted: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self._holds: dict[str, int] = {}
        self._entry = msgspec.json.Decoder(Entry).decode

    def take(self, line: bytes) -> None:
        """Read one stored line; one that is damaged is exported as it is, and left for verify to name."""
        try:
            self._take(line)
        except (msgspec.MsgspecError, KeyError, ValueError):
            return

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"type":"entry"'):
            for leg in self._entry(line).legs:
                self.posted[leg.account] += int(leg.amount.replace(".", ""))
        elif line.startswith(b'{"type":"account"'):
            account = msgspec.json.decode(line, type=AccountLine)
            self.scales[account.id] = int(account.asset.partition("/")[2])
            self.posted[account.id] = self.held[account.id] = 0
        elif line.startswith(b'{"type":"hold"'):
            hold = msgspec.json.decode(line, type=HoldLine)
            still = int(hold.open.replace(".", ""))
            self.held[hold.account] += still - self._holds.pop(hold.id, 0)
            if still:
                self._holds[hold.id] = still

    def lines(self) -> Iterator[bytes]:
        """One summary line per account, in the order of their opening."""
        for account, scale in self.scales.items():
            held = self.held[account]
            yield encode(
                Balance(account, decimal_text(self.posted[account], scale), decimal_text(held, scale) if held else "0")
            )


def export(
    store: Store, tenant: int, stream: int = 0, progress: Callable[[int, int], None] = lambda done, of: None
) -> Iterator[bytes]:
    """The lines of an export, each with its line feed; what comes after the last checkpoint is left out.

    ``progress`` is told now and then how many rows of how many are done.

    Raises:
        NotFound: the books have no checkpoint yet.
    """
    found = last_checkpoint(store, tenant, stream)
    if found is None:
        raise NotFound("The books have no signed head yet. Close the writer, or wait a second, and export again.")
    upto, checkpoint = found
    balances, count, digest, head = Balances(), 0, blake3(), proof.START
    for n, body, stored in store.journal(tenant, stream, 0, upto):
        lines = body.split(b"\n")
        last = len(lines) - 1
        for index, line in enumerate(lines):
            balances.take(line)
            head = stored if index == last else proof.link(head, line)
            out = b'%b,"n":%d,"hash":"%b"}\n' % (line[:-1], n, head.hex().encode())
            digest.update(out)
            yield out
        count += len(lines)
        if n % _PAGE == 0:
            progress(n, upto)
    for line in balances.lines():
        digest.update(line + b"\n")
        count += 1
        yield line + b"\n"
    at, signature = checkpoint.at, checkpoint.signature
    yield encode(End(count, digest.hexdigest(), stream, checkpoint.n, checkpoint.head, at, signature)) + b"\n"
    progress(upto, upto)
