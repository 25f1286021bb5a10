"""A race for one account over HTTP, against one node or several, and the invariants that every export must keep.

``Race`` takes the addresses of nodes on the same books; each client talks to them in turn, so that whatever one node
did the next must know. Nothing here knows which store is behind them.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from apportion.model.catalog import Catalog
from apportion.model.party import Payer
from apportion.model.tariff import Tariff, Unit
from tests.faces.api.nodes import Answer, Line, catalog, ride, together

OPENING, PRICE = Decimal(100), Decimal(7)
Address = tuple[str, int]


def racers(count: int) -> Catalog:
    """Rides at 7 a kilometre, and so many payers with 100 each and no credit."""
    payers = {f"racer-{n}": Payer(f"racer-{n}", "EUR", opening=str(OPENING)) for n in range(count)}
    prices = {"fare": str(PRICE), "driving": "1.7371", "car": "0.31415"}
    tariffs = {
        name: Tariff(id=name, currency="EUR", components=(Unit(name="way", measure="km", price=price),))
        for name, price in prices.items()
    }
    return msgspec.structs.replace(catalog(), tariffs=tariffs, payers=payers, unknown_payers=None)


# what an export says


class Held(NamedTuple):
    """How a hold stands."""

    account: str
    state: str
    amount: Decimal
    open: Decimal
    captured: Decimal
    released: Decimal


class Facts:
    """An export read in book order; every state that the books were ever in is held against the invariants.

    The names (L1, B1 …) are those of the list of invariants that this project is tested by.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.assets: dict[str, str] = {}
        self.credit: dict[str, Decimal | None] = {}
        self.posted: dict[str, Decimal] = {}
        self.held: dict[str, Decimal] = {}
        self.holds: dict[str, Held] = {}
        self.charges: dict[str, Decimal] = {}
        self.causes: dict[str, str] = {}
        self.payers: dict[str, str] = {}  # of charges: the account that bears them
        self.usages: dict[str, str] = {}
        self.balances: dict[str, tuple[Decimal, Decimal]] = {}
        self.ended = False
        self._touched: set[str] = set()
        row = 0
        for raw in lines:
            line = json.loads(raw)
            if line.get("n", 0) != row:
                self._row_is_over()
                row = line.get("n", 0)
            getattr(self, f"_{line['type']}", lambda _: None)(line)
        self._row_is_over()
        self._all_is_over()

    def available(self, account: str) -> Decimal:
        """posted − held + credit."""
        return self.posted[account] - self.held[account] + (self.credit[account] or 0)

    def _row_is_over(self) -> None:
        for account in self._touched:
            if self.credit[account] is not None:
                assert self.available(account) >= 0, f"B1: {account} fell to {self.available(account)}"
            assert self.held[account] >= 0, f"B1: {account} holds {self.held[account]}"
        self._touched.clear()

    def _all_is_over(self) -> None:
        assert self.ended, "an export ends in one end line"
        assert sum(self.posted.values()) == 0, "L2: all accounts together are zero"
        found = {account: (self.posted[account], self.held[account]) for account in self.posted}
        assert self.balances == found, "L3: balances are the sums of their entries, and of open holds"
        for account, held in self.held.items():
            assert held == sum(hold.open for hold in self.holds.values() if hold.account == account), "L3"
        moved = {id for id, amount in self.charges.items() if amount}
        booked = {cause for cause, kind in self.causes.items() if kind == "charge"}
        assert moved == booked, "L8: every charge has its entry, every entry its charge"

    def _account(self, line: Any) -> None:
        id = line["id"]
        assert id not in self.posted
        self.assets[id], self.posted[id], self.held[id] = line["asset"], Decimal(0), Decimal(0)
        self.credit[id] = Decimal(line["credit"]) if line["role"] == "payer" else None

    def _credit(self, line: Any) -> None:
        self.credit[line["account"]] = Decimal(line["credit"])

    def _entry(self, line: Any) -> None:
        amounts = [Decimal(leg["amount"]) for leg in line["legs"]]
        assert sum(amounts) == 0 and len(amounts) > 1 and all(amounts), f"L1: {line}"
        assert line["cause"] not in self.causes, f"L8: {line['cause']} moved value twice"
        self.causes[line["cause"]] = line["kind"]
        for leg, amount in zip(line["legs"], amounts, strict=True):
            assert self.assets[leg["account"]] == line["asset"], "L6: one currency an account"
            self.posted[leg["account"]] += amount
            self._touched.add(leg["account"])

    def _hold(self, line: Any) -> None:
        hold = Held(
            line["account"], line["state"], *(Decimal(line[n]) for n in ("amount", "open", "captured", "released"))
        )
        assert hold.amount == hold.open + hold.captured + hold.released and min(hold[2:]) >= 0, f"B2: {line}"
        assert (hold.state == "open") == (hold.open > 0), f"B3: {line}"
        before = self.holds.get(line["id"], Held(hold.account, "open", hold.amount, *[Decimal(0)] * 3))
        assert before.state == "open", f"B4: {line['id']} had ended"
        assert before.captured <= hold.captured and before.released <= hold.released and before.amount == hold.amount
        self.held[hold.account] += hold.open - before.open
        self.holds[line["id"]] = hold
        self._touched.add(hold.account)

    def _charge(self, line: Any) -> None:
        assert line["id"] not in self.charges, f"L8: {line['id']} stands twice"
        read = {name: Decimal(line.get(name, "0")) for name in ("total", "platform", "tax", "sponsored")}
        self.charges[line["id"]] = read["total"]
        earned, paid = (sum(Decimal(one["amount"]) for one in line.get(name, ())) for name in ("portions", "shares"))
        assert paid + read["sponsored"] == earned + read["platform"] + read["tax"], f"P1: {line}"
        for share in line.get("shares", ()):
            self.payers[line["id"]] = share["account"]

    def _usage(self, line: Any) -> None:
        self.usages[line["key"]] = line["state"]

    def _balance(self, line: Any) -> None:
        self.balances[line["account"]] = Decimal(line["posted"]), Decimal(line.get("held", "0"))

    def _end(self, line: Any) -> None:
        self.ended = True


