"""A schedule that can never begin is reported, and one that can is not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from builders.world import an_image
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.planning.schedule_warnings import MOST_TIMES, schedule_warnings
from reconciler.planning.schedules import delay_of, upcoming
from reconciler.planning.windows import closed
from specs.compile.fleet import compile_fleet
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import CompiledFleet, CompiledMachine

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
"""Noon in Tokyo, on a Sunday."""
NIGHTS = '{timeZone: Asia/Tokyo, allow: [{begin: "22:00", end: "05:00"}]}'
FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {{name: f}}
spec: {{defaults: {{network: n}}, windows: {fleet}}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {{name: n}}
spec: {{subnet: 10.0.0.0/16}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: a/b}}
spec: {group}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {{name: "kept-{{machine}}"}}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {{name: golden}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {{name: work}}
spec: {{steps: [{{{step}}}]}}
---
apiVersion: rackwright/v1alpha1
kind: Schedule
metadata: {{name: nightly}}
spec: {{select: {{groups: ["*"]}}, action: {action}, when: {when}{more}}}
"""
MACHINE = """\
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: {group}-{number}}}
spec: {{group: {path}, hardware: {{macs: ["02:00:00:00:0{digit}:0{number}"]}}}}
"""


def fleet(  # noqa: PLR0913 - the parts of the documents
    cron: str = "0 12 * * *",
    *,
    when: str = "",
    windows: str = NIGHTS,
    group: str = "{}",
    action: str = "{scenario: work}",
    step: str = 'backup: {image: "kept-{machine}"}',
    more: str = "",
    machines: tuple[int, int] = (3, 2),
) -> CompiledFleet:
    """Return machines a-1, a-2 … of group a, and b-1 … of group a/b, with one schedule."""
    daily = f'cron: "{cron}", timeZone: Asia/Tokyo'
    when = f"{{{when or daily}}}"
    text = FLEET.format(fleet=windows, group=group, step=step, action=action, when=when, more=more)
    for name, path, digit, count in (("a", "a", 1, machines[0]), ("b", "a/b", 2, machines[1])):
        for number in range(1, count + 1):
            text += MACHINE.format(group=name, path=path, digit=digit, number=number)
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert [each.message for each in result.diagnostics] == []
    assert result.fleet is not None
    return result.fleet


def warned(of: CompiledFleet, images: dict | None = None) -> tuple[Diagnostic, ...]:
    return schedule_warnings(of, of.machines.values(), images or {}, NOW)


def test_a_time_outside_the_windows_is_reported_with_its_place_and_the_next_opening() -> None:
    (found,) = warned(fleet())
    assert str(found) == (
        "f.yaml:31:18: RW159 warning: schedule nightly never begins on its 5 machines: none of its "
        "next 50 times, up to 2027-01-18 12:00 JST, is within the windows of the Fleet document at "
        "f.yaml:4:41. At 2026-11-30 12:00 JST: outside its windows (allow 22:00-05:00 in "
        "Asia/Tokyo) until 2026-11-30 22:00 JST\n"
        "    hint: choose a time within them, or let it begin later after its time (when.window)"
    )


@pytest.mark.parametrize("cron", ["0 22 * * *", "56 4 * * *", "30 21 * * *", "0 12,23 * * *"])
def test_a_time_from_which_a_window_is_reached_is_not_reported(cron: str) -> None:
    assert warned(fleet(cron)) == ()


def test_a_time_at_which_the_window_closes_is_outside_it() -> None:
    (found,) = warned(fleet("0 5 * * *"))
    assert "At 2026-11-30 05:00 JST: outside its windows" in found.message


def test_a_time_within_a_deny_window_is_reported() -> None:
    monday = '{timeZone: Asia/Tokyo, deny: [{days: [mon], begin: "00:00", end: "06:00"}]}'
    (found,) = warned(fleet("30 2 * * mon", windows=monday))
    assert "inside a window without work (deny mon 00:00-06:00 in Asia/Tokyo)" in found.message
    assert warned(fleet("30 2 * * mon,tue", windows=monday)) == ()


@pytest.mark.parametrize("cron", ["* * * * *", "*/10 12-21 * * *", "0 * * * mon"])
def test_a_schedule_that_comes_often_is_looked_at_for_more_than_a_week(cron: str) -> None:
    assert warned(fleet(cron)) == ()
    friday = '{timeZone: Asia/Tokyo, allow: [{days: [fri], begin: "03:00", end: "03:30"}]}'
    assert bool(warned(fleet(cron, windows=friday))) == (cron != "* * * * *")


def test_windows_that_never_open_are_reported_without_a_next_opening() -> None:
    always = '{timeZone: UTC, deny: [{begin: "00:00", end: "24:00"}]}'
    (found,) = warned(fleet("* * * * *", windows=always))
    assert found.message.endswith("and within a year there is no time for it")


