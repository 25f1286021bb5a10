"""Generated pages: ``python docs/generate.py`` writes them, ``--check`` fails when one is stale."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

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


#: Every generated page, relative to docs/, and the function that makes its text.
PAGES: list[tuple[str, Callable[[], str]]] = [
    ("reference/catalog.schema.json", catalog_schema_text),
    ("reference/cli.md", command_line_text),
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
