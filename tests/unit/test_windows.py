"""Whether work may begin: compared with asking a clock on the wall, minute by minute."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.planning.planner import plan
from reconciler.planning.schedules import upcoming
from reconciler.planning.windows import Closed, closed, openings
from reconciler.state.observed import Observed
from specs.compile.fleet import compile_fleet
from specs.diagnostics.position import Position
from specs.fleet import CompiledWindow, CompiledWindows

ZONES = ("Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Nuuk")
"""None, an hour in spring and autumn, the other half of the world, half an hour, at midnight."""
ALL_DAYS = tuple(range(7))
NIGHT = CompiledWindow(ALL_DAYS, 22 * 60, 5 * 60)
MINUTE = timedelta(minutes=1)


def windows(
    zone: str = "Asia/Tokyo",
    allow: tuple[CompiledWindow, ...] = (),
    deny: tuple[CompiledWindow, ...] = (),
    holidays: tuple[date, ...] = (),
) -> CompiledWindows:
    return CompiledWindows(zone, allow, deny, holidays, Position("f.yaml", 1, 1))


def asked(of: CompiledWindows, text: str, minutes: int = 0) -> Closed | None:
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(of.time_zone))
    return closed(of, at, timedelta(minutes=minutes))


def test_machines_without_windows_may_begin_at_any_time() -> None:
    assert closed(None, datetime(2026, 11, 28, tzinfo=UTC), timedelta(days=9)) is None
    assert asked(windows(), "2026-11-28T12:00", 99_999) is None


def test_outside_its_windows_work_waits_for_the_next_one() -> None:
    night = windows(allow=(NIGHT,))
    assert asked(night, "2026-11-28T22:00") is None
    assert asked(night, "2026-11-29T04:59") is None
    found = asked(night, "2026-11-29T05:00")
    assert found is not None
    assert found.opens == datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
    assert found.reason == (
        "outside its windows (allow 22:00-05:00 in Asia/Tokyo) until 2026-11-29 22:00 JST"
    )


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    saturday = windows(allow=(CompiledWindow((5,), 22 * 60, 5 * 60),))
    assert asked(saturday, "2026-11-28T21:59") is not None
    assert asked(saturday, "2026-11-28T22:00") is None
    assert asked(saturday, "2026-11-29T04:59") is None
    assert asked(saturday, "2026-11-30T04:59") is not None


def test_windows_that_touch_are_one() -> None:
    evening = CompiledWindow(ALL_DAYS, 20 * 60, 1440)
    morning = CompiledWindow(ALL_DAYS, 0, 6 * 60)
    assert asked(windows(allow=(evening, morning)), "2026-11-28T23:00", 6 * 60) is None


def test_work_that_would_not_end_in_time_waits() -> None:
    night = windows(allow=(NIGHT,))
    assert asked(night, "2026-11-29T03:00", 120) is None
    found = asked(night, "2026-11-29T03:01", 120)
    assert found is not None
    assert found.opens == datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
    assert found.reason == (
        "its 120 min would not end before its window closes (allow 22:00-05:00 in Asia/Tokyo) "
        "until 2026-11-29 22:00 JST"
    )


def test_deny_wins_over_allow() -> None:
    backup = CompiledWindow((6,), 60, 120)
    found = asked(windows(allow=(NIGHT,), deny=(backup,)), "2026-11-29T01:30")
    assert found is not None
    assert found.reason == (
        "inside a window without work (deny sun 01:00-02:00 in Asia/Tokyo) "
        "until 2026-11-29 02:00 JST"
    )
    assert asked(windows(deny=(backup,)), "2026-11-29T00:30", 31) is not None


def test_on_a_holiday_nothing_begins_and_what_began_before_may_end() -> None:
    christmas = windows(allow=(NIGHT,), holidays=(date(2026, 12, 25),))
    assert asked(christmas, "2026-12-24T23:00", 5 * 60) is None
    found = asked(christmas, "2026-12-25T00:30")
    assert found is not None
    assert found.reason == "nothing begins on 2026-12-25, a holiday, until 2026-12-26 00:00 JST"


def test_what_finds_no_time_within_a_year_says_so() -> None:
    found = asked(windows(allow=(NIGHT,)), "2026-11-28T23:00", 8 * 60)
    assert found is not None
    assert found.opens is None
    assert found.reason.endswith("and within a year there is no time for it")
    denied = CompiledWindow(ALL_DAYS, 0, 1440)
    assert asked(windows(deny=(denied,)), "2026-11-28T23:00").opens is None  # type: ignore[union-attr]


def test_the_hour_that_is_left_out_opens_no_window() -> None:
    early = windows("Europe/Berlin", (CompiledWindow(ALL_DAYS, 125, 175),))  # 02:05 to 02:55
    found = closed(early, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), MINUTE)
    assert found is not None
    assert found.opens == datetime(2026, 3, 30, 0, 5, tzinfo=UTC)


def test_a_window_that_begins_in_the_hour_left_out_opens_after_it() -> None:
    early = windows("Europe/Berlin", (CompiledWindow(ALL_DAYS, 150, 240),))  # 02:30 to 04:00
    found = closed(early, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), MINUTE)
    assert found is not None
    assert found.opens == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_the_hour_that_comes_twice_opens_its_window_twice() -> None:
    early = windows("Europe/Berlin", (CompiledWindow(ALL_DAYS, 125, 175),))
    for utc, is_open in (((0, 5), True), ((0, 55), False), ((1, 5), True), ((1, 55), False)):
        moment = datetime(2026, 10, 25, *utc, tzinfo=UTC)
        assert (closed(early, moment, MINUTE) is None) == is_open


# --- against asking minute by minute ---------------------------------------------


def by_the_clock(of: CompiledWindows, moment: datetime) -> tuple[bool, bool]:
    """Return whether work may go on at a moment, and whether it may begin."""
    local = moment.astimezone(ZoneInfo(of.time_zone))

    def has(window: CompiledWindow) -> bool:
        minute, today = local.hour * 60 + local.minute, local.weekday()
        yesterday = (today - 1) % 7
        if window.begin < window.end:
            return today in window.days and window.begin <= minute < window.end
        late = today in window.days and minute >= window.begin
        return late or (yesterday in window.days and minute < window.end)

    allowed = not of.allow or any(map(has, of.allow))
    allowed = allowed and not any(map(has, of.deny))
    return allowed, allowed and local.date() not in of.holidays


def first_begins(of: CompiledWindows, start: datetime, minutes: int) -> list[datetime | None]:
    """Return for each minute from ``start`` on the first at which the work may begin."""
    states = [by_the_clock(of, start + MINUTE * each) for each in range(LOOKED_AT + minutes)]
    left = 0  # minutes of allowed time from here on, counted from behind
    found: list[datetime | None] = []
    best = None
    for index in range(len(states) - 1, -1, -1):
        allowed, may_begin = states[index]
        left = left + 1 if allowed else 0
        if may_begin and left >= minutes and index < LOOKED_AT:
            best = start + MINUTE * index
        found.append(best)
    return found[::-1]


LOOKED_AT = 3 * 1440
EARLY = st.sampled_from(range(0, 240, 15))
"""Where clocks change."""
TIMES = EARLY | st.sampled_from(range(0, 1440, 15))
WINDOWS = st.builds(
    lambda days, begin, length: CompiledWindow(
        tuple(sorted(days)), begin, (begin + length - 1) % 1440 + 1
    ),
    st.sets(st.integers(0, 6), min_size=1),
    TIMES,
    st.sampled_from(range(15, 1440, 15)),
)
CHANGES = {
    "Europe/Berlin": ((2026, 3, 29), (2026, 10, 25)),
    "America/New_York": ((2026, 3, 8), (2026, 11, 1)),
    "Australia/Lord_Howe": ((2026, 4, 5), (2026, 10, 4)),
    "America/Nuuk": ((2026, 3, 29), (2026, 10, 25)),
    "Asia/Tokyo": ((2026, 5, 3),),
}


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_next_begin_is_what_a_clock_on_the_wall_says(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    change = date(*data.draw(st.sampled_from(CHANGES[zone])))
    of = windows(
        zone,
        tuple(data.draw(st.lists(WINDOWS, max_size=2))),
        tuple(data.draw(st.lists(WINDOWS, max_size=2))),
        tuple(
            sorted(
                change + timedelta(days=each)
                for each in data.draw(st.sets(st.integers(-2, 2), max_size=2))
            )
        ),
    )
    minutes = data.draw(st.sampled_from((1, 30, 60, 179, 600)))
    start = datetime(change.year, change.month, change.day, tzinfo=UTC) - timedelta(days=1)
    expected = first_begins(of, start, minutes)
    for index in range(0, 2 * 1440, 13):
        now = start + MINUTE * index
        found = closed(of, now, MINUTE * minutes)
        opens = found.opens if found else now
        soon = opens is not None and opens < start + MINUTE * LOOKED_AT
        assert (opens if soon else None) == expected[index]
    until = start + MINUTE * 2 * 1440
    stretches = list(openings(of, start, until, MINUTE * minutes))
    assert stretches == sorted(stretches)
    for index in range(0, 2 * 1440, 5):
        now = start + MINUTE * index
        assert any(first <= now <= last for first, last in stretches) == (expected[index] == now)


# --- as documents say it ---------------------------------------------------------

FLEET = """
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {name: f}
spec:
  windows:
    timeZone: Asia/Tokyo
    allow: [{begin: "22:00", end: "05:00"}]
    holidays: {dates: ["2026-12-25"], calendars: [closed]}
