"""``apportion allocate``: shares that sum to the total, whatever is asked."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faces.driving import Cli, process


def test_the_answer_is_exactly_this(cli: Cli) -> None:
    done = cli("allocate", "1.00", "USD/2", "1", "1", "1", "--json")
    assert done.out == '{"total": "1.00", "asset": "USD/2", "shares": ["0.34", "0.33", "0.33"]}\n'
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "words, shares",
    [
        (["1.00", "USD/2", "2", "1", "1", "1"], ["0.40", "0.20", "0.20", "0.20"]),
        (["1.00", "USD", "1", "1", "1"], ["0.34", "0.33", "0.33"]),
        (["100", "JPY", "1", "1", "1"], ["34", "33", "33"]),
        (["1", "KWD", "1", "1", "1"], ["0.334", "0.333", "0.333"]),
        (["-1.00", "USD", "1", "1", "1"], ["-0.34", "-0.33", "-0.33"]),
        (["0.01", "USD", "1", "1", "1"], ["0.01", "0.00", "0.00"]),
        (["0", "USD", "1", "2"], ["0.00", "0.00"]),
        (["1.00", "USD", "0", "1", "0"], ["0.00", "1.00", "0.00"]),
        (["7.77", "USD", "5"], ["7.77"]),
        (["1.00", "USD", "1/3", "2/3"], ["0.33", "0.67"]),
        (["1.00", "USD", "0.5", "0.25", "0.25"], ["0.50", "0.25", "0.25"]),
        (["1.00", "CREDIT/0", "1", "1"], ["1", "0"]),
        (["1.00", "USD", "1", "1", "1", "--rule", "in-order"], ["0.34", "0.33", "0.33"]),
        (["1.00", "USD", "1", "2", "3", "--rule", "largest-weight"], ["0.16", "0.33", "0.51"]),
        (["1.00", "USD", "1", "1", "1", "--step", "0.05"], ["0.35", "0.35", "0.30"]),
        (["1.00", "USD/2", "1", "1", "1", "--rule=to-party=3"], ["0.33", "0.33", "0.34"]),
    ],
)
def test_shares(cli: Cli, words: list[str], shares: list[str]) -> None:
    found = cli("allocate", *words, "--json").json
    assert found["shares"] == shares
    assert sum(map(Decimal, shares)) == Decimal(words[0])


def test_named_parties_keep_their_order(cli: Cli) -> None:
    found = cli("allocate", "1.00", "USD", "zoe=1", "alice=1", "bob=1", "--json").json
    assert found["parties"] == ["zoe", "alice", "bob"]
    assert found["shares"] == ["0.33", "0.34", "0.33"], "ties go to the smallest id"
    again = cli("allocate", "1.00", "USD", "bob=1", "zoe=1", "alice=1", "--json").json
    assert dict(zip(again["parties"], again["shares"], strict=True)) == dict(
        zip(found["parties"], found["shares"], strict=True)
    )
    taken = cli("allocate", "1.00", "USD", "zoe=1", "bob=2", "--rule", "to-party=zoe", "--json").json
    assert taken["shares"] == ["0.34", "0.66"]


def test_separate_shows_the_remainder(cli: Cli) -> None:
    found = cli("allocate", "1.00", "USD", "1", "1", "1", "--rule", "separate", "--json").json
    assert found == {"total": "1.00", "asset": "USD/2", "shares": ["0.33"] * 3, "remainder": "0.01"}
    assert list(found) == ["total", "asset", "shares", "remainder"]


@pytest.mark.parametrize(
    "words, code",
    [
        (["1.00", "USD"], "bad_weight"),
        (["1.00", "USD", "0", "0"], "bad_weight"),
        (["1.00", "USD", "1", "-1"], "bad_weight"),
        (["1.00", "USD", "1", "-1/3"], "bad_weight"),
        (["1.00", "USD", "a=1", "b=-1"], "bad_weight"),
        (["1.00", "USD", "one"], "bad_quantity"),
        (["1.00", "USD", "nan"], "bad_quantity"),
        (["1.00", "USD", "inf"], "bad_quantity"),
        (["1.00", "USD", "1/0"], "bad_quantity"),
        (["1.00", "USD", "1", ""], "bad_quantity"),
        (["1.00", "USD", "a=1", "a=1"], "bad_input"),
        (["1.00", "USD", "a=1", "1"], "bad_input"),
        (["1.001", "USD", "1"], "bad_amount"),
        (["1,00", "USD", "1"], "bad_amount"),
        (["", "USD", "1"], "bad_amount"),
        (["1e3", "USD", "1"], "bad_amount"),
        (["99999999999999999999", "USD", "1"], "overflow"),
        (["1.00", "usd", "1"], "unknown_asset"),
        (["1.00", "XQZ", "1"], "unknown_asset"),
        (["1.00", "USD/99", "1"], "unknown_asset"),
        (["1.00", "USD", "1", "--rule", "fair"], "bad_input"),
        (["1.00", "USD", "1", "--rule", "to-party=9"], "bad_input"),
        (["1.00", "USD", "1", "--step", "0"], "bad_input"),
        (["1.01", "USD", "1", "--step", "0.05"], "bad_input"),
        (["1.00", "USD", "1", "--step", "x"], "bad_amount"),
    ],
)
def test_refusals(cli: Cli, words: list[str], code: str) -> None:
    done = cli("allocate", *words, "--json")
    assert done.code == 1
    assert done.error["code"] == code
    plain = cli("allocate", *words)
    assert (plain.code, plain.out) == (1, "")
    assert plain.err.startswith("apportion: ") and plain.err.count("\n") == 1


def test_ten_thousand_parties_as_arguments_as_input_and_as_a_file(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = [str(number) for number in range(1, 10_001)]
    (tmp_path / "weights").write_text("\n".join(weights))
    given: list[Any] = [weights, ["-"], [f"@{tmp_path / 'weights'}"]]
    answers = []
    for words in given:
        monkeypatch.setattr("sys.stdin", io.StringIO(" ".join(weights)))
        answers.append(cli("allocate", "1234567.89", "USD", *words, "--json").json)
    assert answers[0] == answers[1] == answers[2]
    assert sum(map(Decimal, answers[0]["shares"])) == Decimal("1234567.89")
    assert len(answers[0]["shares"]) == 10_000


def test_a_person_reads_a_table(cli: Cli) -> None:
    assert cli("allocate", "1.00", "USD", "ada=2", "ben=1").out.splitlines() == [
        "party  weight  share",
        "ada         2   0.67",
        "ben         1   0.33",
        "total           1.00",
    ]


def test_it_runs_without_msgspec_surprises_in_a_process() -> None:
    done = process("allocate", "-1.00", "USD/2", "-", "--json", stdin=b"1 1 1\n")
    assert done.stdout == b'{"total": "-1.00", "asset": "USD/2", "shares": ["-0.34", "-0.33", "-0.33"]}\n'
