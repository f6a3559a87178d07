"""The next time of a schedule is seen in status, plan and get machine."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from reconciler.app.machine_details import machine_details
from reconciler.app.machine_selection import MachineFilter
from reconciler.app.project import Project
from reconciler.app.status import fleet_status
from reconciler.cli.plan import plan as plan_command
from reconciler.cli.validate import validate
from reconciler.planning.planner import plan
from reconciler.planning.upcoming_work import upcoming_on, upcoming_work
from reconciler.state.observed import Observed
from reconciler.views.machine_details import machine_document
from reconciler.views.machine_text import machine_parts
from reconciler.views.plan_json import plan_document
from reconciler.views.plan_markdown import plan_markdown
from reconciler.views.plan_text import plan_text
from reconciler.views.schedule_words import when
from reconciler.views.status_text import heading
from specs.compile.fleet import compile_fleet
from specs.fleet import CompiledFleet

EXAMPLE = (Path(__file__).parents[2] / "examples/schedules/fleet.yaml").read_text("utf-8")
NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
"""Noon in Tokyo, on a Sunday."""
MORE = """\
---
apiVersion: rackwright/v1alpha1
kind: Schedule
metadata: {name: once, displayName: "\\u4e00\\u5ea6 [bold]"}
spec:
  select: {machines: [hall-02]}
  action: {power: reboot}
  when: {at: "2027-02-01T06:00:00+01:00"}
