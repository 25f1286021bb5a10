"""Catalog files: TOML and JSON give the same catalog, and every error stands at its line."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apportion.adapters.catalog_file import load_catalog, parse_catalog, read_tariff
from apportion.errors import Misconfigured, Refusal
from apportion.model.references import canonical
from apportion.model.tariff import DeckRow, Unit

GOOD = """
zone = "Europe/Copenhagen"

[providers.hosta]
name = "Host A"

[services.chat]
retail = "chat-retail"
measures = { tokens = "token" }
attributes = ["model"]

[services.chat.parts.model]
provider = "hosta"
wholesale.hosta = "chat-cost"

[tariffs.chat-retail]
currency = "USD"
valid_from = 2026-01-01
[[tariffs.chat-retail.components]]
kind = "unit"
name = "tokens"
measure = "tokens"
price = 0.01
per = 1_000

[tariffs.chat-cost]
currency = "USD"
components = [
  { kind = "unit", name = "tokens", measure = "tokens", price = 1e-7 },
]

[payers.alice]
currency = "USD"
credit = 5

[agreements.alice]
service = "chat"
payer = "alice"
tariff = "chat-retail"
valid_from = 2026-07-01
"""

SAME = {
    "zone": "Europe/Copenhagen",
    "providers": {"hosta": {"id": "hosta", "name": "Host A"}},
    "services": {
        "chat": {
            "retail": "chat-retail",
            "measures": {"tokens": "token"},
            "attributes": ["model"],
            "parts": {"model": {"provider": "hosta", "wholesale": {"hosta": "chat-cost"}}},
        }
    },
    "tariffs": {
        "chat-retail": {
            "currency": "USD",
            "valid_from": "2026-01-01",
            "components": [{"kind": "unit", "name": "tokens", "measure": "tokens", "price": 0.01, "per": "1000"}],
        },
        "chat-cost": {
            "currency": "USD",
            "components": [{"kind": "unit", "name": "tokens", "measure": "tokens", "price": "0.0000001"}],
        },
    },
    "payers": {"alice": {"currency": "USD", "credit": 5}},
    "agreements": {
        "alice": {"service": "chat", "payer": "alice", "tariff": "chat-retail", "valid_from": "2026-06-30T22:00:00Z"}
    },
}


def written(tmp_path: Path, text: str, name: str = "catalog.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def findings(path: Path) -> tuple[Refusal, ...]:
    with pytest.raises(Misconfigured) as caught:
        load_catalog(path)
    assert all(refusal.message and refusal.where for refusal in caught.value.refusals)
    return caught.value.refusals


def test_toml_and_json_give_the_same_catalog(tmp_path: Path) -> None:
    toml = load_catalog(written(tmp_path, GOOD))
    component = toml.tariffs["chat-retail"].components[0]
    assert isinstance(component, Unit) and (component.price, component.per) == ("0.01", "1000")
    assert toml.agreements["alice"].valid_from == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert toml.providers["hosta"].id == "hosta"
    assert toml == load_catalog(written(tmp_path, json.dumps(SAME), "catalog.json"))
    assert toml == load_catalog(written(tmp_path, canonical(toml).decode(), "canonical.json"))


def test_every_error_at_its_line(tmp_path: Path) -> None:
    text = (
        GOOD.replace("price = 0.01", 'pirce = "0.01"')
        .replace('name = "Host A"', "name = [1]")
        .replace('"chat-cost"\n', '"chat-csot"\n')
        .replace("1e-7", "nan")
        .replace("credit = 5", "credit = true")
        .replace("2026-07-01", '"soon"')
    )
    lines = text.split("\n")
    found = findings(written(tmp_path, text))
    places = {(refusal.where, refusal.field) for refusal in found}
    for field, begins in {
        "providers.hosta.name": "name = [1]",
        "services.chat.parts.model.wholesale.hosta": "wholesale.hosta",
        "tariffs.chat-retail.components[0].pirce": "pirce",
        "tariffs.chat-cost.components[0].price": "components = [",
        "payers.alice.credit": "credit",
        "agreements.alice.valid_from": 'valid_from = "soon"',
    }.items():
        number = next(at for at, line in enumerate(lines, 1) if line.startswith(begins))
        assert (f"catalog.toml:{number}", field) in places
    assert len(found) == 6
    hints = {refusal.field: refusal.fix for refusal in found}
    assert hints["tariffs.chat-retail.components[0].pirce"] == "Did you mean 'price'?"
    assert hints["services.chat.parts.model.wholesale.hosta"] == "Did you mean 'chat-cost'?"


def test_the_message_shows_them_all(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace('kind = "unit"\n', 'kind = "unti"\n').replace("credit = 5", "credit = -5"))
    with pytest.raises(Misconfigured) as caught:
        load_catalog(path)
    assert str(caught.value).split("\n") == [
        "catalog.toml has 2 errors:",
        "  catalog.toml:20: tariffs.chat-retail.components[0].kind: 'unti' is not known here. Did you mean 'unit'?",
        "  catalog.toml:34: payers.alice.credit: -5 is negative. Use zero or more.",
    ]


def test_errors_in_json_have_lines_too(tmp_path: Path) -> None:
    text = json.dumps(SAME, indent=1).replace('"price": 0.01', '"price": "x"')
    [found] = findings(written(tmp_path, text, "catalog.json"))
    number = next(at for at, line in enumerate(text.split("\n"), 1) if '"price": "x"' in line)
    assert (found.where, found.field) == (f"catalog.json:{number}", "tariffs.chat-retail.components[0].price")


@pytest.mark.parametrize(
    ("name", "text", "where", "words"),
    [
        ("c.toml", "a = 1\n= 2", "c.toml:2", "not TOML"),
        ("c.toml", "zone = 'x'\nzone = 'y'", "c.toml:2", "not TOML"),
        ("c.json", '{"zone":\n}', "c.json:2", "not JSON"),
        ("c.json", '{"zone": "UTC", "zone": "UTC"}', "c.json", "twice"),
        ("c.json", "[1]", "c.json:1", "object"),
        ("c.json", "[" * 100_000, "c.json", "nested"),
        ("c.json", '{"a": ' + "[" * 40 + "]" * 40 + "}", "c.json", "nested"),
        ("c.toml", "a = " + "[" * 40 + "]" * 40, "c.toml", "nested"),
        ("c.toml", "name = 5_0\nzone = true", "c.toml:2", "text"),
        ("c.toml", "name = 1e999999999", "c.toml:1", "plain number"),
        ("c.toml", "name = inf", "c.toml:1", "plain number"),
        ("c.toml", "name = " + "9" * 300, "c.toml:1", "plain number"),
        ("c.json", '{"currencies": {"USD": 9.5}}', "c.json:1", "whole number"),
        ("c.toml", 'name = "a\\u0000b"', "c.toml:1", "control"),
        ("c.toml", "providers = 5", "c.toml:1", "a table"),
        ("c.toml", "[providers]\nhosta = 5", "c.toml:2", "a table"),
        ("c.toml", "[providers.a]\nid = 'b'", "c.toml:2", "stands under"),
        ("c.yaml", "", "c.yaml", ".toml or .json"),
    ],
)
def test_hostile_catalogs(tmp_path: Path, name: str, text: str, where: str, words: str) -> None:
    [found] = findings(written(tmp_path, text, name))
    assert found.where == where
    assert words in found.message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"name = 'a'\nzone = '\xff'")
    [found] = findings(path)
    assert found.where == "c.toml:2" and "UTF-8" in found.message
    [found] = findings(tmp_path / "none.toml")
    assert "can not be read" in found.message
    path.write_bytes(b"#" * ((64 << 20) + 1))
    [found] = findings(path)
    assert "64 MiB" in found.message


def test_an_unread_record_hides_no_other(tmp_path: Path) -> None:
    """A broken tariff is reported once, where it is broken, and not wherever it is named."""
    found = findings(written(tmp_path, GOOD.replace('kind = "unit"\n', "")))
    assert [refusal.field for refusal in found] == ["tariffs.chat-retail.components[0].kind"]


# ── decks ─────────────────────────────────────────────────────────────────────────────────────────

TARIFF = """
id = "voice"
currency = "EUR"
components = [{ kind = "unit", name = "time", measure = "seconds", per = 60 }]
deck = { by = "called", file = "FILE" }
"""


def deck_of(tmp_path: Path, text: str, more: str = "", file: str = "deck.csv") -> tuple[DeckRow, ...]:
    (tmp_path / "deck.csv").write_text(text)
    path = written(tmp_path, TARIFF.replace('"FILE"', f'"{file}"{more}'), "voice.toml")
    deck = read_tariff(path).deck
    assert deck is not None and deck.file == "" and deck.columns == {}
    return deck.rows


def test_a_deck_beside_the_tariff(tmp_path: Path) -> None:
    rows = deck_of(tmp_path, 'key,price,name,_note\n45,0.010,"Denmark, all",x\n4520,,Premium,\n')
    assert rows == (DeckRow("45", "0.010", name="Denmark, all"), DeckRow("4520", "", name="Premium"))
    (tmp_path / "deck.csv.gz").write_bytes(gzip.compress(b"key,price\r\n45,1\r\n"))
    assert deck_of(tmp_path, "", file="deck.csv.gz") == (DeckRow("45", "1"),)


def test_a_deck_with_foreign_headers(tmp_path: Path) -> None:
    columns = ', columns = { key = "Prefix", "prices.time" = "Rate" }'
    rows = deck_of(tmp_path, "Prefix,Country,Rate\n45,Denmark,0.01\n", columns)
    assert rows == (DeckRow("45", prices={"time": "0.01"}),)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("key,prise\n45,1\n", "deck.csv:1", "'prise' is not known"),
        ("price\n1\n", "deck.csv:1", "lacks key"),
        ("key,price\n45,1\n46\n", "deck.csv:3", "1 cells"),
        ("key,price\n45,1\n\n46,x\n", "deck.csv:4", "plain number"),
        ('key,price\n45,1\n"46,1\n', "deck.csv:3", "quotes"),
        ("", "voice.toml:5", "is empty"),
    ],
)
def test_errors_in_a_deck_stand_at_its_own_lines(tmp_path: Path, text: str, where: str, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        deck_of(tmp_path, text)
    assert any(words in refusal.message and refusal.where == where for refusal in caught.value.refusals)


def test_a_deck_stays_in_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.csv").write_text("key,price\n45,1\n")
    (inner / "link.csv").symlink_to(tmp_path / "secret.csv")
    for file in ("../secret.csv", str(tmp_path / "secret.csv"), "link.csv", "a\\u0000b", "none.csv"):
        with pytest.raises(Misconfigured):
            deck_of(inner, "key,price\n45,1\n", file=file)


def test_a_long_deck(tmp_path: Path) -> None:
    rows = deck_of(tmp_path, "key,price\n" + "".join(f"{at},0.01\n" for at in range(1, 20_001)))
    assert len(rows) == 20_000


# ── one tariff ────────────────────────────────────────────────────────────────────────────────────


def test_read_tariff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = written(tmp_path, GOOD)
    assert read_tariff(f"{catalog}#chat-cost") == load_catalog(catalog).tariffs["chat-cost"]
    with pytest.raises(Misconfigured, match="Did you mean 'chat-cost'"):
        read_tariff(f"{catalog}#chat-csot")
    with pytest.raises(Misconfigured, match="holds a catalog"):
        read_tariff(catalog)
    text = TARIFF.replace("deck =", "# deck =").replace("per = 60", "price = 0.5, per = 60").replace('id = "voice"', "")
    path = written(tmp_path, text, "night-rate.toml")
    with pytest.raises(Misconfigured, match="holds one tariff"):
        load_catalog(path)
    assert read_tariff(path).id == "night-rate"
    (tmp_path / "stdin").write_text(text)
    with (tmp_path / "stdin").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert read_tariff("-").components == read_tariff(path).components
    with pytest.raises(Misconfigured, match=r"night-rate.toml:4: components\[0\].measure: is empty"):
        read_tariff(written(tmp_path, text.replace('"seconds"', '""'), "night-rate.toml"))


@pytest.mark.parametrize("key", ["a." * 400_000 + "b", '"a" . ' * 200_000 + "b", "'a'." * 40 + "b"])
def test_a_key_of_many_parts_is_refused_before_the_reader_sees_it(key: str) -> None:
    """The standard reader takes the square of its length: minutes for a megabyte."""
    for text in (f"{key} = 1", f"[{key}]", f"x = {{ {key} = 1 }}"):
        with pytest.raises(Misconfigured, match=r"catalog:2: A key has more than 32 parts"):
            parse_catalog(f"\n{text}\n", is_json=False)
    assert parse_catalog('name = "a.b.c.d.e.f.g"\n', is_json=False).name == "a.b.c.d.e.f.g"


def test_of_very_many_errors_the_first_thousand_are_told() -> None:
    with pytest.raises(Misconfigured) as raised:
        parse_catalog("\n".join(f"field{n} = 1" for n in range(5000)), is_json=False)
    assert len(raised.value.refusals) == 1000


MARKET = """
[providers.hosta]
[tariffs.retail]
currency = "USD"
components = [{ kind = "flat", name = "fee", price = 0.01 }]
[services.chat]
retail = "retail"
measures = { tokens = "token" }
attributes = ["model"]
parts.model = {}
parts.store = { wholesale = { hosta = "retail" } }
market = { retail = "passed-on", links = [["model", "store"]], relax = ["latency"] }
[profiles.swift]
objective = "best-quality"
[offers.one]
service = "chat"
part = "model"
provider = "hosta"
capacity.tokens = 1_000
quality = { latency = 80, availability = 0.999 }
valid_from = 2026-01-01T00:00:00Z
[offers.one.tariff]
currency = "USD"
components = [{ kind = "unit", name = "tokens", measure = "tokens" }]
deck = { by = "model", match = "exact", file = "deck.csv" }
"""


def test_an_offer_may_hold_its_tariff_with_its_deck(tmp_path: Path) -> None:
    (tmp_path / "deck.csv").write_text("key,price\nsmall,0.001\n")
    catalog = load_catalog(written(tmp_path, MARKET))
    offer = catalog.offers["one"]
    assert not isinstance(offer.tariff, str) and offer.tariff.deck is not None
    assert (offer.tariff.id, offer.tariff.deck.rows) == ("one", (DeckRow("small", "0.001"),))
    assert (offer.quality.availability, offer.capacity) == ("0.999", {"tokens": "1000"})
    assert offer.valid_from == "2026-01-01T00:00:00Z"
    assert catalog.services["chat"].market.links == (("model", "store"),)
    assert catalog.profiles["swift"].objective == "best-quality"


def test_errors_of_a_market_stand_at_their_lines(tmp_path: Path) -> None:
    (tmp_path / "deck.csv").write_text("key,price\nsmall,0.001\n")

    def found(text: str) -> list[tuple[str, str, str]]:
        with pytest.raises(Misconfigured) as raised:
            load_catalog(written(tmp_path, text))
        return [(refusal.where, refusal.field, refusal.message) for refusal in raised.value.refusals]

    assert found(MARKET.replace('[["model", "store"]]', '[["model"]]').replace("best-quality", "best")) == [
        ("catalog.toml:12", "services.chat.market.links[0]", "must hold 2, not 1."),
        ("catalog.toml:14", "profiles.swift.objective", "'best' is none of the choices."),
    ]
    assert found(MARKET.replace("capacity.tokens = 1_000", "capacity.tokens = -1")) == [
        ("catalog.toml:19", "offers.one.capacity.tokens", "-1 is not 0 or more."),
    ]
