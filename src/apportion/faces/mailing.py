"""The letter that a statement is sent with: the document as text, as a page, and as a PDF where one can be made."""

from __future__ import annotations

from apportion.errors import Refused
from apportion.faces.forms import file_name, formed
from apportion.faces.pages.phrases import phrases_of
from apportion.model.delivery import Letter
from apportion.model.statement import Document, Statement
from apportion.stages.statement import grouped


def letter_of(document: Document, address: str) -> Letter:
    """A document as a letter to an address; its id is the document's, so that one that comes twice is known."""
    say = phrases_of(document)
    title = say.title(document) if isinstance(document, Statement) else say.advice
    issuer = document.issuer[:1].upper() + document.issuer[1:]
    total = f"{grouped(document.total)} {document.currency}"
    subject = f"{title} {document.number} · {issuer} · {say.span(document)} · {total}"
    text, page = formed([document], "text").decode(), formed([document], "html").decode()
    files: tuple[tuple[str, str, bytes], ...] = ()
    try:
        files = ((file_name(document, "pdf"), "application/pdf", formed([document], "pdf")),)
    except Refused:  # typst is not installed: the page says the same
        pass
    return Letter(document.id, address, " ".join(subject.split()), text, page, files)
