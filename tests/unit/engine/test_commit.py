"""The commit loop when a write fails: nobody is answered for it; a writer alone stops, one of several goes on."""

from __future__ import annotations

import pytest

from apportion.engine.commit import Committer
from apportion.errors import StoreUnavailable
from apportion.model.command import ChargeUsage
from apportion.model.usage import UsageClass
from apportion.wiring import open_engine
from tests.book import catalog, ride

GROUPS = 5


def groups(count: int = GROUPS):
    for number in range(count):
        yield [ChargeUsage(ride(number * 10 + i, f"payer {number}", "ada")) for i in range(3)]


@pytest.fixture(params=[True, False], ids=["alone", "one of several"])
def engine(request, tmp_path):
    with open_engine(str(tmp_path / "books.db")) as opened:
        opened.store.alone = request.param
        opened.apply(catalog())
        yield opened


def answered(writer: Committer, kind: type[Exception]) -> int:
    count = 0
    with pytest.raises(kind):
        for _ in writer.stream(groups()):
            count += 1
    return count


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "one of several"])
@pytest.mark.parametrize("step", ["stage", "commit"])
@pytest.mark.parametrize("fails", [1, 3, GROUPS])
def test_what_was_not_written_was_not_answered(tmp_path, monkeypatch, alone, step, fails):
    with open_engine(str(tmp_path / "books.db")) as engine:
        engine.store.alone = alone
        engine.apply(catalog())
        writer, real, calls = engine.writer, getattr(engine.store, step), iter(range(1, GROUPS + 1))

        def failing(*writes):
            if next(calls) == fails:
                raise OSError("the disk is full")
            real(*writes)

        monkeypatch.setattr(engine.store, step, failing)
        assert answered(writer, OSError) == fails - 1
        monkeypatch.undo()
        if alone:
            with pytest.raises(StoreUnavailable):
                writer.commit([ChargeUsage(ride(99))])
        else:
            assert not writer.failed and writer.commit([ChargeUsage(ride(99))])[0].state is UsageClass.CHARGED
    with open_engine(str(tmp_path / "books.db")) as engine:
        found = [outcome.state.value for group in groups() for outcome in engine.charge([c.usage for c in group])]
        assert found == ["duplicate"] * 3 * (fails - 1) + ["charged"] * 3 * (GROUPS - fails + 1)


def test_every_group_is_answered_in_order(engine):
    found = [[outcome.id for outcome in outcomes] for outcomes in engine.writer.stream(groups())]
    again = [[outcome.id for outcome in outcomes] for outcomes in engine.writer.stream(groups())]
    assert found == again and len(found) == GROUPS


def test_who_stops_listening_loses_only_the_answers(engine):
    stream = engine.writer.stream(groups())
    next(stream)
    stream.close()
    again = [outcome.state.value for outcomes in engine.writer.stream(groups()) for outcome in outcomes]
    assert again == ["duplicate"] * again.count("duplicate") + ["charged"] * again.count("charged")
    assert again.count("duplicate") >= 3 and len(again) == 3 * GROUPS


def test_a_source_that_breaks_off_leaves_whole_groups(engine):
    def broken():
        yield from groups(2)
        raise ValueError("the file is cut")

    with pytest.raises(ValueError, match="cut"):
        list(engine.writer.stream(broken()))
    assert {o.state.value for o in engine.charge([c.usage for group in groups(2) for c in group])} == {"duplicate"}