"""


def compiled(text: str = EXAMPLE + MORE) -> CompiledFleet:
    fleet = compile_fleet({"fleet.yaml": text.encode()}, "r").fleet
    assert fleet is not None
    return fleet


@pytest.fixture
def project(tmp_path: Path) -> Project:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "fleet.yaml").write_text(EXAMPLE + MORE, "utf-8")
    return Project(str(repo), None, tmp_path / "state")


def printed(parts, width: int) -> list[str]:
    screen = Console(file=StringIO(), width=width, color_system=None, highlight=False)
    for part in parts:
        screen.print(part)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def test_the_soonest_comes_first_and_machines_are_counted() -> None:
    fleet = compiled()
    found = upcoming_work(fleet.schedules, fleet.machines.values(), NOW)
    assert [(each.schedule.name, each.machines) for each in found] == [
        ("nightly-reset", 1),
        ("morning", 2),
        ("weekly-backup", 1),
        ("once", 1),
    ]
    assert [when(each.schedule, each.moment, NOW) for each in found] == [
        "Mon 30 Nov 03:00 Asia/Tokyo",
        "Mon 30 Nov 08:00 Asia/Tokyo",
        "Sat 5 Dec 01:30 Asia/Tokyo",
        "Mon 1 Feb 2027 06:00 UTC+01:00",
    ]


def test_schedules_of_other_machines_and_those_that_are_over_are_left_out() -> None:
    fleet = compiled()
    (one, morning) = upcoming_work(fleet.schedules, [fleet.machines["hall-01"]], NOW)[::-1]
    assert (one.schedule.name, morning.schedule.name) == ("weekly-backup", "morning")
    later = datetime(2027, 2, 2, tzinfo=UTC)
    found = upcoming_work(fleet.schedules, fleet.machines.values(), later)
    assert "once" not in {each.schedule.name for each in found}


def test_a_time_that_a_holiday_leaves_out_is_not_the_next() -> None:
    fleet = compiled()
    closed = datetime(2026, 12, 28, 16, 0, tzinfo=UTC)  # 29 December in Tokyo, before three
    found = upcoming_work(fleet.schedules, fleet.machines.values(), closed)
    (reset,) = (each for each in found if each.schedule.name == "nightly-reset")
    assert when(reset.schedule, reset.moment, closed) == "Mon 4 Jan 2027 03:00 Asia/Tokyo"


def test_a_machine_begins_later_by_its_place_and_its_jitter() -> None:
    everybody = EXAMPLE.replace("select: {machines: [hall-02]}", 'select: {groups: ["**"]}')
    fleet = compiled(everybody)
    machines = fleet.machines.values()
    delays = [
        {
            each.schedule.name: each.delay
            for each in upcoming_on(fleet.schedules, one, machines, NOW)
        }
        for one in machines
    ]
    assert [each["nightly-reset"] for each in delays] == [timedelta(), timedelta(seconds=30)]
    assert all(timedelta() < each["morning"] <= timedelta(minutes=5) for each in delays)


@pytest.mark.parametrize("width", [80, 140])
def test_status_shows_the_next_three_and_how_many_more(project: Project, width: int) -> None:
    found = fleet_status(project, MachineFilter("", "", ""), (), NOW)
    lines = printed(heading(found, NOW), width)
    assert max(map(len, lines)) <= width
    said = " ".join(" ".join(lines).split())
    assert said.endswith(
        "next nightly-reset · scenario reset · 1 machine · Mon 30 Nov 03:00 Asia/Tokyo "
        "morning · power on · 2 machines · Mon 30 Nov 08:00 Asia/Tokyo "
        "weekly-backup · scenario back-up-lectern · 1 machine · Sat 5 Dec 01:30 Asia/Tokyo "
        "and 1 more schedule (rackwright schedule ls)"
    )


def test_status_of_some_machines_counts_those(project: Project) -> None:
    found = fleet_status(project, MachineFilter("name=hall-01", "", ""), (), NOW)
    assert [(each.schedule.name, each.machines) for each in found.scheduled] == [
        ("morning", 1),
        ("weekly-backup", 1),
    ]


@pytest.mark.parametrize("width", [80, 140])
def test_get_machine_shows_what_comes_on_it(project: Project, width: int) -> None:
    details = machine_details(project, "hall-02", NOW)
    lines = printed(machine_parts(details, NOW, width), width)
    at = lines.index("Scheduled")
    assert lines[at + 1].split(maxsplit=1) == [
        "nightly-reset",
        "Mon 30 Nov 03:00 Asia/Tokyo · scenario reset",
    ]
    said = " ".join(" ".join(lines[at:]).split())
    assert "morning Mon 30 Nov 08:00 Asia/Tokyo · power on begins 3 min later here" in said
    assert "一度 [bold] (once) Mon 1 Feb 2027 06:00 UTC+01:00 · power reboot" in said
    scheduled = machine_document(details, NOW)["scheduled"]
    assert scheduled[0]["at"] == scheduled[0]["begins"] == "2026-11-29T18:00:00+00:00"
    assert scheduled[1]["begins"] > scheduled[1]["at"]


@pytest.mark.parametrize("text", [EXAMPLE, EXAMPLE.replace("0 3 * * mon-fri", "0 7 * * mon-fri")])
def test_plan_says_it_in_one_line_and_warns_of_what_never_begins(text: str) -> None:
    made = plan(compiled(text), Observed(), NOW)
    wrong = text != EXAMPLE
    expected = "Scheduled: nightly-reset · scenario reset · 1 machine · Mon 30 Nov 0"
    screen = " ".join(printed([plan_text(made, "main", NOW)], 140))
    comment = plan_markdown(made, "main", NOW)
    for said in (screen, comment):
        assert expected in said
        assert "and 2 more schedules (rackwright schedule ls)" in said
        assert ("RW159" in said) == wrong
    document = plan_document(made)
    assert document["scheduled"][1] == {
        "schedule": "morning",
        "displayName": "",
        "scenario": "",
        "power": "on",
        "machines": 2,
        "at": "2026-11-29T23:00:00+00:00",
        "timeZone": "Asia/Tokyo",
    }
    codes = [(each["code"], each["file"], each["line"]) for each in document["warnings"]]
    assert codes == ([("RW159", "fleet.yaml", 87)] if wrong else [])
    assert made.digest == plan(compiled(text), Observed(), NOW + timedelta(days=1)).digest


def test_validate_and_plan_report_it_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    file = tmp_path / "repo/fleet.yaml"
    file.write_text(EXAMPLE.replace("0 3 * * mon-fri", "0 7 * * mon-fri"), "utf-8")
    options = ["--repo", str(tmp_path / "repo"), "--state", str(tmp_path / "state")]
    for arguments in ([], [str(file)]):
        result = CliRunner().invoke(validate, [*arguments, *options, "--format", "json"])
        (problem,) = json.loads(result.output)["problems"]
        assert (problem["code"], problem["severity"]) == ("RW159", "warning")
    result = CliRunner().invoke(plan_command, [*options, "--format", "json"])
    assert [each["code"] for each in json.loads(result.output)["warnings"]] == ["RW159"]