def test_of_machines_with_different_windows_those_that_never_begin_are_counted() -> None:
    days = '{windows: {timeZone: Asia/Tokyo, allow: [{begin: "08:00", end: "18:00"}]}}'
    (found,) = warned(fleet(group=days))
    assert "never begins on 3 of its 5 machines" in found.message
    (found,) = warned(fleet("0 23 * * *", group=days))
    assert "never begins on 2 of its 5 machines" in found.message
    assert "within the windows of group a/b at f.yaml:14:17." in found.message
    (found,) = warned(fleet("0 19 * * *", group=days))
    assert "never begins on its 5 machines" in found.message
    assert "of the Fleet document at f.yaml:4:41 (nor of 1 more group)" in found.message


def test_machines_that_begin_later_by_the_start_interval_are_judged_by_their_own_time() -> None:
    # a-1 begins at 04:40, a-2 at 04:50, a-3 at 05:00; the scenario takes 3 minutes.
    (found,) = warned(fleet("40 4 * * *", more=", startInterval: 10m"))
    assert "never begins on 3 of its 5 machines" in found.message
    assert "At 2026-11-30 05:00 JST" in found.message


def test_a_scenario_longer_than_every_window_is_reported_where_its_images_are_known() -> None:
    short = fleet(
        "0 22 * * *",
        windows=NIGHTS.replace("05:00", "22:10"),
        step="restore: {image: golden}",
        more=", approved: destructive",
    )
    assert warned(short) == ()
    (found,) = warned(short, {"golden": an_image(used_bytes=100_000_000_000)})
    assert "its 20 min would not end before its window closes" in found.message


def test_starting_machines_heeds_no_windows_and_stopping_them_does() -> None:
    assert warned(fleet(action='{power: "on"}')) == ()
    assert len(warned(fleet(action='{power: "off"}'))) == 1


def test_one_moment_is_reported_until_it_is_over() -> None:
    (found,) = warned(fleet(when='at: "2026-12-01T12:00:00+09:00"'))
    assert "its time, 2026-12-01 12:00 UTC+09:00, is not within the windows" in found.message
    assert warned(fleet(when='at: "2026-11-01T12:00:00+09:00"')) == ()


def test_times_that_holidays_leave_out_do_not_count() -> None:
    thursday = NIGHTS.replace("{begin", "{days: [thu], begin")
    days = 'cron: "0 23 24,25 dec *", timeZone: Asia/Tokyo'  # thursday and friday, in 2027 a day on
    assert warned(fleet(when=days, windows=thursday)) == ()
    free = days + ", holidays: {dates: ['2026-12-24']}"
    (found,) = warned(fleet(when=free, windows=thursday))
    assert "none of its next 3 times, up to 2027-12-25" in found.message


def test_a_fleet_without_windows_is_not_asked_for_its_machines() -> None:
    def asked_for() -> Iterator[CompiledMachine]:
        raise AssertionError
        yield

    without = replace(fleet(), windows={})
    assert schedule_warnings(without, asked_for(), {}, NOW) == ()


HOURS = st.integers(0, 23)


@settings(max_examples=60)
@given(
    hours=st.tuples(HOURS, HOURS).filter(lambda both: both[0] != both[1]),
    days=st.sets(st.sampled_from(["mon", "wed", "sat"]), min_size=1),
    verb=st.sampled_from(["allow", "deny"]),
    cron=st.tuples(st.sampled_from([0, 30, 59]), HOURS, st.sampled_from(["*", "sun", "1"])),
    late=st.sampled_from(["1m", "1h", "9h"]),
    more=st.sampled_from(["", ", startInterval: 20m", ", jitter: 2h"]),
    action=st.sampled_from(["{scenario: work}", '{power: "off"}']),
)
def test_it_counts_the_machines_that_no_minute_of_any_time_lets_begin(  # noqa: PLR0913, PLR0917
    hours, days, verb, cron, late, more, action
) -> None:
    begin, end = hours
    windows = (
        f"{{timeZone: Asia/Tokyo, {verb}: [{{days: [{', '.join(sorted(days))}], "
        f'begin: "{begin:02}:00", end: "{end:02}:00"}}]}}'
    )
    minute, hour, day = cron
    field = f"* * {day}" if day != "1" else "1 * *"
    when = f"cron: '{minute} {hour} {field}', timeZone: Asia/Tokyo, window: {late}"
    made = fleet(when=when, windows=windows, more=more, action=action)
    schedule = made.schedules["nightly"]
    duration = timedelta(seconds=180 if schedule.scenario else 0)
    stuck = 0
    for place, machine in enumerate(made.machines.values()):
        delay = delay_of(schedule, machine.name, place)
        begins = (each.moment + delay for each in upcoming(schedule, NOW, MOST_TIMES))
        stuck += not any(
            shut is None or (shut.opens is not None and shut.opens < at + late_by(schedule))
            for at in begins
            if at - delay <= NOW + timedelta(days=400)
            for shut in [closed(made.windows[""], at, duration)]
        )
    said = [each.message for each in warned(made)]
    if not stuck:
        assert said == []
    else:
        of = "its 5 machines" if stuck == 5 else f"{stuck} of its 5 machines"
        assert f"never begins on {of}:" in said[0]


def late_by(schedule) -> timedelta:
    return timedelta(seconds=schedule.window_seconds)