def exported(address: Address, key: str) -> list[bytes]:
    """The lines of an export."""
    line = Line(address, key)
    answer = line.ask("GET", "/v1/export")
    line.close()
    assert answer.status == 200, answer.body
    return answer.body.splitlines()


# the race


class Told:
    """What the clients of a round were answered."""

    def __init__(self) -> None:
        self.charged: list[str] = []
        self.refunded: list[str] = []
        self.parked: list[str] = []
        self.refused = 0
        self.topups: dict[str, Decimal] = {}
        self.holds: dict[str, Held] = {}
        self.never: list[str] = []  # references of what was refused
        self.lowest = OPENING


class Race:
    """Clients that stay connected from round to round."""

    def __init__(self, addresses: Sequence[Address], key: str, clients: int = 64) -> None:
        self.addresses, self.key, self.clients = addresses, key, clients
        self._lines = [[Line(address, key) for address in addresses] for _ in range(clients)]

    def close(self) -> None:
        for line in (line for lines in self._lines for line in lines):
            line.close()

    def run(self, number: int, seed: int, steps: int = 5) -> Told:
        """One round for the account of ``racer-{number}``, then everything is held against the export."""
        payer, told = f"racer-{number}", Told()
        account = self._account(payer)
        with_, stop = threading.Lock(), threading.Event()
        seen: list[BaseException] = []
        watchers = [
            threading.Thread(target=self._guarded, args=(seen, self._watch_balance, account, stop, told)),
            threading.Thread(target=self._guarded, args=(seen, self._watch_exports, account, stop)),
        ]
        for watcher in watchers:
            watcher.start()

        def client(at: int) -> None:
            self._guarded(
                seen, _Client(self._lines[at], payer, f"{number}-{at}", seed * 1000 + at).run, steps, told, with_
            )

        try:
            together(self.clients, client)
        finally:
            stop.set()
            for watcher in watchers:
                watcher.join()
        assert not seen, seen
        self._settled(account, told)
        return told

    @staticmethod
    def _guarded(seen: list[BaseException], run: Any, *given: Any) -> None:
        try:
            run(*given)
        except BaseException as error:
            seen.append(error)

    def _account(self, payer: str) -> str:
        line, after = self._lines[0][0], ""
        while True:
            page = line.ask("GET", f"/v1/accounts?limit=200&after={after}").json
            for account in page["data"]:
                if account["owner"] == payer:
                    assert Decimal(account["available"]) == OPENING
                    return str(account["id"])
            after = page["next"]
            assert after, f"there is no {payer}"

    def _watch_balance(self, account: str, stop: threading.Event, told: Told) -> None:
        lines = [Line(address, self.key) for address in self.addresses]
        while not stop.is_set():
            for line in lines:
                found = line.ask("GET", f"/v1/accounts/{account}").json
                posted, held, left = (Decimal(found[name]) for name in ("posted", "held", "available"))
                assert left == posted - held and left >= 0 and held >= 0, f"B1: {found}"
                told.lowest = min(told.lowest, left)
        for line in lines:
            line.close()

    def _watch_exports(self, account: str, stop: threading.Event) -> None:
        taken = 0
        while not stop.is_set() or not taken:
            assert Facts(exported(self.addresses[taken % len(self.addresses)], self.key)).available(account) >= 0
            taken += 1

    def _settled(self, account: str, told: Told) -> None:
        """Every unit of the account is accounted for, and nothing but what was acknowledged is there."""
        facts = Facts(exported(self.addresses[-1], self.key))
        charged = [id for id, payer in facts.payers.items() if payer == account]
        acknowledged = [*told.charged, *told.refunded]
        assert len(acknowledged) == len(set(acknowledged)) and set(acknowledged) <= set(charged)
        late = {
            id.replace("usg_", "chg_") for id in told.parked
        }  # a top-up, or a hold's end, may have let them through
        assert set(charged) <= set(acknowledged) | late, "a refused charge is in the books"
        assert {id for id in told.topups if facts.causes.get(id) != "topup"} == set()
        rides = len(charged) - 2 * len(told.refunded)  # each refund is a charge of its own, below zero
        assert facts.posted[account] == OPENING + sum(told.topups.values()) - PRICE * rides
        assert {id: hold for id, hold in facts.holds.items() if hold.account == account} == told.holds
        assert facts.held[account] == sum(hold.open for hold in told.holds.values())
        assert facts.available(account) >= 0


