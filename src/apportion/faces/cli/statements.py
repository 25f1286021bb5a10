"""``statement``: issued, looked at beforehand, given back, and written in the form that somebody wants."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from apportion.faces.cli.accounts import known
from apportion.faces.cli.options import ANSWER, PLACE, Answer, BadUsage, Place
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table, write_json, write_table

if TYPE_CHECKING:
    from apportion.model.statement import Document

_NUMBER = re.compile(r"[SRC]-[0-9]+", re.ASCII)


def statement(
    party: str = "",
    /,
    *,
    period: str = "",
    session: str = "",
    preview: bool = False,
    credit_note: bool = False,
    charge: tuple[str, ...] = (),
    format: Literal["text", "html", "pdf", "csv", "json"] = "text",
    out: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Statements for payers, remittance advices for providers.

    Such as: apportion statement ada --period 2026-11

    Issued once and kept for ever: asked for again, the same document comes back. Every amount is rounded once, at the
    edge, and the lines add up to the total. One statement for a payer, or one of each provider, as its profile or
    agreement says.

    Args:
        party: A payer, a provider, an account id, or a document (S-000001, R-000001, C-000001, stm_…); everybody when
            not given.
        period: The period, such as 2026-11; every period that has ended when not given.
        session: Only of this session, which has ended.
        preview: What it would say now; nothing is numbered or stored.
        credit_note: Give back what was refunded of this statement after its issue, by a document of its own.
        charge: A charge that gives back, for a credit note; all corrections of the statement's charges when none is
            named. May be repeated.
        format: text (when not given), html, pdf, csv or json.
        out: Write one file a document into this folder.
    """
    form = "json" if answer.json else format
    asked = (party, period, session)
    if credit_note and preview:
        raise BadUsage("Either --preview or --credit-note.")
    if charge and not credit_note:
        raise BadUsage("--charge names what a credit note gives back: add --credit-note.")
    documents = _given_back(party, charge, place) if credit_note else _documents(asked, place, preview=preview)
    if out:
        files = [str(_written(one, form, Path(out))) for one in documents]
        answer.give({"files": files}, f"Wrote {len(files)} documents to {out}.")
    elif form == "json":
        write_json(documents)
    elif form == "text" and len(documents) != 1 and not preview:
        columns = ("number", "name", "issuer", "period", "total", "currency")
        write_table(Table.of(documents, columns))
        print("\nRead one: apportion statement NUMBER. Write all: apportion statement --out DIR --format html.")
    elif documents:
        sys.stdout.buffer.write(_formed(documents, form))
        sys.stdout.buffer.flush()


def _documents(asked: tuple[str, str, str], place: Place, *, preview: bool) -> Sequence[Document]:
    party, period, session = asked
    if period and session:
        raise BadUsage("Either --period or --session.")
    if preview:
        if not party:
            raise BadUsage("A preview is of one party: name it.")
        with reading(place) as books:
            accounts = [view.id for view in known(books, party) if view.role in ("payer", "provider")]
            return [one for id in accounts for one in books.statements.preview(id, period, session)]
    if party.startswith("stm_") or _NUMBER.fullmatch(party):
        with reading(place) as books:
            return [books.statements.read(party)]
    with changing(place) as books:
        return books.statements.documents(party, period, session)


def _given_back(number: str, charges: tuple[str, ...], place: Place) -> Sequence[Document]:
    if not number:
        raise BadUsage("A credit note is for a statement: name it, such as S-000001.")
    with changing(place) as books:
        return [books.statements.credit_note(number, charges)]


def _formed(documents: Sequence[Document], form: str) -> bytes:
    from apportion.faces.forms import formed

    return formed(documents, form)


def _written(document: Document, form: str, folder: Path) -> Path:
    import json

    import msgspec

    from apportion.faces.forms import file_name

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / file_name(document, form)
    if form == "json":
        file.write_text(json.dumps(msgspec.to_builtins(document), indent=2) + "\n", encoding="utf-8")
    else:
        file.write_bytes(_formed([document], form))
    return file
