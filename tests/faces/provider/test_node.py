"""``apportion provider serve`` as a platform meets it: real processes, JSON over HTTP, signed bids."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from apportion.adapters.outside import KeyFile, signature_holds
from apportion.model.bid import Asked, SignedBid, bytes_of
from apportion.model.bid_check import GoodBid, read_agreed
from apportion.model.market import Quality
from apportion.model.tariff import Tariff, Unit
from tests.faces.provider.bidding import CONFIG, ROOT, ProviderProcess, counter, later, question

TOKEN = "a token of ada's phone"
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()
replace = msgspec.structs.replace


def config(validity: int = 30, hold: int = 60, more: str = "") -> str:
    return CONFIG.format(validity=validity, hold=hold, token=HASH, more=more)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    """One node for tests that leave nothing behind."""
    process = ProviderProcess(tmp_path_factory.mktemp("node"), config())
    yield process
    assert process.stop() == 0


def price(good: GoodBid) -> str:
    """What a second costs by a bid."""
    tariff = good.offers[0].tariff
    assert isinstance(tariff, Tariff) and isinstance(tariff.components[0], Unit)
    return tariff.components[0].price


def agreed(process: ProviderProcess, good: GoodBid) -> bool:
    """Whether a bid is accepted, with a confirmation that holds."""
    said = process.accept(good.bid.rfq, good.signed)
    assert said.status == 200, said.body
    found = read_agreed(said.body, good, (), ("north", process.key), datetime.now(UTC), signature_holds)
    assert not hasattr(found, "why"), found
    return True


def end(process: ProviderProcess, rfq: str) -> bool:
    said = process.send("POST", f"/quotes/{rfq}/end", b"{}")
    assert said.status == 200
    return bool(said.json["ended"])


# ── quotes ──


def test_a_question_has_a_signed_bid_at_the_opening_price(node: ProviderProcess) -> None:
    good = node.bid(question())
    assert price(good) == "0.015"  # 0.01 and half of it on top
    assert good.offers[0].capacity == {"seconds": "100"} and good.offers[0].network == "northnet"
    assert (good.bid.answer, good.bid.setup, good.bid.final) == ("offer", "0", False)


def test_what_is_not_expected_to_be_used_has_the_opening_price_too(node: ProviderProcess) -> None:
    asked = question(quantities={})
    assert price(node.bid(asked)) == "0.015"
    assert price(node.bid(counter(asked, "0"))) == "0.015", "it accepts nothing for nothing"


def test_the_same_question_has_the_same_bid_and_its_id_stands_for_no_other(node: ProviderProcess) -> None:
    asked = question()
    assert node.ask(asked).body == node.ask(asked).body
    said = node.ask(replace(asked, quantities={"seconds": "30"}))
    assert (said.status, said.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "more",
    [
        {"service": "film"}, {"parts": ("transit",)}, {"currency": "USD"},
        {"quantities": {"seconds": "101"}}, {"attributes": {"destination": "4612"}}, {"attributes": {}},
    ],
)  # fmt: skip
def test_what_it_does_not_serve_it_declines(node: ProviderProcess, more: dict[str, Any]) -> None:
    assert node.declined(question(**more))


def test_a_question_that_comes_too_late_is_refused(node: ProviderProcess) -> None:
    said = node.ask(question(deadline=later(-10)))
    assert (said.status, said.json["code"], said.json["field"]) == (422, "bad_time", "deadline")


# ── rounds ──


def test_it_gives_way_round_by_round_and_never_below_its_margin(node: ProviderProcess) -> None:
    asked = question()
    assert price(node.bid(asked)) == "0.015"
    prices, answers = [], []
    for _ in range(4):  # linear from 0.9 to 0.66 in four rounds
        asked = counter(asked, "0.10")
        good = node.bid(asked)
        prices.append(price(good))
        answers.append((good.bid.answer, good.bid.final))
    assert prices == ["0.014", "0.013", "0.012", "0.011"]
    assert answers == [("offer", False)] * 3 + [("offer", True)]
    assert node.declined(counter(asked, "0.659999")), "its rounds are over"
    assert agreed(node, good) and end(node, asked.id), "what it offered last stands nevertheless"


def test_it_accepts_what_is_as_good_as_its_next_offer_at_that_price(node: ProviderProcess) -> None:
    asked = question()
    node.bid(asked)
    asked = counter(asked, "0.30")
    node.bid(asked)
    good = node.bid(counter(asked, "0.81"))  # its next offer would be 0.78
    assert (good.bid.answer, price(good)) == ("accept", "0.0135")
    assert agreed(node, good) and end(node, asked.id)


def test_asked_for_its_last_word_it_says_it(node: ProviderProcess) -> None:
    asked = question()
    node.bid(asked)
    good = node.bid(counter(asked, "0.10", last=True))
    assert (good.bid.answer, good.bid.final, price(good)) == ("offer", True, "0.011")


def test_better_quality_or_more_capacity_than_it_has_is_not_accepted(node: ProviderProcess) -> None:
    asked = question()
    node.bid(asked)
    faster = node.bid(counter(asked, "5", quality=Quality(latency=10)))
    assert faster.bid.answer == "offer" and faster.offers[0].quality.latency == 20
    more = node.bid(counter(replace(asked, round=2), "5", capacity={"seconds": "1000"}))
    assert more.bid.answer == "offer"
    same = node.bid(counter(replace(asked, round=3), "5", quality=Quality(20, "0.999"), capacity={"seconds": "60"}))
    assert same.bid.answer == "accept"


def test_an_offer_stands_longer_when_that_is_asked_for_up_to_a_bound(node: ProviderProcess) -> None:
    asked = question()
    usual = node.bid(asked)
    wanted = later(120)
    longer = node.bid(counter(asked, "0.1", until=wanted))
    assert (
        usual.bid.valid_until
        < longer.bid.valid_until
        == datetime.fromisoformat(wanted).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    forever = node.bid(counter(replace(asked, round=2), "5", until=later(86400)))
    assert forever.bid.answer == "offer"
    assert datetime.fromisoformat(forever.bid.valid_until) <= datetime.fromisoformat(later(301))


def test_rounds_go_one_by_one_and_belong_to_a_question(node: ProviderProcess) -> None:
    asked = question()
    unknown = node.ask(counter(asked, "1"))
    assert (unknown.status, unknown.json["code"]) == (404, "not_found")
    node.bid(asked)
    said = node.ask(counter(replace(asked, round=2), "1"))
    assert (said.status, said.json["field"]) == (409, "round")
    second = counter(asked, "0.1")
    assert node.ask(second).body == node.ask(second).body, "the same round again changes nothing"
    said = node.send("POST", f"/quotes/{question().id}/rounds", bytes_of(second))
    assert (said.status, said.json["field"]) == (422, "id")
    said = node.send("POST", "/quotes", bytes_of(second))
    assert (said.status, said.json["field"]) == (422, "round")


# ── accepting ──


def test_an_accepted_bid_takes_capacity_once_and_gives_it_back(node: ProviderProcess) -> None:
    asked = question()
    good = node.bid(asked)
    assert agreed(node, good) and agreed(node, good)
    assert node.declined(question()), "60 of 100 are taken"
    assert node.bid(question(quantities={"seconds": "40"})).offers[0].capacity == {"seconds": "40"}
    assert end(node, asked.id) and not end(node, asked.id)
    assert node.bid(question()).offers[0].capacity == {"seconds": "100"}
    again = node.accept(asked.id, good.signed)
    assert (again.status, again.json["code"]) == (409, "plan_ended")


def test_two_bids_for_the_same_capacity_are_accepted_once(node: ProviderProcess) -> None:
    first, second = node.bid(question()), node.bid(question())
    assert agreed(node, first)
    said = node.accept(second.bid.rfq, second.signed)
    assert (said.status, said.json["code"]) == (409, "plan_ended")
    assert end(node, first.bid.rfq)


def test_only_the_last_bid_as_it_was_signed_is_accepted(node: ProviderProcess) -> None:
    asked = question()
    first = node.bid(asked)
    last = node.bid(counter(asked, "0.1"))
    other = KeyFile(None)
    cheap = last.signed.body.replace('"price":"0.014"', '"price":"0.001"')
    assert cheap != last.signed.body
    for signed, code in [
        (first.signed, "plan_ended"),
        (SignedBid(cheap, last.signed.signature), "bad_input"),
        (SignedBid(cheap, other.sign(cheap.encode())), "bad_input"),
        (SignedBid(last.signed.body, "00" * 64), "bad_input"),
    ]:
        assert node.accept(asked.id, signed).json["code"] == code
    assert node.accept(question().id, last.signed).json["code"] == "bad_input"
    assert node.accept(asked.id, last.signed, 7).json["code"] == "bad_input"
    assert agreed(node, last)
    assert node.accept(asked.id, last.signed, 0).json["code"] == "conflict"
    assert end(node, asked.id)


def test_an_expired_bid_is_not_accepted_and_what_nobody_ends_ends(tmp_path: Path) -> None:
    process = ProviderProcess(tmp_path, config(validity=1, hold=1))
    try:
        late, soon = node_bid(process), node_bid(process)
        assert agreed(process, soon)
        assert process.declined(question())
        deadline = time.monotonic() + 10
        while datetime.now(UTC) < datetime.fromisoformat(late.bid.valid_until) and time.monotonic() < deadline:
            time.sleep(0.05)
        said = process.accept(late.bid.rfq, late.signed)
        assert (said.status, said.json["code"], said.json["field"]) == (409, "plan_ended", "bid")
        while process.declined(question()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert node_bid(process).offers[0].capacity == {"seconds": "100"}
    finally:
        assert process.stop() == 0


def node_bid(process: ProviderProcess) -> GoodBid:
    return process.bid(question())


def test_what_was_signed_binds_after_a_restart(tmp_path: Path) -> None:
    first = ProviderProcess(tmp_path, config())
    good = first.bid(question())
    first.process.kill()
    first.stop()
    second = ProviderProcess(tmp_path, config())
    try:
        assert second.key == first.key
        assert stat.S_IMODE((tmp_path / "provider.key").stat().st_mode) == 0o600
        assert agreed(second, good)
        assert second.declined(question()), "its capacity is taken"
    finally:
        assert second.stop() == 0


def test_a_node_may_answer_one_platform_alone(tmp_path: Path) -> None:
    platform = KeyFile(None)
    process = ProviderProcess(tmp_path, config(more=f'asker = "{platform.public()}"'))
    try:
        asked = question()
        assert process.ask(asked).status == 401
        assert process.ask(asked, **{"apportion-signature": KeyFile(None).sign(bytes_of(asked))}).status == 401
        signed = {"apportion-signature": platform.sign(bytes_of(asked))}
        assert process.ask(asked, **signed).status == 200
        assert process.ask(replace(asked, quantities={"seconds": "1"}), **signed).status == 401
    finally:
        assert process.stop() == 0


# ── hostile and plain wrong ──


def test_the_protocol_is_described(node: ProviderProcess) -> None:
    document = node.send("GET", "/openapi.json").json
    validate(document)
    assert set(document["paths"]) == {
        "/ready", "/openapi.json", "/quotes", "/quotes/{id}/rounds", "/quotes/{id}/accept", "/quotes/{id}/end",
        "/requests", "/requests/{id}/accept", "/negotiations", "/negotiations/{id}", "/negotiations/{id}/counter",
        "/negotiations/{id}/accept", "/negotiations/{id}/end", "/statements/{id}",
    }  # fmt: skip
    assert node.send("GET", "/ready").json == {"ready": True}


def _hostile() -> list[bytes]:
    plain = json.loads(bytes_of(question()))
    odd: list[Any] = [None, True, -1, 0, 10**30, "", "x" * 5000, "\x00", [], {}, [[]], {"a": {"b": 1}}, "1e999", "1/0"]
    made = [json.dumps({**plain, field: value}).encode() for field in plain for value in odd]
    made += [
        json.dumps({**plain, "quantities": {"seconds": text}}).encode() for text in ("-1", "1e9", "NaN", "٣", "1/3")
    ]
    made += [json.dumps({**plain, "counter": value}).encode() for value in odd]
    made += [
        b"",
        b"null",
        b"[",
        b"\xff",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"id":"rfq_1","id":"rfq_2"}',
        b" " * 60_000,
    ]
    return made


def test_hostile_bodies_are_refused_and_the_node_goes_on(node: ProviderProcess) -> None:
    for body in _hostile():
        said = node.send("POST", "/quotes", body)
        assert said.status in (200, 400, 409, 413, 422), (said.status, body[:2000])
        if said.status != 200:
            assert said.json["code"] and "Traceback" not in said.body.decode()
    asked = question()
    node.bid(asked)
    second = json.loads(bytes_of(counter(asked, "1")))
    amounts: list[Any] = ["-1", "1e50", "x", "", None, 1, {}, "9" * 41, "1/0", "0.1" * 20]
    for path in ("rounds", "accept", "end"):
        for body in (b"", b"null", b"[" * 60_000, b"\xff", b'{"bid":{"body":"","signature":""}}', b'{"extra":1}'):
            assert node.send("POST", f"/quotes/{asked.id}/{path}", body).status in (200, 409, 422), (path, body)
        asked = question()
        node.bid(asked)
    for amount in amounts:
        body = {**second, "id": asked.id, "counter": {"amounts": {"termination": amount}}}
        said = node.send("POST", f"/quotes/{asked.id}/rounds", json.dumps(body).encode())
        assert said.status in (200, 409, 422), (amount, said.body)
    assert node.send("POST", "/quotes", b" " * (1 << 20)).status == 413
    assert node.bid(question()).offers[0].capacity == {"seconds": "100"}


def test_what_is_not_there_is_said(node: ProviderProcess) -> None:
    for method, path, status in [
        ("GET", "/quotes", 405), ("GET", "/", 404), ("POST", "/quotes/x/y", 404), ("POST", "/quotes//accept", 404),
        ("POST", "/ready", 405), ("POST", "/requests", 404), ("POST", "/quotes/" + "x" * 500 + "/end", 404),
    ]:  # fmt: skip
        said = node.send(method, path, b"{}" if method == "POST" else b"")
        assert said.status == status, (method, path)
        assert said.json["status"] == status and said.json["request_id"]
    assert node.send("POST", "/quotes", b"a=b", **{"content-type": "text/plain"}).status == 415
    assert node.send("POST", "/quotes", b"{}", **{"content-encoding": "gzip"}).status == 415


BAD_CONFIG = {
    'tactic = "linear"': ('tactic = "haggle"', "tactic"),
    "markup = 50": ("markup = 5", "less than the margin"),
    'tariff = "voice"': ('tariff = "voise"', "no tariff 'voise'"),
    "price = 0.01": ("price = -1", "zero or more"),
    "capacity = { seconds = 100 }": ("capacity = { seconds = -1 }", "out of bounds"),
    'provider = "north"': ('providr = "north"', "providr"),
    f'token = "{HASH}"': ('token = "secret"', "SHA-256"),
    "availability = 0.999": ("availability = 2", "out of bounds"),
    "validity = 30": ("validity = 0", "one second"),
}


@pytest.mark.parametrize("right", BAD_CONFIG)
def test_what_is_wrong_in_the_file_is_said_with_its_line(right: str, tmp_path: Path) -> None:
    from apportion.errors import Misconfigured
    from apportion.wiring import open_provider_node

    wrong, wanted = BAD_CONFIG[right]
    text = config()
    assert right in text
    (tmp_path / "node.toml").write_text(text.replace(right, wrong))
    with pytest.raises(Misconfigured) as caught:
        open_provider_node(str(tmp_path / "node.toml"))
    assert wanted in str(caught.value) and re.search(r"node\.toml:\d+", str(caught.value))
    assert not (tmp_path / "provider.key").exists()


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "apportion", "provider", "serve", *words]
        environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    assert "node.toml" in (done := run("node.toml")).stderr and done.returncode == 1
    (tmp_path / "node.toml").write_text(config())
    done = run("node.toml", "--platform", "http://127.0.0.1:1")
    assert done.returncode == 1 and "APPORTION_KEY" in done.stderr


# ── the home of its users ──


class Platform(http.server.BaseHTTPRequestHandler):
    """What a platform would answer, and what it was asked."""

    asked: list[tuple[str, str, str, Any]] = []
    told: list[Any] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, self.headers["authorization"], self.headers["idempotency-key"], body))
        if self.headers["authorization"] != "Bearer apk_home":
            return self.answer(401, {"code": "unauthenticated"})
        if self.path.endswith("/neg_1/accept"):
            return self.answer(201, {"id": "neg_1", "agreed": "pln_77"})
        if self.path == "/v1/negotiations":
            return self.answer(201, {"id": "neg_1"})
        if self.path == "/v1/plans" and body["service"] == "nothing":
            return self.answer(409, {"code": "no_plan", "status": 409, "title": "Nothing fits."})
        return self.answer(201, {"id": f"pln_{len(self.asked)}", "home": "north"})

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["authorization"], "", None))
        bills = {"S-000001": "ada", "S-000002": "ben"}
        name = bills.get(self.path.rpartition("/")[2].partition("?")[0])
        self.answer(200 if name else 404, {"name": name} if name else {"code": "not_found", "status": 404})

    def do_PUT(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.answer(200, {"offers": []})

    def answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def platform() -> Iterator[str]:
    Platform.asked, Platform.told = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def request(**more: Any) -> bytes:
    plain = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"seconds": "60"}}
    return json.dumps(plain | more).encode()


def test_requests_of_its_users_go_on_to_the_platform_in_its_name(tmp_path: Path, platform: str) -> None:
    process = ProviderProcess(tmp_path, config(), "--platform", platform, "--quiet", key="apk_home")
    bearer = {"authorization": f"Bearer {TOKEN}"}
    try:
        said = process.send("POST", "/requests", request(), **bearer, **{"idempotency-key": "once"})
        assert (said.status, said.json["home"]) == (201, "north")
        assert Platform.asked == [("/v1/plans", "Bearer apk_home", "once", json.loads(request()))]
        plan = said.json["id"]
        said = process.send("POST", f"/requests/{plan}/accept", b'{"scenario":"lowest-cost"}', **bearer)
        assert said.status == 201
        assert Platform.asked[1][0] == f"/v1/plans/{plan}/accept" and Platform.asked[1][2]
        assert Platform.asked[1][3] == {"scenario": "lowest-cost"}
        said = process.send("POST", "/requests", request(service="nothing"), **bearer)
        assert (said.status, said.json["code"]) == (409, "no_plan")
        assert len(Platform.asked) == 3
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            assert process.send("POST", "/requests", request(), **headers).status == 401
        said = process.send("POST", "/requests", request(payers=[{"payer": "ben"}]), **bearer)
        assert (said.status, said.json["field"]) == (422, "payers[0]")
        assert process.send("POST", "/requests", request(speed="high"), **bearer).json["code"] == "unknown_field"
        assert process.send("POST", "/requests/pln_9/accept", b"{}", **bearer).status == 404
        assert len(Platform.asked) == 3, "none of these went on"
        assert not Platform.told
    finally:
        assert process.stop() == 0


def test_its_users_negotiate_and_read_their_bills_through_it(tmp_path: Path, platform: str) -> None:
    more = f"""