class _Client:
    """One client's steps; it alone ends the holds that it placed."""

    def __init__(self, lines: Sequence[Line], payer: str, name: str, seed: int) -> None:
        self.lines, self.payer, self.name, self.chance = lines, payer, name, random.Random(seed)
        self.asked = 0
        self.mine: list[str] = []
        self.rides: list[str] = []

    def run(self, steps: int, told: Told, lock: threading.Lock) -> None:
        for step in range(steps):
            verb = self.chance.choice(("charge", "charge", "charge", "hold", "hold", "end", "end", "topup", "refund"))
            getattr(self, f"_{verb}")(f"{self.name}-{step}", told, lock)

    def ask(self, path: str, body: Any, name: str) -> Answer:
        """Ask a node; one time in four also the next one, under the same key: the same answer, byte for byte."""
        self.asked += 1
        answer = self.lines[self.asked % len(self.lines)].ask("POST", path, body, idempotency_key=name)
        if self.chance.random() < 0.25 and answer.status < 300 and b'"pending"' not in answer.body:
            again = self.lines[(self.asked + 1) % len(self.lines)].ask("POST", path, body, idempotency_key=name)
            assert (again.status, again.body) == (answer.status, answer.body), (answer, again)
            assert again.headers.get("idempotency-replayed") == "true"
        assert answer.status in (200, 201, 402, 409, 422), answer  # 422: more is captured than is open
        return answer

    def _charge(self, name: str, told: Told, lock: threading.Lock) -> None:
        answer = self.ask("/v1/usage", [ride(name, self.payer)], name)
        record = answer.json["records"][0]
        with lock:
            {"charged": told.charged, "pending": told.parked}[record["state"]].append(record["id"])
            self.rides += [record["id"]] if record["state"] == "charged" else []
            told.refused += record["state"] == "pending"

    def _refund(self, name: str, told: Told, lock: threading.Lock) -> None:
        """Give a ride back that was charged, once; there may be none yet."""
        with lock:
            mine = self.rides.pop() if self.rides else ""
        if not mine:
            return self._charge(name, told, lock)
        answer = self.ask("/v1/usage", [ride(name, self.payer, quantities={"km": "-1"})], name)
        record = answer.json["records"][0]
        assert record["state"] == "charged", record
        with lock:
            told.refunded.append(record["id"])

    def _topup(self, name: str, told: Told, lock: threading.Lock) -> None:
        amount = Decimal(self.chance.choice(("1", "3", "7")))
        body = {"payer": self.payer, "amount": str(amount), "currency": "EUR", "reference": name}
        answer = self.ask("/v1/topups", body, name)
        assert answer.status == 201
        with lock:
            told.topups[answer.json["id"]] = amount

    def _hold(self, name: str, told: Told, lock: threading.Lock) -> None:
        amount = self.chance.choice(("7", "7", "14"))
        body = {
            "payer": self.payer,
            "amount": amount,
            "currency": "EUR",
            "owner": name,
            "expires": "2099-01-01T00:00:00Z",
        }
        self._note(self.ask("/v1/holds", body, name), told, lock)

    def _end(self, name: str, told: Told, lock: threading.Lock) -> None:
        if not self.mine:
            return self._hold(name, told, lock)
        hold = self.chance.choice(self.mine)
        if self.chance.random() < 0.5:
            answer = self.ask(f"/v1/holds/{hold}/release", {}, name)
        else:
            body = {"amount": self.chance.choice(("0", "3.5", "7")), "final": self.chance.random() < 0.6}
            answer = self.ask(f"/v1/holds/{hold}/capture", body, name)
        self._note(answer, told, lock)

    def _note(self, answer: Answer, told: Told, lock: threading.Lock) -> None:
        with lock:
            if answer.status > 299:
                told.refused += 1
                return
            found = answer.json
            amounts = [Decimal(found[name]) for name in ("amount", "open", "captured", "released")]
            told.holds[found["id"]] = Held(found["account"], found["state"], *amounts)
            if found["id"] not in self.mine:
                self.mine.append(found["id"])


def ready(address: Address, key: str, seconds: float = 5) -> float:
    """Seconds until a node says that it is ready."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            line = Line(address, key)
            if line.ask("GET", "/ready").status == 200:
                return time.monotonic() - began
        except OSError:
            time.sleep(0.01)
        finally:
            line.close()
    raise AssertionError(f"not ready within {seconds} s")
