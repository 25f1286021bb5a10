"""The one seam between commands and books: the same verbs on a store that is opened here, and on a node over HTTP.

A command asks for books to read, to change or to begin, and never learns which of the two it got.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from apportion.faces.cli.options import Place

if TYPE_CHECKING:
    from apportion.adapters.waiting import Outside
    from apportion.engine.close import Closed
    from apportion.engine.credit.door import CreditAnswer, TrustView, WriteOffAnswer
    from apportion.engine.engine import Engine
    from apportion.engine.exchange import KeyInput, RecordAnswer
    from apportion.engine.explain import Explanation, View
    from apportion.engine.intake import RunSummary
    from apportion.engine.query import AccountView
    from apportion.faces.client import Client
    from apportion.faces.disputes import Disputes
    from apportion.faces.plans import Plans
    from apportion.faces.reading import Commands
    from apportion.faces.sessions import Sessions
    from apportion.faces.statements import Statements
    from apportion.faces.stocks import Stocks
    from apportion.model.access import KeyView, NewKey
    from apportion.model.catalog import Catalog
    from apportion.model.command import ChargeUsage, RejectUsage

_BATCH = 1000
_LAST = b'{"type":"end"'
Told = Callable[["RunSummary"], None]
Going = Callable[[int, int], None]


class Reach(ABC):
    """Books within reach, wherever they are: what commands ask of them. Use it as a context manager."""

    def __enter__(self) -> Reach:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of them."""

    @abstractmethod
    def accounts(self, name: str = "", role: str = "") -> list[AccountView]:
        """Accounts as they stand: all, those of a party or id, those of a role."""

    @abstractmethod
    def top_up(self, payer: str, amount: str, currency: str, reference: str) -> str:
        """Add value; the id of the top-up."""

    @abstractmethod
    def apply(self, catalog: Catalog) -> str:
        """Put a catalog into force; its version."""

    @abstractmethod
    def catalog(self, version: str) -> tuple[str, Catalog]:
        """A catalog version with its id; the one in force when none is named."""

    @abstractmethod
    def run(self, batches: Iterable[Commands], told: Told) -> tuple[RunSummary, str]:
        """Charge everything that comes; what became of it, and the id of the first charge."""

    @abstractmethod
    def close_period(self, period: str, *, force: bool) -> Closed:
        """Close a period; every one that usage names when it is empty."""

    @abstractmethod
    def explain(self, id: str, view: View) -> Explanation:
        """A record in plain words."""

    @abstractmethod
    def lines(self, going: Going) -> Iterator[bytes]:
        """The lines of an export; ``going`` is told how many rows of how many are done (0 when nobody knows)."""

    @abstractmethod
    def ask_providers(self, *, private: bool) -> None:
        """Let provider nodes be asked."""

    @abstractmethod
    def ask(self, name: str, id: str = "", *, given: Any = None, query: Any = None, key: str = "") -> Any:
        """An operation of the table by its name."""

    @abstractmethod
    def pages(self, name: str, id: str = "", **chosen: str) -> Iterator[Any]:
        """All that an operation lists, page after page."""

    @property
    def sessions(self) -> Sessions:
        """The verbs of charging sessions."""
        from apportion.faces.sessions import Sessions

        return Sessions(self.ask, self.pages)

    @property
    def plans(self) -> Plans:
        """The verbs of requests and plans."""
        from apportion.faces.plans import Plans

        return Plans(self.ask, self.pages)

    @property
    def statements(self) -> Statements:
        """The verbs of statements."""
        from apportion.faces.statements import Statements

        return Statements(self.ask, self.pages)

    @property
    def stocks(self) -> Stocks:
        """The verbs of buckets and allowances."""
        from apportion.faces.stocks import Stocks

        return Stocks(self.ask)

    @property
    def disputes(self) -> Disputes:
        """The verbs of disputes."""
        from apportion.faces.disputes import Disputes

        return Disputes(self.ask, self.pages)

    def trust(self, account: str) -> TrustView:
        """A payer's credit as it stands."""
        found: TrustView = self.ask("trust", account)
        return found

    def set_credit(self, account: str) -> CreditAnswer:
        """Decide a payer's credit line anew."""
        from apportion.engine.exchange import Nothing

        made: CreditAnswer = self.ask("set_credit", account, given=Nothing())
        return made

    def write_off(self, account: str, amount: str) -> WriteOffAnswer:
        """Move a payer's debt to who stands for it."""
        from apportion.engine.credit.door import WriteOffInput

        made: WriteOffAnswer = self.ask("write_off", account, given=WriteOffInput(amount))
        return made

    @abstractmethod
    def create_key(self, given: KeyInput) -> NewKey:
        """Make a key."""

    @abstractmethod
    def keys(self) -> tuple[KeyView, ...]:
        """All keys of the tenant."""

    @abstractmethod
    def revoke_key(self, id: str) -> KeyView:
        """End a key."""


