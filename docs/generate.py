"""Generated pages: ``python docs/generate.py`` writes them, ``--check`` fails when one is stale."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from apportion.adapters.catalog_file import catalog_schema

DOCS = Path(__file__).resolve().parent


def catalog_schema_text() -> str:
    """The JSON Schema of catalog files."""
    return json.dumps(catalog_schema(), indent=2, ensure_ascii=False) + "\n"


#: Every generated page, relative to docs/, and the function that makes its text.
PAGES: list[tuple[str, Callable[[], str]]] = [
    ("reference/catalog.schema.json", catalog_schema_text),
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
        for page in stale_pages():
            print(f"docs/{page} is stale; run: python docs/generate.py", file=sys.stderr)
        return int(bool(stale_pages()))
    if arguments:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    for page, make in PAGES:
        (DOCS / page).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / page).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
