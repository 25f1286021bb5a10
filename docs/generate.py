"""Generated pages: ``python docs/generate.py`` writes them, ``--check`` fails when one is stale."""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from apportion.adapters.catalog_file import catalog_schema, load_catalog
from apportion.faces.cli.program import app
from apportion.faces.pages.flow import condense, flow_svg
from apportion.faces.reading import read_usage
from apportion.faces.takings import gather
from apportion.wiring import open_engine

DOCS = Path(__file__).resolve().parent
SAMPLES = DOCS.parent / "examples" / "model-gateway"


def catalog_schema_text() -> str:
    """The JSON Schema of catalog files."""
    return json.dumps(catalog_schema(), indent=2, ensure_ascii=False) + "\n"


_CLI = """# The command line

Exit codes: 0 done, 1 refused or a check failed, 2 bad usage. With `--json` a command answers one JSON value on standard
output; an error is one JSON object `{"error": {"code", "message", "field", "fix"}}` on standard error. Progress goes to
standard error: a live line on a terminal or with `--progress`, sparse plain lines anywhere else. The books are one
file, `--store`, by default `apportion.db`; `--tenant` chooses whose, by default `main`.

This page is written by the program from its own help.
"""


def command_line_text() -> str:
    """Every command with its arguments, from the docstrings of the functions behind them."""
    started, sys.argv = sys.argv, ["apportion"]  # usage lines show how the program was started
    text = app.generate_docs(flatten_commands=True, heading_level=2)
    sys.argv = started
    commands = text[text.index("\n## apportion demo") :]
    commands = re.sub(r"^(Such as: )(.+)$", r"\1`\2`", commands, flags=re.MULTILINE)
    return _CLI + commands.rstrip() + "\n"


def fee_flow_svg() -> str:
    """The picture of the front page: what the demo's hour of requests brought in, and who earned it."""
    catalog = load_catalog(SAMPLES / "catalog.toml")
    with open_engine(":memory:") as engine:
        engine.apply(catalog)
        engine.run(read_usage(SAMPLES / "usage.csv", catalog))
        flow = gather(engine, catalog)[0].flow()
    flow = condense(condense(flow, 0, 6, "payers"), 2, 9, "providers")
    title = "One hour of a model gateway: what its users paid, and who earned it (* an invented provider)"
    return flow_svg(flow, name="fee-flow", title=title) + "\n"


_HTTP = """# The API over HTTP

`apportion serve` answers at these addresses; [Run a node](../how-to/run-a-node.md) shows how to start one. The same
table makes the node's own document, `/openapi.json` (OpenAPI 3.1), the page to read and try it, `/docs`, and
`apportion.Client`.

**Keys.** Every operation needs `Authorization: Bearer apk_…`. An *operator* may do everything; an *auditor* sees
everything; a *user* sees its own accounts and charges, without wholesale prices; a *provider* its own accounts and
portions, and sends usage of the sources that are bound to its key. What a key may not see is answered as if it were
not there.

**Amounts** and quantities are decimal strings with their currency or unit beside them; instants are RFC 3339 in UTC.
Fields that are not known are refused, and so are keys that stand twice.

**Durable.** A success is answered once it is on disk, and never before. Answers of operations that move money hold
the record that they made and nothing that can change later.

**Idempotency-Key**: any text of up to 255 characters, honoured for ever, per key of access. The same request under
the same key has one effect and gets the same answer, marked `Idempotency-Replayed: true`; another request under it is
a conflict. A refusal changes nothing and is not remembered: the same request may be tried again. Usage is unique for
ever by (source, id) besides.

**Lists** hold `data` and `next`; `next` goes into `after` for the following page and is empty on the last. A page may
be short.

**Too much at once** is refused with 429 or 503 and `Retry-After`. What was accepted is done.

**Problems** are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `field`, `fix`,
`request_id`. Every answer carries `X-Request-Id`, which the log has too. These codes can come from every operation:

"""


def http_text() -> str:
    """Every operation of a node: address, permission, input, answer, problems."""
    from apportion.engine.operations import OPERATIONS
    from apportion.faces.api.problems import DECLINED
    from apportion.faces.client import Client

    rows = [f"| `{code}` | {status} | {title} |" for code, (status, title) in DECLINED.items()]
    text = _HTTP + "| code | status | |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    for operation in OPERATIONS:
        roles = ", ".join(sorted(role.value for role in operation.roles))
        text += f"\n## {operation.route}\n\n{operation.does} {operation.more}".rstrip() + "\n\n"
        facts = [("for", roles)]
        if hasattr(Client, operation.name):
            facts.append(("`Client`", f"`{operation.name}`"))
        if operation.once.value != "none":
            facts.append(("`Idempotency-Key`", operation.once.value))
        if operation.media != ("application/json",):
            facts.append(("content", ", ".join(f"`{media}`" for media in operation.media)))
        if operation.problems:
            facts.append(("may refuse with", ", ".join(f"`{code.value}`" for code in operation.problems)))
        text += "\n".join(f"- {name}: {value}" for name, value in facts) + "\n"
        for title, record in (("query", operation.query), ("body", operation.takes), ("answer", operation.gives)):
            text += _fields(title, record)
    return text


def _fields(title: str, record: Any) -> str:
    """A record's fields as a line, with what its docstring says."""
    if isinstance(record, types.UnionType):
        return "".join(_fields(title, one) for one in typing.get_args(record))
    named = typing.get_args(record)[0] if typing.get_origin(record) is list else record
    if not (isinstance(named, type) and issubclass(named, msgspec.Struct)):
        return ""
    said = " ".join((named.__doc__ or "").split())
    many = "a list of " if named is not record else ""
    names = ", ".join(f"`{field.encode_name}`" for field in msgspec.structs.fields(named))
    return f"- {title}: {many}`{named.__name__}`: {said.replace('``', '`')} " + (
        f"Fields: {names}.\n" if names else "\n"
    )


#: Every generated page, relative to docs/, and the function that makes its text.
PAGES: list[tuple[str, Callable[[], str]]] = [
    ("reference/catalog.schema.json", catalog_schema_text),
    ("reference/cli.md", command_line_text),
    ("reference/http.md", http_text),
    ("images/fee-flow.svg", fee_flow_svg),
]


def stale_pages() -> list[str]:
    """The pages whose text on disk is not what the program would write now."""
    return [
        page
        for page, make in PAGES
        if not (DOCS / page).is_file() or (DOCS / page).read_text(encoding="utf-8") != make()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` name the stale ones; gives the exit code."""
    if arguments == ["--check"]:
        stale = stale_pages()
        for page in stale:
            print(f"docs/{page} is stale; run: python docs/generate.py", file=sys.stderr)
        return int(bool(stale))
    if arguments:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    for page, make in PAGES:
        (DOCS / page).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / page).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
