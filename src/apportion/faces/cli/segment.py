"""``apportion segment``: how a known amount of data is split over paths, and again when a path changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from apportion.faces.cli.options import PLACE, TABLE, Place, TableAnswer
from apportion.faces.cli.reach import reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.model.segmentation import PathPlan, SegmentationAsked, SegmentationDone, SegmentPlan
    from apportion.model.session_asked import Asked

    T = TypeVar("T", bound=Asked)

_BAR = 24
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def segment(
    request: str,
    /,
    *,
    done: str = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Split a known amount of data over paths, within a deadline and a budget.

    Such as: apportion segment transfer.toml

    Nothing is stored or charged by it. Exit code 1 when nothing keeps the limits; the message then says what would.

    Args:
        request: A TOML or JSON file with the request, or - for standard input; or an earlier answer of --json.
        done: A TOML or JSON file with what has become of the paths, by which the split is found again.
    """
    from apportion.adapters.catalog_file.document import read_document
    from apportion.model.segmentation import SegmentationAsked, SegmentationDone, SegmentPlan

    if request != "-" and "asked" in read_document(request).tree:
        plan = _read(request, SegmentPlan)
    else:
        plan = _planned(_read(request, SegmentationAsked), place)
    if done:
        plan = _again(plan, _read(done, SegmentationDone), place)
    if answer.give(_table(plan), plan):
        _tell(plan)


def _planned(asked: SegmentationAsked, place: Place) -> SegmentPlan:
    """By the books where the request needs them, else here."""
    from apportion.engine.transfers.segmenting import planned

    if place.remote or (asked.service and not asked.paths) or (isinstance(asked.profile, str) and asked.profile):
        with reading(place) as books:
            found: SegmentPlan = books.ask("segment", given=asked)
            return found
    return planned(asked)


def _again(plan: SegmentPlan, done: SegmentationDone, place: Place) -> SegmentPlan:
    from apportion.engine.transfers.segmenting import planned_again
    from apportion.model.segmentation import SegmentationAgain

    given = SegmentationAgain(
        plan=plan, elapsed=done.elapsed, reports=done.reports, paths=done.paths, deadline=done.deadline,
        budget=done.budget,
    )  # fmt: skip
    if place.remote:
        with reading(place) as books:
            found: SegmentPlan = books.ask("segment_again", given=given)
            return found
    return planned_again(given)


def _read(path: str, kind: type[T]) -> T:
    """The record of a file, as strictly as one that comes over HTTP."""
    import msgspec

    from apportion.adapters.catalog_file import load_record
    from apportion.errors import RefusalCode, refuse

    read = load_record(path, kind, lambda record: [])
    try:
        return msgspec.convert(msgspec.to_builtins(read), kind)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$")
        raise refuse(RefusalCode.BAD_INPUT, f"{message}.", field=field.rstrip("`").lstrip(".")) from None


def _table(plan: SegmentPlan) -> Table:
    columns = ("path", "provider", "network", "bytes", "share", "", "finish", "cost")
    rows = [
        (
            one.id, one.provider, one.network or "-", sized(_all(one)), _percent(_all(one), plan.asked.amount),
            _bar(one, plan.asked.amount), f"{_clipped(one.finish)} s" if one.finish else "-", one.cost,
        )
        for one in plan.paths
    ]  # fmt: skip
    total = sum(_all(one) for one in plan.paths)
    foot = (
        "total",
        "",
        "",
        sized(total),
        _percent(total, plan.asked.amount),
        "",
        f"{_clipped(plan.finish)} s",
        plan.cost,
    )
    return Table(columns, rows, foot)


def _all(one: PathPlan) -> int:
    return one.bytes + sum(stretch.length for stretch in one.carried)


def _bar(one: PathPlan, amount: int) -> str:
    """Of the whole: ``#`` is delivered, ``=`` is to come; whatever is there shows."""
    there = sum(stretch.length for stretch in one.carried)
    whole = max((2 * _BAR * _all(one) + amount) // (2 * amount), 1)
    done = min(max(_BAR * there // amount, 1 if there else 0), whole)
    return "#" * done + "=" * (whole - done if one.bytes else 0)


def _percent(part: int, whole: int) -> str:
    tenths = (2000 * part + whole) // (2 * whole)
    return f"{tenths // 10}.{tenths % 10} %"


def sized(count: int) -> str:
    """Bytes for people: 1234567 → 1.235 MB."""
    unit = min((len(str(count)) - 1) // 3, len(_UNITS) - 1)
    if not unit:
        return f"{count} {_UNITS[0]}"
    size = 1000**unit
    thousandths = (2000 * count + size) // (2 * size)
    return f"{thousandths // 1000}.{thousandths % 1000:03} {_UNITS[unit]}"


def _clipped(seconds: str) -> str:
    """Seconds to the millisecond, never earlier than they are."""
    whole, _, part = seconds.partition(".")
    if len(part) <= 3:
        return seconds
    more = int(whole + part[:3]) + bool(part[3:].strip("0"))
    return f"{more // 1000}.{more % 1000:03}"


def _tell(plan: SegmentPlan) -> None:
    print(f"{plan.why} Amounts are in {plan.currency}, before tax; segments of {sized(plan.segment)}.")
    if plan.moved:
        print(f"{sized(plan.moved)} change their path.")
    for one in plan.out:
        print(f"{one.id}: {one.why}")
