"""What people call things: any text, read first, and nothing depends on it."""
# ruff: noqa: RUF001 - full-width characters are what it is about

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from builders.world import NOW, observed
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from providers.imaging.image_record import ImageEntry
from reconciler.app.machine_selection import MachineFilter, filtered, machines_meant
from reconciler.app.status import conditions_of
from reconciler.authoring.explanation import find_machine
from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.scalar import scalar
from reconciler.cli.explain import explain
from reconciler.cli.get import get
from reconciler.cli.status import status
from reconciler.errors import ReconcilerError
from reconciler.planning.conditions import MachineCondition
from reconciler.planning.planner import plan
from reconciler.state.hardware import FleetHardware
from reconciler.views.image_text import image_table
from reconciler.views.status_text import machine_table
from reconciler.views.untrusted import for_terminal
from specs.compile.fleet import compile_fleet
from specs.fleet import MACHINE_FIELDS, CompiledFleet
from specs.kinds.machine import Machine
from specs.kinds.machine_table import MachineRow
from specs.types.display_name import DisplayName, named
from specs.validate.fields import field_at, fields_of
from specs.yaml import load_file

FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: a, displayName: 東京}
spec: {network: n}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {name: golden, displayName: 雛形}
spec: {description: Debian 12}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look, displayName: 見る}
spec: {steps: [{inspectDisks: {}}]}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-07, displayName: 計算ノード 7}
spec:
  group: a
  hardware: {macs: ["02:00:00:00:00:01"]}
  assign: [{scenario: look, run: 1}]
