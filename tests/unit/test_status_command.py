"""What `status` shows of many machines, and which of them it is asked for."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from builders.world import NOW, a_fleet, a_machine
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reconciler.app.machine_selection import MachineFilter, filtered, parse_selection, why_none
from reconciler.app.project import utc_now
from reconciler.cli.status import status
from reconciler.errors import ReconcilerError
from reconciler.planning.conditions import (
    CONDITIONS,
    FleetStatus,
    MachineCondition,
    count_by_group,
    count_conditions,
    count_further,
)
from reconciler.state.database import open_database
from reconciler.state.faults import Faults
from reconciler.state.machines import Machines
from reconciler.state.observed import Fault
from reconciler.views.console import console
from reconciler.views.status_text import (
    MOST_GROUPS,
    MOST_MACHINES,
    MOST_PRESSING,
    full_lines,
    status_lines,
)

FLEET = a_fleet(
    *(
        a_machine(number, group=group, groups=groups, labels={"role": role})
        for number, group, groups, role in (
            (1, "tokyo/row1", ("tokyo", "tokyo/row1"), "compute"),
            (2, "tokyo/row2", ("tokyo", "tokyo/row2"), "storage"),
            (3, "osaka", ("osaka",), "compute"),
            (11, "osaka", ("osaka",), "storage"),
        )
    )
)


def a_condition(number, condition="Ready", group="lab", **changes):
    known = {"reason": "nothing is asked of it", "since": None, "run": "", "last_seen": None}
    return MachineCondition(f"node-{number:05}", group, condition, **{**known, **changes})


def a_status(*states):
    return FleetStatus(states, count_conditions(states), count_further(states), ())


def printed(found, width=140):
    screen = Console(file=StringIO(), width=width, color_system=None, highlight=False)
    for part in status_lines(found, NOW, width):
        screen.print(part)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (MachineFilter(), ["node-01", "node-02", "node-03", "node-11"]),
        (MachineFilter(select="name=node-0*"), ["node-01", "node-02", "node-03"]),
        (MachineFilter(select="group=tokyo/**"), ["node-01", "node-02"]),
        (MachineFilter(select="group=tokyo"), ["node-01", "node-02"]),
        (MachineFilter(select="label:role=compute"), ["node-01", "node-03"]),
        (MachineFilter(select="name=*1, label:role=compute"), ["node-01"]),
        (MachineFilter(select="name=node-0*,name=*1"), ["node-01"]),
        (MachineFilter(group="tokyo/"), ["node-01", "node-02"]),
        (MachineFilter(group="tokyo/row2", select="label:role=compute"), []),
        (MachineFilter(search="E-1"), ["node-11"]),
    ],
)
def test_all_parts_of_a_filter_must_match(wanted, names):
    assert [machine.name for machine in filtered(FLEET, wanted)] == names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("node-01", "'node-01' is no condition of the form key=value"),
        ("name=", "'name=' is no condition of the form key=value"),
        ("role=compute", "'role' is neither name, nor group, nor label:KEY"),
        ("label:=x", "'label:' is neither name, nor group, nor label:KEY"),
        ("name=a,,group=b", "'' is no condition of the form key=value"),
    ],
)
def test_a_selection_that_cannot_be_understood_is_refused(text, why):
    with pytest.raises(ReconcilerError) as caught:
        parse_selection(text)
    assert caught.value.code == "RW915"
    assert caught.value.cause == f"the selection {text!r} cannot be understood: {why}"
    assert caught.value.action.startswith("Write it as name=node-*,group=tokyo/**")


@given(st.text(max_size=40))
def test_any_text_is_a_selection_or_refused(text):
    try:
        found = parse_selection(text)
    except ReconcilerError as error:
        assert error.code == "RW915"  # noqa: PT017 - the property is about both outcomes
    else:
        assert found
        filtered(FLEET, MachineFilter(select=text))


def test_a_group_that_does_not_exist_is_answered_with_the_nearest():
    wanted = MachineFilter(group="tokyo/row3")
    assert why_none(FLEET, wanted) == (
        "no machine matches: there is no group tokyo/row3; did you mean tokyo/row1?"
    )
    assert why_none(FLEET, MachineFilter(search="x")) == "no machine matches"


def test_the_first_line_counts_the_machines_by_condition():
    found = a_status(a_condition(1), a_condition(2, "Stalled"), a_condition(3))
    assert printed(found)[0] == ("3 machines · Ready 2 · Reconciling 0 · Stalled 1 · Unknown 0")
    assert printed(a_status(a_condition(1)))[0].startswith("1 machine · ")


@pytest.mark.parametrize("width", [80, 140])
def test_a_large_fleet_is_a_screenful_with_what_is_stalled_first(width):
    states = [
        a_condition(
            number,
            CONDITIONS[number % 4] if number % 100 < 4 else "Ready",
            group=f"site{number % 4}/row{number % 20}/rack{number % 1000}",
            reason="it waits for somebody",
            last_seen=NOW - timedelta(seconds=number),
        )
        for number in range(4000)
    ]
    lines = printed(a_status(*states), width)
    assert len(lines) <= MOST_GROUPS + 2 * MOST_PRESSING + 10
    assert any("site0/**" in line for line in lines)
    listed = [line for line in lines if line.startswith(" node-")]
    assert len(listed) == MOST_PRESSING
    assert all(" Stalled " in line for line in listed)
    assert "and 105 more that are not Ready. --full shows every machine" in " ".join(lines[-2:])


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("number", [3, MOST_MACHINES + 1])
def test_names_are_whole_whatever_the_width_and_the_reasons_are(number, width):
    reason = "disks were last seen 3 d ago, and more than a day is too long to rely on; " * 3
    states = [
        a_condition(
            each,
            "Stalled",
            display_name="Render farm node" if each % 2 else "",
            group="tokyo/building-4/row-12",
            run="install-render-farm-node 2026-11-28",
            reason=reason,
            last_seen=NOW,
        )
        for each in range(number)
    ]
    text = "\n".join(printed(a_status(*states), width))
    for each in states[:MOST_PRESSING]:
        assert f" {each.machine} " in text.replace("(", " ").replace(")", " ")


def test_a_name_that_is_wider_than_the_terminal_is_whole_on_several_lines():
    name = "Render farm " * 9
    text = "".join(printed(a_status(a_condition(1, display_name=name.strip())), 80))
    squeezed = "".join(text.split())
    assert squeezed.count("Renderfarm") > 1
    assert "node-00001" in squeezed


def test_lines_in_a_pipe_have_no_blanks_at_their_ends(capsys):
    found = a_status(*(a_condition(each, "Stalled") for each in range(MOST_MACHINES + 1)))
    screen = console()
    for part in status_lines(found, NOW, screen.width):
        screen.print(part)
    lines = capsys.readouterr().out.splitlines()
    assert any(" node-00000 " in f"{line} " for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []


def test_every_machine_is_a_line_of_its_own_in_full():
    states = [a_condition(number, reason=f"reason {number}") for number in range(MOST_MACHINES + 1)]
    lines = list(full_lines(states, NOW))
    assert lines[0].split()[:3] == ["machine", "group", "condition"]
    assert [line.split()[0] for line in lines[1:]] == [state.machine for state in states]
    assert all(line.endswith(state.reason) for line, state in zip(lines[1:], states, strict=True))


def test_groups_are_counted_at_the_deepest_level_that_fits():
    states = [
        a_condition(1, group="a/x/1"),
        a_condition(2, "Stalled", group="a/x/2"),
        a_condition(3, group="b"),
    ]
    assert [(place, sum(each.values())) for place, each in count_by_group(states, 3).items()] == [
        ("a/x/1", 1),
        ("a/x/2", 1),
        ("b", 1),
    ]
    two = count_by_group(states, 2)
    assert list(two) == ["a/x/**", "b"]
    assert (two["a/x/**"]["Ready"], two["a/x/**"]["Stalled"]) == (1, 1)
    one = count_by_group(states, 1)
    assert (list(one), sum(one["**"].values())) == (["**"], 3)


@given(st.lists(st.tuples(st.sampled_from(["a", "a/b", "a/c/d", "e", ""]), st.integers(1, 9))))
def test_no_machine_is_lost_or_counted_twice(groups):
    states = [a_condition(number, group=group) for group, number in groups]
    for most in (1, 3):
        rows = count_by_group(states, most)
        assert sum(sum(row.values()) for row in rows.values()) == len(states)
        assert len(rows) <= most


@given(st.text(max_size=60))
def test_text_of_machines_never_steers_the_terminal(text):
    found = a_status(a_condition(1, "Stalled", group=text, reason=text, run=text))
    for lines in (printed(found), list(full_lines(found.machines, NOW))):
        for line in lines:
            assert all(character.isprintable() for character in line), line


@pytest.mark.parametrize(
    "text", ["[/dev/sda]", "[bold]x", "[link=http://x]y[/link]", "\x1b[31mred"]
)
def test_brackets_of_a_reason_are_shown_as_they_are(text):
    lines = printed(a_status(a_condition(1, reason=text)))
    assert any(text.replace("\x1b", "\\x1b") in line for line in lines)


DOCUMENTS = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: lab}
spec: {subnet: 10.77.0.0/24, dhcp: {mode: proxy}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab/row1}
spec: {network: lab}
---
apiVersion: rackwright/v1alpha1
kind: MachineTable
metadata: {name: all}
spec:
  defaults: {group: lab/row1}
  rows:
    - {name: node-01, macs: ["52:54:00:77:00:01"]}
    - {name: node-02, macs: ["52:54:00:77:00:02"]}
"""


