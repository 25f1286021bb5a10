"""Client: the verbs of Engine over HTTP, its errors, and repeating only what is safe to repeat."""

from __future__ import annotations

import inspect
import json
from typing import Any

import httpx2
import pytest

import apportion
from apportion.engine.exchange import HoldInput
from apportion.engine.operations import OPERATIONS
from apportion.errors import Misconfigured, RefusalCode, Refused, StoreUnavailable
from apportion.faces.statements import Statements
from apportion.model.access import AccessRole
from apportion.model.usage import PayerUse, Usage
from tests.book import START
from tests.faces.api.nodes import NodeProcess, catalog
from tests.faces.driving import process


def usage(id: str, payer: str = "ada") -> Usage:
    return Usage("meter", id, "ride", START.replace(month=10), None, (PayerUse(payer),), (), {"km": "1"})


def test_the_same_story_as_the_engine(node: NodeProcess) -> None:
    with apportion.Client(node.url, key=node.first_key) as client:
        assert client.apply(catalog()) == client.catalog().id
        first, again = client.charge([usage("c1"), usage("c1")])
        assert (first.state.value, again.state.value) == ("charged", "duplicate") and first.id == again.id
        assert client.charge_of(first.id).total == "7.000000000"
        assert client.explain(first.id, "user=ada").holds
        assert client.top_up("ada", "5", "EUR", "c").amount == "5.000000000"
        held = client.hold(HoldInput("ada", "9", "EUR", "o", "2099-01-01T00:00:00Z"))
        assert client.end_hold(held.id, "4", final=False).open == "5.000000000"
        assert client.release(held.id).state == "captured"
        with pytest.raises(Refused) as refused:
            client.end_hold(held.id)
        assert refused.value.refusal.code is RefusalCode.HOLD_ENDED
        account = next(account for account in client.accounts() if account.owner == "ada")
        assert client.account(account.id).posted == "98.000000000"
        assert [entry.kind for entry in client.entries(account.id)] == ["opening", "charge", "topup"]
        assert client.close_period("2026-10").accounts == 0
        issued = client.issue("2026-10")
        assert client.statement(issued[0].id).number == issued[0].number
        assert {one.id for one in client.statements()} == {one.id for one in issued}
        assert sum(1 for _ in client.charges()) == 1
        assert next(client.export()).startswith(b'{"type":"genesis"')
        assert b'"type":"end"' in list(client.export())[-1]
        made = client.create_key(AccessRole.PROVIDER, "dora", ["dora-1"])
        assert [key.party for key in client.keys() if key.id == made.key.id] == ["dora"]
        with apportion.Client(node.url, key=made.secret) as dora:
            assert dora.me().sources == ("dora-1",)
            assert [account.role for account in dora.accounts()] == ["provider"]
            with pytest.raises(Misconfigured, match="key may not"):
                dora.catalog()
        client.revoke_key(made.key.id)


def test_there_is_a_verb_for_every_operation() -> None:
    with apportion.Client("http://127.0.0.1:9", key="nobody") as client:
        namespaces = {type(one) for one in vars(client).values() if type(one).__module__.startswith("apportion.faces")}
    kinds = (apportion.Client, Statements, *namespaces)
    verbs = [verb for kind in kinds for verb in vars(kind).values() if inspect.isfunction(verb)]
    source = "".join(inspect.getsource(verb) for verb in verbs if verb.__doc__)
    for operation in OPERATIONS:
        assert f'"{operation.name}"' in source, f"Client has no verb for {operation.name}"


def test_events_are_charged_like_records(node: NodeProcess) -> None:
    def event(id: str, km: str) -> dict[str, Any]:
        sent = {"specversion": "1.0", "id": id, "source": "events", "type": "ride", "subject": "ben"}
        return sent | {"time": "2026-10-16T08:05:00Z", "data": {"quantities": {"km": km}}}

    with apportion.Client(node.url, key=node.first_key) as client:
        first, bad = client.charge_events([event("e1", "1"), event("e2", "-")], idempotency_key="events")
        assert first.state.value == "charged" and bad.refusal is not None
        assert bad.refusal.code is RefusalCode.BAD_QUANTITY
        again = client.charge_events([event("e1", "1"), event("e2", "-")], idempotency_key="events")
        assert again[0] == first and client.charge_of(first.id).record == "e1"


class Losing(httpx2.BaseTransport):
    """Carries every request to the node, and loses the first answers on the way back."""

    def __init__(self, losses: int) -> None:
        self.inner, self.losses, self.keys = httpx2.HTTPTransport(), losses, list[str]()

    def handle_request(self, request: Any) -> Any:
        self.keys.append(request.headers.get("idempotency-key", ""))
        answer = self.inner.handle_request(request)
        if self.losses:
            self.losses -= 1
            answer.read()
            raise httpx2.ReadError("lost")
        return answer


def test_a_lost_answer_is_asked_for_again_under_the_same_key(node: NodeProcess) -> None:
    road = Losing(2)
    with apportion.Client(node.url, key=node.first_key, transport=road) as client:
        held = client.hold(HoldInput("ben", "1", "EUR", "lost", "2099-01-01T00:00:00Z"))
        assert len(set(road.keys)) == 1 and len(road.keys) == 3 and road.keys[0]
        ben = next(account for account in client.accounts() if account.owner == "ben")
        assert ben.held == held.amount
        road.losses, road.keys = 1, []
        with pytest.raises(StoreUnavailable, match="did not answer"):
            client.create_key(AccessRole.AUDITOR)
        assert len(road.keys) == 1


def test_errors_are_those_of_the_engine(node: NodeProcess) -> None:
    with apportion.Client(node.url, key=node.first_key) as client:
        for run, code in (
            (lambda: client.top_up("zoe", "1", "EUR", "z"), RefusalCode.UNKNOWN_PAYER),
            (lambda: client.charge_of("chg_" + "0" * 32), RefusalCode.NOT_FOUND),
            (lambda: client.close_period("2099-01"), RefusalCode.PERIOD_OPEN),
        ):
            with pytest.raises(Refused) as refused:
                run()
            assert refused.value.refusal.code is code
    with apportion.Client(node.url, key="apk_no_no") as client, pytest.raises(Misconfigured, match="apk_"):
        client.me()
    with apportion.Client("http://127.0.0.1:9", key="x", tries=1) as client, pytest.raises(StoreUnavailable):
        client.me()


def test_an_address_in_use_is_said_before_anything_is_opened(node: NodeProcess, tmp_path: Any) -> None:
    done = process("serve", "--store", tmp_path / "other.db", "--port", node.address[1])
    assert done.returncode == 1 and b"can not be listened on" in done.stderr and b"--port" in done.stderr
    assert not (tmp_path / "other.db").exists() and b"apk_" not in done.stdout
    held = process("key", "create", "auditor", "--store", node.store)
    assert held.returncode == 1 and b"another process" in held.stderr


def test_keys_by_the_command_line(tmp_path: Any) -> None:
    store = tmp_path / "books.db"
    made = json.loads(process("key", "create", "provider", "--party", "dora", "--store", store, "--json").stdout)
    listed = json.loads(process("key", "list", "--store", store, "--json").stdout)
    assert [key["party"] for key in listed] == ["dora"] and made["secret"] not in str(listed)
    assert process("key", "revoke", made["key"]["id"], "--store", store).returncode == 0
    assert json.loads(process("key", "list", "--store", store, "--json").stdout)[0]["revoked"]
    assert process("key", "create", "user", "--store", store).returncode == 1
