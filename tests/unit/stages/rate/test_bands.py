"""Uses cut at the boundaries of local time, on ordinary days and where the clock changes."""

from __future__ import annotations

import bisect
import itertools
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.errors import RefusalCode, Refused
from apportion.model.band import Band
from apportion.model.tariff import Use
from apportion.model.tariff_check import check
from apportion.money import Exact
from apportion.stages.rate import Pricer, compile_tariff
from apportion.stages.rate.bands import Timetable
from tests.tariffs import read_tariff

COPENHAGEN, NEW_YORK = ZoneInfo("Europe/Copenhagen"), ZoneInfo("America/New_York")
HOUR = 3_600_000_000


def at(text: str, zone: ZoneInfo = COPENHAGEN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def hours(bands: dict[str, Band], zone: ZoneInfo, start: str, end: str) -> list[tuple[str, Exact]]:
    cut = Timetable(bands, zone).cut(at(start, zone), at(end, zone))
    return [(name, Exact(length, HOUR)) for name, length in cut]


DAY = {"day": Band(times=("08:00-20:00",))}


def test_a_use_within_one_band_is_whole() -> None:
    assert hours(DAY, COPENHAGEN, "2026-11-20T09:00", "2026-11-20T10:30") == [("day", Exact(3, 2))]


def test_across_midnight_and_across_both_boundaries() -> None:
    found = hours(DAY, COPENHAGEN, "2026-11-20T19:00", "2026-11-21T09:00")
    assert found == [("day", Exact(1)), ("other", Exact(12)), ("day", Exact(1))]


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        (COPENHAGEN, "2026-03-29", 5),
        (COPENHAGEN, "2026-10-25", 7),
        (NEW_YORK, "2026-03-08", 5),
        (NEW_YORK, "2026-11-01", 7),
        (NEW_YORK, "2026-11-02", 6),
    ],
)
def test_nights_of_the_clock_change(zone: ZoneInfo, day: str, length: int) -> None:
    found = hours({"night": Band(times=("00:00-06:00",))}, zone, f"{day}T00:00", f"{day}T07:00")
    assert found == [("night", Exact(length)), ("other", Exact(1))]


def test_an_hour_that_the_clock_skips_or_repeats() -> None:
    two = {"two": Band(times=("02:00-03:00",))}
    assert hours(two, COPENHAGEN, "2026-03-29T00:00", "2026-03-29T06:00") == [("other", Exact(5))]
    repeated = hours(two, COPENHAGEN, "2026-10-25T00:00", "2026-10-25T06:00")
    assert repeated == [("other", Exact(2)), ("two", Exact(2)), ("other", Exact(3))]
    half = {"half": Band(times=("02:30-04:00",))}
    assert hours(half, COPENHAGEN, "2026-03-29T00:00", "2026-03-29T06:00") == [
        ("other", Exact(2)), ("half", Exact(1)), ("other", Exact(2)),
    ]  # fmt: skip
    again = hours({"q": Band(times=("02:15-02:45",))}, COPENHAGEN, "2026-10-25T02:00", "2026-10-25T04:00")
    assert [name for name, _ in again] == ["other", "q", "other", "q", "other"]
    assert sum((length for name, length in again if name == "q"), Exact(0)) == Exact(1)


def test_the_first_band_that_matches_wins() -> None:
    bands = {
        "holiday": Band(dates=("2026-12-24..2026-12-26",)),
        "weekend": Band(days=("sat-sun",)),
        "winter-peak": Band(days=("mon-fri",), times=("17:00-21:00",), seasons=("11-01..03-31",)),
    }
    table = Timetable(bands, COPENHAGEN)
    wanted = {
        "2026-12-24T18:00": "holiday",  # a Thursday in winter
        "2026-12-26T18:00": "holiday",  # a Saturday
        "2026-12-27T18:00": "weekend",
        "2026-12-28T18:00": "winter-peak",
        "2026-12-28T21:00": "other",
        "2026-03-31T20:59": "winter-peak",
        "2026-04-01T18:00": "other",
        "2026-11-02T17:00": "winter-peak",
    }
    assert {text: table.band_at(at(text)) for text in wanted} == wanted


def test_bands_over_midnight_and_over_the_weekend() -> None:
    table = Timetable({"night": Band(times=("22:00-06:00",), days=("fri-mon",))}, COPENHAGEN)
    assert [table.band_at(at(f"2026-11-{day}T23:00")) for day in (19, 20, 22, 23, 24)] == [
        "other", "night", "night", "night", "other",
    ]  # fmt: skip
    assert table.band_at(at("2026-11-20T05:59")) == "night"
    assert table.band_at(at("2026-11-24T05:59")) == "other"  # the day of the clock counts, not that of the evening


