"""Bodies: read within bounds of size and time, decoded into the one record that an operation takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from apportion.adapters.catalog_file import parse_catalog
from apportion.adapters.usage import parse
from apportion.engine.operations import Operation
from apportion.errors import NotFound, RefusalCode, Refused, refuse
from apportion.faces.api.node import Node
from apportion.faces.api.problems import Declined
from apportion.faces.receiving import MayWrite
from apportion.model.catalog import Catalog
from apportion.model.command import RejectUsage
from apportion.money import Asset, Money, parse_asset

#: bodies longer than this are decoded on another thread, so that the event loop goes on
LONG = 1 << 16


def media(headers: dict[bytes, bytes], operation: Operation) -> str:
    """The kind of content that a body is.

    Raises:
        Declined: it is none that the operation takes, or it is compressed.
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Declined("media", "Compressed bodies are not taken.", "Send it as it is.")
    given = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if given in operation.media:
        return given
    if operation.takes is None or (not given and "application/json" in operation.media):
        return operation.media[0]
    raise Declined("media", f"Not {given[:60]!a}.", f"Send {' or '.join(operation.media)}.")


async def read(headers: dict[bytes, bytes], receive: Callable[[], Awaitable[dict[str, Any]]], limit: int) -> bytes:
    """The whole body, at most ``limit`` bytes.

    Raises:
        Declined: it is longer.
    """
    length = headers.get(b"content-length", b"")
    if length and (len(length) > 15 or not length.isdigit() or int(length) > limit):
        raise _too_large(limit)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Declined("malformed", "The caller went away.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


_CLOSE = (("connection", "close"),)


def _too_large(limit: int) -> Declined:
    return Declined("too_large", f"At most {limit:,} bytes.", "Split the request.", _CLOSE)


async def decoded(node: Node, operation: Operation, sent: tuple[bytes, str], tenant: str, may_write: MayWrite) -> Any:
    """The record that an operation takes, out of a body and its kind; refused with the field at fault."""
    body, kind = sent
    if operation.takes is None:
        if body:
            raise refuse(RefusalCode.BAD_INPUT, "no body is taken here.", fix="Leave it out.")
        return None

    def decode() -> Any:
        if operation.told is not None and operation.body_max > 1 << 20:
            door = node.receiving(tenant)
            if door is None:
                raise NotFound("There is no catalog yet. Put one into force first: PUT /v1/catalog.")
            return door.usages(body, may_write) if kind == "application/json" else door.events(body, kind, may_write)
        if operation.takes is Catalog:
            return _catalog(body, kind)
        return record(body, operation.takes)

    async def attempt() -> Any:
        return await node.work(decode) if len(body) > LONG or operation.takes is Catalog else decode()

    if operation.told is None or operation.body_max <= 1 << 20:
        return await attempt()
    door = node.receiving(tenant)
    try:
        found = await attempt()
        if not any(isinstance(command, RejectUsage) for command in found):
            return found
    except (Refused, NotFound):
        if not await node.catch_up(tenant, door):
            raise
        return await attempt()
    return await attempt() if await node.catch_up(tenant, door) else found


def _catalog(body: bytes, kind: str) -> Catalog:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(
            RefusalCode.CATALOG_INVALID, f"It is not UTF-8 at byte {error.start}.", fix="Save it so."
        ) from None
    return parse_catalog(text, is_json=kind == "application/json")


def record(body: bytes, kind: type[msgspec.Struct]) -> Any:
    """A body as the record that it must be; refused with the field at fault."""
    tree = parse(body or b"{}", max(LONG, len(body)))  # how long it may be was seen to when it was read
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        code = RefusalCode.UNKNOWN_FIELD if "unknown field" in message else RefusalCode.BAD_INPUT
        field = path.rstrip("`").lstrip(".") or (message.partition("field `")[2].partition("`")[0])
        if "matching regex" in message and isinstance(tree, dict):
            _said(field, tree.get(field))
        fix = "It takes " + ", ".join(kind.__struct_fields__) + "." if kind.__struct_fields__ else "Send {} or nothing."
        raise refuse(code, f"{message}.", field=field, fix=fix) from None


def _said(field: str, text: Any) -> None:
    """Refuse an amount or a currency in the words of the engine, which know more than a pattern does."""
    if field == "amount":
        Money.parse(text, Asset("AMOUNT", 40))
    elif field == "currency":
        parse_asset(text, store=True)
