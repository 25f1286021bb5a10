"""Client: the verbs of Engine against a node, over HTTP, with the same records and the same errors.

    client = apportion.Client("http://127.0.0.1:8080", key="apk_…")
    for answer in client.charge(usages):
        print(answer.state.value, answer.id)

A request that moves money carries an Idempotency-Key; when its answer is lost it is sent again under the same one, so
that it has its effect once. Nothing else that changes something is ever repeated.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from apportion.engine import exchange as x
from apportion.engine.close import Closed
from apportion.engine.explain import Explanation
from apportion.engine.operations import BY_NAME, Once, Operation
from apportion.engine.query import AccountView
from apportion.errors import Misconfigured, ProviderFailed, Refusal, RefusalCode, Refused, StoreUnavailable
from apportion.model.access import AccessRole, KeyView, NewKey
from apportion.model.catalog import Catalog
from apportion.model.statement import Document
from apportion.model.usage import Usage

if TYPE_CHECKING:
    import httpx2

_AGAIN = frozenset({429, 500, 502, 503, 504})
_CODES = {code.value: code for code in RefusalCode}


class Client:
    """A node, as its key sees it. Use it as a context manager, or ``close`` it.

    ``tries`` is how often a request is sent at most, ``patience`` how many seconds one try may take.
    """

    def __init__(self, url: str, *, key: str, tries: int = 5, patience: float = 60.0, transport: Any = None) -> None:
        import httpx2

        self._errors = (httpx2.TransportError,)
        headers = {"authorization": f"Bearer {key}", "accept": "application/json"}
        self._http: httpx2.Client = httpx2.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=patience, transport=transport, trust_env=False
        )
        self._tries = tries

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    # money

    def charge(self, usages: Iterable[Usage], *, idempotency_key: str = "") -> tuple[x.RecordAnswer, ...]:
        """Charge usage records; an answer for each, in order."""
        answer: x.UsageAnswer = self._ask("charge", given=list(usages), key=idempotency_key)
        return answer.records

    def top_up(
        self, payer: str, amount: str, currency: str, reference: str, *, idempotency_key: str = ""
    ) -> x.TopUpAnswer:
        """Add value to a payer's account, once per ``reference``.

        Raises:
            Refused: UNKNOWN_PAYER, BAD_AMOUNT, CONFLICT.
        """
        return self._ask("top_up", given=x.TopUpInput(payer, amount, currency, reference), key=idempotency_key)

    def hold(self, given: x.HoldInput, *, idempotency_key: str = "") -> x.HoldAnswer:
        """Set value aside.

        Raises:
            Refused: INSUFFICIENT_FUNDS, UNKNOWN_PAYER, BAD_AMOUNT, BAD_TIME.
        """
        return self._ask("hold", given=given, key=idempotency_key)

    def end_hold(self, hold: str, amount: str = "0", *, final: bool = True, idempotency_key: str = "") -> x.HoldAnswer:
        """Capture part of a hold, or end it and give back the rest.

        Raises:
            Refused: NOT_FOUND, HOLD_ENDED, BAD_AMOUNT.
        """
        return self._ask("capture", hold, given=x.CaptureInput(amount, final), key=idempotency_key)

    def release(self, hold: str, *, idempotency_key: str = "") -> x.HoldAnswer:
        """End a hold; what is still open goes back."""
        return self._ask("release", hold, given=x.Nothing(), key=idempotency_key)

    def close_period(self, period: str, *, force: bool = False, idempotency_key: str = "") -> Closed:
        """Close a billing period for all payers."""
        return self._ask("close_period", period, given=x.CloseInput(force), key=idempotency_key)

    def issue(self, period: str = "", who: str = "", *, idempotency_key: str = "") -> tuple[x.StatementView, ...]:
        """Issue the statements of a period that has ended."""
        answer: x.IssueAnswer = self._ask("issue", given=x.IssueInput(period, who), key=idempotency_key)
        return answer.data

    def apply(self, catalog: Catalog, *, idempotency_key: str = "") -> str:
        """Put a catalog into force; its version id.

        Raises:
            Misconfigured: with every finding.
        """
        answer: x.AppliedAnswer = self._ask("apply", given=catalog, key=idempotency_key)
        return answer.id

    # reads

    def accounts(self) -> Iterator[AccountView]:
        """All accounts that this key may see."""
        return self._pages("accounts")

    def account(self, id: str) -> AccountView:
        """One account as it stands."""
        return self._ask("account", id)

    def entries(self, account: str) -> Iterator[x.EntryView]:
        """What moved on an account, in order."""
        return self._pages("entries", account)

    def charges(self) -> Iterator[x.ChargeView]:
        """All charges that this key may see, in booking order."""
        return self._pages("charges")

    def charge_of(self, id: str) -> x.ChargeView:
        """One charge."""
        return self._ask("charge_of", id)

    def explain(self, id: str, view: str = "operator") -> Explanation:
        """A charge in plain words with its arithmetic."""
        return self._ask("explain", id, query={"view": view})

    def statements(self) -> Iterator[x.StatementView]:
        """Statements and remittance advices, oldest first."""
        return self._pages("statements")

    def statement(self, id: str) -> Document:
        """One statement or remittance advice, by id or number."""
        return self._ask("statement", id)

    def catalog(self) -> x.CatalogAnswer:
        """The catalog in force."""
        return self._ask("catalog")

    def export(self) -> Iterator[bytes]:
        """The lines of the complete books, each with its line feed."""
        with self._http.stream("GET", BY_NAME["export"].path) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _error(answer.status_code, answer.content)
            held = b""
            for chunk in answer.iter_bytes():
                *lines, held = (held + chunk).split(b"\n")
                yield from (line + b"\n" for line in lines)

    # access

    def me(self) -> x.Me:
        """Whose key this is."""
        return self._ask("me")

    def keys(self) -> tuple[KeyView, ...]:
        """All keys of the tenant."""
        answer: x.KeyPage = self._ask("keys")
        return answer.data

    def create_key(self, role: AccessRole, party: str = "", sources: Sequence[str] = (), expires: str = "") -> NewKey:
        """Make a key; its secret is in the answer and never shown again."""
        return self._ask("create_key", given=x.KeyInput(role, party, tuple(sources), "", expires))

    def revoke_key(self, id: str) -> KeyView:
        """End a key for ever."""
        return self._ask("revoke_key", id)

    # the way there

    def _pages(self, name: str, id: str = "") -> Iterator[Any]:
        after = ""
        while True:
            page = self._ask(name, id, query={"after": after, "limit": "200"} if after else {"limit": "200"})
            yield from page.data
            after = page.next
            if not after:
                return

    def _ask(self, name: str, id: str = "", *, given: Any = None, query: Any = None, key: str = "") -> Any:
        from urllib.parse import quote

        operation = BY_NAME[name]
        headers = {"content-type": "application/json"} if given is not None else {}
        if operation.once is not Once.NONE:
            headers["idempotency-key"] = key or secrets.token_hex(16)
        body = msgspec.json.encode(given) if given is not None else None
        path = operation.path.replace("{id}", quote(id, safe=""))
        status, content = self._send(operation, path, (headers, body, query))
        if status >= 300:
            raise _error(status, content)
        try:
            return msgspec.json.decode(content, type=operation.gives)
        except msgspec.MsgspecError as error:
            raise ProviderFailed(f"The node answered what this version does not read: {error}.") from error

    def _send(
        self, operation: Operation, path: str, sent: tuple[dict[str, str], bytes | None, Any]
    ) -> tuple[int, bytes]:
        headers, body, query = sent
        safe = operation.method == "GET" or operation.once is not Once.NONE
        for attempt in range(1, self._tries + 1):
            last = attempt == self._tries or not safe
            try:
                answer = self._http.request(operation.method, path, headers=headers, content=body, params=query)
            except self._errors as error:
                if last:
                    raise StoreUnavailable(
                        f"The node did not answer: {error or type(error).__name__}. If it was to change something, "
                        "send it again under the same Idempotency-Key."
                    ) from error
                time.sleep(min(0.1 * 2**attempt, 3))
                continue
            if last or answer.status_code not in _AGAIN:
                break
            time.sleep(min(_seconds(answer.headers.get("retry-after", "")), 10))
        return answer.status_code, answer.content


def _seconds(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else 1


def _error(status: int, content: bytes) -> Exception:
    """A problem as the error that Engine would raise."""
    try:
        problem = msgspec.json.decode(content)
        code, detail = str(problem["code"]), str(problem.get("detail") or problem.get("title") or "")
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return ProviderFailed(f"The address answered {status} without a problem: is it a node of apportion?")
    fix = str(problem.get("fix", ""))
    if code == RefusalCode.CATALOG_INVALID.value:
        return Misconfigured(detail, msgspec.convert(problem.get("findings", ()), tuple[Refusal, ...]))
    if code in _CODES:
        return Refused(Refusal(_CODES[code], detail, str(problem.get("field", "")), fix))
    if status in (401, 403):
        return Misconfigured(" ".join(filter(None, [str(problem.get("title", "")), detail, fix])))
    if status in _AGAIN:
        return StoreUnavailable(detail)
    return Refused(Refusal(RefusalCode.BAD_INPUT, detail or code, "", fix))
