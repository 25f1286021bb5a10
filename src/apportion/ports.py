"""The sockets: what the engine asks of the outside, and the records that cross.

Owns: the Protocols Store, Clock, Signer, PaymentPort … Does not own: any implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from apportion.model.account import Account
from apportion.model.bid import Acceptance, Asked, Finished
from apportion.model.bid_check import Reason
from apportion.model.delivery import Letter
from apportion.model.hold import Hold
from apportion.model.notice import CardAsked, CardKept, Deposit, Notice
from apportion.model.payee import BankFile
from apportion.model.processor import Known, PaymentOrder, PaymentResult, RefundOrder

Key = bytes


class Seen(msgspec.Struct, frozen=True, gc=False):
    """Where a key went: its ``state`` (a UsageClass value, or ``done``), 8 bytes for the content, and its row."""

    state: str
    digest: bytes
    n: int


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What an idempotency key stands for: the request's ``fingerprint``, and the ``state``, ``id`` and row it made."""

    key: Key
    fingerprint: bytes
    state: str
    id: str
    n: int


class Opened(msgspec.Struct):
    """A new account with the chart key that makes it unique."""

    account: Account
    key: str


class Person(msgspec.Struct):
    """One personal value of a party, outside the chain; ``record`` is the key of the usage it belongs to."""

    party: int
    field: str
    value: str | bytes
    record: Key = b""


class Course(msgspec.Struct, frozen=True):
    """Something with a life of its own (a session, a payment …) as it stands: its ``id``, its last line of the books.

    ``due`` is when somebody must look at it again though nobody calls (RFC 3339), empty when nobody must.
    """

    id: str
    due: str
    line: bytes


class Writes(msgspec.Struct):
    """Everything one group changes, written in one transaction.

    ``journal`` holds (n, body, head after it) with one or several lines a body; ``seen`` (key, state, digest, n);
    ``accounts`` those whose balances changed; ``totals`` (account, key, num, den) running totals;
    ``residues`` (account, 10^−9 atoms); ``pending`` (key, party, payload), None as payload removes.
    """

    tenant: int
    stream: int
    journal: list[tuple[int, bytes, bytes]] = []
    seen: list[tuple[Key, str, bytes, int]] = []
    opened: list[Opened] = []
    accounts: list[Account] = []
    people: list[Person] = []
    totals: list[tuple[int, str, int, int]] = []
    residues: list[tuple[int, int]] = []
    holds: list[Hold] = []
    pending: list[tuple[Key, int, bytes | None]] = []
    closed: list[tuple[str, int, int]] = []
    documents: list[tuple[str, int, bytes]] = []
    facts: list[tuple[str, str]] = []
    answered: list[Answered] = []
    courses: list[Course] = []

    @property
    def epochal(self) -> bool:
        """Whether something moves that every node remembers between groups: assets, catalogs, keys, closed periods …"""
        return (
            bool(self.closed)
            or any(name in _EPOCHAL for name, _ in self.facts)
            or any(name.startswith(("cat_", "key_")) for name, _, _ in self.documents)
        )


_EPOCHAL = frozenset({"assets", "catalog", "funding", "keys", "trust"})


class Turn(msgspec.Struct, frozen=True):
    """Where a writer's turn begins: ``n`` rows in the chain, and its ``head`` after the last.

    ``epoch`` is another number whenever something ``epochal`` was written; ``free`` are the next free numbers for
    accounts, parties and holds, None where nobody else takes any.
    """

    n: int
    head: bytes
    epoch: int = 0
    free: tuple[int, int, int] | None = None


