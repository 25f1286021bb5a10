"""OpenAPI 3.1 of a provider's node: whoever speaks this protocol can be asked for bids, in whatever it is written."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from apportion.engine.exchange import Nothing
from apportion.errors import OUTCOMES, RefusalCode
from apportion.faces.api.openapi import plain
from apportion.faces.api.problems import DECLINED, Problem
from apportion.faces.provider.desk import Ended
from apportion.model.bid import Acceptance, Agreed, Asked, Bid, Finished, SignedBid
from apportion.model.request import Request
from apportion.model.session_asked import ChosenInput
from apportion.model.talks import AgreeAsked, CounterAsked, NegotiationAsked

_REF = "#/components/schemas/{name}"
_WORDS = """What a platform of Apportion asks the node of a provider.

Every `SignedBid` holds in `body` the JSON text of a `Bid` (of an `Agreed`, after an acceptance), and in `signature` the
Ed25519 signature over the UTF-8 bytes of that text, by the key that the platform's catalog has for the provider. It is
verified byte by byte as it came: how you order and space your JSON is yours, as long as no key stands twice.

A bid counts when it names the request (`rfq`), its `round`, the SHA-256 of the question's bytes as you received them
(`question`), its `quantities`, and you as the `provider`; when `at` is within 5 seconds of the platform's clock and
`valid_until` lies ahead; when it holds 1 to 50 offers of yours with whole tariffs in the currency asked for, at most
64 KiB in all; and when it comes before the `deadline`. Whatever does not is left out of the choice, as if you had not
answered. What was signed and accepted is what is charged.

A platform that signs its questions does so in the header `Apportion-Signature`: Ed25519, hexadecimal, over the body.
Errors are problem details (RFC 9457)."""
_C = RefusalCode
_KINDS: tuple[type[msgspec.Struct], ...] = (
    Problem, Asked, Bid, SignedBid, Acceptance, Agreed, Finished, Ended, Request, ChosenInput, NegotiationAsked,
    CounterAsked, AgreeAsked, Nothing,
)  # fmt: skip
#: (path, name, summary, takes, gives, codes)
_ROUTES: tuple[tuple[str, str, str, type, type | None, tuple[RefusalCode, ...]], ...] = (
    (
        "/quotes", "quote", "What would this cost? A signed bid, which may decline.", Asked, SignedBid,
        (_C.BAD_TIME, _C.BAD_QUANTITY, _C.CONFLICT),
    ),
    (
        "/quotes/{id}/rounds", "round", "A counter-offer to the last bid; a signed bid that accepts or not.",
        Asked, SignedBid, (_C.BAD_TIME, _C.BAD_QUANTITY, _C.CONFLICT, _C.NOT_FOUND, _C.PLAN_ENDED),
    ),
    (
        "/quotes/{id}/accept", "accept", "Take the last bid exactly as it was signed; a signed `Agreed`.",
        Acceptance, SignedBid, (_C.CONFLICT, _C.PLAN_ENDED),
    ),
    (
        "/quotes/{id}/end", "end", "Nothing more comes of it, or what was agreed has ended.",
        Finished, Ended, (),
    ),
    (
        "/requests", "request", "For users of this node: their request, sent on to the platform; its plan.",
        Request, None, (_C.UNKNOWN_PAYER, _C.NO_PLAN),
    ),
    (
        "/requests/{id}/accept", "accept_plan", "For users of this node: accept a plan that was made for them.",
        ChosenInput, None, (_C.NOT_FOUND, _C.PLAN_ENDED),
    ),
    (
        "/negotiations", "negotiate", "For users of this node: negotiate with all providers; the first offers.",
        NegotiationAsked, None, (_C.UNKNOWN_PAYER, _C.NO_PLAN),
    ),
    (
        "/negotiations/{id}/counter", "counter", "For users of this node: a counter-offer; what was answered.",
        CounterAsked, None, (_C.NOT_FOUND, _C.PLAN_ENDED, _C.CONFLICT, _C.BAD_AMOUNT),
    ),
    (
        "/negotiations/{id}/accept", "agree", "For users of this node: take offers as they stand; a plan to accept.",
        AgreeAsked, None, (_C.NOT_FOUND, _C.PLAN_ENDED, _C.CONFLICT, _C.NO_PLAN),
    ),
    (
        "/negotiations/{id}/end", "walk_away", "For users of this node: walk away; the nodes are told.",
        Nothing, None, (_C.NOT_FOUND, _C.PLAN_ENDED),
    ),
)  # fmt: skip
#: those of a negotiation that make nothing of their own
_MOVES = frozenset({"counter", "walk_away"})
#: (path, name, summary) of what users of the node look at
_SEEN = (
    ("/negotiations/{id}", "negotiation", "For users of this node: a negotiation as it stands."),
    ("/statements/{id}", "statement", "For users of this node: a bill that this provider sends them, by id or number."),
)
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 120}}
_FORM = {"name": "format", "in": "query", "schema": {"enum": ["json", "html", "pdf", "csv", "text"]}}


@functools.cache
def document_text() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    """The document."""
    schemas, components = msgspec.json.schema_components(_KINDS, ref_template=_REF)
    named = dict(zip(_KINDS, schemas, strict=True))
    paths: dict[str, Any] = {
        "/ready": {"get": _get("ready", "Whether questions are answered.")},
        "/openapi.json": {"get": _get("openapi", "This document.")},
    }
    for path, name, summary, takes, gives, codes in _ROUTES:
        operation: dict[str, Any] = {
            "operationId": name, "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": named[takes]}}},
            "responses": {
                "201" if gives is None and name not in _MOVES else "200": {
                    "description": summary,
                    "content": {"application/json": {"schema": {"type": "object"} if gives is None else named[gives]}},
                },
                **_failures(codes, named[Problem]),
            },
        }  # fmt: skip
        if "{id}" in path:
            operation["parameters"] = [_ID]
        operation["security"] = [{"token": []}] if gives is None else [{}]
        paths[path] = {"post": operation}
    for path, name, summary in _SEEN:
        form = [_FORM] if name == "statement" else []
        seen = _get(name, summary) | {"security": [{"token": []}], "parameters": [_ID, *form]}
        seen["responses"] |= _failures((_C.NOT_FOUND,), named[Problem])
        paths.setdefault(path, {})["get"] = seen
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Apportion: the node of a provider", "version": "1", "description": _WORDS,
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": plain(components), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _get(name: str, summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    found: dict[str, Any] = {"200": {"description": summary, "content": content}}
    if name == "ready":
        found["503"] = {"description": "Not now.", "content": content}
    return {"operationId": name, "summary": summary, "security": [{}], "responses": found}


def _failures(codes: tuple[RefusalCode, ...], problem: dict[str, Any]) -> dict[str, Any]:
    """Every status that may come, with the codes that lead to it."""
    found: dict[int, list[str]] = {}
    for code, (status, _) in DECLINED.items():
        if code not in ("key_missing", "forbidden", "busy"):
            found.setdefault(status, []).append(code)
    for refusal in (RefusalCode.BAD_INPUT, RefusalCode.UNKNOWN_FIELD, *codes):
        found.setdefault(OUTCOMES[refusal][0], []).append(refusal.value)
    content = {"application/problem+json": {"schema": problem}}
    return {
        str(status): {"description": "One of: " + ", ".join(f"`{code}`" for code in names) + ".", "content": content}
        for status, names in sorted(found.items())
    }