---
apiVersion: rackwright/v1alpha1
kind: Calendar
metadata: {name: closed}
spec: {dates: ["2026-12-31", "2026-12-25", "2026-12-30"]}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/16}
"""
GROUP = """
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: {name}}}
spec: {{network: n, {more}}}
"""
MACHINE = """
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: {name}}}
spec: {{group: {group}, hardware: {{macs: ["02:00:00:00:00:{number:02}"]}}}}
"""


def test_the_example_compiles_and_nothing_in_it_blocks() -> None:
    folder = Path(__file__).parents[2] / "examples/schedules"
    result = compile_fleet({"fleet.yaml": (folder / "fleet.yaml").read_bytes()}, "r")
    assert result.diagnostics == ()
    assert result.fleet is not None
    items = plan(result.fleet, Observed(), datetime(2026, 12, 28, 3, tzinfo=UTC)).items
    assert items == ()
    resets = upcoming(
        result.fleet.schedules["nightly-reset"], datetime(2026, 12, 28, tzinfo=UTC), 5
    )
    assert [(f"{each.moment:%m-%d}", each.left_out) for each in resets] == [
        ("12-28", "2026-12-29 is a holiday"),
        ("12-29", "2026-12-30 is a holiday"),
        ("12-30", "2026-12-31 is a holiday"),
        ("12-31", "2027-01-01 is a holiday"),
        ("01-03", ""),
    ]


def test_the_nearest_group_that_says_windows_wins_else_the_fleet_does() -> None:
    always = "windows: {timeZone: UTC}"
    weekdays = "windows: {timeZone: UTC, allow: [{days: [fri, mon, tue, wed, thu], begin: '00:00',"
    text = FLEET + GROUP.format(name="a", more="") + GROUP.format(name="b", more=always)
    text += GROUP.format(name="b/c", more=f"{weekdays} end: '24:00'}}]}}")
    text += GROUP.format(name="b/d", more="")
    for number, group in enumerate(("a", "b", "b/c", "b/d")):
        text += MACHINE.format(name=f"m{number}", group=group, number=number)
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    fleet = result.fleet
    assert fleet is not None, result.diagnostics
    found = [fleet.windows_of(each) for each in fleet.machines.values()]
    assert [each and (each[0], str(each[1])) for each in found] == [
        ("", "allow 22:00-05:00; nothing begins on 2026-12-25 and 2 more in Asia/Tokyo"),
        ("b", "always"),
        ("b/c", "allow mon-fri 00:00-24:00 in UTC"),
        ("b", "always"),
    ]
