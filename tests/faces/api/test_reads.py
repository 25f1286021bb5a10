"""Reads by what is asked for: accounts of one owner, holds, catalog versions, portions; and keys that are bounded."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import apportion
from apportion.engine.exchange import HoldInput
from apportion.errors import Misconfigured, NotFound, RefusalCode, Refused
from apportion.model.access import AccessRole
from tests.faces.api.nodes import NodeProcess, books, catalog, ride

LATER = "2099-01-01T00:00:00Z"


def test_accounts_of_one_owner_one_id_one_role(node: NodeProcess) -> None:
    node.ask("POST", "/v1/usage", [ride(1), *(ride(f"n{n}", f"rider {n:03}") for n in range(230))])
    with apportion.Client(node.url, key=node.first_key) as client:
        every = list(client.accounts())
        assert len(every) > 230 and len({view.id for view in every}) == len(every)
        ada = [view for view in every if view.owner == "ada"]
        assert list(client.accounts("ada")) == ada == list(client.accounts(ada[0].id)) and len(ada) == 1
        assert list(client.accounts("ada", "provider")) == [] == list(client.accounts("nobody"))
        assert sorted(view.owner for view in client.accounts(role="provider")) == ["dora", "otto"]
        assert [view.id for view in client.accounts(role="payer")] == [v.id for v in every if v.role == "payer"]
        assert client.account(ada[0].id) == ada[0]
    assert node.ask("GET", "/v1/accounts?role=nonsense").status == 422
    mine = node.ask("GET", "/v1/accounts?owner=ada", key=node.key("user", "ben")).json["data"]
    assert mine == [] and node.ask("GET", "/v1/accounts?owner=ben", key=node.key("user", "ben")).json["data"] != []


def test_accounts_are_found_by_name_by_id_and_by_place(tmp_path: Path) -> None:
    store = tmp_path / "books.db"
    books(store)
    with apportion.open(str(store)) as engine:
        names = ["p", "p1", "p11", "p:1", "p.1", "acct_00001", "acct_99999", "é"]
        payers = {name: msgspec.structs.replace(catalog().payers["ada"], id=name) for name in names}
        engine.apply(msgspec.structs.replace(catalog(), payers=payers))
        every = engine.books.accounts()
        for view in every:
            assert engine.books.named(view.id) == [view] == engine.books.page(every.index(view), 1)
            if view.owner != "acct_00001":  # an id comes first
                assert engine.books.named(view.owner) == [view]
        assert engine.books.page(0, 5) + engine.books.page(5) == every
        assert engine.books.named("nobody") == engine.books.named("") == engine.books.named("acct_٣") == []


def test_holds_as_each_role_sees_them(node: NodeProcess) -> None:
    with apportion.Client(node.url, key=node.first_key) as client:
        made = [client.hold(HoldInput(who, "2", "EUR", f"o{n}", LATER)) for n, who in enumerate(("ada", "ben", "ada"))]
        client.end_hold(made[0].id, "1.5")
        one = client.hold_of(made[0].id)
        assert (one.state, one.open, one.captured, one.released) == (
            "captured",
            "0.000000000",
            "1.500000000",
            "0.500000000",
        )
        ada = made[0].account
        assert [hold.id for hold in client.holds(ada)][-2:] == [made[0].id, made[2].id]
        assert made[2].id in {hold.id for hold in client.holds(open=True)}
        assert made[0].id not in {hold.id for hold in client.holds(ada, open=True)}
        pages = node.ask("GET", f"/v1/holds?limit=1&account={ada}").json
        assert len(pages["data"]) == 1 and pages["next"]
        for wrong in ("hold_99999", "acct_00001", "hold_x"):
            with pytest.raises(Refused) as refused:
                client.hold_of(wrong)
            assert refused.value.refusal.code is RefusalCode.NOT_FOUND
        with pytest.raises(Refused):
            list(client.holds("acct_99999"))
    with apportion.Client(node.url, key=node.key("user", "ben")) as ben:
        assert {hold.account for hold in ben.holds()} == {made[1].account}
        assert ben.hold_of(made[1].id).owner == "o1"
        with pytest.raises(Refused):
            ben.hold_of(made[0].id)
        with pytest.raises(Refused):
            list(ben.holds(ada))
    with (
        apportion.Client(node.url, key=node.key("provider", "dora")) as dora,
        pytest.raises(Misconfigured, match="may not"),
    ):
        list(dora.holds())


def test_versions_of_the_catalog_and_portions(node: NodeProcess) -> None:
    with apportion.Client(node.url, key=node.first_key) as client:
        first = client.catalog().id
        made = node.ask("POST", "/v1/usage", [ride("p1")]).json["records"][0]["id"]
        second = client.apply(catalog(price="8"))
        assert client.catalog().id == second and client.catalog(first).catalog == client.catalog(first).catalog
        assert client.catalog(first).catalog.tariffs["fare"] != client.catalog().catalog.tariffs["fare"]
        for version in ("cat_" + "0" * 32, "key_0", "cursors"):
            with pytest.raises(Refused) as refused:
                client.catalog(version)
            assert refused.value.refusal.code is RefusalCode.NOT_FOUND
        client.apply(catalog())
        driver = client.explain(f"{made}/driver")
        assert "1.7371" in str(msgspec.to_builtins(driver)) and "0.31415" not in str(msgspec.to_builtins(driver))
    with apportion.Client(node.url, key=node.key("user", "ada")) as ada, pytest.raises(Refused):
        ada.explain(f"{made}/driver")


def test_the_books_know_which_catalogs_they_have(tmp_path: Path) -> None:
    store = tmp_path / "books.db"
    books(store)
    with apportion.open(str(store)) as engine:
        with pytest.raises(NotFound, match="have no catalog 'key_0'"):
            engine.terms("key_0")


def test_a_key_charges_only_what_it_is_bounded_to(node: NodeProcess) -> None:
    with apportion.Client(node.url, key=node.first_key) as client:
        made = client.create_key(AccessRole.PROVIDER, "dora", ["bound"], services=("ride",), payers=("ada", "ben"))
        other = client.create_key(AccessRole.PROVIDER, "dora", ["bound"], services=("flight",))
        assert made.key.services == ("ride",) and made.key.payers == ("ada", "ben")
        with pytest.raises(Refused) as refused:
            client.create_key(AccessRole.AUDITOR, services=("ride",))
        assert refused.value.refusal.field == "services"
        before = next(client.accounts("ada")).posted

    def send(*records: object, key: str = made.secret) -> tuple[int, str]:
        answer = node.ask("POST", "/v1/usage", list(records), key)
        return answer.status, answer.json.get("detail", "")

    assert send(ride("b1", "ada", "bound")) == (200, "")
    assert send(ride("b2", "ada", "bound"), ride("b3", "eve", "bound")) == (
        403,
        "This key may not charge the payer 'eve'.",
    )
    shared = ride("b4", "ada", "bound", payers=[{"payer": "ada"}, {"payer": "eve"}])
    assert send(shared)[0] == 403
    assert send(ride("b5", "ada", "bound"), key=other.secret) == (403, "This key may not charge the service 'ride'.")
    event = {"specversion": "1.0", "id": "b6", "source": "bound", "type": "ride", "subject": "eve"}
    event |= {"time": "2026-10-16T08:05:00Z", "data": {"quantities": {"km": "1"}}}
    sent = node.ask("POST", "/v1/events", event, made.secret, content_type="application/cloudevents+json")
    assert sent.status == 403
    with apportion.Client(node.url, key=node.first_key) as client:
        after = next(client.accounts("ada")).posted
        assert [float(before) - float(after), list(client.accounts("eve"))] == [7.0, []]


def test_every_period_that_usage_names_is_closed(node: NodeProcess) -> None:
    with apportion.Client(node.url, key=node.first_key) as client:
        assert client.close_period("", force=True) == client.close_period("", force=True)
