"""Events over HTTP: each exactly once, in order, across broken streams; to everybody what they may see, no more."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apportion
from apportion.engine.engine import Engine
from apportion.engine.events import telling as events
from apportion.engine.events.watching import Look, Watching
from apportion.errors import RefusalCode, Refused
from apportion.model.access import AccessRole, Credential
from apportion.model.session import Meter, SessionLine, SessionPayer, SessionState
from apportion.wiring import open_engine
from tests.faces.api.hearing import Stream
from tests.faces.api.nodes import CANARIES, MARGIN, NodeProcess, balance, books, catalog, ride, together


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with rides, top-ups and holds of ada and ben in its books."""
    node = NodeProcess(tmp_path_factory.mktemp("busy") / "books.db", "--stream-beat", "1", "--stream-stall", "2")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    act(node, range(20))
    yield node
    assert node.stop() == 0, node.log[-5:]


def act(node: NodeProcess, numbers: range) -> None:
    """Rides, top-ups and holds in turn."""
    for i in numbers:
        payer = ("ada", "ben")[i % 2]
        if i % 5 == 3:
            given = {"payer": payer, "amount": "9", "currency": "EUR", "reference": f"act {i}"}
            assert node.ask("POST", "/v1/topups", given).status == 201
        elif i % 5 == 4:
            hold = {
                "payer": payer,
                "amount": "1",
                "currency": "EUR",
                "owner": f"o{i}",
                "expires": "2099-01-01T00:00:00Z",
            }
            held = node.ask("POST", "/v1/holds", hold, idempotency_key=f"act {i}").json["id"]
            assert node.ask("POST", f"/v1/holds/{held}/release", {}, idempotency_key=f"end {i}").status == 200
        else:
            assert node.ask("POST", "/v1/usage", [ride(f"act {i}", payer)]).json["records"][0]["state"] == "charged"


def types(stream: Stream) -> list[str]:
    return [event["type"] for event in stream.events]


def test_each_step_once_and_in_order_across_a_kill(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "books.db")
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    key = node.first_key
    first = Stream(node, "/v1/events/stream", key)
    first.wait_for_cursor()
    act(node, range(10))
    first.wait(lambda events: len(events) >= 10)
    node.stop(signal.SIGKILL)
    assert first.ended.wait(5)
    node = NodeProcess(tmp_path / "books.db")
    line = node.line(key)
    act_with = [line.ask("POST", "/v1/usage", [ride(f"later {i}", "ben")]).status for i in range(3)]
    assert act_with == [200] * 3
    second = Stream(node, "/v1/events/stream", key, first.cursor)
    second.wait(lambda events: [e["type"] for e in events].count("account.charged") >= 3)
    whole = Stream(node, "/v1/events/stream?after=start", key)
    whole.wait(lambda events: bool(events) and events[-1]["id"] == second.events[-1]["id"])
    after = [event for event in whole.events if event["type"] not in ("catalog.applied",)][5:]
    assert [e["id"] for e in first.events + second.events] == [e["id"] for e in after]
    assert len({event["id"] for event in whole.events}) == len(whole.events)
    charged = [e["data"]["record"] for e in after if e["type"] == "account.charged"]
    assert charged == [f"act {i}" for i in range(10) if i % 5 < 3] + [f"later {i}" for i in range(3)]
    assert node.stop() == 0


def test_a_stream_says_when_it_lives_and_where_it_stands(busy: NodeProcess) -> None:
    with Stream(busy, "/v1/events/stream?types=statement.*") as stream:
        stream.wait_for_cursor()
        began = stream.cursor
        busy.ask("POST", "/v1/usage", [ride("beat")])
        deadline = time.monotonic() + 8
        while stream.cursor == began and time.monotonic() < deadline:
            stream.ended.wait(0.05)
        assert stream.comments and stream.cursor != began and not stream.events
    with Stream(busy, "/v1/events/stream", last=began) as stream:
        found = stream.wait(lambda events: bool(events))
        assert found[0]["data"]["record"] == "beat"


def test_who_may_follow_what(busy: NodeProcess) -> None:
    ada, dora = busy.key("user", "ada"), busy.key("provider", "dora")
    mine, theirs = balance(busy, "ada")["id"], balance(busy, "ben")["id"]
    for path, key, status in (
        ("/v1/events/stream", "none", 401), ("/v1/events/stream", ada, 403), ("/v1/events/stream", dora, 403),
        (f"/v1/accounts/{theirs}/events", ada, 404), (f"/v1/accounts/{mine}/events", dora, 404),
        ("/v1/accounts/acct_09999/events", busy.first_key, 404), ("/v1/sessions/ses_none/events", busy.first_key, 404),
        ("/v1/events/stream?after=nonsense", busy.first_key, 422), ("/v1/events/stream?types=no.such", ada, 403),
        ("/v1/events/stream?types=no.such", busy.first_key, 422), (f"/v1/accounts/{mine}/events", ada, 200),
    ):  # fmt: skip
        with Stream(busy, path, key) as stream:
            assert stream.status == status, path
            if status >= 400:
                assert stream.problem["status"] == status


