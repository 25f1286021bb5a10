"""What went wrong, as one sentence with the next step, or as one JSON object; never a traceback."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from apportion.errors import (
    ApportionError,
    Conflict,
    Misconfigured,
    NotFound,
    ProviderFailed,
    Refusal,
    Refused,
    StoreUnavailable,
)
from apportion.faces.cli.options import BadUsage

_CODES = {
    Conflict: "conflict",
    Misconfigured: "misconfigured",
    NotFound: "not_found",
    ProviderFailed: "provider_failed",
    StoreUnavailable: "store_unavailable",
    BadUsage: "bad_usage",
}


def report(error: BaseException, *, as_json: bool, usage: str = "") -> int:
    """Write an error to standard error; the exit code. ``usage`` is the sentence for arguments that do not parse."""
    found = described(error, usage)
    if os.environ.get("APPORTION_TRACEBACK"):
        traceback.print_exception(error)
    if as_json:
        print(json.dumps({"error": found}), file=sys.stderr)
    else:
        print(f"apportion: {_sentence(error, found)}", file=sys.stderr)
    return 2 if found["code"] == "bad_usage" else 1


def described(error: BaseException, usage: str = "") -> dict[str, Any]:
    """An error as plain data: code, message, field, fix, and the findings where there are several."""
    if usage:
        return _plain("bad_usage", usage, "", "")
    if isinstance(error, Refused):
        return refusal_data(error.refusal)
    if isinstance(error, Misconfigured) and error.refusals:
        findings = [refusal_data(refusal) for refusal in error.refusals]
        return _plain("misconfigured", str(error).partition("\n")[0], "", "") | {"findings": findings}
    if isinstance(error, ApportionError | BadUsage):
        return _plain(_CODES.get(type(error), "error"), str(error), "", "")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return _plain("io", f"{place}{error.strerror or error}.", "", "Check the path and its permissions.")
    if type(error).__module__.startswith("apsw"):
        return _plain("store_unavailable", f"The store gave up: {error}.", "", "Check the file and the space on disk.")
    said = f"{type(error).__name__}: {error}"
    return _plain(
        "internal", f"This should not have happened ({said}).", "", "Run it with APPORTION_TRACEBACK=1, and report it."
    )


def refusal_data(refusal: Refusal) -> dict[str, Any]:
    """A refusal as plain data, ``where`` only when it has a place."""
    from apportion.errors import OUTCOMES

    message = refusal.message or OUTCOMES[refusal.code][2]
    found = _plain(refusal.code.value, message, refusal.field, refusal.fix)
    return found | {"where": refusal.where} if refusal.where else found


def _plain(code: str, message: str, field: str, fix: str) -> dict[str, Any]:
    return {"code": code, "message": message, "field": field, "fix": fix}


def _sentence(error: BaseException, found: dict[str, Any]) -> str:
    if isinstance(error, ApportionError):
        return str(error)
    return " ".join(filter(None, [found["message"], found["fix"]]))