@pytest.mark.parametrize("days", [10 * 366, 5000, 10**6])
def test_uses_of_many_years_are_refused(days: int) -> None:
    table = Timetable(DAY, COPENHAGEN)
    start = datetime(1, 1, 2, tzinfo=UTC)
    if days < 3661:
        assert sum(length for _, length in table.cut(start, start + timedelta(days=days))) == days * 24 * HOUR
    else:
        with pytest.raises(Refused) as error:
            table.cut(start, start + timedelta(days=days))
        assert error.value.refusal.code is RefusalCode.BAD_TIME


@pytest.mark.parametrize("instant", [datetime.min, datetime.max])
def test_the_ends_of_the_calendar_are_refused(instant: datetime) -> None:
    table = Timetable(DAY, NEW_YORK if instant == datetime.min else COPENHAGEN)
    with pytest.raises(Refused):
        table.band_at(instant.replace(tzinfo=UTC))


INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=9)), st.sampled_from([COPENHAGEN, NEW_YORK]), st.data())
def test_a_cut_covers_the_use_and_agrees_with_every_instant(
    start: datetime, lasting: timedelta, zone: ZoneInfo, data: st.DataObject
) -> None:
    bands = {
        "a": Band(times=("01:30-02:30", "22:00-03:00"), days=("sat-mon",)),
        "b": Band(times=("02:00-14:00",), seasons=("10-01..04-30",)),
    }
    table = Timetable(bands, zone)
    cut = table.cut(start, start + lasting)
    assert sum(length for _, length in cut) == max(lasting // timedelta(microseconds=1), 1)
    assert all(before[0] != after[0] for before, after in zip(cut, cut[1:], strict=False))
    where = data.draw(st.timedeltas(timedelta(0), max(lasting - timedelta(microseconds=1), timedelta(0))))
    passed = where // timedelta(microseconds=1)
    ends = list(itertools.accumulate(length for _, length in cut))
    name = cut[bisect.bisect_right(ends, passed)][0]
    assert table.band_at(start + where) == name == _plainly(bands, (start + where).astimezone(zone))


def _plainly(bands: dict[str, Band], local: datetime) -> str:
    """The band by reading the local clock, without any cutting."""
    minute = local.hour * 60 + local.minute
    if local.weekday() in (5, 6, 0) and (90 <= minute < 150 or minute >= 1320 or minute < 180):
        return "a"
    return "b" if (local.month >= 10 or local.month <= 4) and 120 <= minute < 840 else "other"


# ── components in bands ──


def tariff(components: str, header: str = "") -> Pricer:
    text = f'id = "t"\ncurrency = "EUR"\nzone = "Europe/Copenhagen"\n{header}\n{components}'
    found = read_tariff(tomllib.loads(text, parse_float=Decimal))
    assert check(found) == []
    return compile_tariff(found)


def timed(name: str, band: str, price: str, step: str = "") -> str:
    return (
        f'[[components]]\nkind = "unit"\nname = "{name}"\nmeasure = "seconds"\ntime = true\nper = 60\n'
        f'price = {price}\nwhen = ["{band}"]\n{step}\n'
    )


EVENING = 'bands.evening = {times = ["18:00-24:00"]}'


def test_a_call_across_the_boundary_pays_both_prices() -> None:
    pricer = tariff(timed("day", "other", "0.6") + timed("eve", "evening", "0.3"), EVENING)
    priced = pricer.price(Use(at("2026-11-20T17:59:30"), at("2026-11-20T18:01:00"), {}, {}))
    assert priced.exact.text() == "0.6"  # 30 s × 0.01 + 60 s × 0.005
    assert [(line.component, line.quantity, line.note) for line in priced.lines] == [
        ("day", "30", "in other"),
        ("eve", "60", "in evening"),
    ]


def test_increments_run_on_across_the_boundary() -> None:
    pricer = tariff(timed("day", "other", "0.6", "step = 60") + timed("eve", "evening", "0.3", "step = 60"), EVENING)
    costs = {
        "18:00:00": "0.6",  # one minute by day, begun at 17:59:30
        "18:00:30": "0.6",
        "18:00:31": "0.9",  # a second begins in the evening
        "18:01:30": "0.9",
    }
    start = at("2026-11-20T17:59:30")
    found = {end: pricer.price(Use(start, at(f"2026-11-20T{end}"), {}, {})).exact.text() for end in costs}
    assert found == costs


@pytest.mark.parametrize(
    ("start", "end", "cost"),
    # OCPI: 5 minutes of 1.20 and, the whole being 15, ten of 2.40; 25 minutes of 1.20 and, the whole being 45, 20
    [("16:55", "17:05", "0.5"), ("16:35", "17:10", "1.3"), ("16:00", "16:10", "0.6"), ("17:00", "17:16", "1.2")],
)
def test_ocpi_step_size(start: str, end: str, cost: str) -> None:
    day = timed("day", "other", "1.20", "step = 1800").replace("per = 60", "per = 3600")
    evening = timed("eve", "evening", "2.40", "step = 900").replace("per = 60", "per = 3600")
    pricer = tariff(day + evening, 'bands.evening = {times = ["17:00-24:00"]}\nstep_at_end = true')
    use = Use(at(f"2026-11-20T{start}"), at(f"2026-11-20T{end}"), {}, {})
    assert pricer.price(use).exact.text() == cost


def test_ocpi_charging_and_idle_are_one_time() -> None:
    # 10 minutes of charging and 2 of idling are 12, the last step of 15 makes them 15: 10 × 0.04 + 5 × 0.02
    both = "".join(
        f'[[components]]\nkind = "unit"\nname = "{name}"\nmeasure = "{name}"\ntime = true\nper = 60\n'
        f"price = {price}\nstep = {step}\n"
        for name, price, step in (("charging", "0.04", 1800), ("idling", "0.02", 900))
    )
    pricer = tariff(both, "step_at_end = true")
    quantities = {"charging": Exact(600), "idling": Exact(120)}
    assert pricer.price(Use(at("2026-11-20T12:00"), None, quantities, {})).exact.text() == "0.5"
    quantities["idling"] = Exact(0)  # charging is the last then, and its step of 30 minutes rounds
    assert pricer.price(Use(at("2026-11-20T12:00"), None, quantities, {})).exact.text() == "1.2"


def test_other_quantities_are_spread_over_the_time() -> None:
    components = "".join(
        f'[[components]]\nkind = "unit"\nname = "{band}"\nmeasure = "kwh"\nprice = {price}\nwhen = ["{band}"]\n'
        for band, price in (("other", 3), ("evening", 1))
    )
    pricer = tariff(components, EVENING)
    use = Use(at("2026-11-20T17:00"), at("2026-11-20T20:00"), {"kwh": Exact(1)}, {})
    assert pricer.price(use).exact == Exact(5, 3)  # a third at 3 and two thirds at 1
    moment = Use(at("2026-11-20T17:59:59"), None, {"kwh": Exact(1)}, {})
    assert pricer.price(moment).exact == Exact(3)
    back = Use(use.start, use.end, {"kwh": Exact(-1)}, {})
    assert pricer.price(back).exact == Exact(-5, 3)


def test_a_flat_fee_takes_the_band_of_the_start() -> None:
    pricer = tariff('[[components]]\nkind = "flat"\nname = "f"\nprice = 2\nwhen = ["evening"]\n', EVENING)
    late, early = at("2026-11-20T18:00"), at("2026-11-20T17:00")
    assert pricer.price(Use(late, None, {}, {})).exact == Exact(2)
    assert pricer.price(Use(early, at("2026-11-20T20:00"), {}, {})).exact == Exact(0)


def test_bands_keep_running_totals_of_their_own() -> None:
    component = (
        '[[components]]\nkind = "graduated"\nname = "{0}"\nmeasure = "kwh"\nscope = "period"\nwhen = ["{0}"]\n'
        "tiers = [{{up_to = 1, price = 1}}, {{price = 2}}]\n"
    )
    pricer = tariff(component.format("other") + component.format("evening"), EVENING)
    use = Use(at("2026-11-20T17:00"), at("2026-11-20T19:00"), {"kwh": Exact(3)}, {})
    priced = pricer.price(use, {"t/evening@p": Exact(1)}, "p")
    assert priced.exact == Exact(5)  # 1.5 by day: 1 + 0.5 × 2; 1.5 in the evening above one already used: 3
    assert priced.totals == {"t/other@p": Exact(3, 2), "t/evening@p": Exact(5, 2)}


def test_times_without_a_zone_are_refused() -> None:
    pricer = tariff(timed("eve", "evening", "0.3"), EVENING)
    for start, end in ((datetime(2026, 1, 1), None), (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2))):
        with pytest.raises(Refused) as error:
            pricer.price(Use(start, end, {"seconds": Exact(1)}, {}))
        assert error.value.refusal.code is RefusalCode.BAD_TIME
