"""What a catalog says of a payer's funding that can not be so."""

from __future__ import annotations

from typing import Any

import pytest

from apportion.model.catalog import Catalog
from apportion.model.funding import Alternate, AutoTopUp
from apportion.model.party import Payer, Provider
from apportion.model.references import check_catalog


def found(**more: Any) -> list[tuple[str, str]]:
    """(where, code) of every finding on ada, with two other payers and a provider beside her."""
    payers = (Payer("ada", "EUR", **more), Payer("pool", "EUR"), Payer("abroad", "USD"))
    catalog = Catalog(providers={"oak": Provider("oak")}, payers={payer.id: payer for payer in payers})
    return [(one.where.removeprefix("payers.ada."), one.code.value) for one in check_catalog(catalog)]


def test_what_can_be_is_not_reported() -> None:
    alternates = (Alternate("pool", "5.5", "day"),)
    assert found(alternates=alternates, guarantor="oak", auto_topup=AutoTopUp("20", "tok_1", "60")) == []
    assert found(alternates=(Alternate("pool"),), auto_topup=AutoTopUp("20", "tok_1")) == []


@pytest.mark.parametrize(
    ("alternate", "field", "code"),
    [
        (Alternate("poool"), "payer", "unknown_payer"),
        (Alternate("ada"), "payer", "catalog_invalid"),
        (Alternate("abroad"), "payer", "asset_mismatch"),
        (Alternate("pool", "0"), "cap", "bad_amount"),
        (Alternate("pool", "-1"), "cap", "bad_amount"),
        (Alternate("pool", "much"), "cap", "bad_amount"),
        (Alternate("pool", "1", "year"), "per", "catalog_invalid"),
    ],
)
def test_an_alternate_that_can_not_be_is_named_with_its_place(alternate: Alternate, field: str, code: str) -> None:
    assert found(alternates=(alternate,)) == [(f"alternates.0.{field}", code)]


def test_an_alternate_stands_once_and_a_guarantor_is_a_provider() -> None:
    twice = (Alternate("pool"), Alternate("pool", "3"))
    assert found(alternates=twice, guarantor="elm") == [
        ("guarantor", "unknown_provider"), ("alternates.1.payer", "catalog_invalid"),
    ]  # fmt: skip


def test_a_top_up_has_an_amount_and_a_token() -> None:
    assert found(auto_topup=AutoTopUp("", "tok")) == [("auto_topup.amount", "catalog_invalid")]
    assert found(auto_topup=AutoTopUp("5", "")) == []  # the card that the payer saves
    assert found(auto_topup=AutoTopUp("5", "4242 4242 4242 4242")) == [("auto_topup.method", "catalog_invalid")]
    assert found(auto_topup=AutoTopUp("0", "tok", "x")) == [
        ("auto_topup.amount", "bad_amount"), ("auto_topup.limit", "bad_amount"),
    ]  # fmt: skip
