"""Two ``serve`` processes on one PostgreSQL: one set of books, whichever node is asked, whatever is killed."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.ledger import proof
from apportion.wiring import open_engine
from tests.faces.api.nodes import CANARIES, NodeProcess, catalog, ride, together
from tests.faces.api.test_money import hold, topup
from tests.postgres.nodes import READY, Address, Client, Load, Pair, never_below, proven, with_payers
from tests.postgres.proxy import Proxy
from tests.postgres.server import PostgresServer, dsn_of, server


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(dsn_of(), tmp_path)
    yield pair
    for node in pair.nodes:
        if node.process.poll() is None:
            node.stop(signal.SIGKILL)


def accounts(pair: Pair, at: int = 0) -> dict[str, Decimal]:
    """What is available on every payer's account."""
    listed = pair.ask(at, "GET", "/v1/accounts?limit=200").json["data"]
    return {one["owner"]: Decimal(one["available"]) for one in listed if one["role"] == "payer"}


def mixed(client: Client, name: str) -> tuple[str, str, str]:
    """A charge, a top-up or a hold: (what, name, how it ended)."""
    kind = ("charge", "charge", "topup", "hold")[proof.record_key("", name)[0] % 4]
    if kind == "charge":
        rides = [ride(f"{name}-{i}", ("ben", "cleo", "dan")[i]) for i in range(3)]
        answer = client.ask("POST", "/v1/usage", rides, name)
        assert answer.status == 200, answer.body
        return kind, name, " ".join(record["id"] for record in answer.json["records"])
    if kind == "topup":
        answer = client.ask("POST", "/v1/topups", topup("1.25", name), name)
    else:
        answer = client.ask("POST", "/v1/holds", hold("3", name), name)
    assert answer.status in (201, 402), answer.body
    return kind, name, answer.json["id"] if answer.status == 201 else ""


def check(pair: Pair, found: list[tuple[str, str, str]]) -> Counter[str]:
    """Everything acknowledged is there once, nothing refused is there; how many of each kind were made."""
    made = Counter[str]()
    with proven(pair) as store:
        known = {key.hex(): seen.state for key, seen in store.all_seen(1)}
        owners = Counter(hold.owner for hold in store.all_holds(1))
        references = Counter[str]()
        for _, body, _ in store.journal(1, 0, 0, 10**9):
            references.update(word for word in body.split(b'"') if word.startswith(b"top_"))
        for kind, name, id in found:
            if kind == "charge":
                assert all(known[one.partition("_")[2]] in ("charged", "pending") for one in id.split()), name
            elif kind == "topup":
                assert id.encode() in references, name
            else:
                assert owners.pop(name, 0) == (1 if id else 0), name
            made[kind] += bool(id)
        assert not owners, "a hold that nobody was told of"
        assert len([1 for _, _, id in found if id]) == len({id for _, _, id in found if id})
        assert sum(state in ("charged", "pending") for state in known.values()) == 3 * made["charge"]
    return made


def test_charges_holds_and_topups_on_two_nodes(pair: Pair) -> None:
    with never_below(pair.dsn), Load(pair, 16, mixed) as load:
        load.progress(400)
    seen = accounts(pair, 0)
    assert seen == accounts(pair, 1) and seen["ben"] >= 0
    pair.stop()
    made = check(pair, load.found)
    assert all(made[kind] > 20 for kind in ("charge", "topup", "hold")), made


