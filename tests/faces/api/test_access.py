"""Who may do what: every route as every role and as nobody; tenants and parties that never see one another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apportion.engine.operations import OPERATIONS, Operation, Way
from apportion.faces.api.pages import PAGES
from tests.faces.api.hearing import Stream
from tests.faces.api.nodes import CANARIES, MARGIN, NodeProcess, books, ride

BODIES = {
    "charge": [],
    "charge_events": [],
    "top_up": {"payer": "nobody", "amount": "1", "currency": "EUR", "reference": "walk"},
    "hold": {"payer": "nobody", "amount": "1", "currency": "EUR", "owner": "o", "expires": "2099-01-01T00:00:00Z"},
    "capture": {"amount": "1"},
    "grant": {"payer": "nobody", "amount": "1", "currency": "EUR", "reference": "walk"},
    "buy_allowance": {
        "payer": "nobody",
        "currency": "EUR",
        "price": "1",
        "measure": "km",
        "units": "1",
        "reference": "walk",
    },
    "apply": {"nonsense": 1},
    "create_key": {"role": "user"},
    "create_webhook": {"url": "https://127.0.0.1/"},
}
ABSENT = "chg_" + "0" * 32
# what a user may do with money, and under a key: its own alone
OWN_MONEY = {
    "pay", "open_session", "confirm", "accept", "end_session", "plan", "plan_all", "accept_plan", "pay_statement",
    "save_card", "dispute", "add_evidence", "withdraw_dispute",
}  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, dict[str, str]]]:
    """A node with two tenants, and an operator's key of each."""
    store: Path = tmp_path_factory.mktemp("tenants") / "books.db"
    secrets = books(store, ("main", "other"))
    node = NodeProcess(store)
    yield node, secrets
    assert node.stop() == 0


def ask(node: NodeProcess, operation: Operation, key: str) -> int:
    body = BODIES.get(operation.name, {}) if operation.takes is not None else None
    more = {"content_type": operation.media[-1]} if operation.name == "charge_events" else {}
    path = operation.path.replace("{id}", ABSENT)
    if operation.way is Way.WATCH:
        with Stream(node, path, key) as stream:
            return stream.status
    return node.ask(operation.method, path, body, key, idempotency_key=f"walk {operation.name}", **more).status


def test_every_route_as_every_role_and_as_nobody(node: NodeProcess) -> None:
    keys = {
        "operator": node.first_key,
        "auditor": node.key("auditor"),
        "user": node.key("user", "ada"),
        "provider": node.key("provider", "dora", "dora-meter"),
    }
    for operation in OPERATIONS:
        assert operation.roles, operation.name
        assert ask(node, operation, "none") == 401, operation.name
        assert ask(node, operation, "apk_0000000000000000_" + "0" * 64) == 401, operation.name
        for role, key in keys.items():
            allowed = role in {one.value for one in operation.roles}
            status = ask(node, operation, key)
            assert (status != 403) == allowed and status not in (401, 500), (operation.name, role, status)
    for path, page in PAGES.items():
        assert node.ask("GET", path, key="none").status == (401 if page.roles else 200), path
        if page.roles:
            assert {role: node.ask("GET", path, key=key).status for role, key in keys.items()} == {
                "operator": 200, "auditor": 200, "user": 403, "provider": 403,
            }  # fmt: skip


def test_only_readers_may_be_given_to_auditors() -> None:
    from apportion.model.access import AccessRole

    for operation in OPERATIONS:
        if AccessRole.AUDITOR in operation.roles:
            assert operation.method == "GET" or operation.way is Way.READ, operation.name
        for_users = AccessRole.USER in operation.roles and operation.name not in OWN_MONEY
        assert operation.moves_money <= (not for_users), operation.name


def test_views_keep_their_secrets(node: NodeProcess) -> None:
    made = node.ask("POST", "/v1/usage", [ride("secret-1", "ada"), ride("secret-2", "ben")]).json["records"]
    mine, theirs = (record["id"] for record in made)
    node.ask("POST", "/v1/statements", {"period": "2026-10"})
    for party, role in (("ada", "user"), ("dora", "provider"), ("otto", "provider"), ("nobody", "user")):
        key = node.key(role, party)
        seen = b""
        for path in (
            "/v1/accounts", "/v1/charges", "/v1/statements", f"/v1/charges/{mine}", f"/v1/charges/{theirs}",
            f"/v1/charges/{mine}/explanation?view=operator", f"/v1/charges/{mine}/explanation?view=provider=dora",
            f"/v1/charges/{theirs}/explanation?view=user=ben", "/v1/me",
        ):  # fmt: skip
            seen += node.ask("GET", path, key=key).body
        accounts = node.ask("GET", "/v1/accounts", key=key).json["data"]
        assert all(account["owner"] == party for account in accounts)
        for account in accounts:
            seen += node.ask("GET", f"/v1/accounts/{account['id']}/entries", key=key).body
        for document in node.ask("GET", "/v1/statements", key=key).json["data"]:
            seen += node.ask("GET", f"/v1/statements/{document['id']}", key=key).body
        for owner, canary in CANARIES.items():
            assert (canary.encode() in seen) == (owner == party), (party, owner)
        assert MARGIN.encode() not in seen
        if role == "provider":
            assert b"7.00" not in seen and b'"ada"' not in seen
        if party == "ada":
            assert mine.encode() in seen and b'"ben"' not in seen
            assert node.ask("GET", f"/v1/charges/{theirs}", key=key).status == 404


