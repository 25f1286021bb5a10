"""Lines of the books by form: what most of a line says is the same for thousands of records, so it is encoded once.

A form is a record encoded with marks where its texts go; a line is the form with the texts put in. Both come from the
same ``build``, so the record stays the only definition, and filled or encoded the bytes are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter

import msgspec

#: canonical JSON, as the books hold it
encode = msgspec.json.Encoder(order="deterministic").encode

_MARK = re.compile("\x7f([0-9]+)\x7f")
_KEPT_FORMS = 100  # of one delivery; records may come in more shapes than are worth remembering

Build = Callable[[Sequence[str]], object]


class Form:
    """A line with holes for ``count`` texts; those at the places ``free`` may hold any character."""

    __slots__ = ("_blank", "_free", "_order")

    def __init__(self, build: Build, count: int, free: Sequence[int] = ()) -> None:
        self._blank = _MARK.split(encode(build([f"\x7f{i}\x7f" for i in range(count)])).decode())
        holes = [int(place) for place in self._blank[1::2]]
        self._order = None if holes == list(range(count)) else itemgetter(*holes)
        self._free = free

    def fill(self, texts: list[str]) -> bytes:
        """The line of the record that ``build`` makes of these texts; afterwards they are as JSON has them."""
        for i in self._free:
            texts[i] = encode(texts[i])[1:-1].decode()
        pieces = self._blank.copy()
        pieces[1::2] = texts if self._order is None else self._order(texts)
        return "".join(pieces).encode()


class Forms:
    """Forms by shape: whatever a record says besides its texts, above all which of its fields are left out."""

    __slots__ = ("_forms",)

    def __init__(self) -> None:
        self._forms: dict[Hashable, Form | None] = {}

    def line(self, shape: Hashable, build: Build, texts: list[str], free: Sequence[int] = ()) -> bytes:
        """The line of ``build(texts)``; the first record of a shape is encoded, those after it are filled in."""
        form = self._forms.get(shape)
        if form is not None:
            return form.fill(texts)
        line = encode(build(texts))
        if shape not in self._forms and len(self._forms) < _KEPT_FORMS:
            made = Form(build, len(texts), free)
            self._forms[shape] = made if made.fill(texts) == line else None  # marks of its own, in a catalog's text
        return line
