"""The page on negotiating: its nodes are started, its commands run, and what it shows is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.provider.bidding import ProviderProcess
from tests.faces.test_docs_commands import blocks, run_console

PAGE = "how-to/negotiate.md"


def test_a_negotiation_as_the_page_says(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = [text for language, text in blocks(PAGE) if language == "toml"]
    nodes = dict[str, ProviderProcess]()
    try:
        for name, config in zip(("oak", "elm"), tables[:2], strict=True):
            (tmp_path / name).mkdir()
            nodes[name] = ProviderProcess(tmp_path / name, config)
        catalog = tables[2]
        for name, port in (("oak", 8071), ("elm", 8072)):
            catalog = catalog.replace(f"http://127.0.0.1:{port}", nodes[name].address)
            catalog = catalog.replace(f"KEY-OF-{name.upper()}", nodes[name].key)
        Path("catalog.toml").write_text(catalog)
        Path("request.toml").write_text(tables[3])
        Path("moves.txt").write_text(next(text for language, text in blocks(PAGE) if language == "text"))
        for language, text in blocks(PAGE):
            if language == "console":
                with Path("moves.txt").open() as moves:
                    monkeypatch.setattr("sys.stdin", moves)
                    run_console(cli, re.sub(r" < moves\.txt$", "", text, flags=re.MULTILINE))
    finally:
        for node in nodes.values():
            node.stop()
    assert cli("verify", "--store", "apportion.db").code == 0


def test_what_is_wrong_is_said_in_one_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tables = [text for language, text in blocks(PAGE) if language == "toml"]
    Path("catalog.toml").write_text(tables[2].replace("KEY-OF-OAK", "0" * 64).replace("KEY-OF-ELM", "0" * 64))
    Path("request.toml").write_text(tables[3])
    assert cli("catalog", "apply", "catalog.toml").code == 0
    private = cli("negotiate", "request.toml", "--limit", "18")
    assert private.code == 1 and "nobody offers line" in private.err and "elm: " in private.err
    for words, said in (
        (("--limit", "18", "--mandate", "m.toml"), "two mandates"),
        (("--mode", "best"), "--mode"),
    ):
        done = cli("negotiate", "request.toml", *words)
        assert done.code == 2 and said in done.err
    free = cli("negotiate", "request.toml", "--limit", "0.12")
    assert free.code == 1 and "the service itself costs" in free.err