def test_what_is_not_mine_is_as_if_it_were_not(two: tuple[NodeProcess, dict[str, str]]) -> None:
    node, secrets = two
    made = node.ask("POST", "/v1/usage", [ride(1, "ada")], secrets["main"]).json["records"][0]["id"]
    hold = {"payer": "ada", "amount": "1", "currency": "EUR", "owner": "o", "expires": "2099-01-01T00:00:00Z"}
    held = node.ask("POST", "/v1/holds", hold, secrets["main"], idempotency_key="x").json["id"]
    ada = node.ask("POST", "/v1/keys", {"role": "user", "party": "ada"}, secrets["main"]).json
    ben = node.ask("POST", "/v1/keys", {"role": "user", "party": "ben"}, secrets["main"]).json["secret"]
    other = secrets["other"]

    def shape(answer: object, id: str) -> tuple[int, str]:
        text = answer.body.decode().replace(id, "ID")  # type: ignore[attr-defined]
        return answer.status, text.partition(',"request_id"')[0]  # type: ignore[attr-defined]

    for key in (other, ben):
        for path in ("/v1/charges/{}", "/v1/charges/{}/explanation"):
            there = shape(node.ask("GET", path.format(made), key=key), made)
            assert there == shape(node.ask("GET", path.format(ABSENT), key=key), ABSENT) and there[0] == 404
        assert made not in node.ask("GET", "/v1/charges", key=key).body.decode()
    absent = "hold_00099"
    ended = node.ask("POST", f"/v1/holds/{held}/release", {}, other, idempotency_key="a")
    never = node.ask("POST", f"/v1/holds/{absent}/release", {}, other, idempotency_key="b")
    assert shape(ended, held) == shape(never, absent) and ended.status == 404
    assert shape(node.ask("DELETE", f"/v1/keys/{ada['key']['id']}", key=other), ada["key"]["id"]) == shape(
        node.ask("DELETE", "/v1/keys/0000000000000000", key=other), "0000000000000000"
    )
    for account in node.ask("GET", "/v1/accounts", key=secrets["main"]).json["data"]:
        if account["owner"] != "ben":
            theirs = shape(node.ask("GET", f"/v1/accounts/{account['id']}", key=ben), account["id"])
            assert theirs == shape(node.ask("GET", "/v1/accounts/acct_09999", key=ben), "acct_09999")
    assert node.ask("POST", "/v1/usage", [ride(1, "ada")], other).json["records"][0]["state"] == "charged"
    cursor = node.ask("GET", "/v1/charges?limit=1", key=secrets["main"]).json["next"]
    assert cursor and node.ask("GET", f"/v1/charges?after={cursor}", key=other).status == 422


def test_a_source_is_bound_to_its_key(node: NodeProcess) -> None:
    otto = node.key("provider", "otto", "otto-meter")
    dora = node.key("provider", "dora", "meter-of-dora")
    assert node.ask("POST", "/v1/usage", [ride(1, "ben", "otto-meter")], otto).status == 200
    for key in (dora, node.first_key):
        refused = node.ask("POST", "/v1/usage", [ride(2, "ben", "otto-meter")], key)
        assert refused.status == 403 and refused.json["code"] == "forbidden"
    mixed = [ride(3, "ben", "otto-meter"), ride(3, "ben", "meter")]
    assert node.ask("POST", "/v1/usage", mixed, otto).status == 403
    assert node.ask("POST", "/v1/usage", mixed[1:]).json["records"][0]["state"] == "charged"
    poor = node.ask("POST", "/v1/usage", [ride(f"p{i}", "ben", "otto-meter") for i in range(30)], otto).json["records"]
    assert poor[-1]["state"] == "pending" and set(poor[-1]["refusal"]) == {"code", "field"}


def test_revoked_and_expired_keys_open_nothing(node: NodeProcess) -> None:
    made = node.ask("POST", "/v1/keys", {"role": "auditor"}).json
    assert node.ask("GET", "/v1/me", key=made["secret"]).json["role"] == "auditor"
    assert node.ask("DELETE", f"/v1/keys/{made['key']['id']}").json["revoked"]
    assert node.ask("GET", "/v1/me", key=made["secret"]).status == 401
    past = node.ask("POST", "/v1/keys", {"role": "auditor", "expires": "2020-01-01T00:00:00Z"})
    assert past.status == 422 and past.json["field"] == "expires"
    assert node.ask("POST", "/v1/keys", {"role": "user"}).json["field"] == "party"


def test_secrets_are_kept_nowhere(node: NodeProcess) -> None:
    secret = node.key("user", "ada")
    wrong = "apk_canary_" + "c" * 64
    node.ask("GET", f"/v1/accounts?after={wrong}", key=wrong)
    node.ask("POST", "/v1/topups", {"payer": wrong}, key=secret)
    exported = node.ask("GET", "/v1/export").body
    metrics = node.ask("GET", "/metrics").body
    stored = b"".join(path.read_bytes() for path in node.store.parent.glob("books.db*"))
    logged = "".join(node.log).encode()
    for token in (secret, node.first_key, wrong):
        hidden = token.rpartition("_")[2].encode()
        for place in (exported, metrics, stored, logged):
            assert hidden not in place
    assert b'"request_id"' in logged and node.said.count("apk_") == 1
