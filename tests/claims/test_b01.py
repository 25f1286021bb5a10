"""B1: A device's request; the preferred segmentation, dispersion and assemblage of the data, found again on change."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served

MEGA = 1_000_000
#: id → provider, network, bytes a second, milliseconds, price for a gigabyte, set-up
PATHS: dict[str, tuple[str, str, int, int, str, str]] = {
    "fibre": ("north", "north-fibre", 10 * MEGA, 100, "0.10", "0"),
    "mobile": ("west", "tower", 40 * MEGA, 0, "0.50", "0.02"),
    "sky": ("orbit", "", 20 * MEGA, 600, "1", "0.1"),
}
CATALOG = """
providers = { north = { network = "north-fibre" }, west = {}, orbit = {} }
payers = { ada = { currency = "EUR" } }
networks = { north-fibre = {}, tower = {} }
[services.transfer]
retail = "nothing"
measures = { gb = "10^9 bytes" }
attributes = ["region"]
parts.carry = { provider = "north", wholesale = { north = "by-fibre", west = "by-mobile", orbit = "by-sky" } }
market = { retail = "passed-on", markup = 10 }
[services.carried]
retail = "nothing"
measures = { gb = "10^9 bytes" }
parts.carry = { provider = "north", wholesale = { north = "by-fibre", west = "by-mobile", orbit = "by-sky" } }
[tariffs]
nothing = { currency = "EUR", components = [{ kind = "unit", name = "data", measure = "gb", price = 2 }] }
by-fibre = { currency = "EUR", components = [{ kind = "unit", name = "data", measure = "gb", price = 0.10 }] }
[tariffs.by-mobile]
currency = "EUR"
components = [
  { kind = "flat", name = "open", price = 0.02 },
  { kind = "unit", name = "data", measure = "gb", price = 0.5 },
]
[tariffs.by-sky]
currency = "EUR"
components = [
  { kind = "flat", name = "open", price = 0.1 },
  { kind = "unit", name = "data", measure = "gb", price = 1 },
]
[offers.fibre]
service = "transfer"
part = "carry"
provider = "north"
tariff = "by-fibre"
quality = { throughput = 0.01, latency = 100 }
[offers.mobile]
service = "transfer"
part = "carry"
provider = "west"
network = "tower"
tariff = "by-mobile"
quality = { throughput = 0.04 }
capacity = { gb = 0.8 }
[offers.sky]
service = "transfer"
part = "carry"
provider = "orbit"
tariff = "by-sky"
quality = { throughput = 0.02, latency = 600 }
[offers.elsewhere]
service = "transfer"
part = "carry"
provider = "orbit"
tariff = "by-sky"
quality = { throughput = 9 }
when = { region = ["south"] }
"""


def paths(*ids: str) -> list[Json]:
    fields = ("provider", "network", "rate", "rtt", "price", "setup")
    return [{"id": id, **dict(zip(fields, PATHS[id], strict=True))} for id in ids or PATHS]


def transfer(**more: Any) -> Json:
    """A device asks for a gigabyte, cut every megabyte."""
    asked = {"amount": 1000 * MEGA, "currency": "EUR", "paths": paths(), "assemblage": {"size": MEGA}}
    return asked | more


def carried(plan: Json) -> dict[str, int]:
    """Bytes by path, delivered and still to come; every byte once."""
    found, pieces = dict[str, int](), list[tuple[int, int]]()
    for path in plan["paths"]:
        mine = [(o["offset"], o["length"]) for o in (*path.get("stretches", ()), *path.get("carried", ()))]
        assert path.get("bytes", 0) == sum(one["length"] for one in path.get("stretches", ()))
        found[path["id"]] = sum(length for _, length in mine)
        pieces += mine
    at = 0
    for offset, length in sorted(pieces):
        assert offset == at, "a byte is missing, or there twice"
        at += length
    assert at == plan["asked"]["amount"]
    return found


def exact(plan: Json) -> Fraction:
    """What it costs by the prices of this file; what the plan says must be the same, to the last unit."""
    total = Fraction(0)
    for path in plan["paths"]:
        *_, price, setup = PATHS[path["id"]]
        mine = Fraction(carried(plan)[path["id"]] * Fraction(price), 10**9) + Fraction(setup)
        assert Fraction(path["exact"]) == Fraction(path["cost"]) == mine
        total += mine
    assert Fraction(plan["cost"]) == total
    return total


def segmented(program: Program, asked: Json, *words: str) -> Json:
    (program.folder / "request.json").write_text(json.dumps(asked), encoding="utf-8")
    answer: Json = program("segment", "request.json", *words, "--json").json()
    return answer


def every(until: int) -> dict[tuple[int, int, int], int]:
    """All ways to split a thousand megabytes so that the last is there in time (ms), with their cost in millionths."""
    able = [max(until - wait, 0) * rate // 1000 // MEGA for _, _, rate, wait, _, _ in PATHS.values()]
    prices = [int(Decimal(price) * 1000) for *_, price, _ in PATHS.values()]
    setups = [int(Decimal(setup) * MEGA) for *_, setup in PATHS.values()]
    found = {}
    for fibre in range(min(able[0], 1000) + 1):
        for mobile in range(max(1000 - fibre - able[2], 0), min(able[1], 1000 - fibre) + 1):
            split = (fibre, mobile, 1000 - fibre - mobile)
            found[split] = sum(n * price + setup for n, price, setup in zip(split, prices, setups, strict=True) if n)
    return found


def test_the_cheapest_split_in_time_is_found(apportion: Program) -> None:
    plan = segmented(apportion, transfer(deadline="50"))
    ways = every(50_000)
    assert min(ways, key=lambda split: ways[split]) == (499, 501, 0)
    assert carried(plan) == {"fibre": 499 * MEGA, "mobile": 501 * MEGA}
    assert exact(plan) == Fraction(min(ways.values()), MEGA) == Fraction("0.3204")
    assert Fraction(plan["finish"]) <= 50 and "proven" not in plan
    shown = apportion("segment", "request.json").out.splitlines()
    assert [line.split()[:3] for line in shown[1:3]] == [["fibre", "north", "north-fibre"], ["mobile", "west", "tower"]]
    assert "499.000 MB" in shown[1] and "49.9 %" in shown[1] and "=====" in shown[1]
    # with all the time in the world one path is enough
    assert carried(segmented(apportion, transfer())) == {"fibre": 1000 * MEGA}


def test_the_fastest_within_a_budget_and_the_best_of_both(apportion: Program) -> None:
    fastest = segmented(apportion, transfer(objective="fastest"))
    cheap = segmented(apportion, transfer(objective="fastest", budget="0.3204"))
    value = segmented(apportion, transfer(objective="best-value"))
    assert Fraction(fastest["finish"]) < Fraction(value["finish"]) < Fraction("100.1")
    assert Fraction("0.1") < exact(value) < exact(fastest)
    assert exact(cheap) <= Fraction("0.3204") and Fraction(cheap["finish"]) <= 50
    for until, plan in ((Fraction(fastest["finish"]), fastest), (Fraction(cheap["finish"]), cheap)):
        sooner = min(every(int(until * 1000) - 1).values(), default=None)
        assert sooner is None or Fraction(sooner, MEGA) > exact(plan), "it could be earlier for that"


def test_a_path_changes_and_the_split_is_found_again(apportion: Program) -> None:
    first = segmented(apportion, transfer(deadline="50", paths=paths("fibre", "mobile")))
    starts = {path["id"]: path["stretches"][0]["offset"] for path in first["paths"]}
    done: Json = {
        "elapsed": "20",
        "reports": [
            {"id": "fibre", "done": [{"offset": starts["fibre"], "length": 199 * MEGA}]},
            {"id": "mobile", "gone": True, "done": [{"offset": starts["mobile"], "length": 300 * MEGA}]},
        ],
    }
    (apportion.folder / "plan.json").write_text(json.dumps(first), encoding="utf-8")

    def again(code: int = 0, **more: Any) -> Any:
        (apportion.folder / "done.json").write_text(json.dumps(done | more), encoding="utf-8")
        return apportion("segment", "plan.json", "--done", "done.json", "--json", code=code)

    late = json.loads(again(code=1).err)["error"]
    assert late["code"] == "no_plan" and late["field"] == "deadline"
    assert "the earliest possible finish is at 70.1 s" in late["message"]
    second = again(paths=paths()).json()
    assert carried(second) == {"fibre": 499 * MEGA, "mobile": 300 * MEGA, "sky": 201 * MEGA}
    assert exact(second) == Fraction("0.0499") + Fraction("0.17") + Fraction("0.301")
    fibre = next(path for path in second["paths"] if path["id"] == "fibre")
    assert fibre["stretches"] == [{"offset": starts["fibre"] + 199 * MEGA, "length": 300 * MEGA}], "nothing of it moved"
    assert second["moved"] == 201 * MEGA and Fraction(second["finish"]) <= 50
    # with all the time that is needed it stays where it can, and costs less
    third = again(deadline="80").json()
    assert carried(third) == {"fibre": 700 * MEGA, "mobile": 300 * MEGA} and exact(third) == Fraction("0.24")


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"deadline": "10"}, "no_plan", "the earliest possible finish is at 14.5 s"),
        ({"budget": "0.09"}, "no_plan", "the cheapest possible cost is 0.100000000 EUR"),
        ({"deadline": "50", "budget": "0.3"}, "no_plan", "until 50 s it costs at least 0.320400000 EUR"),
        ({"paths": [{**paths("fibre")[0], "rate": -1}]}, "bad_input", "paths[0].rate"),
        ({"currency": "DOLLARS"}, "unknown_asset", "currency"),
        ({"paths": []}, "bad_input", "there are no paths"),
        ({"amount": 0}, "bad_input", "amount"),
        ({"amount": 1 << 60}, "bad_input", "amount"),
        ({"paths": paths() + paths("sky")}, "bad_input", "two paths 'sky'"),
        ({"paths": [{**paths("fibre")[0], "most": MEGA}]}, "no_plan", "at most 1000000 together"),
        ({"profile": {"providers": {"ignore": ["north", "west", "orbit"]}}}, "no_plan", "ignores the provider north"),
        ({"weights": {"cost": 0, "time": 0}}, "bad_weight", "both zero"),
        ({"budget": "-1"}, "bad_quantity", "budget"),
    ],
)
def test_what_can_not_be_is_refused_with_the_nearest_miss(
    apportion: Program, changes: Json, code: str, said: str
) -> None:
    (apportion.folder / "request.json").write_text(json.dumps(transfer(**changes)), encoding="utf-8")
    error = json.loads(apportion("segment", "request.json", "--json", code=1).err)["error"]
    assert error["code"] == code
    assert said in f"{error.get('field', '')} {error['message']}"


def test_a_node_splits_over_what_is_offered_now_and_it_is_billed_exactly(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    node.top_up("ada", "100")
    asked = transfer(deadline="50", service="transfer", part="carry", measure="gb", unit=10**9, paths=[], currency="")
    plan = node.ask("POST", "/v1/segmentations", asked)
    assert carried(plan) == {"fibre": 499 * MEGA, "mobile": 501 * MEGA} and exact(plan) == Fraction("0.3204")
    assert {path["id"]: path["network"] for path in plan["paths"]} == {"fibre": "north-fibre", "mobile": "tower"}
    assert "elsewhere" in {one["id"] for one in plan["out"]}  # it serves another region
    # a user's device sees what payers pay: a tenth more, and nothing of what providers earn
    key = node.ask("POST", "/v1/keys", {"role": "user", "party": "ada"})["secret"]
    theirs = node.ask("POST", "/v1/segmentations", asked, key=key)
    assert Fraction(theirs["cost"]) == Fraction("0.3204") * Fraction("1.1")
    assert all("tariff" not in path for path in theirs["asked"]["paths"])
    # a path changes on the way
    start = {path["id"]: path["stretches"][0]["offset"] for path in plan["paths"]}
    reports = [
        {"id": "fibre", "done": [{"offset": start["fibre"], "length": 199 * MEGA}]},
        {"id": "mobile", "done": [{"offset": start["mobile"], "length": 300 * MEGA}], "gone": True},
    ]
    again = node.ask("POST", "/v1/segmentations/again", {"plan": plan, "elapsed": "20", "reports": reports})
    assert carried(again) == {"fibre": 499 * MEGA, "mobile": 300 * MEGA, "sky": 201 * MEGA}
    # what was delivered by it is charged: every provider earns what the plan said, to the last unit
    used = {one["provider"]: str(Decimal(carried(again)[one["id"]]) / 10**9) for one in again["paths"]}
    parts = [{"part": "carry", "provider": name, "quantities": {"gb": used[name]}} for name in used]
    record = {
        "source": "device", "id": "1", "service": "carried", "start": "2026-11-20T10:00:00Z", "parts": parts,
        "payers": [{"payer": "ada"}], "quantities": {"gb": "1"},
    }  # fmt: skip
    answer = node.ask("POST", "/v1/usage", [record])["records"][0]
    assert answer["state"] == "charged", answer
    for one in again["paths"]:
        assert node.balance(one["provider"]) == Decimal(one["cost"])
    assert node.balance("ada") == Decimal(98)
    # the same by the command line: asked of the node, and of its books
    remote = Program(apportion.folder, apportion.command, {"APPORTION_KEY": node.key})
    assert segmented(remote, asked, "--store", f"http://{node.address}") == plan
    node.stop()
    assert segmented(apportion, asked, "--store", "books.db") == plan


def test_a_profile_prefers_providers_and_networks(apportion: Program) -> None:
    costly = segmented(apportion, transfer(deadline="60", profile={"providers": {"order": ["orbit"]}}))
    assert carried(costly) == {"sky": 1000 * MEGA}
    bounded = {"providers": {"order": ["orbit"]}, "premium": "50"}
    assert "sky" not in carried(segmented(apportion, transfer(deadline="60", profile=bounded)))
    tower = segmented(apportion, transfer(deadline="60", profile={"networks": {"only": ["tower"]}}))
    assert carried(tower) == {"mobile": 1000 * MEGA}
    rated = [{**path, "rating": stars} for path, stars in zip(paths(), ("3", "4.5", "4.9"), strict=True)]
    best = segmented(apportion, transfer(deadline="60", paths=rated, profile={"highest_rated": "provider"}))
    assert carried(best) == {"sky": 1000 * MEGA}