def test_everybody_hears_their_own_and_no_secret(busy: NodeProcess) -> None:
    heard = {}
    for role, party in (("user", "ada"), ("user", "ben"), ("provider", "dora"), ("provider", "otto"), ("auditor", "")):
        key = busy.key(role, party)
        path = "/v1/events/stream"
        if party:
            path = f"/v1/accounts/{busy.ask('GET', '/v1/accounts', key=key).json['data'][0]['id']}/events"
        with Stream(busy, path + "?after=start", key) as stream:
            stream.wait(lambda events: any(e["data"].get("record") == "act 17" for e in events) or len(events) > 10)
            time.sleep(0.3)
            heard[party] = stream.events
        text = json.dumps(stream.events)
        for owner, canary in CANARIES.items():
            assert (canary in text) == (party in ("", owner)), (party, owner)
        assert (MARGIN in text) == (party == "")
        if role == "provider":
            assert "7.00" not in text and '"ada"' not in text
    ada = {event["id"]: event for event in heard["ada"]}
    assert not {event["id"] for event in heard["ben"]} & ada.keys()
    assert {event["type"] for event in heard["ada"]} == {
        "account.opened", "account.topped_up", "account.charged", "hold.placed", "hold.released",
    }  # fmt: skip
    for event in heard["dora"]:
        assert event["type"] in ("account.opened", "account.credited")
        if event["id"] in ada:  # the same charge from the other side
            assert ada[event["id"]]["type"] == "account.charged" and event["subject"] == ada[event["id"]]["subject"]
            assert event["data"]["portions"][0]["amount"] == "1.737100000"
            assert ada[event["id"]]["data"]["total"] == "7.000000000"
    opened = next(event for event in heard["ada"] if event["type"] == "account.topped_up")
    assert opened["data"] == {"cause": opened["data"]["cause"], "kind": "opening", "currency": "EUR", "amount": "100"}


def test_a_listener_is_let_go_when_its_key_ends(busy: NodeProcess) -> None:
    made = busy.ask("POST", "/v1/keys", {"role": "auditor"}).json
    with Stream(busy, "/v1/events/stream", made["secret"]) as stream:
        stream.wait_for_cursor()
        busy.ask("DELETE", f"/v1/keys/{made['key']['id']}")
        assert stream.ended.wait(5)
    with Stream(busy, "/v1/events/stream", made["secret"]) as stream:
        assert stream.status == 401


def test_who_does_not_read_is_cut_off(busy: NodeProcess) -> None:
    """Everything that waits for it is a bounded queue; the others go on hearing."""
    with Stream(busy, "/v1/events/stream?types=account.charged") as good, socket.socket() as bad:
        good.wait_for_cursor()
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        bad.connect(busy.address)
        ask = f"GET /v1/events/stream?after=start HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {busy.first_key}\r\n\r\n"
        bad.sendall(ask.encode())
        for batch in range(10):
            records = [ride(f"flood {batch}/{i}", f"crowd {i % 100}") for i in range(1000)]
            assert busy.ask("POST", "/v1/usage", records).status == 200
        good.wait(lambda events: len(events) >= 10_000, 60)
        assert [e["data"]["record"] for e in good.events] == [f"flood {b}/{i}" for b in range(10) for i in range(1000)]
        deadline = time.monotonic() + 20
        while b"apportion_listeners 1.0" not in busy.ask("GET", "/metrics").body:
            assert time.monotonic() < deadline, "it was not cut off"
            time.sleep(0.1)
        bad.settimeout(10)
        left = 0
        with suppress(ConnectionResetError):
            while chunk := bad.recv(1 << 16):
                left += chunk.count(b"event: ")
        assert left < 9_000  # what was on its way when it was cut off; then the connection ended


def test_there_are_only_so_many(busy: NodeProcess) -> None:
    streams = together(210, lambda number: Stream(busy, "/v1/events/stream"))
    try:
        statuses = [stream.status for stream in streams]
        assert statuses.count(200) == 200 and statuses.count(429) == 10
        assert all(stream.problem["code"] == "busy" for stream in streams if stream.status == 429)
    finally:
        for stream in streams:
            stream.close()
    deadline = time.monotonic() + 5
    while b"apportion_listeners 0.0" not in busy.ask("GET", "/metrics").body:
        assert time.monotonic() < deadline, "those who left are still counted"
    with Stream(busy, "/v1/events/stream") as stream:
        assert stream.status == 200


