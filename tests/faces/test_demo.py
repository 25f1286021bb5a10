"""The demo end to end on trimmed inputs, and the figures of its page."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.errors import Refused
from apportion.faces.demo import run_demo
from apportion.faces.pages.flow import NARROW, PAYER, PROVIDER, SERVICE, WIDE, Flow, Node, condense, flow_svg, place
from apportion.faces.telling import TELLINGS, DemoResult
from tests.faces.driving import Cli


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoResult, list[str]]:
    said: list[str] = []
    folder = tmp_path_factory.mktemp("demo") / "demo"
    run_demo(folder, said.append, limit=20)  # twice: it replaces its own files
    said.clear()
    return run_demo(folder, said.append, limit=400), said


def test_money_adds_up_in_every_domain_and_currency(demo: tuple[DemoResult, list[str]]) -> None:
    result, _ = demo
    assert [one.telling.tenant for one in result.told] == [telling.tenant for telling in TELLINGS]
    for one in result.told:
        assert one.takings
        for t in one.takings:
            given_in = sum(t.payers.values()) + sum(t.sponsors.values())
            assert given_in == sum(t.providers.values()) + t.platform + sum(t.taxes.values()) > 0


def test_everything_is_proven_and_told(demo: tuple[DemoResult, list[str]]) -> None:
    result, said = demo
    assert len(result.proven) == len(TELLINGS) and all(one.ok for one in result.proven)
    assert any("everything adds up" in line for line in said)
    assert any(Path(result.page).name in line for line in said)


def test_what_providers_earned_is_settled_within_a_cent_each(demo: tuple[DemoResult, list[str]]) -> None:
    for one in demo[0].told:
        assert [line.number for line in one.settled] == ([] if one.telling.twin else ["SET-000001"])
        for line, t in zip(one.settled, one.takings, strict=False):
            earned = Decimal(sum(t.providers.values())) / 10**t.scale
            assert sum(Decimal(payment.amount) for payment in line.payments) == Decimal(line.payable)
            assert abs(Decimal(line.payable) - earned) <= Decimal("0.005") * len(t.providers)


def test_every_received_record_is_in_one_class(demo: tuple[DemoResult, list[str]]) -> None:
    for one in demo[0].told:
        s = one.summary
        assert s.received == s.charged + s.zero_rated + s.duplicate + s.rejected + s.pending > 0


def test_the_page_asks_nothing_of_the_network(demo: tuple[DemoResult, list[str]]) -> None:
    result, _ = demo
    pages = [Path(result.page), *Path(result.folder).glob("statements/*/*.html")]
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert "<script" not in text and "@import" not in text and "url(" not in text
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)
    text = Path(result.page).read_text()
    links = re.findall(r'href="([^"]+)"', text)
    assert links and all((Path(result.folder) / link).is_file() for link in links)
    assert all(one.catalog.invented.split()[0] in text for one in result.told)


def test_payers_pages_show_no_wholesale_price(demo: tuple[DemoResult, list[str]]) -> None:
    for one in demo[0].told:
        for document, path in one.documents:
            if document.number.startswith("S-"):
                text = (Path(demo[0].folder) / path).read_text()
                assert "platform</" not in text and "Credited" not in text


def test_the_commands_work_as_printed(demo: tuple[DemoResult, list[str]], cli: Cli) -> None:
    explain, trace, verify = (command.split()[1:] for command in demo[0].commands)
    assert cli(*explain).code == 0
    assert cli(*trace).code == 0
    forged = cli(*verify)
    assert forged.code == 1 and demo[0].tampered.split()[1] in forged.out


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused):
        run_demo(tmp_path, lambda line: None, limit=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def flow_of(links: list[tuple[int, int, int]]) -> Flow:
    """Payers (0–9) over services (0–2) to providers, each payment handed on whole."""
    flow = Flow("USD", 6)
    for payer, service, atoms in links:
        middle = Node(f"s{service}", f"service {service}", SERVICE, 1)
        flow.add(Node(f"u{payer}", f"user {payer}", PAYER, 0), middle, atoms)
        flow.add(middle, Node(f"p{service}", f"provider {service}", PROVIDER, 2), atoms)
    return flow


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(1, 10**12)), min_size=1, max_size=40))
def test_band_widths_add_up(links: list[tuple[int, int, int]]) -> None:
    whole = flow_of(links)
    for flow, canvas in ((whole, WIDE), (condense(whole, 0, 3, "users"), NARROW)):
        bars, bands, tall = place(flow, canvas)
        for column in (0, 1):
            widths = [band.width for band in bands if flow.nodes[band.source].column == column]
            assert sum(widths) == canvas.height * 100
        for node, (_, y, height) in bars.items():
            leaving = [band.width for band in bands if band.source == node]
            arriving = [band.width for band in bands if band.target == node]
            assert height == max(sum(leaving), sum(arriving))
            assert 0 <= y and y + height <= tall
        assert flow_svg(flow, name="f", title="t") == flow_svg(flow, name="f", title="t")
    assert sum(whole.links.values()) == sum(condense(whole, 0, 3, "users").links.values())


def test_a_figure_is_safe_and_said_in_words() -> None:
    flow = Flow("USD", 2)
    middle = Node("s", "a & b", SERVICE, 1)
    flow.add(Node("u", "<script>x</script>", PAYER, 0), middle, 1234)
    flow.add(middle, Node("p", "provider", PROVIDER, 2), 1234)
    svg = flow_svg(flow, name="f", title="Who < who")
    assert "<script>" not in svg and "Who &lt; who" in svg
    assert 'role="img"' in svg and "receives 12.34 USD" in svg
