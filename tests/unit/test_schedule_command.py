"""What `schedule ls` and `schedule show` say, for people and for programs."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from reconciler.cli.schedule import schedule
from reconciler.errors import ReconcilerError
from reconciler.planning.schedules import upcoming
from reconciler.state.database import open_database
from reconciler.state.schedule_history import (
    Handled,
    MachinePart,
    PastOccurrence,
    ScheduleHistory,
)
from reconciler.views.schedule_text import machine_parts, schedule_parts
from specs.compile.fleet import compile_fleet

EXAMPLE = Path(__file__).parents[2] / "examples/schedules/fleet.yaml"
NIGHT = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
"""Three o'clock in Tokyo."""


@pytest.fixture
def say(tmp_path):
    repo, state = tmp_path / "repo", tmp_path / "state"
    repo.mkdir()
    state.mkdir()
    (repo / "fleet.yaml").write_bytes(EXAMPLE.read_bytes())

    def run(*arguments):
        arguments = [*arguments, "--repo", str(repo), "--state", str(state)]
        result = CliRunner().invoke(schedule, arguments)
        if result.exception:
            raise result.exception
        return result.output

    run.state = state
    return run


@pytest.fixture
def past(say):
    database = open_database(say.state / "rackwright.db")
    history = ScheduleHistory(database)
    name, before = "nightly-reset", NIGHT - timedelta(days=1)
    missed = PastOccurrence(name, before, "left-out", before, "missed: the reason", "")
    done = PastOccurrence(name, NIGHT, "open", NIGHT, "", "20261126-1800-nightly-reset")
    history.handle(Handled(name, "", NIGHT), [missed, done])
    reason = "held by \x1b[31mops until 2026-11-27 13:00 UTC: an audit of all that is there"
    for part in (
        MachinePart("hall-01", "done", "nothing is to be done there", "", NIGHT),
        MachinePart("hall-02", "waiting", reason, "", NIGHT),
    ):
        history.record(name, NIGHT, part)
    yield history
    database.close()


def test_without_a_state_directory_it_says_what_comes(say):
    said = say("ls")
    assert "nightly-reset  scenario reset on 1 machine, 0 3 * * mon-fri Asia/Tokyo" in said
    assert said.count("last  never") == 3
    assert not (say.state / "rackwright.db").exists()


@pytest.mark.usefixtures("past")
def test_the_last_times_are_told_with_their_results_in_their_time_zone(say):
    said = say("ls")
    assert "last  2026-11-27 03:00 JST  1 done · 1 waiting, not over, run" in said
    assert "      2026-11-26 03:00 JST  left out: missed: the reason" in said


@pytest.mark.usefixtures("past")
def test_show_says_what_became_of_each_machine_and_nothing_of_it_is_obeyed(say):
    said = say("show", "nightly-reset")
    assert "hall-01  done     nothing is to be done there" in said
    assert "hall-02  waiting  held by" in said
    assert "approved: destructive" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("width", [60, 80, 140])
def test_it_fits_the_terminal(past, width):
    compiled = compile_fleet({"fleet.yaml": EXAMPLE.read_bytes()}, "r").fleet
    found = compiled.schedules["nightly-reset"]
    occurrences = past.newest("nightly-reset", 5)
    counted = [(each, past.counts(each)) for each in occurrences]
    screen = Console(file=StringIO(), width=width, color_system=None, highlight=False)
    for part in schedule_parts(found, 1, upcoming(found, NIGHT, 5), counted):
        screen.print(part)
    for part in machine_parts(past.machines(occurrences[0]).values()):
        screen.print(part)
    lines = screen.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "an audit of all that is there" in " ".join(" ".join(lines).split())


@pytest.mark.usefixtures("past")
def test_json_has_every_time_in_utc_and_every_machine(say):
    document = json.loads(say("show", "nightly-reset", "--format", "json"))
    assert (document["cron"], document["timeZone"], document["machines"]) == (
        "0 3 * * mon-fri",
        "Asia/Tokyo",
        1,
    )
    assert len(document["next"]) == 5
    newest, missed = document["last"]
    assert newest["at"] == "2026-11-26T18:00:00+00:00"
    assert newest["counts"] == {"done": 1, "waiting": 1}
    assert [each["machine"] for each in newest["machines"]] == ["hall-01", "hall-02"]
    assert (missed["state"], missed["machines"]) == ("left-out", [])
    names = [each["schedule"] for each in json.loads(say("ls", "--format", "json"))["schedules"]]
    assert names == ["morning", "nightly-reset", "weekly-backup"]


def test_a_schedule_that_is_not_there_is_an_error_with_the_nearest(say):
    with pytest.raises(ReconcilerError, match="did you mean nightly-reset") as caught:
        say("show", "nightly-rest")
    assert caught.value.code == "RW950"


def test_machines_of_long_ago_are_forgotten(past):
    for night in range(1, 40):
        moment = NIGHT + timedelta(days=night)
        occurrence = PastOccurrence("nightly-reset", moment, "open", moment, "", "")
        past.handle(Handled("nightly-reset", "", moment), [occurrence])
        past.record("nightly-reset", moment, MachinePart("hall-02", "done", "", "", moment))
        past.end("nightly-reset", moment)
    newest = past.newest("nightly-reset", 99)
    assert len(newest) == 41
    assert [bool(past.machines(each)) for each in newest] == [True] * 20 + [False] * 21
