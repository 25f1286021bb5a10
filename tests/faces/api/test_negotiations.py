"""Negotiations over HTTP, with provider nodes in processes of their own: some of them slow, dead, or liars."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import apportion
from apportion.errors import RefusalCode, Refused
from apportion.model.negotiation import Mandate
from apportion.model.request import Request
from apportion.model.talks import CounterAsked, OfferTaken, TalksState
from apportion.model.usage import PayerUse
from tests.faces.api.nodes import NodeProcess, balance, proven, together
from tests.faces.provider.bargainers import bargainers
from tests.talks import bargainer, market

Json = dict[str, Any]
ASKED: Json = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"minutes": "100"}}


class Floor:
    """A platform, and nodes that bargain with it; ``heard`` is what they were sent."""

    def __init__(self, folder: Path, stack: ExitStack, specs: tuple[Json, ...], more: str = "") -> None:
        self.log, self.store = folder / "heard.log", folder / "books.db"
        nodes = stack.enter_context(bargainers("127.72", list(specs), self.log))
        (folder / "catalog.toml").write_text(market(nodes, more=more))
        self.node = self.start()
        put = self.node.ask(
            "PUT", "/v1/catalog", (folder / "catalog.toml").read_bytes(), content_type="application/toml"
        )
        assert put.status == 200, put.body
        stack.callback(lambda: self.node.process.kill())

    def start(self) -> NodeProcess:
        return NodeProcess(self.store, "--allow-private-addresses")

    @property
    def heard(self) -> bytes:
        return self.log.read_bytes()

    def post(self, path: str, body: Any, status: int = 0, key: str = "", **headers: str) -> Json:
        answer = self.node.ask("POST", path, body, key=key, **headers)
        assert answer.status == status if status else answer.status < 300, answer.body
        found: Json = answer.json
        return found

    def begin(self, status: int = 0, key: str = "", **more: Any) -> Json:
        return self.post("/v1/negotiations", {"request": ASKED, **more}, status, key)

    def accept(self, shown: Json, status: int = 0) -> Json:
        return self.post(f"/v1/plans/{shown['agreed']}/accept", {}, status, idempotency_key=shown["agreed"])

    def stop(self) -> None:
        assert self.node.stop() == 0, self.node.log[-5:]
        proven(self.store).close()


@contextmanager
def floor(folder: Path, *specs: Json, more: str = "") -> Iterator[Floor]:
    with ExitStack() as stack:
        yield Floor(folder, stack, specs, more)


def offer(shown: Json, provider: str) -> Json:
    found: Json = next(one for one in shown["offers"] if one["provider"] == provider)
    return found


def test_a_user_through_the_client_even_when_the_platform_restarts_in_between(tmp_path: Path) -> None:
    with floor(tmp_path, bargainer("oak", "0.10"), bargainer("elm", "0.12")) as here:
        key = here.node.key("user", "ada")
        wanted = Request("call", (PayerUse("ada"),), {"minutes": "100"})
        with apportion.Client(here.node.url, key=key) as client:
            id = client.negotiations.begin(wanted).id
        assert here.node.stop() == 0
        here.node = here.start()
        with apportion.Client(here.node.url, key=key) as client:
            found = client.negotiations.counter(id, CounterAsked("9"))
            assert found.round == 1 and found.offers[0].provider == "oak" and Decimal(found.offers[0].price) == 14
            with pytest.raises(Refused) as error:
                client.negotiations.accept(id, [OfferTaken("oak", price="15")])
            assert error.value.refusal.code is RefusalCode.CONFLICT
            found = client.negotiations.accept(id)
            assert found.state is TalksState.AGREED and [one.id for one in client.negotiations.list()] == [id]
            session = client.plans.accept(found.agreed)
            assert client.negotiations.get(id).plan is not None and session.plan == found.agreed
            left = client.negotiations.end(client.negotiations.begin(wanted).id)
            assert left.state is TalksState.WALKED
            agent = client.negotiations.begin(wanted, Mandate("18", seconds=20))
            assert agent.state is TalksState.AGREED, agent.reason
        here.stop()


def test_an_agent_among_the_slow_the_dead_and_the_liars(tmp_path: Path) -> None:
    crooks = [bargainer(name, "0.05", manner=name, tactic="fixed") for name in ("slow", "silent", "dies", "liar")]
    with floor(tmp_path, bargainer("oak", "0.10"), bargainer("elm", "0.11"), *crooks) as here:
        began = time.monotonic()
        shown = here.begin(201, mandate={"limit": "18.31957264", "seconds": 12})
        assert time.monotonic() - began < 14
        assert shown["state"] == "agreed" and (shown["asked"], shown["answered"]) == (6, 2)
        (one,) = shown["plan"]["scenarios"]
        assert one["parts"][0]["provider"] in ("oak", "elm") and Decimal(one["total"]) <= Decimal("18.31957264")
        why = {name: offer(shown, name)["out"] for name in ("slow", "silent", "dies", "liar")}
        assert why["liar"] == "The signature is not by the provider's key." and "did not answer" in why["dies"]
        session = here.accept(shown)
        assert session["plan"] == shown["agreed"]
        assert b"18.31957264" not in here.heard and b"18.31957264" not in here.store.read_bytes()
        here.stop()
        assert "18.31957264" not in "".join(here.node.log) and any("negotiate" in line for line in here.node.log)


@pytest.mark.parametrize("manner", ["refuses", "turncoat"])
def test_a_node_that_changes_its_price_afterwards_charges_nothing(tmp_path: Path, manner: str) -> None:
    with floor(tmp_path, bargainer("oak", "0.10", manner=manner)) as here:
        shown = here.begin(201, mandate={"limit": "18", "seconds": 10})
        refused = here.accept(shown, 409)
        assert refused["code"] == "plan_ended" and "does not stand by its bid" in refused["detail"]
        account = balance(here.node, "ada")
        assert (Decimal(account["posted"]), Decimal(account["held"])) == (50, 0)
        assert here.node.ask("GET", "/v1/sessions").json["data"] == []
        here.stop()


def test_a_poor_record_ends_it_before_any_node_is_asked(tmp_path: Path) -> None:
    more = """