"""


def fleet() -> CompiledFleet:
    result = compile_fleet({"f.yaml": FLEET.encode()}, "r")
    assert result.fleet is not None, result.diagnostics
    return result.fleet


def read(text: object) -> str:
    value: str = TypeAdapter(DisplayName).validate_python(text)
    return value


def refusal(text: object) -> str:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "計算ノード 7",
        "東京\u3000ラック",
        "שרת 7",
        "می\u200cخ",
        "👩\u200d🔧",
        "[b]x[/b] <i>",
        "x",
        "é" * 128,
    ],
)
def test_any_text_on_one_line_is_a_display_name(text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("a\nb", "U+000A"),
        ("a\x1b[2J", "U+001B"),
        ("a\u2028b", "U+2028"),
        ("a\u202eb", "U+202E"),
        ("a\u2066b", "U+2066"),
        ("a\u200fb", "U+200F"),
        ("a\u061cb", "U+061C"),
        ("a\u200bb", "U+200B"),
        ("a\ufeffb", "U+FEFF"),
        ("a\udc80b", "U+DC80"),
    ],
)
def test_what_breaks_the_line_hides_or_reorders_is_named(text: str, character: str) -> None:
    assert f"has the character {character}, which is not shown or changes how" in refusal(text)


def test_length_and_spaces_at_the_ends_are_checked() -> None:
    assert "too_long" in refusal("é" * 129)
    assert "too_short" in refusal("")
    assert "begins or ends with a space" in refusal("\u3000x")


@given(st.text(min_size=1, max_size=128))
def test_an_accepted_name_is_one_line_for_a_terminal_and_survives_yaml(text: str) -> None:
    try:
        name = read(text)
    except ValidationError:
        return
    assert len(for_terminal(name).splitlines()) == 1
    (document,) = load_file("f.yaml", f"a: {scalar(name)}\n".encode()).documents
    assert document.data == {"a": name}


def test_a_name_is_read_first_and_the_id_stands_beside_it() -> None:
    assert named("計算ノード 7", "node-07") == "計算ノード 7 (node-07)"
    assert named("", "node-07") == "node-07"


def printed(table: object) -> str:
    screen = Console(file=StringIO(), width=140, color_system=None)
    screen.print(table)
    assert isinstance(screen.file, StringIO)
    return screen.file.getvalue()


def conditions(desired: CompiledFleet) -> tuple[MachineCondition, ...]:
    machines = desired.machines.values()
    return conditions_of(desired, machines, FleetHardware(machines), observed(), NOW)


def test_status_names_machine_group_and_scenario() -> None:
    shown = printed(machine_table(conditions(fleet()), NOW, 140))
    for name in ("計算ノード 7 (node-07)", "東京 (a)", "見る (look 1)"):
        assert name in shown


def test_a_name_that_looks_like_markup_is_shown_as_it_is() -> None:
    text = FLEET.replace("計算ノード 7", "'[red]x[/red]'")
    hostile = compile_fleet({"f.yaml": text.encode()}, "r").fleet
    assert hostile is not None
    assert "[red]x[/red] (node-07)" in printed(machine_table(conditions(hostile), NOW, 140))


def test_images_are_named_and_described() -> None:
    entry = ImageEntry("golden", "a" * 64, NOW.isoformat(), 1, 1, 1, 512, "proven", "")
    shown = printed(image_table([entry], NOW, fleet().images))
    assert "雛形 (golden)" in shown
    assert "Debian 12" in shown
    assert "golden" in printed(image_table([entry], NOW, {}))


@pytest.fixture
def folder(tmp_path: Path) -> list[str]:
    """Return the options that name a repository outside Git, and a state folder."""
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "f.yaml").write_text(FLEET)
    return ["--repo", str(tmp_path / "fleet"), "--state", str(tmp_path / "state")]


def test_explain_names_the_machine_its_group_and_its_scenario(folder: list[str]) -> None:
    done = CliRunner().invoke(explain, ["machine/node-07", *folder])
    assert "計算ノード 7 (machine/node-07) in " in done.stdout
    assert "東京 (a)" in done.stdout
    assert "見る (look, run 1)" in done.stdout
    said = json.loads(
        CliRunner().invoke(explain, ["machine/node-07", "--format", "json", *folder]).stdout
    )
    assert (said["machine"], said["displayName"]) == ("node-07", "計算ノード 7")
    fields = {each["field"]: (each["value"], each["displayName"]) for each in said["fields"]}
    assert fields["displayName"] == ("計算ノード 7", "")
    assert fields["group"] == ("a", "東京")


TWINS = (
    FLEET
    + """\
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-08, displayName: ＫＥＩＳＡＮ}
spec: {group: a, hardware: {macs: ["02:00:00:00:00:02"]}}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-09, displayName: Keisan}
spec: {group: a, hardware: {macs: ["02:00:00:00:00:03"]}}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: node-10, displayName: node-07}
spec: {group: a, hardware: {macs: ["02:00:00:00:00:04"]}}
"""
)


def twins() -> CompiledFleet:
    result = compile_fleet({"f.yaml": TWINS.encode()}, "r")
    assert result.fleet is not None, result.diagnostics
    return result.fleet


def test_a_machine_is_found_by_its_name_and_then_by_what_people_call_it() -> None:
    assert find_machine(twins(), "計算ノード 7").name == "node-07"
    assert find_machine(twins(), "計算ノード　７").name == "node-07"
    assert find_machine(twins(), "node-07").name == "node-07"
    with pytest.raises(AuthoringError, match="RW934"):
        find_machine(twins(), "計算ノード")


def test_a_name_of_several_machines_is_refused_with_their_ids() -> None:
    for find in (
        lambda: find_machine(twins(), "KEISAN"),
        lambda: filtered(twins(), MachineFilter("name=keisan")),
    ):
        with pytest.raises(AuthoringError) as caught:
            find()
        assert caught.value.code == "RW980"
        assert re.fullmatch(
            r"2 machines are called '(KEISAN|keisan)': node-08, node-09", caught.value.cause
        )


def test_a_selection_takes_what_people_call_a_machine() -> None:
    wanted = MachineFilter("name=計算ノード 7,group=a")
    assert [each.name for each in filtered(twins(), wanted)] == ["node-07"]
    assert [each.name for each in filtered(twins(), MachineFilter("name=node-0*"))] == [
        "node-07",
        "node-08",
        "node-09",
    ]


def test_get_takes_what_people_call_a_machine(folder: list[str]) -> None:
    done = CliRunner().invoke(get, ["machine", "計算ノード 7", "--format", "json", *folder])
    assert json.loads(done.stdout)["machine"] == "node-07", done.output


def test_status_as_json_has_ids_with_the_names_beside_them(folder: list[str]) -> None:
    done = CliRunner().invoke(status, ["--format", "json", *folder], standalone_mode=False)
    (row,) = json.loads(done.stdout)["machines"]
    assert (row["machine"], row["displayName"]) == ("node-07", "計算ノード 7")
    assert (row["group"], row["groupDisplayName"]) == ("a", "東京")
    assert (row["run"], row["scenarioDisplayName"]) == ("look 1", "見る")


def test_a_display_name_is_no_part_of_a_digest() -> None:
    bare = "\n".join(
        line.partition(", displayName")[0] + "}" if ", displayName" in line else line
        for line in FLEET.splitlines()
    )
    without = compile_fleet({"f.yaml": bare.encode()}, "r").fleet
    assert without is not None
    assert without.machines["node-07"].digest == fleet().machines["node-07"].digest
    assert without.scenarios["look"].digest == fleet().scenarios["look"].digest
    one, other = (plan(each, observed(), NOW) for each in (without, fleet()))
    assert one.digest == other.digest


def test_every_field_of_a_machine_is_declared_where_its_document_has_it() -> None:
    for field in MACHINE_FIELDS:
        assert field_at(Machine, field.path) is not None, field
    written = {path for path in _paths() if path not in {("apiVersion",), ("kind",)}}
    assert {field.place for field in MACHINE_FIELDS} == written


def test_a_row_has_the_fields_that_are_declared_for_rows() -> None:
    assert set(fields_of(MachineRow)) == {
        field.column for field in MACHINE_FIELDS if field.said.in_rows
    }


def _paths() -> set[tuple[str, ...]]:
    """Return the paths of the fields of a Machine document: sections are no fields."""
    found: set[tuple[str, ...]] = set()
    for name, field in fields_of(Machine).items():
        sections = getattr(field.annotation, "model_fields", None)
        if sections is None:
            found.add((name,))
            continue
        for inner in sections.values():
            below = getattr(inner.annotation, "model_fields", None)
            if below is None:
                found.add((name, str(inner.alias)))
            else:
                found |= {(name, str(inner.alias), str(each.alias)) for each in below.values()}
    return found


def test_a_name_that_no_machine_has_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ReconcilerError) as caught:
        machines_meant(twins(), ("nod-08",))
    assert "there is no machine nod-08; did you mean node-08?" in caught.value.cause