def asked(tmp_path, *options):
    (tmp_path / "fleet").mkdir(exist_ok=True)
    (tmp_path / "fleet" / "fleet.yaml").write_text(DOCUMENTS, "utf-8")
    arguments = ["--repo", str(tmp_path / "fleet"), "--state", str(tmp_path / "state"), *options]
    return CliRunner().invoke(status, arguments, standalone_mode=False, catch_exceptions=False)


def test_the_command_lists_what_was_asked_for(tmp_path):
    lines = asked(tmp_path, "--search", "02").output.splitlines()
    assert lines[0] == "1 machine · Ready 0 · Reconciling 0 · Stalled 0 · Unknown 1"
    assert "node-02" in "".join(lines)
    assert "node-01" not in "".join(lines)
    done = asked(tmp_path, "--group", "lab/row2")
    assert "did you mean lab/row1?" in done.output
    assert done.return_value == 1


def test_where_no_machine_is_in_a_condition_that_is_said(tmp_path):
    done = asked(tmp_path, "--condition", "Stalled", "--condition", "ready")
    assert done.stderr == "no machine is Stalled or Ready\n"
    assert done.return_value == 1


def test_the_exit_code_is_of_all_machines_whatever_is_listed(tmp_path):
    database = open_database(tmp_path / "state" / "rackwright.db")
    machines = Machines(database)
    for number, mac in ((1, "52:54:00:77:00:01"), (2, "52:54:00:77:00:02")):
        machine = a_machine(number, macs=(mac,), uuid="")
        assert asked(tmp_path, "--condition", "Stalled").return_value == 1
        machines.record_contact(machine, "deploy-os", utc_now())
    database.close()
    done = asked(tmp_path, "--condition", "Stalled")
    assert (done.stderr, done.return_value) == ("no machine is Stalled\n", 0)


