"""Any change of an export is found and its place named, also when an insider hashes everything again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from apportion.adapters.outside import KeyFile
from apportion.engine.export import Balances
from apportion.engine.work import encode
from apportion.ledger import proof
from apportion.model.journal import Checkpoint, End
from tests.forging import body_of, edited, exported, make_book, number_of, place_of, places, rehash, verified

ENTRY, CHARGE, USAGE = b'{"type":"entry"', b'{"type":"charge"', b'{"type":"usage"'
CHECKPOINT, CATALOG = b'{"type":"checkpoint"', b'{"type":"catalog"'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "books.db"
    make_book(path, close=True)
    return path


@pytest.fixture(scope="module")
def lines(store: Path) -> list[bytes]:
    return exported(store)


@pytest.fixture(scope="module")
def heads(store: Path) -> list[bytes]:
    return Path(f"{store}.heads").read_bytes().splitlines()


def line(index: int) -> str:
    return f"line {index + 1}"


def charged(lines: list[bytes], skip: int = 3) -> tuple[int, int, int]:
    """The lines of a charged record: usage, charge, entry."""
    at = place_of(lines, CHARGE, skip)
    assert lines[at - 1].startswith(USAGE) and lines[at + 1].startswith(ENTRY)
    return at - 1, at, at + 1


def bump(text: bytes, mark: bytes) -> bytes:
    """Change the last digit of the first amount after ``mark``."""
    at = text.index(mark) + len(mark)
    end = text.index(b'"', at)
    return text[: end - 1] + (b"1" if text[end - 1 : end] != b"1" else b"2") + text[end:]


def test_sound_books_verify(lines: list[bytes], heads: list[bytes]) -> None:
    verdict = verified(lines, heads)
    assert verdict.ok and not verdict.findings and not verdict.notes
    assert verdict.charges > 60 and verdict.entries > 60 and verdict.records > 60
    assert verdict.signed_until == verdict.n - 1


def test_every_line_type_is_there(lines: list[bytes]) -> None:
    kinds = {text.split(b'"', 4)[3].decode() for text in lines}
    assert kinds == set(
        "account asset balance catalog charge checkpoint close end entry genesis hold import usage zones".split()
    )


def test_without_heads_the_verdict_says_what_it_does_not_prove(lines: list[bytes]) -> None:
    verdict = verified(lines)
    assert verdict.ok and "No head from outside" in verdict.notes[0]


@pytest.mark.parametrize("insider", [False, True], ids=["clumsy", "insider"])
@pytest.mark.parametrize("which, mark", [(1, b'"total":"'), (1, b'"portions":[{"part":"'), (2, b'"amount":"')])
def test_a_changed_amount(lines: list[bytes], which: int, mark: bytes, insider: bool) -> None:
    if b"portions" in mark:
        mark = b'"amount":"'
    at = charged(lines)[which]
    forged = edited(lines, at, lambda text: bump(text, mark))
    if not insider:
        assert line(at) in places(verified(forged))["chain"]
        return
    found = places(verified(rehash(forged)))
    charge = charged(lines)[1]
    assert line(charge) in found.get("legs", set()) | found.get("charge", set()) | found.get("rating", set())
    assert line(place_of(lines, CHECKPOINT)) in found["checkpoint"]


def test_one_atom_moved_between_provider_and_platform_everywhere(lines: list[bytes]) -> None:
    """Charge, entry and sums agree with one another; only rating again tells."""
    usage, charge, entry = charged(lines)
    text = lines[charge]
    platform = text.split(b'"platform":"')[1].split(b'"')[0]
    portion = text.split(b'"portions":[')[1].split(b'"amount":"')[1].split(b'"')[0]
    up, down = (
        b"%s%d" % (amount[:-1], (int(amount[-1:]) + step) % 10) for amount, step in ((portion, 1), (platform, -1))
    )
    assert int(portion[-1:]) < 9 and int(platform[-1:]) > 0

    def moved(text: bytes) -> bytes:
        return text.replace(b'"%s"' % portion, b'"%s"' % up).replace(b'"%s"' % platform, b'"%s"' % down)

    forged = edited(edited(lines, charge, moved), entry, moved)
    found = places(verified(rehash(forged)))
    assert found["rating"] == {line(charge)} and "legs" not in found and "entry" not in found


def test_a_dropped_entry(lines: list[bytes]) -> None:
    _, charge, entry = charged(lines)
    forged = lines[:entry] + lines[entry + 1 :]
    assert line(charge) in places(verified(forged))["legs"]
    found = places(verified(rehash(forged)))
    assert line(charge) in found["legs"] and line(place_of(forged, CHECKPOINT)) in found["checkpoint"]


def test_a_dropped_row(lines: list[bytes]) -> None:
    usage, _, entry = charged(lines)
    forged = lines[:usage] + lines[entry + 1 :]
    assert line(usage) in places(verified(forged))["gap"]
    assert line(place_of(forged, CHECKPOINT)) in places(verified(rehash(forged)))["checkpoint"]


def test_two_rows_swapped(lines: list[bytes]) -> None:
    first, last = charged(lines, 3)[0], charged(lines, 4)[2]
    middle = charged(lines, 4)[0]
    forged = lines[:first] + lines[middle : last + 1] + lines[first:middle] + lines[last + 1 :]
    assert {line(first), line(first + last + 1 - middle)} <= places(verified(forged))["gap"]
    assert line(place_of(lines, CHECKPOINT)) in places(verified(rehash(forged)))["checkpoint"]


def test_a_forged_charge_inserted(lines: list[bytes]) -> None:
    usage, charge, entry = charged(lines)
    row = [text.replace(b'"n":%d,' % number_of(text), b'"n":999999,') for text in lines[usage : entry + 1]]
    forged = lines[: entry + 1] + row + lines[entry + 1 :]
    found = places(verified(rehash(forged)))
    assert found["usage_twice"] == {line(entry + 1)} and line(place_of(forged, CHECKPOINT)) in found["checkpoint"]
    other = [text.replace(b'"id":"m', b'"id":"z') for text in row]
    found = places(verified(rehash(lines[: entry + 1] + other + lines[entry + 1 :])))
    assert found["usage_key"] == {line(entry + 1)}


def test_a_changed_quantity(lines: list[bytes]) -> None:
    usage, charge, _ = charged(lines)
    forged = edited(lines, usage, lambda text: text.replace(b'"km":"', b'"km":"1', 1))
    assert line(usage) in places(verified(forged))["chain"]
    assert places(verified(rehash(forged)))["rating"] >= {line(charge)}


def test_a_changed_catalog_price(lines: list[bytes]) -> None:
    at = place_of(lines, CATALOG)
    forged = edited(lines, at, lambda text: text.replace(b'"0.02"', b'"0.03"'))
    assert line(at) in places(verified(forged))["chain"]
    found = places(verified(rehash(forged)))
    assert found["catalog"] == {line(at)} and found["rating"]


def test_a_tail_cut_off(lines: list[bytes], heads: list[bytes]) -> None:
    for keep in (len(lines) - 1, len(lines) - 3, len(lines) // 2):
        assert line(keep - 1) in places(verified(lines[:keep]))["no_end"]


def test_a_tail_cut_off_at_an_earlier_head_needs_a_head_from_outside(lines: list[bytes], heads: list[bytes]) -> None:
    at = place_of(lines, CHECKPOINT)
    books = lines[: at + 1]
    balances = Balances()
    for text in books:
        balances.take(body_of(text))
    books += balances.lines()
    digest = proof.blake3(b"".join(line + b"\n" for line in books))
    mark = msgspec.json.decode(body_of(lines[at]), type=Checkpoint)
    books.append(encode(End(len(books), digest.hexdigest(), 0, mark.n, mark.head, mark.at, mark.signature)))
    assert verified(books).ok
    found = places(verified(books, heads))
    assert found == {"cut_tail": {line(len(books) - 1)}}
    assert verified(books, heads, prefix_ok=True).ok
    assert verified(lines, [books[-1]]).ok, "the end of an earlier export is a head like any other"


@pytest.mark.parametrize("field", ["count", "hash", "n", "head", "at", "signature", "stream"])
def test_a_forged_end_record(lines: list[bytes], field: str) -> None:
    at = len(lines) - 1
    mark = b'"%s":' % field.encode()

    def change(text: bytes) -> bytes:
        place = text.index(mark) + len(mark) + 3 * (field not in ("count", "n", "stream"))
        return text[:place] + (b"1" if text[place : place + 1] != b"1" else b"2") + text[place + 1 :]

    assert places(verified(edited(lines, at, change))) == {"end": {line(at)}}


def test_a_replaced_signature(lines: list[bytes]) -> None:
    at = place_of(lines, CHECKPOINT)
    forged = edited(lines, at, lambda text: text.replace(b'"signature":"', b'"signature":"0')[:-1] + b"}")
    assert line(at) in places(verified(rehash(forged)))["signature"]


def test_everything_signed_again_by_another_key(lines: list[bytes], heads: list[bytes]) -> None:
    _, charge, _ = charged(lines)
    thief = KeyFile(None)
    forged = rehash(lines, thief)
    assert verified(forged).ok, "by itself a book signed by a stranger is sound"
    assert "head_mismatch" in places(verified(forged, heads))
    assert {"heads line 1"} <= places(verified(forged, heads))["head_signature"]
    genesis = lines[0].split(b'"key":"')[1].split(b'"')[0].decode()
    assert verified(lines, key=genesis).ok
    assert places(verified(forged, key=genesis)) == {"key": {line(0)}}


@pytest.mark.parametrize("junk", [
    b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"type":"entry"}', b'{"type":"unheard"}', b"[" * 100_000, b'{"type":7}',
    b'{"type":"charge","id":"chg_x","n":5,"hash":"00"}', b'{"type":"end"}', b'{"type":"balance"}',
])  # fmt: skip
def test_junk_is_a_finding_never_a_crash(lines: list[bytes], junk: bytes) -> None:
    verdict = verified([*lines[:9], junk, *lines[9:]])
    assert not verdict.ok and any(finding.place == "line 10" for finding in verdict.findings)
    assert not verified([junk]).ok


def test_absurd_numbers_are_findings(lines: list[bytes]) -> None:
    usage, charge, entry = charged(lines)
    for at, mark in ((entry, b'"amount":"'), (charge, b'"total":"'), (usage, b'"km":"')):
        for absurd in (b"9" * 5000, b"1e999999999", b"-", b"", b"1_000.000000000", "١.000000000".encode(), b"NaN"):

            def change(text: bytes, mark: bytes = mark, absurd: bytes = absurd) -> bytes:
                head, _, tail = text.partition(mark)
                return head + mark + absurd + tail[tail.index(b'"') :]

            found = places(verified(rehash(edited(lines, at, change))))
            named = {
                place for code, where in found.items() if code not in ("checkpoint", "signature") for place in where
            }
            assert {line(at), line(charge)} & named, absurd


def test_findings_are_capped_and_counted(lines: list[bytes]) -> None:
    forged = [text.replace(b'"total":"', b'"total":"1') for text in lines]
    verdict = verified(rehash(forged + forged))
    assert len(verdict.findings) == 100 < verdict.found
