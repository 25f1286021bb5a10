"""64 clients at once race for one account over HTTP, on SQLite; tests/racing.py drives them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from apportion.adapters.outside import signature_holds
from apportion.engine.verify import Outside, verify_export
from tests.faces.api.nodes import NodeProcess
from tests.racing import Facts, Race, exported, racers


def race(folder: Path, rounds: int, seed: int) -> None:
    """So many rounds on one node; each is settled by itself, and the last export is proven as well."""
    node = NodeProcess(folder / "books.db", "--log", "warning")
    put = node.ask("PUT", "/v1/catalog", msgspec.json.encode(racers(rounds)))
    assert put.status == 200, put.body
    running = Race([node.address], node.first_key)
    refused = charged = 0
    lowest = []
    for number in range(rounds):
        told = running.run(number, seed + number)
        refused += told.refused
        charged += len(told.charged)
        lowest.append(told.lowest)
    running.close()
    assert refused > rounds and charged > rounds and min(lowest) < 7, "a race in which nobody goes short proves nothing"
    heads = Path(f"{node.store}.heads").read_bytes().splitlines()  # before: what is parked may be charged at any time
    lines = exported(node.address, node.first_key)
    assert node.stop() == 0
    verdict = verify_export(lines, Outside(signature_holds, heads))
    assert verdict.ok, verdict.findings[:5]


def test_sixty_four_clients_race_for_one_account(tmp_path: Path) -> None:
    race(tmp_path, 20, seed=1)


@pytest.mark.torture
def test_two_hundred_races(tmp_path: Path) -> None:
    race(tmp_path, 200, seed=10_000)


def test_the_checks_see_what_is_wrong() -> None:
    """Test of the test: an overdraft, a hold that ends twice, a balance that is not the sum of its entries."""
    account = b'{"type":"account","id":"a","role":"payer","asset":"EUR/9","credit":"0"}'
    other = b'{"type":"account","id":"b","role":"cash","asset":"EUR/9","credit":"0"}'
    end = b'{"type":"end"}'

    def entry(amount: int) -> bytes:
        legs = b'[{"account":"a","amount":"%d"},{"account":"b","amount":"%d"}]' % (amount, -amount)
        return b'{"type":"entry","cause":"top_%d","kind":"topup","asset":"EUR/9","legs":%b,"n":2}' % (amount, legs)

    def hold(state: bytes, open: int, released: int, n: int) -> bytes:
        form = b'{"type":"hold","id":"h","account":"a","state":"%b","amount":"1","open":"%d","captured":"0",'
        form += b'"released":"%d","n":%d}'
        return form % (state, open, released, n)

    def balances(a: int, b: int, held: int = 0) -> list[bytes]:
        form = b'{"type":"balance","account":"%b","posted":"%d","held":"%d"}'
        return [form % (b"a", a, held), form % (b"b", b, 0), end]

    assert Facts([account, other, entry(5), *balances(5, -5)]).available("a") == 5
    for wrong, why in (
        ([entry(-1), *balances(-1, 1)], "B1"),
        ([entry(5), *balances(4, -5)], "L3"),
        ([entry(5), entry(5), *balances(10, -10)], "L8"),
        ([entry(5), hold(b"open", 1, 0, 3), hold(b"released", 0, 1, 4), hold(b"released", 0, 1, 5)], "B4"),
        ([entry(5), hold(b"open", 1, 1, 3)], "B2"),
        ([hold(b"open", 1, 0, 3), *balances(0, 0, 1)], "B1"),
    ):
        with pytest.raises(AssertionError, match=why):
            Facts([account, other, *wrong])
