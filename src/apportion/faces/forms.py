"""Documents in the form that is asked for: JSON, a page, a PDF, lines for a spreadsheet, or plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from apportion.errors import Misconfigured, RefusalCode, refuse
from apportion.model.statement import Document
from apportion.stages.statement import as_csv, as_text

_BEGIN, _END = "<main>", "</main>"


def formed(documents: Sequence[Document], form: str) -> bytes:
    """Documents one after another in one file; as JSON the one document, or a list of several.

    Raises:
        Refused: BAD_INPUT when what makes this form is not installed.
    """
    if form == "json":
        return msgspec.json.encode(documents[0] if len(documents) == 1 else documents)
    if form == "text":
        return "\n".join(as_text(document) for document in documents).encode()
    if form == "csv":
        first, *rest = [as_csv(document) for document in documents]
        return "".join([first, *(text.partition("\n")[2] for text in rest)]).encode()
    if form == "html":
        return _pages(documents).encode()
    from apportion.faces.pages.printed import documents_pdf

    try:
        return documents_pdf(documents)
    except Misconfigured as error:
        raise refuse(RefusalCode.BAD_INPUT, "no PDF can be made here.", field="format", fix=str(error)) from error


def _pages(documents: Sequence[Document]) -> str:
    """One page; what stands on the others is put below it."""
    from apportion.faces.pages.build import document_page

    first, *rest = [document_page(document) for document in documents]
    for page in rest:
        more = page.partition(_BEGIN)[2].rpartition(_END)[0]
        before, end, after = first.rpartition(_END)
        first = f"{before}{end}\n{_BEGIN}{more}{end}{after}"
    return first


def documents_of(answer: Any) -> Sequence[Document]:
    """The documents in an answer: it is one, or holds several as its data."""
    found: Sequence[Document] = answer.data if hasattr(answer, "data") else (answer,)
    return found


def file_name(document: Document, form: str) -> str:
    """What a document is called as a file."""
    return f"{document.number or 'preview'}.{'txt' if form == 'text' else form}"