def test_keys_and_catalogs_of_one_node_are_the_others_at_once(pair: Pair) -> None:
    for n in range(5):
        made = pair.ask(n % 2, "POST", "/v1/keys", {"role": "operator"}).json
        there = pair.nodes[1 - n % 2]
        assert there.ask("GET", "/v1/me", None, made["secret"]).status == 200
        assert pair.ask(n % 2, "DELETE", f"/v1/keys/{made['key']['id']}").status == 200
        began = time.monotonic()
        while there.ask("GET", "/v1/me", None, made["secret"]).status != 401:
            assert time.monotonic() - began < 1
    assert pair.nodes[1].ask("GET", "/v1/me", None, "apk_0123456789abcdef_" + "0" * 64).status == 401
    plain = catalog()
    for n in range(4):
        services = {**plain.services, f"tour{n}": msgspec.structs.replace(plain.services["ride"], id=f"tour{n}")}
        put = pair.ask(n % 2, "PUT", "/v1/catalog", msgspec.json.encode(with_services(services)))
        assert put.status == 200, put.body
        sent = [ride(f"tour-{n}", "cleo") | {"service": f"tour{n}"}]
        answer = pair.ask(1 - n % 2, "POST", "/v1/usage", sent).json["records"][0]
        assert answer["state"] == "charged", answer
        plain = with_services(services)
    dearer = catalog(price="8")
    assert pair.ask(0, "PUT", "/v1/catalog", msgspec.json.encode(dearer)).status == 200
    charged = pair.ask(1, "POST", "/v1/usage", [ride("dearer", "cleo")]).json["records"][0]
    assert charged["state"] == "charged"
    assert pair.ask(1, "GET", f"/v1/charges/{charged['id']}").json["amount"] == "8.000000000"
    cursor = pair.ask(0, "GET", "/v1/charges?limit=2").json["next"]
    assert len(pair.ask(1, "GET", f"/v1/charges?limit=2&after={cursor}").json["data"]) == 2
    pair.stop()
    with proven(pair):
        pass


def with_services(services: dict[str, Any]) -> Any:
    return msgspec.structs.replace(catalog(), services=services)


def test_closing_and_billing_on_both_nodes_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pair.folder)
    for n in range(40):
        assert pair.ask(n % 2, "POST", "/v1/usage", [ride(f"r{n}", f"rider-{n % 7}")]).status == 200
    with Load(pair, 4, mixed):
        closed = together(4, lambda n: pair.ask(n % 2, "POST", "/v1/periods/2026-10/close", {}))
        issued = together(4, lambda n: pair.ask(n % 2, "POST", "/v1/statements", {"period": "2026-10"}))
    assert {answer.status for answer in closed + issued} == {200}, [a.body for a in closed + issued]
    numbers = {row["number"]: row["total"] for answer in issued for row in answer.json["data"]}
    assert len(numbers) == len({row["id"] for answer in issued for row in answer.json["data"]}) >= 9
    with open_engine(pair.dsn, key=str(next(pair.folder.glob("*.key")))) as third:
        assert third.forget("rider-3") > 2
    again = [pair.ask(n, "POST", "/v1/usage", [ride(f"again-{n}", "rider-3")]).json["records"][0] for n in (0, 1)]
    assert [record["state"] for record in again] == ["charged", "charged"]
    assert len([one for one in accounts(pair) if one == "rider-3"]) == 1
    pair.stop()
    with proven(pair):
        pass


def torment(pair: Pair, kills: int, seed: int) -> None:
    """Kill one node after the other under load."""
    chance = random.Random(seed)
    slowest = 0.0
    with never_below(pair.dsn, 0.05), Load(pair, 8, mixed, f"k{seed}-") as load:
        for n in range(kills):
            load.progress(chance.randrange(5, 40))
            slowest = max(slowest, pair.kill(n % 2))
    pair.stop()
    check(pair, load.found)
    assert slowest < READY and sum(client.repeated for client in load.clients) > 0


def test_one_of_two_nodes_is_killed_under_load(pair: Pair) -> None:
    torment(pair, 20, 1)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(3))
def test_nodes_are_killed_hundreds_of_times(pair: Pair, seed: int) -> None:
    torment(pair, 100, 100 + seed)


@pytest.mark.torture
def test_a_node_that_was_paused_for_long_can_not_write_what_it_had_decided(pair: Pair) -> None:
    with never_below(pair.dsn, 0.05), Load(pair, 8, mixed) as load:
        for n in range(4):
            load.progress(60)
            pair.nodes[n % 2].process.send_signal(signal.SIGSTOP)
            time.sleep(14)  # longer than PostgreSQL waits for a silent session
            pair.nodes[n % 2].process.send_signal(signal.SIGCONT)
    pair.stop()
    check(pair, load.found)