def test_the_client_resumes_by_itself(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "books.db")
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    key, port = node.first_key, str(node.address[1])
    with apportion.Client(node.url, key=key) as client:
        follow = client.events(after="start", types=["account.charged"])
        found = iter(follow)
        node.ask("POST", "/v1/usage", [ride(1), ride(2)])
        assert [next(found).data["record"] for _ in range(2)] == ["1", "2"]
        node.stop(signal.SIGKILL)
        node = NodeProcess(tmp_path / "books.db", "--port", port)
        node.ask("POST", "/v1/usage", [ride(3)], key)
        assert next(found).data["record"] == "3"
        again = iter(client.events(after=follow.cursor, types=["account.*"]))
        node.ask("POST", "/v1/usage", [ride(4)], key)
        event = next(again)
        assert (event.type, event.data["record"], len(event.accounts)) == ("account.charged", "4", 3)
        for one in (found, again):
            one.close()  # type: ignore[attr-defined]
        with pytest.raises(Refused) as refused:
            next(iter(client.events(account="acct_09999")))
        assert refused.value.refusal.code is RefusalCode.NOT_FOUND
    assert node.stop() == 0


# ── the books and the events that they tell ──


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Books with some of everything."""
    path = tmp_path_factory.mktemp("told") / "books.db"
    with open_engine(str(path)) as engine:
        version = engine.apply(catalog())
        engine.charge([msgspec.convert(ride(i, ("ada", "ben", "zoe")[i % 3]), apportion.Usage) for i in range(40)])
        for i in range(5):
            hold = engine.hold("ada", "1", "EUR", f"o{i}", "2099-01-01T00:00:00Z")
            engine.end_hold(int(hold.partition("_")[2]))
        assert engine.committer is not None
        engine.committer.booked(lambda work: [work.append(work.move(session(n, version))) for n in range(3)])
        engine.close_period("2026-10", force=True)
    with open_engine(str(path), writable=False) as engine:
        yield engine


def session(n: int, catalog: str) -> SessionLine:
    """A session that ada pays and dora and otto deliver."""
    meters = (
        Meter(""), Meter("driver", "dora", "acct_00006", "driving", {"km": "3"}, credited=1_737_100_000),
        Meter("car", "otto", "acct_00007", "car", {"km": "3"}, credited=314_150_000),
    )  # fmt: skip
    payers = (SessionPayer("acct_00001", charged=6_000_000_000), SessionPayer("acct_00003", charged=1_000_000_000))
    state, event = (
        (SessionState.ACTIVE, "opened"), (SessionState.LOW, "low"), (SessionState.CLOSED, "closed"),
    )[n]  # fmt: skip
    at = "2026-10-16T08:05:00Z"
    return SessionLine(
        id="ses_1", n=n, service="ride", state=state, event=event, at=at, start=at, through=at, asset="EUR/9",
        catalog=catalog, tariff="fare", since=at, meters=meters, payers=payers,
        net=7_000_000_000, platform=4_948_750_000,
    )  # fmt: skip


CALLERS = {
    "operator": Credential("", "main", AccessRole.OPERATOR, "", ""),
    "ada": Credential("", "main", AccessRole.USER, "", "", "ada"),
    "ben": Credential("", "main", AccessRole.USER, "", "", "ben"),
    "dora": Credential("", "main", AccessRole.PROVIDER, "", "", "dora"),
    "nobody": Credential("", "main", AccessRole.USER, "", "", "nobody"),
}
WANTED = ((), ("account.*",), ("session.low", "hold.*"))


def all_at_once(engine: Engine, watching: Watching) -> list[str]:
    head = engine.store.head(engine.tenant, 0)[0]
    return [heard.id for heard in Look(engine, [watching], {}).after(events.WHOLE, head, head)[1][0]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(CALLERS)), st.sampled_from(WANTED), st.sampled_from(["", "acct_00001", "ses_1"]),
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 4)), min_size=1, max_size=200),
)  # fmt: skip
def test_however_it_is_cut_the_chunks_are_everything_once(
    told: Engine, caller: str, types: tuple[str, ...], id: str, cuts: list[tuple[int, int]]
) -> None:
    """A reader takes so many rows at a time, keeps so many of the events and resumes behind the last one it kept."""
    watching = Watching(CALLERS[caller], events.WHOLE, id, types)
    head, place, got = told.store.head(told.tenant, 0)[0], events.WHOLE, list[str]()
    at = 0
    while place < events.place_of(head):
        page, room = cuts[at % len(cuts)]
        at += 1
        upto, (heard,) = Look(told, [watching], {}).after(place, head, page)
        got += [one.id for one in heard[:room]]
        place = upto if len(heard) <= room else heard[room - 1].place
    assert got == all_at_once(told, watching) and len(set(got)) == len(got)


def test_readers_together_hear_what_each_would_hear_alone(told: Engine) -> None:
    together = [
        Watching(caller, 0, id, types) for caller in CALLERS.values() for id in ("", "ses_1") for types in WANTED
    ]
    head = told.store.head(told.tenant, 0)[0]
    heard = Look(told, together, {}).after(events.WHOLE, head, head)[1]
    assert [[one.id for one in mine] for mine in heard] == [all_at_once(told, watching) for watching in together]
    assert heard[0] and not heard[-1]


def test_a_session_is_told_to_each_in_its_own_words(told: Engine) -> None:
    head = told.store.head(told.tenant, 0)[0]
    said = {}
    for name, caller in CALLERS.items():
        heard = Look(told, [Watching(caller, 0, "ses_1")], {}).after(events.WHOLE, head, head)[1][0]
        said[name] = [json.loads(one.body) for one in heard]
    assert [event["type"] for event in said["ada"]] == ["session.opened", "session.low", "session.closed"]
    assert said["nobody"] == []
    ada, dora = said["ada"][1], said["dora"][1]
    assert ada["accounts"] == ["acct_00001"] and "acct_00003" not in json.dumps(ada)
    assert ada["data"]["payers"] == [{"account": "acct_00001", "charged": "6.000000000"}, {"charged": "1.000000000"}]
    assert [part["part"] for part in dora["data"]["parts"]] == ["driver"] and "payers" not in dora["data"]
    assert dora["data"]["parts"][0]["earned"] == "1.737100000" and "0.314" not in json.dumps(dora)
    for canary in ("1.7371", "0.31415", "4.94875", "driving"):
        assert canary not in json.dumps(ada), canary
    assert [part["earned"] for part in said["operator"][1]["data"]["parts"]] == ["1.737100000", "0.314150000"]


def test_ids_are_the_same_for_ever_and_different_everywhere(told: Engine) -> None:
    tags = events.tags_of(())
    rows = list(told.store.journal(told.tenant, 0, 0, told.store.head(told.tenant, 0)[0]))
    once = [one.id for n, body, head in rows for one in events.tell(n, body, head, tags)]
    again = [one.id for n, body, head in rows for one in events.tell(n, body, head, tags)]
    assert once == again and len(set(once)) == len(once)
    assert list(events.tell(1, b'{"type":"charge","id":7}\nno line', bytes(32), tags)) == []


def test_every_kind_that_is_wanted_is_looked_for() -> None:
    for tag, types in events.TYPES.items():
        for type in types:
            exact = type + "x" * type.endswith(".")
            assert tag in events.tags_of([exact]) and events.fits(exact, [exact]) and events.known_type(exact)
            assert tag in events.tags_of([f"{type.partition('.')[0]}.*"])
    assert events.tags_of(["hold.*"]) == {b"hold"} and events.tags_of(["none.such"]) == set()
    for text in ("", "*", "hold", "hold.", "hold.*.x", "Hold.placed", "hold.nonsense"):
        assert not events.known_type(text), text


def test_no_tenant_hears_of_another(tmp_path: Path) -> None:
    secrets = books(tmp_path / "books.db", ("main", "other"))
    node = NodeProcess(tmp_path / "books.db")
    path = "/v1/events/stream?types=account.*"
    with Stream(node, path, secrets["main"]) as main, Stream(node, path, secrets["other"]) as other:
        main.wait_for_cursor()
        other.wait_for_cursor()
        for i in range(6):
            key = secrets[("main", "other")[i % 2]]
            assert node.ask("POST", "/v1/usage", [ride(i)], key).json["records"][0]["state"] == "charged"
        for stream, numbers in ((main, "024"), (other, "135")):
            heard = stream.wait(lambda events: [e["type"] for e in events].count("account.charged") == 3)
            assert "".join(e["data"].get("record", "") for e in heard) == numbers
        assert not {e["id"] for e in main.events} & {e["id"] for e in other.events}
    with Stream(node, path, secrets["other"], main.cursor) as stream:
        assert stream.status == 422 and stream.problem["field"] == "after"
    made = node.ask("POST", "/v1/webhooks", {"url": "https://example.com/"}, secrets["main"]).json["webhook"]["id"]
    assert node.ask("GET", "/v1/webhooks", key=secrets["other"]).json["data"] == []
    assert node.ask("DELETE", f"/v1/webhooks/{made}", key=secrets["other"]).status == 404
    assert node.stop() == 0