class Here(Reach):
    """Reach that this process has opened."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._outside: Outside | None = None

    def close(self) -> None:
        if self._outside is not None:
            self._outside.stop()
        self.engine.close()

    def ask_providers(self, *, private: bool) -> None:
        from apportion.adapters.waiting import Outside
        from apportion.wiring import open_providers

        self.engine.providers = open_providers(signer=self.engine.signer, private=private)
        self.engine.outside = self._outside = Outside()
        self._outside.start()

    def accounts(self, name: str = "", role: str = "") -> list[AccountView]:
        views = self.engine.books.named(name) if name else self.engine.books.accounts()
        return [view for view in views if role in ("", view.role)]

    def top_up(self, payer: str, amount: str, currency: str, reference: str) -> str:
        return self.engine.top_up(payer, amount, currency, reference)

    def apply(self, catalog: Catalog) -> str:
        return self.engine.apply(catalog)

    def catalog(self, version: str) -> tuple[str, Catalog]:
        terms = self.engine.terms(version)
        return terms.version, terms.catalog

    def run(self, batches: Iterable[Commands], told: Told) -> tuple[RunSummary, str]:
        row = self.engine.store.head(self.engine.tenant, 0)[0]
        summary = self.engine.run(batches, told)
        return summary, next((record.charge.id for record in self.engine.books.records(row)), "")

    def close_period(self, period: str, *, force: bool) -> Closed:
        return self.engine.close_period(period, force=force)

    def explain(self, id: str, view: View) -> Explanation:
        from apportion.engine.inquiry import explain

        return explain(self.engine, id, view)

    def lines(self, going: Going) -> Iterator[bytes]:
        from apportion.engine.export import export

        return export(self.engine.store, self.engine.tenant, 0, going)

    def ask(self, name: str, id: str = "", *, given: Any = None, query: Any = None, key: str = "") -> Any:
        """An operation of the table, done here and now for the operator."""
        import msgspec

        from apportion.engine.operations import BY_NAME, Way
        from apportion.engine.verbs import Call
        from apportion.model.access import AccessRole, Credential

        operation = BY_NAME[name]
        caller = Credential("", self.engine.tenant_name, AccessRole.OPERATOR, "", "")
        asked = msgspec.convert(query or {}, operation.query, strict=False) if operation.query is not None else None
        call = Call(caller, id, given, asked)
        if operation.told is None:
            return operation.run(self.engine, call)
        commands = operation.run(self.engine, call) if operation.way is Way.PLAN else operation.run(call)
        return operation.told(self.engine, call, self.engine.writer.commit(commands))

    def pages(self, name: str, id: str = "", **chosen: str) -> Iterator[Any]:
        asked = {"limit": "200"} | chosen
        while True:
            page = self.ask(name, id, query=asked)
            yield from page.data
            if not page.next:
                return
            asked["after"] = page.next

    def create_key(self, given: KeyInput) -> NewKey:
        from apportion.engine.access import new_key

        return new_key(self.engine, given)[0]

    def keys(self) -> tuple[KeyView, ...]:
        from apportion.engine.access import all_keys, shown

        return tuple(shown(key) for key in all_keys(self.engine))

    def revoke_key(self, id: str) -> KeyView:
        from apportion.engine.access import revoke_key, shown

        return shown(revoke_key(self.engine, id))


class There(Reach):
    """Reach that a node keeps, as the key sees them."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def close(self) -> None:
        self.client.close()

    def accounts(self, name: str = "", role: str = "") -> list[AccountView]:
        return list(self.client.accounts(name, role))

    def top_up(self, payer: str, amount: str, currency: str, reference: str) -> str:
        return self.client.top_up(payer, amount, currency, reference).id

    def apply(self, catalog: Catalog) -> str:
        return self.client.apply(catalog)

    def catalog(self, version: str) -> tuple[str, Catalog]:
        found = self.client.catalog(version)
        return found.id, found.catalog

    def run(self, batches: Iterable[Commands], told: Told) -> tuple[RunSummary, str]:
        """In requests of a thousand records, each under a key of its own, so that a lost answer is asked for again.

        What could not be read is counted, and not sent. What waits from earlier is tried by the node itself.
        """
        from apportion.engine.intake import RunSummary

        summary, first = RunSummary(), ""
        for batch in batches:
            for at in range(0, len(batch), _BATCH):
                made = self._charged(batch[at : at + _BATCH], summary)
                first = first or made
                told(summary)
        return summary, first

    def _charged(self, commands: Sequence[ChargeUsage | RejectUsage], summary: RunSummary) -> str:
        """Send the records among these and count all; the first charge that was made."""
        from apportion.engine.exchange import RecordAnswer
        from apportion.model.command import ChargeUsage, Outcome
        from apportion.model.usage import UsageClass

        usages = [command.usage for command in commands if isinstance(command, ChargeUsage)]
        answers: Iterator[RecordAnswer] = iter(self.client.charge(usages) if usages else ())
        made = ""
        for command in commands:
            if isinstance(command, ChargeUsage):
                answer = next(answers)
            else:
                answer = RecordAnswer(UsageClass.REJECTED, refusal=command.refusal)
            summary.count(command, Outcome(answer.state, answer.id, answer.refusal))
            if not made and answer.state in (UsageClass.CHARGED, UsageClass.ZERO_RATED):
                made = answer.id
        return made

    def close_period(self, period: str, *, force: bool) -> Closed:
        return self.client.close_period(period, force=force)

    def explain(self, id: str, view: View) -> Explanation:
        return self.client.explain(id, "=".join(filter(None, [view.kind, view.name])))

    def lines(self, going: Going) -> Iterator[bytes]:
        from apportion.errors import StoreUnavailable

        line, count = b"", 0
        for line in self.client.export():
            yield line
            count += 1
            if count % 1000 == 0:
                going(count, 0)
        if not line.startswith(_LAST):
            raise StoreUnavailable("The node stopped before the end of the export. Ask again.")

    def ask_providers(self, *, private: bool) -> None:
        """The node asks them by itself."""

    def ask(self, name: str, id: str = "", *, given: Any = None, query: Any = None, key: str = "") -> Any:
        return self.client.ask(name, id, given=given, query=query, key=key)

    def pages(self, name: str, id: str = "", **chosen: str) -> Iterator[Any]:
        return self.client.pages(name, id, **chosen)

    def create_key(self, given: KeyInput) -> NewKey:
        more = {name: getattr(given, name) for name in ("label", "services", "payers")}
        return self.client.create_key(given.role, given.party, given.sources, given.expires, **more)

    def keys(self) -> tuple[KeyView, ...]:
        return self.client.keys()

    def revoke_key(self, id: str) -> KeyView:
        return self.client.revoke_key(id)


def reading(place: Place) -> Reach:
    """Reach to look at."""
    return There(place.client()) if place.remote else Here(place.read())


def changing(place: Place) -> Reach:
    """Reach to change; they must be there."""
    return There(place.client()) if place.remote else Here(place.change())


def beginning(place: Place) -> Reach:
    """Reach to change; made when there are none."""
    return There(place.client()) if place.remote else Here(place.write())


def sealing(place: Place) -> Reach:
    """Reach to export, with everything in them signed; as far as it is signed when somebody else is writing."""
    from apportion.engine.export import sealed
    from apportion.errors import StoreUnavailable

    if place.remote:
        return There(place.client())
    try:
        engine = place.change()
    except StoreUnavailable:
        return Here(place.read())
    sealed(engine)
    return Here(engine)