[payers.dan]
currency = "EUR"
credit = 0
trust = true
[dunning]
due_days = 0
[[trust]]
currency = "EUR"
cap = 5000
starting = 400
share = 0.5
minimum_months = 3
[services.walk]
retail = "list"
measures = { minutes = "min" }
parts.way = { provider = "telco", wholesale = { telco = "list" } }
"""
    with floor(tmp_path, bargainer("oak", "0.10"), more=more) as here:
        used = {
            "source": "meter", "id": "1", "service": "walk", "start": "2026-01-10T08:00:00Z",
            "payers": [{"payer": "dan"}], "quantities": {"minutes": "100"},
        }  # fmt: skip
        charged = here.post("/v1/usage", [used])["records"][0]
        assert charged["state"] == "charged", charged
        here.post("/v1/statements", {"period": "2026-01", "who": "dan"})
        request = {**ASKED, "payers": [{"payer": "dan"}]}
        for body in ({"request": request}, {"request": request, "mandate": {"limit": "30"}}):
            refused = here.post("/v1/negotiations", body, 402)
            assert (refused["code"], refused["field"]) == ("declined", "payers")
        assert here.heard == b"" and here.node.ask("GET", "/v1/negotiations").json["data"] == []
        here.stop()


def test_many_at_once_each_have_a_negotiation_of_their_own(tmp_path: Path) -> None:
    with floor(tmp_path, bargainer("oak", "0.10"), bargainer("elm", "0.11")) as here:
        shown = together(6, lambda number: here.begin())
        assert len({one["id"] for one in shown}) == 6
        id = shown[0]["id"]
        moves = together(
            4, lambda number: here.node.ask("POST", f"/v1/negotiations/{id}/counter", {"amount": str(5 + number)})
        )
        done = [one for one in moves if one.status == 200]
        assert 1 <= len(done) and {one.status for one in moves} <= {200, 409}
        now = here.node.ask("GET", f"/v1/negotiations/{id}").json
        assert now["round"] == len(done), "each move that was made counts, and no other"
        agents = together(4, lambda number: here.node.ask(
            "POST", "/v1/negotiations", {"request": ASKED, "mandate": {"limit": "18", "seconds": 10}}
        ))  # fmt: skip
        assert {one.status for one in agents} <= {201, 409}
        assert all(json.loads(one.body)["state"] == "agreed" for one in agents if one.status == 201)
        here.stop()
