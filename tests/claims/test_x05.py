"""X5: A broken service level becomes a credit for the user, debited to the provider at fault."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served

# A minute costs 0.10 and a quarter of it as tax; oak earns 0.02 of it, elm 0.06: of the fee, a quarter is oak's.
CATALOG = """
[currencies]
EUR = 9
[providers]
oak = {}
elm = {}
[tariffs.retail]
currency = "EUR"
taxes = { vat = "25" }
tax = "vat"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.10" }]
[tariffs.near]
currency = "EUR"
components = [{ kind = "unit", name = "near", measure = "minutes", price = "0.02" }]
[tariffs.far]
currency = "EUR"
components = [{ kind = "unit", name = "far", measure = "minutes", price = "0.06" }]
[services.call]
retail = "retail"
measures = { minutes = "min", setup = "ms" }
attributes = ["outcome", "fault"]
levels = { success = { attribute = "outcome", failed = ["dropped"], fault = "fault" }, latency = "setup" }
parts.near = { provider = "oak", wholesale = { oak = "near" } }
parts.far = { provider = "elm", wholesale = { elm = "far" } }
[payers]
ada = { currency = "EUR", credit = "100" }
ben = { currency = "EUR", credit = "100" }
cay = { currency = "EUR", credit = "100" }
[agreements]
ada-elm = { service = "call", payer = "ada", provider = "elm", targets = { success = "0.99", latency = 300 }, \
consequence = { credit = "10", most = "15" } }
ada-oak = { service = "call", payer = "ada", provider = "oak", targets = { success = "0.99", latency = 300 }, \
consequence = { credit = "10" } }
ben-oak = { service = "call", payer = "ben", provider = "oak", part = "near", targets = { availability = "0.999" }, \
consequence = { credit = "20", review = "0.50" } }
cay-oak = { service = "call", payer = "cay", provider = "oak", targets = { availability = "0.999" }, \
consequence = { credit = "20", review = "0.50" } }
"""


class Month(Served):
    """A node with October's calls."""

    def call(self, payer: str, count: int, minutes: str, **attributes: str) -> None:
        """So many calls with so many minutes each."""
        records = [
            {"source": "meter", "id": f"{payer} {attributes} {number}", "service": "call",
             "start": f"2026-10-{1 + number % 28:02}T10:00:00Z", "payers": [{"payer": payer}],
             "quantities": {"minutes": minutes, "setup": "200"}, "attributes": attributes}
            for number in range(count)
        ]  # fmt: skip
        answer = self.ask("POST", "/v1/usage", records)
        assert {one["state"] for one in answer["records"]} <= {"charged", "zero-rated"}, answer

    def measure(self, status: int = 0, period: str = "2026-10") -> Json:
        return self.ask("POST", "/v1/levels", {"period": period}, status=status)

    def advices(self) -> dict[str, tuple[Decimal, list[Any]]]:
        """Settle; by provider, what it was credited and its lines."""
        made = self.ask("POST", "/v1/settlements", {"mode": "net"})["settlements"][0]["positions"]
        found = {}
        for one in made:
            advice = self.ask("GET", f"/v1/statements/{one['advice']}")
            found[one["provider"]] = Decimal(advice["credited"]), advice
        return found

    def key_of(self, party: str, role: str) -> str:
        return str(self.ask("POST", "/v1/keys", {"role": role, "party": party}, status=201)["secret"])


