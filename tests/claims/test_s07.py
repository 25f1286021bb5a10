"""S7: Video on demand where content request and content delivery are separate services of separate providers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, Write, rows

CATALOG = EXAMPLES / "video-on-demand/catalog.toml"
STUDIOS = {"blockhouse", "arcade-nine", "encore", "whisker", "helmetcam"}
CARRIERS = {"edge-north", "edge-south", "budget-cdn"}


def per_gigabyte(carrier: str, start: str) -> Fraction:
    """The carriers' prices; Edge North delivers for less from midnight of 16 September in Berlin, 22:00 UTC."""
    if carrier == "budget-cdn":
        return Fraction("0.035")
    return Fraction("0.050") if carrier == "edge-north" and start >= "2015-09-15T22:00" else Fraction("0.060")


def test_studio_and_carrier_earn_apart_by_different_measures(book: Book, sample: Callable[..., Path]) -> None:
    around = ("2015-09-02", "2015-09-15", "2015-09-16")  # before and after Edge North's own terms
    usage = sample("video-on-demand/usage.csv", keep=lambda line: line.split(",")[3][:10] in around)
    books = book(CATALOG, usage, close=True)
    due: dict[str, Fraction] = defaultdict(Fraction)
    prices = set()
    for session in rows(usage):
        portions = {one["part"]: one for one in books.charges[session["id"]]["portions"]}
        assert set(portions) == {"content", "delivery"}
        content, delivery = portions["content"], portions["delivery"]
        assert content["provider"] == session["provider.content"] in STUDIOS
        assert delivery["provider"] == session["provider.delivery"] in CARRIERS
        price = per_gigabyte(delivery["provider"], session["start"])
        assert Fraction(delivery["exact"]) == Fraction(session["bytes"]) / 10**9 * price, session
        due[delivery["provider"]] += Fraction(delivery["exact"])
        prices.add((delivery["provider"], price))
    assert len(prices) == 4  # two of Edge North
    for carrier, exact in due.items():
        assert abs(Fraction(books.balances("provider")[carrier]) - exact) < Fraction(ATOM)
    assert set(books.earned("content")) == STUDIOS and set(books.earned("delivery")) == CARRIERS


def test_the_first_session_by_hand(book: Book, sample: Callable[..., Path]) -> None:
    books = book(CATALOG, sample("video-on-demand/usage.csv", 1))
    # 303.336 s at 240p, 45.112 s at 360p, 66.233 s at 480p; 24,471,637 bytes delivered by Edge South.
    assert books.portions("201509010010f780a") == {
        "blockhouse": Decimal("0.004959513"),  # (303.336 × 0.0006 + 45.112 × 0.0008 + 66.233 × 0.0012) / 60
        "edge-south": Decimal("0.001468298"),  # 0.024471637 × 0.06 = 0.00146829822
    }
    # (303.336 × 0.0015 + 45.112 × 0.0020 + 66.233 × 0.0030) / 60 = 0.01239878333…
    assert books.balances("payer")["v039"] == Decimal("-0.012398783")


def test_a_carrier_is_paid_for_what_nobody_watched(book: Book, write: Write) -> None:
    """The studio earns nothing of a title that was fetched and never seen; the carrier moved two gigabytes."""
    line = "lab,x1,viewing,2015-09-02T10:00:00Z,,v001,secret,0,0,0,0,0,2000000000,0,encore,budget-cdn\n"
    header = (EXAMPLES / "video-on-demand/usage.csv").read_text(encoding="utf-8").partition("\n")[0]
    books = book(CATALOG, write("unseen.csv", header + "\n" + line))
    assert books.portions("x1") == {"encore": Decimal(0), "budget-cdn": Decimal("0.07")}
    assert books.balances("payer").get("v001", Decimal(0)) == 0
    assert sum(books.balances("sponsor").values()) == Decimal("-0.07")


def test_asking_and_delivering_can_be_two_services_with_two_fees(book: Book, write: Write) -> None:
    catalog = """
    unknown_payers = { currency = "EUR", credit = "10" }
    providers = { studio = {}, carrier = {} }
    [services.request]
    retail = "title"
    measures = { titles = "title" }
    parts.catalogue = { provider = "studio", wholesale = { studio = "licence" } }
    [services.delivery]
    retail = "gigabyte"
    measures = { bytes = "B" }
    parts.network = { provider = "carrier", wholesale = { carrier = "transit" } }
    [tariffs]
    title = { currency = "EUR", components = [{ kind = "unit", name = "title", measure = "titles", price = 2.99 }] }
    licence = { currency = "EUR", components = [{ kind = "unit", name = "title", measure = "titles", price = 1.80 }] }
    gigabyte = { currency = "EUR", components = [{ kind = "unit", name = "gb", measure = "bytes", convert = "1/1000000000", price = 0.10 }] }
    transit = { currency = "EUR", components = [{ kind = "unit", name = "gb", measure = "bytes", convert = "1/1000000000", price = 0.06 }] }
    """  # noqa: E501
    usage = "source,id,service,start,payer,titles,bytes\n"
    usage += "web,r1,request,2026-02-01T20:00:00Z,vera,1,\ncdn,d1,delivery,2026-02-01T20:01:00Z,vera,,1500000000\n"
    books = book(write("two.toml", catalog), write("two.csv", usage))
    assert books.portions("r1") == {"studio": Decimal("1.80")}
    assert books.portions("d1") == {"carrier": Decimal("0.09")}  # 1.5 GB × 0.06
    assert books.balances("payer") == {"vera": -Decimal("2.99") - Decimal("0.15")}