[[users]]
name = "ben's phone"
token = "{hashlib.sha256(b"ben's").hexdigest()}"
payers = ["ben"]
"""
    process = ProviderProcess(
        tmp_path, config().replace("[tariffs.voice]", more + "[tariffs.voice]"), "--platform", platform, "--quiet",
        key="apk_home",
    )  # fmt: skip
    ada, ben = {"authorization": f"Bearer {TOKEN}"}, {"authorization": "Bearer ben's"}
    asked = {"request": json.loads(request())}
    try:
        said = process.send("POST", "/negotiations", json.dumps(asked).encode(), **ada)
        assert said.status == 201 and Platform.asked[-1][:2] == ("/v1/negotiations", "Bearer apk_home")
        limit = process.send("POST", "/negotiations", json.dumps(asked | {"mandate": {"limit": "9"}}).encode(), **ada)
        assert (limit.status, limit.json["field"]) == (422, "mandate")
        count = len(Platform.asked)
        wrong = [
            ("POST", "/negotiations", json.dumps(asked).encode(), ben, 422),
            ("POST", "/negotiations/neg_1/counter", b'{"amount":"1"}', ben, 404),
            ("POST", "/negotiations/neg_1/accept", b"{}", ben, 404),
            ("POST", "/negotiations/neg_2/end", b"{}", ada, 404),
            ("POST", "/negotiations/neg_1/counter", b'{"price":"1"}', ada, 422),
            ("GET", "/negotiations/neg_1", b"", ben, 404),
            ("POST", "/requests/pln_77/accept", b"{}", ada, 404),
            ("POST", "/statements/S-000001", b"{}", ada, 405),
            ("GET", "/statements/S-000001", b"", {}, 401),
        ]  # fmt: skip
        for method, path, body, who, status in wrong:
            assert process.send(method, path, body, **who).status == status, (method, path)
        assert len(Platform.asked) == count, "none of these went on"
        said = process.send("POST", "/negotiations/neg_1/counter", b'{"amount":"1"}', **ada)
        assert said.status == 201 and Platform.asked[-1][0] == "/v1/negotiations/neg_1/counter"
        assert process.send("POST", "/negotiations/neg_1/accept", b"{}", **ada).json["agreed"] == "pln_77"
        assert process.send("POST", "/requests/pln_77/accept", b"{}", **ben).status == 404
        assert process.send("POST", "/requests/pln_77/accept", b"{}", **ada).status == 201
        assert process.send("GET", "/statements/S-000001", **ada).json == {"name": "ada"}
        assert process.send("GET", "/statements/S-000001?format=pdf", **ada).status == 200
        assert Platform.asked[-1][0] == "/v1/statements/S-000001?format=pdf"
        assert process.send("GET", "/statements/S-000002", **ada).status == 404
        assert process.send("GET", "/statements/S-000003", **ada).status == 404
        assert process.send("GET", "/statements/S-000002", **ben).status == 200
    finally:
        assert process.stop() == 0
    again = ProviderProcess(tmp_path, (tmp_path / "node.toml").read_text(), "--platform", platform, key="apk_home")
    try:  # it still knows whose they are
        assert again.send("POST", "/requests/pln_77/accept", b"{}", **ben).status == 404
        assert again.send("POST", "/requests/pln_77/accept", b"{}", **ada).status == 201
        assert again.send("GET", "/negotiations/neg_1", **ben).status == 404
    finally:
        assert again.stop() == 0


def test_it_announces_what_it_offers_and_what_is_free(tmp_path: Path, platform: str) -> None:
    process = ProviderProcess(tmp_path, config(), "--platform", platform, key="apk_home")

    def told(count: int) -> Any:
        end = time.monotonic() + 10
        while len(Platform.told) < count and time.monotonic() < end:
            time.sleep(0.05)
        return Platform.told[count - 1]["offers"][0]

    try:
        first = told(1)
        assert first["capacity"] == {"seconds": "100"} and first["provider"] == "north"
        assert first["tariff"]["components"][0]["price"] == "0.015" and first["valid_until"]
        assert agreed(process, process.bid(question()))
        second = told(2)
        assert second == {**first, "capacity": {"seconds": "40"}}
    finally:
        assert process.stop() == 0


def test_a_platform_that_is_away_or_does_not_know_the_node_is_said(tmp_path: Path, platform: str) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for address, key in (("http://127.0.0.1:1", "apk_home"), (platform, "apk_other")):
        process = ProviderProcess(tmp_path, config(), "--platform", address, key=key)
        try:
            said = process.send("POST", "/requests", request(), **bearer)
            assert (said.status, said.json["code"]) == (503, "store_unavailable")
            assert "apk_" not in said.body.decode()
            assert isinstance(process.bid(question()), GoodBid), "bids go on"
        finally:
            assert process.stop() == 0


def test_questions_are_asked_as_records_are_written() -> None:
    asked = question()
    assert msgspec.json.decode(bytes_of(asked), type=Asked) == asked
