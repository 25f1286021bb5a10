"""The operations on statements beside issuing those of a period: previews and credit notes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import Input, Name, Text
from apportion.engine.operation import Once, Operation, Way, op
from apportion.engine.statements.apart import CORRECTIONS_MAX, credit_note
from apportion.engine.statements.preview import preview
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.statement import CreditNote, Document

_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_C = RefusalCode
#: in which forms a document can be had, and what each is
FORMS = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
Form = Literal["json", "html", "pdf", "csv", "text"]


class FormQuery(Input, frozen=True):
    """In which ``format``: json when none is named; html and pdf are for people, csv for spreadsheets."""

    format: Form = "json"


class PreviewQuery(FormQuery, frozen=True):
    """Of which ``period`` (the present one, when empty), or of which ``session``."""

    period: Text = ""
    session: Text = ""


class PreviewAnswer(msgspec.Struct, frozen=True):
    """What would be issued: one document, or several where each provider sends its own."""

    data: tuple[Document, ...]


class CreditNoteInput(Input, frozen=True):
    """What is given back: ids of ``charges`` (or entries); all corrections of the statement's charges, when empty."""

    charges: Annotated[tuple[Name, ...], Meta(max_length=CORRECTIONS_MAX)] = ()


def run_preview(engine: Engine, call: Call) -> PreviewAnswer:
    """What the next documents of an account would say."""
    Sight(engine, call.caller).account(call.id)
    query: PreviewQuery = call.query
    return PreviewAnswer(tuple(preview(engine, call.id, query.period, query.session)))


def run_credit_note(engine: Engine, call: Call) -> CreditNote:
    """Give back what was refunded of a statement."""
    given: CreditNoteInput = call.given
    return credit_note(engine, call.id, given.charges)


BILLING: tuple[Operation, ...] = (
    op(
        "preview", "GET /v1/accounts/{id}/preview", "What an account's next statement would say, now.", run_preview,
        (_O, _A, _U, _P), gives=PreviewAnswer, way=Way.READ, query=PreviewQuery,
        problems=(_C.NOT_FOUND, _C.BAD_TIME, _C.CONFLICT, _C.BAD_INPUT), forms=tuple(FORMS.values())[1:],
        more="Nothing is numbered, signed or stored. `session` asks for a session's, also while it runs. Users and"
        " providers see their own; a department its own part of what its parent is asked for.",
    ),
    op(
        "credit_note", "POST /v1/statements/{id}/credit-notes", "Give back what was refunded after a statement.",
        run_credit_note, (_O,), takes=CreditNoteInput, way=Way.ALONE, gives=CreditNote, once=Once.OPTIONAL, status=201,
        problems=(_C.NOT_FOUND, _C.BAD_AMOUNT, _C.BAD_INPUT, _C.CONFLICT),
        more="A document with a number of its own that names the statement, which stays as it is. It gives back what"
        " is on no document yet: corrections of the statement's charges, or the charges that are named.",
    ),
)  # fmt: skip
