"""What a node serves besides operations: health, metrics, the document of the API, and pages to read it by."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import msgspec

from apportion.faces.api.node import Node
from apportion.faces.api.openapi import document_text
from apportion.faces.api.problems import Declined
from apportion.faces.api.watch import Watch
from apportion.model.access import AccessRole

#: pages load from this node alone; the viewer writes styles of its own
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'"
)
Answer = tuple[int, str, bytes]
_ASSETS = {
    "swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "favicon-32x32.png": "image/png",
}  # fmt: skip
_START = b"""window.onload = () => SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, persistAuthorization: false });
"""
_DOCS = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Apportion: the API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon-32x32.png"></head>
<body><main id="docs"></main>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""


class Page(msgspec.Struct, frozen=True):
    """A page: its name in the metrics, for whom it is (everybody, when there are no roles), and how it is made."""

    name: str
    answer: Callable[[Node, Watch], Answer]
    roles: frozenset[AccessRole] = frozenset()


def _live(node: Node, watch: Watch) -> Answer:
    return 200, "application/json", b'{"live":true}'


def _ready(node: Node, watch: Watch) -> Answer:
    return (200, "application/json", b'{"ready":true}') if node.ready else (503, "application/json", b'{"ready":false}')


def _metrics(node: Node, watch: Watch) -> Answer:
    return 200, *watch.metrics(node.gatherer.waiting, node.hub.listening)


def _openapi(node: Node, watch: Watch) -> Answer:
    return 200, "application/json", document_text()


def _docs(node: Node, watch: Watch) -> Answer:
    return 200, "text/html; charset=utf-8", _DOCS


def asset(path: str) -> Page:
    """One of the viewer's own files, by name; nothing else of the package can be asked for.

    Raises:
        Declined: there is none of that name.
    """
    name = path.removeprefix("/docs/")
    if name == "start.js":
        return Page("docs", lambda node, watch: (200, "text/javascript", _START))
    if name not in _ASSETS:
        raise Declined("no_route", "", "See /docs.")
    return Page("docs", lambda node, watch: (200, _ASSETS[name], _file(name)))


@functools.cache
def _file(name: str) -> bytes:
    spec = importlib.util.find_spec("swagger_ui")
    assert spec is not None and spec.submodule_search_locations, "the extra 'serve' brings the viewer"
    return (Path(next(iter(spec.submodule_search_locations))) / "static" / name).read_bytes()


PAGES = {
    "/live": Page("live", _live),
    "/ready": Page("ready", _ready),
    "/metrics": Page("metrics", _metrics, frozenset({AccessRole.OPERATOR, AccessRole.AUDITOR})),
    "/openapi.json": Page("openapi", _openapi),
    "/docs": Page("docs", _docs),
}