class Store(Protocol):
    """Where the books live. Reads are set-based; ``write`` is one durable transaction.

    ``alone`` says that nobody else can write, so that what is read between ``stage`` and ``commit`` stays true. Where
    others write too, writers take turns: what is read from ``turn`` on stays true until ``commit`` or ``drop``.
    ``patience`` is how many seconds a writer goes on trying; ``away`` says that the store can not be reached now.

    Reads and writes raise ``Unwritten`` when nothing of the turn is in the books, so that it must be decided again.
    """

    alone: bool
    patience: float

    @property
    def away(self) -> bool: ...

    def tenant(self, name: str) -> int:
        """The number of a tenant, made on first mention."""

    def head(self, tenant: int, stream: int) -> tuple[int, bytes]:
        """How many journal rows the stream has, and the chain's head after the last."""

    def fact(self, tenant: int, name: str) -> str:
        """A stored fact of the tenant (asset scale, catalog in force …), empty when there is none."""

    def seen(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Seen]:
        """Those of ``keys`` that are known."""

    def answered(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Answered]:
        """Those idempotency keys that are known."""

    def accounts(self, tenant: int, ids: Sequence[int]) -> dict[int, Account]:
        """Accounts by number, as they stand."""

    def account_keys(self, tenant: int, keys: Sequence[str]) -> dict[str, int]:
        """Account numbers by chart key."""

    def handles(self, tenant: int, names: Sequence[str]) -> dict[str, int]:
        """Party numbers of people by the name that usage calls them."""

    def all_handles(self, tenant: int) -> dict[int, str]:
        """Names that usage calls people by, per party."""

    def handles_of(self, tenant: int, parties: Sequence[int]) -> dict[int, str]:
        """The same for these parties."""

    def people(self, tenant: int, party: int) -> Iterator[Person]:
        """Personal rows of one party."""

    def salts(self, tenant: int, parties: Sequence[int]) -> dict[int, bytes]:
        """Salts by party."""

    def next_numbers(self, tenant: int) -> tuple[int, int, int]:
        """The next free numbers for accounts, parties and holds."""

    def totals(self, tenant: int, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
        """Running totals by (account, key)."""

    def all_residues(self, tenant: int) -> dict[int, int]:
        """What rounding kept, by account."""

    def residues(self, tenant: int, ids: Sequence[int]) -> dict[int, int]:
        """What rounding kept from these accounts."""

    def holds(self, tenant: int, ids: Sequence[int]) -> dict[int, Hold]:
        """Holds by number."""

    def expired_holds(self, tenant: int, at: str, limit: int) -> list[int]:
        """Numbers of open holds whose expiry is not after ``at``."""

    def courses(self, tenant: int, ids: Sequence[str]) -> dict[str, Course]:
        """Those of ``ids`` that are known, as they stand."""

    def due_courses(self, tenant: int, at: str, limit: int, kind: str = "") -> list[str]:
        """Ids that begin with ``kind`` of those that are due not after ``at``, the longest overdue first."""

    def all_courses(self, tenant: int, after: str = "") -> Iterator[Course]:
        """All of them in the order of their ids, those after one."""

    def pending(self, tenant: int, limit: int, after: Key = b"") -> list[tuple[Key, bytes]]:
        """Parked usage, in key order."""

    def closed_periods(self, tenant: int) -> set[tuple[str, int]]:
        """All (period, account number) that are closed."""

    def turn(self, tenant: int) -> Turn:
        """Wait for this writer's turn and begin it; an earlier one that was not committed is given up."""

    def peek(self, tenant: int) -> Turn:
        """What a turn would begin with, without taking it."""

    def drop(self) -> None:
        """Give up the turn, and what was staged."""

    def stage(self, writes: Writes) -> None:
        """Begin a transaction and put the group into it; on an error nothing is left."""

    def commit(self) -> None:
        """Make what was staged durable, whole or not at all, before returning; may run on another thread.

        Set-based reads of other threads wait until it is done.
        """

    def write(self, writes: Writes) -> None:
        """Stage and commit."""

    def journal(self, tenant: int, stream: int, after: int, upto: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Journal rows (n, body, head) with after < n ≤ upto, in order."""

    def row(self, tenant: int, stream: int, n: int) -> bytes:
        """One journal row's body; empty when there is none."""

    def all_accounts(self, tenant: int) -> Iterator[tuple[str, Account]]:
        """All accounts with their chart keys."""

    def some_accounts(self, tenant: int, after: int, limit: int) -> list[tuple[str, Account]]:
        """A page of them in the order of their opening, those after a number."""

    def accounts_under(self, tenant: int, prefix: str) -> list[tuple[str, Account]]:
        """Those whose chart keys begin so, in the order of their opening; ``prefix`` ends in plain ASCII."""

    def all_seen(self, tenant: int) -> Iterator[tuple[Key, Seen]]:
        """All keys that are known."""

    def all_totals(self, tenant: int) -> Iterator[tuple[int, str, int, int]]:
        """All running totals (account, key, num, den)."""

    def all_holds(self, tenant: int) -> Iterator[Hold]:
        """Every hold ever placed."""

    def some_holds(self, tenant: int, account: int, after: int, upto: int, limit: int) -> list[Hold]:
        """Holds on an account (on any, when 0) with after < number ≤ upto, in order, so many at most."""

    def facts(self, tenant: int) -> dict[str, str]:
        """All stored facts of a tenant."""

    def documents(self, tenant: int) -> list[str]:
        """Names of all stored documents."""

    def document(self, tenant: int, name: str) -> bytes:
        """A stored document (statement), empty when there is none."""

    def catalogs(self, tenant: int) -> list[str]:
        """Ids of all catalog versions ever applied."""

    def forget(self, tenant: int, party: int) -> int:
        """Delete a party's personal rows, parked usage and documents beyond recovery; how many rows went."""

    def compact(self) -> None:
        """Bring the write-ahead log home."""

    def close(self) -> None:
        """Release the store."""


class Clock(Protocol):
    """Time as the engine sees it."""

    def now(self) -> str:
        """The present instant, RFC 3339 in UTC with microseconds."""


class Signer(Protocol):
    """Signs checkpoints with a key that is not in the store."""

    def public(self) -> str:
        """The public key, hexadecimal."""

    def sign(self, message: bytes) -> str:
        """An Ed25519 signature, hexadecimal."""


class Random(Protocol):
    """Randomness for salts."""

    def salt(self) -> bytes:
        """32 fresh random bytes."""


class PayoutPort(Protocol):
    """A processor of transfers, called ``name``: an order goes to the provider that its ``method`` names. What a port
    asks is awaited on the outside thread, and raises nothing for what it was answered.
    """

    name: str

    def charge(self, order: PaymentOrder) -> Coroutine[Any, Any, PaymentResult]:
        """Carry an order out, once per id; never ``absent``."""

    def ask(self, known: Known) -> Coroutine[Any, Any, PaymentResult]:
        """What became of an order; never carries one out."""


class PaymentPort(PayoutPort, Protocol):
    """A payment processor, called ``name`` in the books: an order charges. ``read`` answers at once."""

    def refund(self, order: RefundOrder) -> Coroutine[Any, Any, PaymentResult]:
        """Give money back, once per id; never ``absent``."""

    def ask_refund(self, order: RefundOrder, known: Known) -> Coroutine[Any, Any, PaymentResult]:
        """What became of a refund; never gives anything back."""

    def ask_card(self, id: str, back: str) -> Coroutine[Any, Any, CardAsked]:
        """Where a payer gives a card, once per id; ``back`` is where the payer's browser goes afterwards."""

    def card(self, session: str) -> Coroutine[Any, Any, CardKept]:
        """What became of it."""

    def deposit(self, reference: str) -> Coroutine[Any, Any, Deposit]:
        """A payout of theirs with its items."""

    def whose(self, notice: Notice) -> Coroutine[Any, Any, str]:
        """The id of our payment that a notice is about; empty when it is none of ours."""

    def read(self, body: bytes, signature: str, now: str) -> Notice:
        """What the processor tells by itself; raises Refused when it is not signed by it, or not now."""


class Bank(Protocol):
    """How a bank wants to be told."""

    def pain001(self, file: BankFile) -> bytes:
        """The file as ISO 20022 pain.001.001.03, valid by its schema.

        Raises:
            Refused: BAD_INPUT, when a name or IBAN is none that the format can say.
            Misconfigured: a package is missing.
        """


class Heard(msgspec.Struct, frozen=True):
    """What a provider node sent back: ``body``, or the ``fault`` when there is none."""

    body: bytes = b""
    fault: Reason | Literal[""] = ""
    detail: str = ""


class Notifier(Protocol):
    """Somebody who takes letters along; awaited on the outside thread."""

    def send(self, write: Callable[[], Letter]) -> Coroutine[Any, Any, str]:
        """Have a letter written and hand it over; empty when it was taken, else why not: 5… is for ever."""


class ProviderPort(Protocol):
    """Provider nodes. The calls are awaited on the outside thread; none raises for what it was answered."""

    def ask(self, asked: Sequence[tuple[str, Asked]], told: Callable[[int, Heard], None]) -> Coroutine[Any, Any, None]:
        """Ask many addresses at once, each its question: for a first bid, or in later rounds for an answer to an offer.

        ``told`` gets every answer when it comes, with the place of its question.
        """

    def accept(self, address: str, rfq: str, accepted: Acceptance) -> Coroutine[Any, Any, Heard]:
        """Accept a bid exactly as it was signed; the signed confirmation. Twice is as good as once."""

    def end(self, address: str, rfq: str, finished: Finished) -> Coroutine[Any, Any, Heard]:
        """Tell that nothing more comes of a request, or that what was agreed has ended."""

    def holds(self, key: str, message: bytes, signature: str) -> bool:
        """Whether an Ed25519 signature is by a key, both in hexadecimal; at once, on any thread."""


class Outside(Protocol):
    """Where what must wait for somebody else is done, so that the writer never does."""

    def submit(
        self,
        work: Callable[[], Coroutine[Any, Any, Any]],
        seconds: float,
        ended: Callable[[Any, BaseException | None], None],
    ) -> None:
        """Run ``work()`` for at most ``seconds``; ``ended`` gets its result, or the error, on another thread."""


Batches = Iterable[Sequence[object]]
