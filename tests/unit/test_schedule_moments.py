"""When schedules act: a year of them over clock changes, holidays and jumping clocks."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.planning.schedules import (
    MOST_MADE_UP,
    Occurrence,
    delay_of,
    due,
    first_moment,
    occurrences,
    upcoming,
)
from specs.diagnostics.position import Position
from specs.fleet import CompiledSchedule

ZONES = ("Asia/Tokyo", "Europe/Berlin", "America/New_York")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def a_schedule(cron: str = "30 2 * * *", zone: str = "Asia/Tokyo", **changes) -> CompiledSchedule:
    schedule = CompiledSchedule(
        name="nightly",
        scenario="look",
        power="",
        at=None,
        cron=cron,
        time_zone=zone,
        window_seconds=3600,
        missed="skip",
        holidays=(),
        holiday_action="skip",
        start_interval_seconds=0,
        jitter_seconds=0,
        approved="",
        position=Position("f.yaml", 1, 1),
    )
    return schedule._replace(**changes)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(found, zone="Asia/Tokyo") -> list[str]:
    return [f"{each.moment.astimezone(ZoneInfo(zone)):%m-%d %H:%M}" for each in found]


def test_a_time_that_clocks_leave_out_comes_right_after_and_one_that_comes_twice_once() -> None:
    early = a_schedule(zone="Europe/Berlin")
    spring = upcoming(early, utc("2026-03-27T12:00"), 3)
    assert shown(spring, "Europe/Berlin") == ["03-28 02:30", "03-29 03:00", "03-30 02:30"]
    autumn = upcoming(early, utc("2026-10-23T12:00"), 3)
    assert shown(autumn, "Europe/Berlin") == ["10-24 02:30", "10-25 02:30", "10-26 02:30"]
    both = upcoming(early._replace(cron="0 2,3 * * *"), utc("2026-03-28T12:00"), 2)
    assert shown(both, "Europe/Berlin") == ["03-29 03:00", "03-30 02:00"]


def test_what_recurs_within_the_hour_goes_on_in_real_time() -> None:
    often = a_schedule("*/20 * * * *", "Europe/Berlin")
    found = [each.moment for each in upcoming(often, utc("2026-10-24T23:00"), 12)]
    assert {later - earlier for earlier, later in pairwise(found)} == {20 * MINUTE}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("cron", "count"),
    [("30 2 * * *", 365), ("0 22 * * mon-fri", 261), ("15 */6 * * *", None), ("0 4 1 * *", 12)],
)
def test_of_a_year_every_occurrence_is_handled_once_whenever_it_is_looked_at(
    zone: str, cron: str, count: int | None
) -> None:
    schedule = a_schedule(cron, zone, missed="run-all")
    now, end = utc("2026-01-01T00:00"), utc("2027-01-01T00:00")
    expected = [each.moment for each in _until(schedule, now, end)]
    if count is not None:
        assert abs(len(expected) - count) <= 1  # where the year begins at another hour
    handled = first_moment(schedule, now)
    begun: list[datetime] = []
    step = 0
    while now < end:
        step += 1
        now = min(end, now + MINUTE * (7 + step % 90))
        found = due(schedule, handled, now)
        begun += [each.moment for each in found if not each.left_out]
        handled = now
    assert begun == expected


def test_holidays_leave_out_and_say_so() -> None:
    free = a_schedule(holidays=(date(2026, 12, 25),))
    found = upcoming(free, utc("2026-12-23T15:00"), 3)
    assert shown(found) == ["12-24 02:30", "12-25 02:30", "12-26 02:30"]
    assert [each.left_out for each in found] == ["", "2026-12-25 is a holiday", ""]


def test_next_day_puts_off_to_the_next_day_that_is_none_and_two_are_one() -> None:
    days = tuple(date(2026, 12, day) for day in (24, 25, 26))
    weekly = a_schedule("30 2 * * thu", holidays=days, holiday_action="next-day")
    found = upcoming(weekly, utc("2026-12-22T00:00"), 2)
    assert shown(found) == ["12-27 02:30", "12-31 02:30"]
    daily = weekly._replace(cron="30 2 * * *")
    assert shown(upcoming(daily, utc("2026-12-22T18:00"), 3)) == [
        "12-27 02:30",
        "12-28 02:30",
        "12-29 02:30",
    ]
    assert shown(upcoming(weekly, utc("2026-12-25T00:00"), 1)) == ["12-27 02:30"]
    mixed = weekly._replace(cron="0 1,22 * * thu", holidays=(date(2026, 12, 24),))
    assert shown(upcoming(mixed, utc("2026-12-22T00:00"), 3)) == [
        "12-25 01:00",
        "12-25 22:00",
        "12-31 01:00",
    ]


def left_out(found) -> list[str]:
    return [each.left_out for each in found]


NIGHTS = [f"2026-11-{day}T17:30" for day in (20, 21, 22)]
"""02:30 in Tokyo."""


def test_what_was_missed_is_left_out_done_once_or_made_up_for() -> None:
    handled, now = utc("2026-11-20T12:00"), utc("2026-11-23T00:00")
    for missed, begun in (("skip", []), ("run-once", NIGHTS[2:]), ("run-all", NIGHTS)):
        found = due(a_schedule(missed=missed), handled, now)
        assert [each.moment for each in found] == [utc(each) for each in NIGHTS]
        assert [each.moment for each in found if not each.left_out] == [utc(each) for each in begun]
    assert (
        left_out(due(a_schedule(), handled, now))
        == ["missed: nothing could begin in its window"] * 3
    )
    assert left_out(due(a_schedule(missed="run-once"), handled, now)) == [
        "missed: a later one is due already",
        "missed: a later one is due already",
        "",
    ]


def test_within_its_window_it_still_begins_and_of_several_the_newest() -> None:
    often = a_schedule("*/10 * * * *")
    found = due(often, utc("2026-11-20T12:00"), utc("2026-11-20T12:35"))
    assert left_out(found) == ["missed: a later one is due already"] * 2 + [""]
    nightly = a_schedule()
    assert left_out(due(nightly, utc("2026-11-20T12:00"), utc("2026-11-20T18:30"))) == [""]
    assert left_out(due(nightly, utc("2026-11-20T12:00"), utc("2026-11-20T18:31"))) == [
        "missed: nothing could begin in its window"
    ]


def test_a_long_absence_is_made_up_for_within_bounds() -> None:
    often = a_schedule("* * * * *", missed="run-all")
    found = due(often, utc("2024-01-01T00:00"), utc("2026-11-20T12:00"))
    assert len(found) == MOST_MADE_UP
    assert found[-1] == Occurrence(utc("2026-11-20T12:00"))
    assert found[0].left_out == "missed, as all that came before it since the last"
    assert due(a_schedule("0 0 29 2 *"), utc("1990-01-01T00:00"), utc("2026-11-20T12:00"))


def test_a_new_schedule_acts_from_then_on_and_one_moment_while_its_window_is_open() -> None:
    now = utc("2026-11-20T12:00")
    assert first_moment(a_schedule(), now) == now
    once = a_schedule("", "", at=datetime.fromisoformat("2026-11-20T20:30:00+09:00"))
    assert due(once, first_moment(once, now), now) == (Occurrence(utc("2026-11-20T11:30")),)
    late = now + DAY
    assert due(once, first_moment(once, late), late) == ()
    assert upcoming(once, utc("2026-11-01T00:00"), 5) == [Occurrence(utc("2026-11-20T11:30"))]
    put_off = once._replace(holidays=(date(2026, 11, 20),), holiday_action="next-day")
    assert upcoming(put_off, now, 5) == [Occurrence(utc("2026-11-21T11:30"))]


@given(
    steps=st.lists(
        st.integers(-3 * 1440, 3 * 1440).map(lambda minutes: MINUTE * minutes),
        min_size=1,
        max_size=40,
    ),
    missed=st.sampled_from(("skip", "run-once", "run-all")),
    cron=st.sampled_from(("30 2 * * *", "0 */7 * * *", "0 12 * * sun")),
)
@settings(max_examples=150, deadline=None)
def test_a_clock_that_jumps_runs_nothing_twice_and_loses_nothing(steps, missed, cron) -> None:
    schedule = a_schedule(cron, "Europe/Berlin", missed=missed)
    now = start = latest = handled = utc("2026-10-22T00:00")
    told: dict[datetime, str] = {}
    runs = 0
    for step in steps:
        now = max(start, now + step)
        latest = max(latest, now)
        handled = min(handled, now)  # the clock went back
        for each in due(schedule, handled, now):
            if each.moment not in told:
                told[each.moment] = each.left_out
                runs += not each.left_out
        handled = now
    past = [each.moment for each in _until(schedule, start, latest)]
    assert sorted(told) == past
    assert runs <= len(past)


def _until(schedule, start, end):
    for each in occurrences(schedule, start):
        if each.moment > end:
            return
        yield each


def test_machines_start_one_after_the_other_and_each_always_by_the_same_delay() -> None:
    spread = a_schedule(start_interval_seconds=10)
    delays = [delay_of(spread, f"m{place}", place).seconds for place in range(3)]
    assert delays == [0, 10, 20]
    shaken = a_schedule(jitter_seconds=900)
    delays = [delay_of(shaken, f"m{place}", place).seconds for place in range(1000)]
    assert delays == [delay_of(shaken, f"m{place}", place).seconds for place in range(1000)]
    assert min(delays) < 30
    assert 870 < max(delays) <= 900
    assert 400 < sum(delays) / 1000 < 500
