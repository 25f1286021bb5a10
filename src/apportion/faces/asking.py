"""Asking a node: one request for each operation of the table, sent again when that is safe; its answer or its error."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from apportion.engine.operations import BY_NAME, Once, Operation
from apportion.errors import Misconfigured, ProviderFailed, Refusal, RefusalCode, Refused, StoreUnavailable

if TYPE_CHECKING:
    import httpx2

_AGAIN = frozenset({429, 500, 502, 503, 504})
_CODES = {code.value: code for code in RefusalCode}


class Asking:
    """The way to a node, and back."""

    def __init__(self, url: str, key: str, tries: int, patience: float, transport: Any) -> None:
        import httpx2

        self._errors = (httpx2.TransportError,)
        headers = {"authorization": f"Bearer {key}", "accept": "application/json"}
        self._http: httpx2.Client = httpx2.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=patience, transport=transport, trust_env=False
        )
        self._tries = tries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def pages(self, name: str, id: str = "", **chosen: str) -> Iterator[Any]:
        """All that an operation lists, page after page."""
        asked, after = {"limit": "200"} | {field: text for field, text in chosen.items() if text}, ""
        while True:
            page = self.ask(name, id, query=asked | {"after": after} if after else asked)
            yield from page.data
            after = page.next
            if not after:
                return

    def ask(
        self, name: str, id: str = "", *, given: Any = None, query: Any = None, key: str = "", media: str = ""
    ) -> Any:
        """An operation of the table by its name; its refusal is raised."""
        content = self.fetch(name, id, given=given, query=query, key=key, media=media)
        try:
            return msgspec.json.decode(content, type=BY_NAME[name].gives)
        except msgspec.MsgspecError as error:
            raise ProviderFailed(f"The node answered what this version does not read: {error}.") from error

    def fetch(
        self, name: str, id: str = "", *, given: Any = None, query: Any = None, key: str = "", media: str = ""
    ) -> bytes:
        """The same, and its answer as it came."""
        from urllib.parse import quote

        operation = BY_NAME[name]
        headers = {"content-type": media or "application/json"} if given is not None else {}
        if operation.once is not Once.NONE:
            headers["idempotency-key"] = key or secrets.token_hex(16)
        body = msgspec.json.encode(given) if given is not None else None
        path = operation.path.replace("{id}", quote(id, safe=""))
        status, content = self._send(operation, path, (headers, body, query))
        if status >= 300:
            raise error_of(status, content)
        return content

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
                    raise self._unreached(error) from error
                time.sleep(min(0.1 * 2**attempt, 3))
                continue
            if last or answer.status_code not in _AGAIN:
                break
            time.sleep(min(_seconds(answer.headers.get("retry-after", "")), 10))
        return answer.status_code, answer.content

    def _unreached(self, error: Exception) -> StoreUnavailable:
        import httpx2

        why = str(error) or type(error).__name__
        if isinstance(error, httpx2.ConnectError):
            return StoreUnavailable(
                f"Nothing answers at {self._http.base_url}: {why}. Is the node running there? Start one with "
                "apportion serve, or name its address."
            )
        return StoreUnavailable(
            f"The node did not answer: {why}. If it was to change something, send it again under the same "
            "Idempotency-Key."
        )


def _seconds(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else 1


def error_of(status: int, content: bytes) -> Exception:
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
    if status == 401:
        fix = "Name a living one (apk_…) as key=, or in APPORTION_KEY; an operator makes them: apportion key create."
    if status in (401, 403):
        return Misconfigured(" ".join(filter(None, [str(problem.get("title", "")), detail, fix])))
    if status == 500:
        request = str(problem.get("request_id", "no id"))
        return ProviderFailed(f"The node failed on this request ({request} in its log). {fix}")
    if status in _AGAIN:
        return StoreUnavailable(f"{detail} {fix}".strip())
    return Refused(Refusal(RefusalCode.BAD_INPUT, detail or code, "", fix))
