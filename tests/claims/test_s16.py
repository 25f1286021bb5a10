"""S16: Select each of the providers of a service: who holds what is asked for, has room, is on and is reached."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, why

# Oak serves Danish numbers; elm holds one title and has 20 minutes free; the networks of all three reach elm's, and no
# other reaches another.
OFFERS = """
[[interconnects]]
source = "west"
target = "east"
fee = "0.01"
[offers.danish]
service = "call"
part = "near"
provider = "oak"
tariff = "two"
when = { called = ["45*"] }
[offers.holder]
service = "call"
part = "far"
provider = "elm"
tariff = "two"
when = { title = ["film-7"] }
capacity = { minutes = "20" }
"""


def test_each_part_goes_to_who_can_deliver_it(apportion: Program) -> None:
    node = Market(apportion, calls(OFFERS, 'links = [["near", "far"]]'))
    film, danish = {"title": "film-7"}, {"called": "+4512345678"}

    # by what is held: the number's prefix decides on the near part, the title on the far one
    both = node.plan("10", attributes=film | danish)
    assert crew(both) == {"near": "oak", "far": "elm"}
    swedish = node.plan("10", attributes=film | {"called": "+4612345678"})
    assert crew(swedish) == {"near": "elm", "far": "elm"}
    assert why(swedish, "near", "oak") == ("conditions", "It does not serve this 'called'.")
    other = node.plan("10", attributes={"title": "film-8", "called": "+4612345678"})
    assert crew(other) == {"near": "ash", "far": "ash"}

    # by networks: oak is there for both parts, but west hands over to east alone, so without elm oak stays with itself
    assert crew(node.plan("10", attributes=danish)) == {"near": "oak", "far": "oak"}
    assert why(other, "near", "elm")[0] == "interconnect"

    # by capacity: of the 20 minutes a session takes ten, and the last ten are sold once
    first = node.accept(both)
    assert why(node.plan("11", attributes=film | danish), "far", "elm") == (
        "capacity", "It has 10 minutes free, 11 are needed.",
    )  # fmt: skip
    last, late = (node.plan("10", attributes=film | danish) for _ in range(2))
    second = node.accept(last)
    assert node.accept(late, status=409)["code"] == "plan_ended"
    for session in (first, second):
        node.report(session["id"], 1, {"minutes": "10"})
        node.end(session["id"])
    assert crew(node.plan("20", attributes=film | danish))["far"] == "elm"  # free again

    # switched off, with the reason, and on again
    node.ask("POST", "/v1/providers/oak/switch", {"off": True, "seconds": 3600, "reason": "fibre cut"})
    off = node.plan("10", attributes=film | danish)
    assert crew(off) == {"near": "elm", "far": "elm"}
    assert why(off, "near", "oak")[0] == "off" and "fibre cut" in why(off, "near", "oak")[1]
    node.ask("POST", "/v1/providers/oak/switch", {"off": False})
    assert crew(node.plan("10", attributes=film | danish)) == {"near": "oak", "far": "elm"}

    books = node.stop()
    # twice ten minutes; the crossing of 0.01 goes to elm, whose network it leads to
    assert books.balances("provider") == {"oak": Decimal("0.40"), "elm": Decimal("0.42")}
    assert "4512345678" not in str(books.lines)
