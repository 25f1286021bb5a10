"""A TOML or JSON document as a plain tree: numbers keep their text, and a path can be traced to its line."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from apportion.errors import Misconfigured, Refusal, RefusalCode

BYTES_MAX = 64 << 20
DEPTH_MAX = 32
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = re.compile(rf"\s*({_KEY})\s*(\.|\Z)")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]\]?\s*(?:#.*)?")
_PAIR = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')
_AT_LINE = re.compile(r"at line (\d+)")


class Number:
    """A number as it was written; what it means is decided where it is used."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text.replace("_", "").removeprefix("+")


# The reader of TOML takes the square of a dotted key's length; nothing here has more than a few parts.
_PART = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_LONG_KEY = re.compile(rf"(?<![\w\-.\"'])(?:{_PART}[ \t]*+\.[ \t]*+){{33}}", re.ASCII)


class Document:
    """A document read once: its ``tree``, and the ``name`` that messages call it by."""

    def __init__(self, name: str, text: str, is_json: bool) -> None:
        self.name, self._text, self._is_json = name, text, is_json
        self._lines: dict[str, int] | None = None
        self.tree = self._parse()

    def place(self, path: str) -> str:
        """``catalog.toml:12`` for a dotted path, or for the nearest thing around it that can be found."""
        if self._lines is None:
            scan = _json_lines if self._is_json else _toml_lines
            self._lines = {}
            for found, line in scan(self._text):
                self._lines.setdefault(found, line)
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.name}:{self._lines[path]}" if path else self.name

    def _parse(self) -> dict[str, Any]:
        try:
            if self._is_json:
                tree = json.loads(
                    self._text,
                    object_pairs_hook=self._object,
                    parse_float=Number,
                    parse_int=_whole,
                    parse_constant=Number,
                )
            else:
                if long := _LONG_KEY.search(self._text):
                    self._fail("A key has more than 32 parts.", self._text.count("\n", 0, long.start()) + 1)
                tree = tomllib.loads(self._text, parse_float=Number)
        except RecursionError:
            self._fail(f"It is nested more than {DEPTH_MAX} deep.", 0)
        except json.JSONDecodeError as error:
            self._fail(f"It is not JSON: {error.msg}.", error.lineno)
        except ValueError as error:
            found = _AT_LINE.search(str(error))
            last = self._text.count("\n") + 1 if "end of document" in str(error) else 0
            self._fail(f"It is not TOML: {error}.", int(found[1]) if found else last)
        if not isinstance(tree, dict):
            self._fail("It does not hold an object.", 1)
        if _deeper_than(tree, DEPTH_MAX):
            self._fail(f"It is nested more than {DEPTH_MAX} deep.", 0)
        return tree

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            double = next(name for at, name in enumerate(names) if name in names[:at])
            self._fail(f"The key {double[:60]!r} stands twice in one object.", 0)
        return found

    def _fail(self, message: str, line: int) -> NoReturn:
        fail(f"{self.name}:{line}" if line else self.name, message, "Correct the file and read it again.")


def fail(where: str, message: str, fix: str) -> NoReturn:
    """Raise the one thing that is wrong with a file as a whole."""
    refusal = Refusal(RefusalCode.CATALOG_INVALID, message, fix=fix, where=where)
    raise Misconfigured(refusal.sentence(), (refusal,)) from None


def read_document(path: str) -> Document:
    """Read a file ending in ``.toml`` or ``.json``, or standard input (``-``), which may be either.

    Raises:
        Misconfigured: it can not be read, is too large or too deep, or is neither TOML nor JSON.
    """
    name = "stdin" if path == "-" else Path(path).name
    ending = "" if path == "-" else Path(path).suffix.lower()
    if path != "-" and ending not in (".toml", ".json"):
        fail(name, "The name does not end in .toml or .json.", "Name the file after what it holds.")
    try:
        raw = sys.stdin.buffer.read(BYTES_MAX + 1) if path == "-" else _bounded(Path(path))
        if len(raw) > BYTES_MAX:
            fail(name, "The file is larger than 64 MiB.", "Put long price lists into a deck.file.")
        text = raw.decode("utf-8-sig")
    except OSError as error:
        fail(name, f"It can not be read: {error.strerror}.", "Check the path.")
    except UnicodeDecodeError as error:
        fail(f"{name}:{raw.count(10, 0, error.start) + 1}", "It is not UTF-8 here.", "Save the file as UTF-8.")
    return Document(name, text, ending == ".json" or (not ending and text.lstrip().startswith("{")))


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def _whole(text: str) -> int | Number:
    return int(text) if len(text) <= 40 else Number(text)


def _deeper_than(tree: object, limit: int) -> bool:
    level = [tree]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _joined(keys: str) -> str:
    """A TOML key as a dotted path, without quotes."""
    parts, at = [], 0
    while match := _KEYS.match(keys, at):
        key, at = match[1], match.end()
        parts.append(key[1:-1] if key[0] in "\"'" else key)
    return ".".join(parts)


def _toml_lines(text: str) -> Iterator[tuple[str, int]]:
    """The line of every table header and of every key that begins a line."""
    table, counts, quoted = "", dict[str, int](), ""
    for number, line in enumerate(text.split("\n"), 1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        if header := _HEADER.fullmatch(line.rstrip("\r")):
            table = _joined(header[2])
            for parent in [known for known in counts if table.startswith(f"{known}.")]:
                table = f"{parent}[{counts[parent] - 1}]{table[len(parent) :]}"
            if header[1] == "[[":
                counts[table] = counts.get(table, 0) + 1
                table = f"{table}[{counts[table] - 1}]"
            yield table, number
        elif pair := _PAIR.match(line):
            yield ".".join(filter(None, (table, _joined(pair[1])))), number
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quoted = mark


def _json_lines(text: str) -> Iterator[tuple[str, int]]:
    """The line of every key and list entry."""
    number, path, keys, is_key = 1, "", list[tuple[str, int]](), False
    last = ""
    for match in _JSON.finditer(text):
        token = match[0]
        if token == "\n":
            number += 1
        elif token in "{[":
            if keys and keys[-1][1] >= 0 and last in "[,":
                path = f"{keys[-1][0]}[{keys[-1][1]}]"
                yield path, number
            keys.append((path, 0 if token == "[" else -1))
            is_key = token == "{"
        elif token in "}]":
            keys.pop()
            is_key = False
        elif token == ",":
            owner, index = keys[-1]
            keys[-1] = (owner, index + 1 if index >= 0 else -1)
            is_key = index < 0
        elif is_key and token != ":":
            path = f"{keys[-1][0]}.{token[1:-1]}".lstrip(".")
            yield path, number
            is_key = False
        if token != "\n":
            last = token
