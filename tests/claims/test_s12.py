"""S12: The fee of several users allocated by least cost, as their service level agreements determine it."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

from tests.claims.conftest import ATOM, Book, Books, Json, Program, Write
from tests.claims.serving import Served

# A minute of the list costs 1.00. Ada has agreed on 15.00 for opening and then 0.81 by day, 0.50 by night; Ben on 0.82
# by day and as the list by night. Cyd has nothing.
MEETING = """
unknown_payers = { currency = "EUR", credit = "1000" }
providers = { wires = {}, rooms = {} }
[services.meeting]
retail = "list"
allocate = "least-cost"
measures = { day = "min", night = "min" }
parts.line = { provider = "wires", wholesale = { wires = "carrying" } }
parts.bridge = { provider = "rooms", wholesale = { rooms = "mixing" } }
[agreements]
ada-large = { service = "meeting", payer = "ada", tariff = "large", valid_until = 2026-06-01T00:00:00Z }
ben-steady = { service = "meeting", payer = "ben", tariff = "steady" }
[tariffs.carrying]
currency = "EUR"
components = [{ kind = "unit", name = "line", measure = "day", price = 0.30 }]
[tariffs.mixing]
currency = "EUR"
components = [{ kind = "unit", name = "bridge", measure = "night", price = 0.25 }]
[tariffs.list]
#tax
currency = "EUR"
components = [
  { kind = "unit", name = "day", measure = "day", price = 1 },
  { kind = "unit", name = "night", measure = "night", price = 1 },
]
[tariffs.steady]
#tax
currency = "EUR"
components = [
  { kind = "unit", name = "day", measure = "day", price = 0.82 },
  { kind = "unit", name = "night", measure = "night", price = 1 },
]
[tariffs.large]
#tax
currency = "EUR"
components = [
  { kind = "flat", name = "opening", price = 15 },
  { kind = "unit", name = "day", measure = "day", price = 0.81 },
  { kind = "unit", name = "night", measure = "night", price = 0.50 },
]
"""
TAXED = MEETING.replace("#tax", 'taxes = { vat = "20" }\ntax = "vat"')


def meeting(id: str, when: str = "2026-03-02T10:00:00Z", **minutes: str) -> Json:
    """Who talked how many minutes ``day/night``; a name with a line after it takes part and pays nothing."""
    payers = []
    for name, text in minutes.items():
        day, _, night = text.partition("/")
        payer = {"payer": name.strip("_"), "quantities": {"day": day, "night": night or "0"}}
        payers.append({**payer, **({"pays": False} if name.endswith("_") else {})})
    return {"source": "room", "id": id, "service": "meeting", "start": when, "payers": payers}


def booked(book: Book, write: Write, *records: Json, catalog: str = MEETING) -> Books:
    usage = "\n".join(json.dumps(record) for record in records)
    books = book(write("meeting.toml", catalog), write("meetings.jsonl", usage))
    assert books.summary["charged"] == len(records), books.summary
    books.program("verify", "--store", books.store)
    return books


def paid(books: Books, record: str) -> dict[str, Decimal]:
    return {name: -amount for name, amount in books.legs(record) if amount < 0}


def shares(books: Books, record: str) -> dict[str, Json]:
    return {books.owners[share["account"]]: share for share in books.charges[record]["shares"]}


def test_all_are_served_under_the_agreement_that_makes_the_whole_cheapest(book: Book, write: Write) -> None:
    books = booked(book, write, meeting("m", ada="0/100", ben="100", cyd="0/100"))
    # All under ada's: 15 + 50 + 81 + 50 = 196. Alone: 65, 82 and 100, together 247. Serving each costs its minutes and,
    # of the 15, its part by these: ben's would come to 81 + 15 × 82 ÷ 247 = 85.98, but alone he pays 82.
    serving = {"ada": 50 + Fraction(15 * 65, 247), "cyd": 50 + Fraction(15 * 100, 247)}
    due = {name: 114 * one / sum(serving.values()) for name, one in serving.items()} | {"ben": Fraction(82)}
    found = paid(books, "m")
    assert sum(found.values()) == 196 == Decimal(books.charges["m"]["total"])
    assert found["ben"] == 82
    assert all(abs(Fraction(found[name]) - due[name]) < Fraction(ATOM) for name in due)
    told = shares(books, "m")
    assert {name: Decimal(one["alone"]) for name, one in told.items()} == {"ada": 65, "ben": 82, "cyd": 100}
    assert {name: one["terms"] for name, one in told.items()} == dict.fromkeys(told, ["large"])
    # What providers earn depends on what was used alone: 100 minutes by day, 200 by night.
    assert books.portions("m") == {"wires": Decimal(30), "rooms": Decimal(50)}


def test_who_is_better_off_elsewhere_is_served_there(book: Book, write: Write) -> None:
    books = booked(
        book, write, meeting("short", ada="10", ben="5", cyd="0/20"), meeting("mixed", ada="0/90", ben="9/1")
    )
    # Short: nobody pays 15 for opening. By day ben's terms serve best; by night they cost as the list.
    assert paid(books, "short") == {"ada": Decimal("8.20"), "ben": Decimal("4.10"), "cyd": Decimal(20)}
    assert {name: one["terms"] for name, one in shares(books, "short").items()} == {
        "ada": ["steady"], "ben": ["steady"], "cyd": ["list"]
    }  # fmt: skip
    # Mixed: 15 + 45 + 7.29 + 0.50 under ada's; ben pays no more than 9 × 0.82 + 1.
    found = paid(books, "mixed")
    assert sum(found.values()) == Decimal("67.79") and found["ben"] <= Decimal("8.38")


def test_an_agreement_counts_only_while_it_is_valid_and_its_holder_takes_part(book: Book, write: Write) -> None:
    late, absent = (
        meeting("late", "2026-06-01T00:00:00Z", ada="100", cyd="100"),
        meeting("absent", cyd="100", dan="100"),
    )
    books = booked(book, write, late, absent)
    assert paid(books, "late") == {"ada": Decimal(100), "cyd": Decimal(100)}
    assert paid(books, "absent") == {"cyd": Decimal(100), "dan": Decimal(100)}
    assert "held" not in books.charges["absent"]


def test_nobody_pays_more_than_for_the_same_use_alone(book: Book, write: Write) -> None:
    group = meeting("group", ada="7.7/70", ben="33.3", cyd="5/51.7")
    ones = [{**group, "id": payer["payer"], "payers": [payer]} for payer in group["payers"]]
    books = booked(book, write, group, *ones)
    together = paid(books, "group")
    alone = {name: paid(books, name)[name] for name in together}
    assert all(together[name] <= alone[name] for name in together)
    assert {name: Decimal(one["alone"]) for name, one in shares(books, "group").items()} == alone
    assert sum(together.values()) == Decimal(books.charges["group"]["total"]) < sum(alone.values())


def test_the_order_of_payers_decides_nothing_and_a_refund_gives_all_back(book: Book, write: Write) -> None:
    one = meeting("one", ada="6/61", ben="17", cyd="0/44")
    two = {**one, "id": "two", "payers": one["payers"][::-1]}
    back = meeting("back", ada="-6/-61", ben="-17", cyd="0/-44")
    books = booked(book, write, one, two, back)
    assert paid(books, "one") == paid(books, "two")
    assert {n: a for n, a in books.legs("back") if n in ("ada", "ben", "cyd")} == paid(books, "one")
    assert Decimal(books.charges["back"]["total"]) == -Decimal(books.charges["one"]["total"])


def test_a_guest_is_paid_out_of_the_saving_first(book: Book, write: Write) -> None:
    saved, dear = meeting("saved", ada="0/100", cyd="0/100", dan_="0/30"), meeting("dear", cyd="10", dan_="30")
    books = booked(book, write, saved, dear)
    # Saved: alone 65 and 100; together with the guest 15 + 115 = 130, which is less.
    found = paid(books, "saved")
    assert sum(found.values()) == 130 and set(found) == {"ada", "cyd"} and found["ada"] <= 65 and found["cyd"] <= 100
    # Dear: without agreements nothing is saved, so cyd bears the 30 of her guest beyond her own 10.
    assert paid(books, "dear") == {"cyd": Decimal(40)}


def test_tax_is_shared_with_the_fee(book: Book, write: Write) -> None:
    books = booked(book, write, meeting("m", ada="0/100", ben="100", cyd="0/100"), catalog=TAXED)
    charge = books.charges["m"]
    assert (Decimal(charge["amount"]), Decimal(charge["total"])) == (196, Decimal("235.2"))
    assert [(tax["name"], Decimal(tax["base"]), Decimal(tax["amount"])) for tax in charge["taxes"]] == [
        ("vat", 196, Decimal("39.2"))
    ]
    found = paid(books, "m")
    assert sum(found.values()) == Decimal("235.2") and found["ben"] == Decimal("98.40")
    assert {name: Decimal(one["alone"]) for name, one in shares(books, "m").items()} == {
        "ada": 78, "ben": Decimal("98.40"), "cyd": 120
    }  # fmt: skip


def test_what_nobody_can_know_is_refused(apportion: Program, write: Write) -> None:
    unknown = meeting("unknown", ada="10")
    unknown["payers"].append({"payer": "ben"})
    unfair = {**meeting("unfair", ada="10", ben="10"), "quantities": {"day": "30"}}
    usage = write("meetings.jsonl", "\n".join(map(json.dumps, (unknown, unfair))))
    done = apportion("run", write("meeting.toml", MEETING), usage, "--store", "books.db", "--json").json()
    assert [one["error"]["code"] for one in done["declined"]] == ["measure_missing", "bad_quantity"]
    monthly = MEETING.replace('name = "opening", price', 'name = "opening", scope = "period", price')
    found = apportion("catalog", "check", write("monthly.toml", monthly), code=1)
    assert "least cost" in found.out + found.err


def test_over_http_each_sees_its_own_terms_and_what_alone_would_have_cost(apportion: Program) -> None:
    node = Served(apportion, MEETING)
    users = {
        name: node.ask("POST", "/v1/keys", {"role": "user", "party": name})["secret"] for name in ("ada", "ben", "eve")
    }
    made = node.ask("POST", "/v1/usage", [meeting("m", ada="0/100", ben="4", cyd="0/100")])["records"][0]
    assert made["state"] == "charged"
    # All under ada's: 15 + 50 + 3.24 + 50; alone ben would pay 3.28.
    assert sum(node.balance(name) for name in ("ada", "ben", "cyd")) == Decimal("-118.24")
    assert node.balance("ben") == Decimal("-3.28")
    seen = node.ask("GET", f"/v1/charges/{made['id']}", key=users["ben"])
    mine = [share for share in seen["shares"] if share.get("payer") == "ben"]
    assert [(one["terms"], Decimal(one["alone"])) for one in mine] == [(["large"], Decimal("3.28"))]
    assert not [
        share for share in seen["shares"] if share.get("payer") != "ben" and ("alone" in share or "terms" in share)
    ]
    node.ask("GET", f"/v1/charges/{made['id']}", key=users["eve"], status=404)
    node.stop()
    told = apportion("explain", made["id"], "--store", "books.db").out
    assert "served by large" in told and "alone 3.28 EUR" in told and "agreement of ada" in told
    shown = apportion("explain", made["id"], "--view", "user=ben", "--store", "books.db").out
    assert "alone 3.28 EUR" in shown and "alone 65.00 EUR" not in shown and "agreement of" not in shown