def test_a_month_with_failures_is_credited_to_the_user_by_the_provider_at_fault(apportion: Program) -> None:
    node = Month(apportion, CATALOG)
    node.call("ada", 38, "10", outcome="ok")
    node.call("ada", 2, "0", outcome="dropped", fault="far")  # they cost nothing, and count
    node.call("ben", 10, "10", outcome="ok")
    node.call("cay", 10, "10", outcome="dropped", fault="far")  # nobody promised her anything about that
    down = {"provider": "oak", "start": "2026-10-07T10:00:00+02:00", "end": "2026-10-07T11:00:00+02:00"}
    node.ask("POST", "/v1/outages", down, status=201)
    node.measure(409, "2099-01")
    before = {who: node.balance(who) for who in ("ada", "ben", "cay", "oak", "elm", "vat@25")}

    done = node.measure()
    levels = {one["agreement"]: one for one in done["levels"]}
    assert done["made"] == 4 and {name: one["state"] for name, one in levels.items()} == {
        "ada-elm": "credited", "ada-oak": "kept", "ben-oak": "review", "cay-oak": "review",
    }  # fmt: skip
    broken = levels["ada-elm"]
    assert [(one["target"], one["measured"], one["kept"]) for one in broken["targets"]] == [
        ("success", "0.95", False), ("latency", "200", True),
    ]  # fmt: skip
    # elm's three quarters of 38 × 1.25, and a tenth of that
    assert (broken["uses"], Decimal(broken["fee"]), Decimal(broken["credit"])) == (
        40, Decimal("35.625"), Decimal("3.5625"),
    )  # fmt: skip
    assert node.balance("ada") == before["ada"] + Decimal("3.5625")
    assert node.balance("elm") == before["elm"] - Decimal("2.85")  # the tax in it is not elm's
    assert node.balance("vat@25") == before["vat@25"] - Decimal("0.7125")
    for other in ("ben", "cay", "oak"):
        assert node.balance(other) == before[other]
    assert node.measure() == done | {"made": 0}  # once, for ever
    node.call("ada", 1, "0", outcome="dropped", fault="near")  # too late for oak's level
    assert node.measure() == done | {"made": 0}

    # what is above the threshold waits for a person
    mine, hers = levels["ben-oak"], levels["cay-oak"]
    assert mine["targets"][0]["in_words"] == "availability 99.86 % (promised 99.9 %)"
    assert Decimal(mine["credit"]) == Decimal("0.625")  # a fifth of a quarter of 12.50
    approved = node.ask("POST", f"/v1/levels/{mine['id']}/approve", {})
    assert approved["state"] == "approved" and approved == node.ask("POST", f"/v1/levels/{mine['id']}/approve", {})
    assert node.ask("POST", f"/v1/levels/{hers['id']}/waive", {"reason": "announced"})["state"] == "waived"
    node.ask("POST", f"/v1/levels/{mine['id']}/waive", {}, status=409)
    assert node.balance("ben") == before["ben"] + Decimal("0.625") and node.balance("cay") == before["cay"]
    assert node.balance("oak") == before["oak"] - Decimal("0.5")

    # everybody sees their own
    keys = {who: node.key_of(who, role) for who, role in (("ada", "user"), ("elm", "provider"))}
    seen = {who: node.ask("GET", "/v1/levels", key=key)["data"] for who, key in keys.items()}
    assert {one["agreement"] for one in seen["ada"]} == {"ada-elm", "ada-oak"}
    assert [one["agreement"] for one in seen["elm"]] == ["ada-elm"] and "fee" not in seen["elm"][0]
    node.ask("GET", f"/v1/levels/{mine['id']}", key=keys["ada"], status=404)
    node.ask("POST", "/v1/levels", {}, key=keys["elm"], status=403)
    node.ask("POST", "/v1/outages", down, key=keys["elm"], status=404)

    issued = node.ask("POST", "/v1/statements", {"period": "2026-10", "who": "ada"})["data"][0]
    bill = node.ask("GET", f"/v1/statements/{issued['id']}")
    items = {one["label"]: Decimal(one["total"]) for section in bill["sections"] for one in section["items"]}
    label = "Service level credit: success 95 % (promised 99 %)"
    assert Decimal(bill["total"]) == sum(items.values()) == Decimal("43.94")  # 47.50 − 3.5625
    assert items[label] in (Decimal("-3.56"), Decimal("-3.57")) and set(items) == {"Talk", label}

    advices = node.advices()
    assert advices["elm"][0] == before["elm"] - Decimal("2.85")
    assert advices["oak"][0] == before["oak"] - Decimal("0.5")
    parts = {one["part"]: Decimal(one["credited"]) for one in advices["elm"][1]["dues"]}
    assert parts["Far: service level missed"] == Decimal("-2.85"), parts
    books = node.stop()
    assert [one["state"] for one in books.of("level")].count("credited") == 1
