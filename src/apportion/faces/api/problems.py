"""Whatever goes wrong, as problem details (RFC 9457): a table for what HTTP itself declines, refusals for the rest."""

from __future__ import annotations

from typing import Any

import msgspec

from apportion.engine.gather import Full
from apportion.errors import (
    OUTCOMES,
    Conflict,
    Misconfigured,
    NotFound,
    Refusal,
    RefusalCode,
    Refused,
    StoreUnavailable,
)
from apportion.faces.receiving import Forbidden

#: what HTTP declines before any operation is asked: code → (status, title)
DECLINED: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request can not be read."),
    "key_missing": (400, "This operation needs an Idempotency-Key."),
    "unauthenticated": (401, "The key is missing, wrong, expired or revoked."),
    "forbidden": (403, "This key may not do that."),
    "no_route": (404, "There is nothing at this address."),
    "method": (405, "This address does not take this method."),
    "too_slow": (408, "The request took too long to arrive."),
    "too_large": (413, "The body is too large."),
    "head_too_large": (431, "The head of the request is too large."),
    "media": (415, "This kind of content is not taken here."),
    "busy": (429, "Too much of this tenant is waiting."),
    "internal": (500, "This should not have happened."),
    "overloaded": (503, "Too much is waiting."),
    "store_unavailable": (503, "The books can not be written now."),
}
_ABSENT = Refusal(RefusalCode.NOT_FOUND, "There is no such record.", "", "")


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem: ``type`` and ``code`` for a program, ``title``, ``detail`` and ``fix`` for a person."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    field: str = ""
    fix: str = ""
    request_id: str = ""
    findings: tuple[Refusal, ...] = ()


class Declined(Exception):
    """A request that HTTP itself declines."""

    def __init__(self, code: str, detail: str = "", fix: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.code, self.detail, self.fix, self.headers = code, detail, fix, headers


def problem_of(error: BaseException, request_id: str) -> tuple[Problem, tuple[tuple[str, str], ...]]:
    """The problem that an error is, and the headers that go with it."""
    if isinstance(error, Refused):
        return _refused(error.refusal, request_id), ()
    if isinstance(error, NotFound):
        return _refused(Refusal(RefusalCode.NOT_FOUND, str(error)), request_id), ()
    if isinstance(error, Misconfigured):
        found = _refused(Refusal(RefusalCode.CATALOG_INVALID, str(error).partition("\n")[0]), request_id)
        return msgspec.structs.replace(found, findings=error.refusals[:100]), ()
    if isinstance(error, Conflict):
        return _refused(Refusal(RefusalCode.CONFLICT, str(error)), request_id), ()
    declined = _declined(error)
    status, title = DECLINED[declined.code]
    return (
        Problem(_type(declined.code), title, status, declined.code, declined.detail, "", declined.fix, request_id),
        declined.headers,
    )


def _declined(error: BaseException) -> Declined:
    if isinstance(error, Declined):
        return error
    if isinstance(error, Forbidden):
        return Declined("forbidden", str(error), "Use the key that it is bound to, or have one made for it.")
    if isinstance(error, Full):
        return Declined("busy" if error.mine else "overloaded", str(error), headers=(("retry-after", "1"),))
    if isinstance(error, StoreUnavailable):
        return Declined("store_unavailable", str(error), headers=(("retry-after", "5"),))
    fix = "Send it again with the same Idempotency-Key; if it stays, report the request id."
    return Declined("internal", "", fix)


def absent(request_id: str) -> Problem:
    """What is not there and what is not the caller's look the same."""
    return _refused(_ABSENT, request_id)


def _refused(refusal: Refusal, request_id: str) -> Problem:
    status, _, title = OUTCOMES[refusal.code]
    code = refusal.code.value
    return Problem(_type(code), title, status, code, refusal.message, refusal.field, refusal.fix, request_id)


def _type(code: str) -> str:
    return f"urn:apportion:problem:{code}"


def encoded(problem: Any) -> bytes:
    """A problem as it is sent."""
    return msgspec.json.encode(problem)