def test_people_read_the_display_name_first():
    lines = printed(a_status(a_condition(1, display_name="計算ノード [7]")))
    assert any("計算ノード [7] (node-00001)" in line for line in lines)


def test_the_document_has_the_counts_and_the_machines(tmp_path):
    document = json.loads(asked(tmp_path, "--format", "json", "--condition", "unknown").output)
    assert document["counts"] == {"Ready": 0, "Reconciling": 0, "Stalled": 0, "Unknown": 2}
    assert [each["machine"] for each in document["machines"]] == ["node-01", "node-02"]
    nobody = json.loads(asked(tmp_path, "--format", "json", "--condition", "Stalled").output)
    assert nobody["machines"] == []
    assert nobody["counts"]["Unknown"] == 2


PORT = Fault("port/dhcp", "RW791", "[red]taken\x1b[0m", NOW - timedelta(minutes=2), NOW, 24)


def test_what_does_not_work_in_the_server_stands_below_the_counts():
    lines = printed(a_status(a_condition(1))._replace(faults=(PORT,)))
    assert lines[1] == "port/dhcp RW791: [red]taken\\x1b[0m (for 2 min, 24 times)"


def test_faults_of_the_server_are_in_the_document_until_a_server_begins_anew(tmp_path):
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "f.yaml").write_text("")
    state = tmp_path / "state"
    database = open_database(state / "rackwright.db")
    Faults(database).record(PORT.subject, PORT.code, PORT.cause, PORT.since)
    Faults(database).record(PORT.subject, PORT.code, PORT.cause, PORT.at)

    def shown():
        options = ["--repo", str(tmp_path / "fleet"), "--state", str(state), "--format", "json"]
        done = CliRunner().invoke(status, options, standalone_mode=False, catch_exceptions=False)
        return json.loads(done.stdout)["faults"]

    assert shown() == [
        {
            "subject": "port/dhcp",
            "code": "RW791",
            "cause": PORT.cause,
            "since": PORT.since.isoformat(),
            "at": PORT.at.isoformat(),
            "times": 2,
        }
    ]
    Faults(database).forget()
    database.close()
    assert shown() == []
