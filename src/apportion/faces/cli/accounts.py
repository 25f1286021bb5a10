"""What the books say of accounts: ``balance`` and ``statement``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer
from apportion.faces.cli.reach import Reach, changing, reading
from apportion.faces.tables import Table, write_json, write_table

if TYPE_CHECKING:
    from apportion.engine.query import AccountView
    from apportion.model.statement import Document

COLUMNS = ("id", "role", "owner", "currency", "posted", "held", "available")
_NUMBER = re.compile(r"[SR]-[0-9]+", re.ASCII)


def balance(
    account: str = "",
    /,
    *,
    role: Literal[
        "", "payer", "provider", "platform", "tax", "sponsor", "rounding", "cash", "bucket", "deferred", "clearing"
    ] = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Balances as they stand: of everybody, of one party, or of one account.

    Credits are positive: above zero a payer has value left, a provider is owed. Available is what a payer may still
    use: posted less held, plus the credit line. A payer's buckets, and what it paid for allowances that are not used
    up, are accounts of their own with a name.

    Args:
        account: An account id or the name of a party; all accounts when not given.
        role: Only accounts of this role: payer, provider, platform, tax, sponsor, rounding, cash, bucket,
            deferred or clearing.
    """
    with reading(place) as books:
        views = known(books, account, role) if account else books.accounts(role=role)
    columns = (*COLUMNS, "name") if any(view.name for view in views) else COLUMNS
    answer.give(Table.of(views, columns), views)


def known(books: Reach, name: str, role: str = "") -> list[AccountView]:
    """The accounts of a party or id.

    Raises:
        Refused: NOT_FOUND.
    """
    from apportion.errors import RefusalCode, refuse

    found = books.accounts(name, role)
    if not found:
        raise refuse(
            RefusalCode.NOT_FOUND,
            f"there is no account or party {name[:60]!r}.",
            field="account",
            fix="List them with apportion balance.",
        )
    return found


def statement(
    party: str = "",
    /,
    *,
    period: str = "",
    format: Literal["text", "html", "json", "csv"] = "text",
    out: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Statements for payers, remittance advices for providers.

    Such as: apportion statement ada --period 2026-11

    Issued once and kept for ever: asked for again, the same document comes back. Every amount is rounded once, at the
    edge, and the lines add up to the total.

    Args:
        party: A payer, a provider, an account id, or a document (S-000001, R-000001, stm_…); everybody when not given.
        period: The period, such as 2026-11; every period that has ended when not given.
        format: text (when not given), html, json or csv.
        out: Write one file a document into this folder.
    """
    form = "json" if answer.json else format
    documents = _documents(party, period, place)
    if out:
        files = [str(_written(one, form, Path(out))) for one in documents]
        answer.give({"files": files}, f"Wrote {len(files)} documents to {out}.")
    elif form == "json":
        write_json(documents)
    elif form == "text" and len(documents) != 1:
        columns = ("number", "name", "period", "total", "currency")
        write_table(Table.of(documents, columns))
        print("\nRead one: apportion statement NUMBER. Write all: apportion statement --out DIR --format html.")
    else:
        print("\n".join(_rendered(one, form) for one in documents))


def _documents(party: str, period: str, place: Place) -> list[Document]:
    if party.startswith("stm_") or _NUMBER.fullmatch(party):
        with reading(place) as books:
            return [books.document(party)]
    with changing(place) as books:
        return books.documents(party, period)


def _rendered(document: Document, form: str) -> str:
    import json

    import msgspec

    from apportion.stages.statement import as_csv, as_text

    if form == "html":
        from apportion.faces.pages.build import document_page

        return document_page(document)
    if form == "json":
        return json.dumps(msgspec.to_builtins(document), indent=2) + "\n"
    return as_text(document) if form == "text" else as_csv(document)


def _written(document: Document, form: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{document.number}.{'txt' if form == 'text' else form}"
    file.write_text(_rendered(document, form), encoding="utf-8")
    return file
