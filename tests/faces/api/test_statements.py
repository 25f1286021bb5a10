"""Statements over HTTP and through Client: in every form, before they are issued, given back, and for whom they are."""

from __future__ import annotations

from decimal import Decimal

import pypdfium2
import pytest
from msgspec.structs import replace

import apportion
from apportion.errors import RefusalCode, Refused
from apportion.model.statement import CreditNote, Remittance, Statement
from apportion.model.tariff import Tariff, Unit
from tests.faces.api.nodes import NodeProcess, catalog, ride


@pytest.fixture
def used(node: NodeProcess) -> NodeProcess:
    node.ask("POST", "/v1/usage", [ride(1), ride(2, "ben"), ride(3)])
    return node


def text_of(pdf: bytes) -> tuple[int, str]:
    """How many pages a PDF has, and what is written on them."""
    document = pypdfium2.PdfDocument(pdf)
    return len(document), "\n".join(page.get_textpage().get_text_range() for page in document)


def test_a_preview_is_what_is_issued_then_and_stores_nothing(used: NodeProcess) -> None:
    with apportion.Client(used.url, key=used.first_key) as client:
        account = next(client.accounts("ada")).id
        (seen,) = client.preview(account, "2026-10")
        assert isinstance(seen, Statement) and (seen.number, seen.preview, seen.total) == ("", True, "14.00")
        assert list(client.statements()) == []
        (listed,) = client.issue("2026-10", "ada")
        made = client.statement(listed.id)
        assert isinstance(made, Statement) and (made.sections, made.total) == (seen.sections, seen.total)
        with pytest.raises(Refused) as over:
            client.preview(account, "2026-10")
        assert over.value.refusal.code is RefusalCode.CONFLICT
        (advice,) = client.preview(next(client.accounts("dora")).id, "2026-10")
        assert isinstance(advice, Remittance) and advice.preview
    for role, party, status in (
        ("user", "ada", 200),
        ("user", "ben", 404),
        ("provider", "dora", 404),
        ("auditor", "", 200),
    ):
        found = used.ask("GET", f"/v1/accounts/{account}/preview", key=used.key(role, party))
        assert found.status == status, (role, party)
    assert used.ask("GET", f"/v1/accounts/{account}/preview?session=ses_x").status == 404
    page = used.ask("GET", f"/v1/accounts/{account}/preview?format=html")
    assert page.status == 200


def test_a_statement_in_every_form(used: NodeProcess) -> None:
    with apportion.Client(used.url, key=used.first_key) as client:
        (listed,) = client.issue("2026-10", "ada")
        pages, text = text_of(client.download(listed.id))
        assert pages == 1 and "Page 1 of 1" in text
        for words in ("S-000001", "14.00 EUR", "1 to 31 October 2026", "Ride", "2 uses"):
            assert words in text, words
        assert b"<h1>Statement</h1>" in client.download(listed.number, "html")
        assert client.download(listed.id, "csv").decode().splitlines()[1].startswith("S-000001,statement,acct_00001")
        assert "STATEMENT" in client.download(listed.id, "text").decode()
        assert client.download(listed.id, "json") == client.fetch("statement", listed.id)
    answer = used.ask("GET", f"/v1/statements/{listed.id}?format=pdf")
    assert answer.headers["content-disposition"] == 'attachment; filename="S-000001.pdf"'
    assert answer.headers["content-type"] == "application/pdf"
    assert used.ask("GET", f"/v1/statements/{listed.id}?format=docx").status == 422
    assert used.ask("GET", f"/v1/statements/{listed.id}?format=pdf", key=used.key("user", "ben")).status == 404


def test_a_credit_note_is_made_once_however_often_it_is_asked_for(used: NodeProcess) -> None:
    with apportion.Client(used.url, key=used.first_key) as client:
        (listed,) = client.issue("2026-10", "ada")
        with pytest.raises(Refused) as nothing:
            client.credit_note(listed.id)
        assert nothing.value.refusal.code is RefusalCode.NOT_FOUND
        fare = Tariff(id="fare", currency="EUR", components=(Unit(name="way", measure="km", price="7"),))
        driving = replace(fare, id="driving", components=(Unit(name="time", measure="km", price="1.7371"),))
        client.apply(replace(catalog(), tariffs={**catalog().tariffs, "fare": fare, "driving": driving}))
        back = used.ask("POST", "/v1/usage", [ride(9, quantities={"km": "-1"})]).json["records"][0]["id"]
        note = client.credit_note(listed.number, [back], idempotency_key="k")
        assert isinstance(note, CreditNote) and client.credit_note(listed.number, [back], idempotency_key="k") == note
        assert client.credit_note(listed.id, [back]) == note == client.statement("C-000001")
        assert Decimal(note.total) < 0 and note.corrects == listed.number
        _, text = text_of(client.download(note.number))
        assert "Credit note" in text and "It corrects statement S-000001" in text
        assert [one.corrects for one in client.statements()] == ["", listed.id]
    path = f"/v1/statements/{listed.id}/credit-notes"
    assert used.ask("POST", path, {"charges": [back]}, key=used.key("user", "ada")).status == 403
    assert used.ask("POST", "/v1/statements", {"period": "2026-10", "session": "ses_1"}).status == 422
    assert used.ask("POST", "/v1/statements", {"session": "ses_1"}).status == 404