def shoot(folder: Path, kills: int) -> None:
    """Kill PostgreSQL under load."""
    own = PostgresServer()
    try:
        pair = Pair(own.fresh(), folder)
        slowest = 0.0
        with Load(pair, 8, mixed) as load:
            for _ in range(kills):
                load.progress(40)
                own.kill()
                while pair.nodes[0].ask("GET", "/ready", None, "none").status == 200:
                    time.sleep(0.01)
                own.start()
                slowest = max(slowest, *(pair.ready(n) for n in (0, 1)))
            load.progress(40)
        pair.stop()
        check(pair, load.found)
        assert slowest < READY
    finally:
        own.stop()


def test_postgresql_is_killed_under_load(tmp_path: Path) -> None:
    shoot(tmp_path, 20)


@pytest.mark.torture
def test_postgresql_is_killed_again_and_again(tmp_path: Path) -> None:
    shoot(tmp_path, 100)


def test_answers_to_commit_that_are_lost(tmp_path: Path) -> None:
    dsn, door = dsn_of(), Proxy(server().socket)
    pair = Pair(dsn, tmp_path, second=door.dsn(dsn.split("/")[3].split("?")[0]))
    with Load(pair, 6, mixed) as load:

        def lost() -> bool:
            for client in load.clients:  # who was cut off goes to the other node: one that nobody asks loses nothing
                client.home()
            return not door.mood

        for mood in itertools.islice(itertools.cycle(("lose answer", "lose question")), 12):
            load.progress(15)
            door.mood = mood
            load.until(lost)
    pair.stop()
    assert door.troubles == 12
    check(pair, load.found)
    door.close()


def test_the_same_request_at_both_nodes_has_one_effect(pair: Pair) -> None:
    for n in range(10):
        for path, body in (("/v1/topups", topup("1", f"same-{n}")), ("/v1/holds", hold("0.5", f"same-{n}"))):
            answers = together(8, lambda at: pair.ask(at % 2, "POST", path, body, idempotency_key=f"{path} {n}"))  # noqa: B023
            assert {answer.status for answer in answers} == {201} and len({answer.body for answer in answers}) == 1
            assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        sent = [ride(f"same-{n}", "cleo")]
        states = together(8, lambda at: pair.ask(at % 2, "POST", "/v1/usage", sent).json["records"][0]["state"])  # noqa: B023
        assert Counter(states) == {"charged": 1, "duplicate": 7}
    pair.stop()
    with proven(pair) as store:
        assert sum(1 for _ in store.all_holds(1)) == 10


def race(folder: Path, rounds: int) -> None:
    """64 clients on two nodes for an account of 100, at 7 each: 14 are charged, 2 are left, in every round."""
    names = [f"racer-{n}" for n in range(rounds)]
    pair = Pair(dsn_of(), folder, with_payers(*names))
    clients = [Client(pair, n) for n in range(64)]

    def spend(number: int) -> list[str]:
        found = []
        for name in names:
            answer = clients[number].ask("POST", "/v1/usage", [ride(f"{name}-{number}", name)], f"{name}-{number}")
            found.append(answer.json["records"][0]["state"])
        return found

    with never_below(pair.dsn) as snapshots:
        states = together(64, spend)
    left = {}
    after = ""
    while True:
        page = pair.ask(0, "GET", f"/v1/accounts?limit=200{after}").json
        left |= {one["owner"]: one["posted"] for one in page["data"]}
        if not page.get("next"):
            break
        after = f"&after={page['next']}"
    for n, name in enumerate(names):
        assert Counter(found[n] for found in states) == {"charged": 14, "pending": 50}
        assert left[name] == "2.000000000"
    earned = {name: Decimal(left[name]) for name in CANARIES}
    assert earned == {name: Decimal(price) * 14 * rounds for name, price in CANARIES.items()} and snapshots[0] > 10
    pair.stop()
    with proven(pair) as store:
        assert sum(account.posted for _, account in store.all_accounts(1)) == 0


def test_64_clients_on_two_nodes_spend_100_at_7_exactly_14_times(tmp_path: Path) -> None:
    race(tmp_path, 20)


@pytest.mark.torture
def test_64_clients_on_two_nodes_again_and_again(tmp_path: Path) -> None:
    race(tmp_path, 200)


def test_a_node_with_another_key_is_refused(pair: Pair, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(AssertionError, match="signing key"):
        NodeProcess(Address(pair.dsn, elsewhere))  # type: ignore[arg-type]
