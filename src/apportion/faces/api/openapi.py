"""OpenAPI 3.1, made of the table of operations and the schemas of its records."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from apportion.engine.operations import OPERATIONS, Once, Operation, Way
from apportion.errors import OUTCOMES
from apportion.faces.api.problems import DECLINED, Problem
from apportion.faces.receiving import Event
from apportion.model.usage import Usage

_REF = "#/components/schemas/{name}"
_EVENTS = "application/cloudevents-batch+json"
_KEY_TEXT = (
    "Makes the request safe to repeat, for ever: the same key with the same request has one effect and gets the same "
    "answer, marked `Idempotency-Replayed: true`; with another request it is a conflict. A refusal is not remembered."
)
_WORDS = """Charge users one fee per delivery and apportion it exactly to the providers.

Amounts and quantities are decimal strings; instants are RFC 3339. A success is answered only once it is durable.
Errors are problem details (RFC 9457). Every answer has an `X-Request-Id`."""


@functools.cache
def document_text() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    """The document."""
    kinds = _kinds()
    schemas, components = msgspec.json.schema_components(kinds, schema_hook=_any, ref_template=_REF)
    named = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Apportion", "version": "1", "description": _WORDS, "license": {"name": "Apache-2.0"}},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": plain(components),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "apk_…"}},
        },
    }


def _any(kind: type) -> dict[str, Any]:
    """Raw JSON may be anything."""
    assert kind is msgspec.Raw, kind
    return {}


def _kinds() -> list[Any]:
    found: list[Any] = [Problem, Event, Usage]
    for operation in OPERATIONS:
        found += [
            kind for kind in (operation.takes, operation.gives, operation.query) if kind not in (None, bytes, dict)
        ]
    return list({id(kind): kind for kind in found}.values())


def _operation(operation: Operation, named: dict[int, Any]) -> dict[str, Any]:
    roles = ", ".join(sorted(role.value for role in operation.roles))
    text = f"{operation.more}\n\nFor: {roles}.".strip()
    made: dict[str, Any] = {"operationId": operation.name, "summary": operation.does, "description": text}
    parameters = _parameters(operation, named)
    if parameters:
        made["parameters"] = parameters
    if operation.takes is not None:
        made["requestBody"] = {"required": True, "content": _content(operation, named)}
    made["responses"] = {str(operation.status): _success(operation, named)} | _failures(operation, named)
    return made


def _content(operation: Operation, named: dict[int, Any]) -> dict[str, Any]:
    if operation.takes is dict:
        event = named[id(Event)]
        return {
            media: {"schema": {"type": "array", "items": event} if media == _EVENTS else event}
            for media in operation.media
        }
    schema = plain(named[id(operation.takes)])
    return {media: {"schema": {"type": "string"} if media.endswith("toml") else schema} for media in operation.media}


def _parameters(operation: Operation, named: dict[int, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if "{id}" in operation.path:
        found.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 120}})
    if operation.query is not None:
        for name, schema in msgspec.json.schema_components([operation.query])[1][operation.query.__name__][
            "properties"
        ].items():
            found.append({"name": name, "in": "query", "required": False, "schema": schema})
    if operation.way is Way.WATCH:
        text = "The last `id` that was received: the stream goes on behind it."
        schema = {"type": "string", "maxLength": 120}
        header = {"name": "Last-Event-ID", "in": "header", "required": False, "schema": schema}
        found.append({**header, "description": text})
    if operation.once is not Once.NONE:
        required = operation.once is Once.REQUIRED
        schema = {"type": "string", "maxLength": 255}
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": required,
                "schema": schema,
                "description": _KEY_TEXT,
            }
        )
    return found


def _success(operation: Operation, named: dict[int, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"schema": {"type": "string"}}}
    if operation.once is not Once.NONE:
        headers["Idempotency-Replayed"] = {
            "schema": {"const": "true"},
            "description": "Only on an answer given before.",
        }
    if operation.way in (Way.STREAM, Way.WATCH):
        content = {operation.media[0]: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": plain(named[id(operation.gives)])}}
        content |= {media.partition(";")[0]: {"schema": {"type": "string"}} for media in operation.forms}
    return {"description": operation.does, "headers": headers, "content": content}


def _failures(operation: Operation, named: dict[int, Any]) -> dict[str, Any]:
    """Every status that may come, with the codes that lead to it."""
    codes: dict[int, list[str]] = {}
    for code, (status, _) in DECLINED.items():
        if operation.takes is not None or status not in (408, 413, 415):
            codes.setdefault(status, []).append(code)
    for code in {"bad_input": 422, "unknown_field": 422} | {c.value: OUTCOMES[c][0] for c in operation.problems}:
        status = next(outcome[0] for known, outcome in OUTCOMES.items() if known.value == code)
        codes.setdefault(status, []).append(code)
    content = {"application/problem+json": {"schema": named[id(Problem)]}}
    return {
        str(status): {"description": "One of: " + ", ".join(f"`{code}`" for code in found) + ".", "content": content}
        for status, found in sorted(codes.items())
    }


def plain(schema: Any) -> Any:
    """A schema without bounds that JSON readers would take for floats."""
    if isinstance(schema, dict):
        return {
            name: plain(value)
            for name, value in schema.items()
            if not (isinstance(value, int | float) and abs(value) > 2**53 - 1)
        }
    return [plain(item) for item in schema] if isinstance(schema, list) else schema
