"""Every document is explained: where it is written, what it inherits, and who uses it."""

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from builders.kinds_reference import example_document
from click.testing import CliRunner
from pydantic import Field

import specs.kinds
from reconciler.authoring.document_explanation import (
    ExplainedDocument,
    explain_document,
    find_kind,
)
from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.explain import explain
from reconciler.errors import ReconcilerError
from reconciler.views.explanation import SHOWN_USES, document_lines
from specs.compile.fleet import CompileResult, compile_fleet
from specs.diagnostics.path import Path, dotted
from specs.kinds import KINDS
from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.selector import Selector
from specs.yaml.scalars import Plain
from tests.unit.git_repository import GitRepository

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
HEAD = "apiVersion: rackwright/v1alpha1\n"


def compiled(*documents: str) -> CompileResult:
    text = "---\n".join(HEAD + document for document in documents)
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert [each.message for each in result.diagnostics if each.severity == "error"] == []
    return result


def asked(result: CompileResult, kind: str, name: str = "") -> ExplainedDocument:
    assert result.fleet is not None
    return explain_document(result.fleet, result.context, kind, name)


def told(found: ExplainedDocument) -> dict[str, tuple[str, str]]:
    return {
        each.field: (
            each.value,
            ", ".join(filter(None, (str(each.position or ""), each.reason))),
        )
        for each in found.fields
    }


# --- all kinds -----------------------------------------------------------------------

NAMES = {"Image": "debian12-golden", "OperatingSystem": "debian12", "Scenario": "golden-compute"}


def example_of(kind: str) -> dict[str, Any]:
    """Return the example of a kind, with names that the others have."""
    document = json.loads(json.dumps(example_document(kind)))
    document["metadata"]["name"] = NAMES.get(kind, document["metadata"]["name"])
    if kind == "Schedule":
        document["spec"]["action"] = {"scenario": "golden-compute"}
    if kind == "MachineTable":
        del document["spec"]["csv"]
        document["spec"]["rows"] = [{"name": "row-1", "macs": ["02:00:00:00:00:01"]}]
    return document


@pytest.fixture(scope="module")
def every_kind() -> CompileResult:
    documents = "\n---\n".join(json.dumps(example_of(kind), indent=1) for kind in KINDS)
    result = compile_fleet({"f.yaml": documents.encode()}, "r")
    assert [str(each) for each in result.diagnostics if each.severity == "error"] == []
    return result


def leaves(value: Plain, path: Path) -> dict[str, Path]:
    if isinstance(value, dict) and value:
        parts = [leaves(each, (*path, key)) for key, each in value.items()]
    elif isinstance(value, tuple) and any(isinstance(each, dict) for each in value):
        parts = [leaves(each, (*path, index)) for index, each in enumerate(value)]
    else:
        return {dotted(path[1:]): path}
    return {field: at for part in parts for field, at in part.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_each_value_that_is_written_has_its_place(
    every_kind: CompileResult, kind: str
) -> None:
    for name, resource in every_kind.context.registry.of_kind(kind).items():
        if name == "row-1":  # its document is the table's
            continue
        data = resource.document.data
        assert isinstance(data, dict)
        expected = {**leaves(data["metadata"], ("metadata",)), **leaves(data["spec"], ("spec",))}
        del expected["name"]
        found = asked(every_kind, kind, name)
        assert found.position == resource.position
        places = {each.field: each.position for each in found.fields if each.position}
        for field, path in expected.items():
            assert places[field] == resource.document.position(path), field


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_the_screen_and_the_data_have_all_fields(
    every_kind: CompileResult, kind: str
) -> None:
    name = next(iter(every_kind.context.registry.of_kind(kind)))
    found = asked(every_kind, kind, name)
    lines = list(document_lines(found, "r", None, NOW))
    assert lines[0].startswith(f"{kind.lower()}/{name} in r, f.yaml:")
    assert sum(line.lstrip().startswith("└") for line in lines) >= len(found.fields)


class RackSpec(Record):
    """What a rack is."""

    height: int = Field(default=42, description="Units.")
    select: Selector = Field(description="Its machines.")


class Rack(Document):
    """A kind that the program does not have."""

    kind: Literal["Rack"]
    spec: RackSpec


def test_a_new_kind_is_explained_without_new_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs.kinds, "_MODULES", {**specs.kinds._MODULES, "Rack": "rack"})
    monkeypatch.setitem(KINDS._loaded, "Rack", Rack)  # type: ignore[attr-defined]
    rack = "kind: Rack\nmetadata: {name: r7}\nspec: {select: {groups: [a]}}\n"
    result = compiled(*FLEET, rack)
    found = asked(result, find_kind("racks"), "r7")
    assert told(found) == {
        "height": ("42", "default"),
        "select.groups": ("a", f"{found.position.file}:{found.position.line + 1}:25"),  # type: ignore[union-attr]
    }
    assert found.machines == ("m1", "m2")


# --- what is inherited, and who uses it ------------------------------------------------

FLEET = (
    """\
kind: Fleet
metadata: {name: f}
spec:
  defaults: {network: n}
  waits: {grant: 20m}
  budgets: {scenarios: [{scenario: look, work: {atOnce: 3}}]}
  windows: {timeZone: UTC, holidays: {calendars: [c]}}
""",
    "kind: Network\nmetadata: {name: n}\nspec: {subnet: 10.0.0.0/16, domain: n.example.net}\n",
    "kind: Network\nmetadata: {name: o}\nspec: {subnet: 10.1.0.0/16}\n",
    """\
kind: Group
metadata: {name: a, displayName: Hall A}
spec:
  labels: {site: tokyo}
  power: {driver: redfish, address: 10.0.0.9, username: ops, password: !secret bmc/a}
  assign: [{scenario: look, run: "1"}]
""",
    "kind: Group\nmetadata: {name: a/b}\nspec: {protect: true, labels: {row: b}}\n",
    "kind: Scenario\nmetadata: {name: look}\nspec: {steps: [{inspectDisks: {}}]}\n",
    'kind: Scenario\nmetadata: {name: keep}\nspec: {steps: [{backup: {image: "i-{machine}"}}]}\n',
    'kind: Image\nmetadata: {name: "i-{machine}"}\n',
    'kind: Calendar\nmetadata: {name: c}\nspec: {dates: ["2026-12-24"]}\n',
    """\
kind: Schedule
metadata: {name: s}
spec:
  select: {groups: [a/b]}
  action: {scenario: keep}
  when: {cron: 0 3 * * *, timeZone: Asia/Tokyo}
""",
    """\
kind: EnrollmentRule
metadata: {name: new}
spec: {match: {macs: ["02:*"]}, group: a/b}
""",
    """\
kind: Machine
metadata: {name: m1}
spec: {group: a, hardware: {macs: ["02:00:00:00:00:01"]}}
""",
    """\
kind: MachineTable
metadata: {name: t}
spec:
  defaults: {group: a/b}
  rows:
    - {name: m2, macs: ["02:00:00:00:00:02"], network: o}
""",
)


def test_a_group_has_what_its_parents_and_the_fleet_give_with_the_places() -> None:
    found = told(asked(compiled(*FLEET), "Group", "a/b"))
    below, fleet = "through group a > a/b", "through spec.defaults of the Fleet document"
    assert found["protect"] == ("true", "f.yaml:31:17")
    assert found["labels.row"] == ("b", "f.yaml:31:37")
    assert found["labels.site"] == ("tokyo", f"f.yaml:24:18, {below}")
    assert found["network"] == ("n", f"f.yaml:5:23, {fleet}")
    assert found["identity.domain"] == ("n.example.net", "f.yaml:12:18, from network n")
    assert found["power.password"] == ("!secret bmc/a", f"f.yaml:25:72, {below}")
    assert found["assign[0]"] == ("look, run 1", f"f.yaml:26:12, {below}")
    assert found["waits.grant"] == ("20m", "f.yaml:6:18, through the Fleet document")
    assert found["waits.wake"] == ("20s", "default")
    said = "nothing begins on 2026-12-24 in UTC"
    assert found["windows"] == (said, "f.yaml:8:12, through the Fleet document")
    assert not {"group", "hardware.macs", "identity.hostname", "schedules.s"} & found.keys()


def test_what_a_group_says_itself_is_told_once() -> None:
    fields = [each.field for each in asked(compiled(*FLEET), "Group", "a").fields]
    assert len(fields) == len(set(fields))
    assert "assign[0].scenario" in fields
    assert "assign[0]" not in fields


def test_a_group_that_is_only_a_parent_is_explained_by_what_it_is_given() -> None:
    group = "kind: Group\nmetadata: {name: x/y}\nspec: {}\n"
    found = asked(compiled(*FLEET, group), "Group", "x")
    assert found.position is None
    assert told(found)["network"][0] == "n"
    assert [(each.name, each.field) for each in found.uses] == [("x/y", "below it")]


def test_an_enrollment_rule_has_the_network_of_its_group() -> None:
    found = told(asked(compiled(*FLEET), "EnrollmentRule", "new"))
    assert found["network"][0] == "n"
    assert not {"protect", "power.driver"} & found.keys()


@pytest.mark.parametrize(
    ("kind", "name", "machines", "uses"),
    [
        ("Fleet", "f", "m1 m2", []),
        ("Network", "n", "m1", ["Fleet f spec.defaults.network"]),
        ("Network", "o", "m2", []),
        (
            "Group",
            "a/b",
            "m2",
            [
                "Schedule s spec.select",
                "EnrollmentRule new spec.group",
                "MachineTable t spec.defaults.group",
            ],
        ),
        ("Group", "a", "m1 m2", ["Group a/b below it"]),
        (
            "Scenario",
            "look",
            "m1 m2",
            ["Fleet f spec.budgets.scenarios[0].scenario", "Group a spec.assign[0].scenario"],
        ),
        ("Scenario", "keep", "m2", ["Schedule s spec.action.scenario"]),
        ("Image", "i-{machine}", "m2", ["Scenario keep spec.steps[0].backup.image"]),
        ("Calendar", "c", "m1 m2", ["Fleet f spec.windows.holidays.calendars[0]"]),
        ("Schedule", "s", "m2", []),
        ("MachineTable", "t", "m2", []),
        ("EnrollmentRule", "new", "", []),
    ],
)
def test_who_uses_a_document_is_told(kind: str, name: str, machines: str, uses: list[str]) -> None:
    found = asked(compiled(*FLEET), kind, name)
    assert " ".join(found.machines) == machines
    assert [f"{each.kind} {each.name} {each.field}" for each in found.uses] == uses


def test_a_machine_that_has_something_nearer_does_not_use_what_its_group_says() -> None:
    other = (
        "kind: Machine\nmetadata: {name: m3}\nspec: {group: a, network: o, "
        'assign: [{scenario: keep, run: "1"}], hardware: {macs: ["02:00:00:00:00:03"]}}\n'
    )
    fleet = compiled(*FLEET, other)
    assert asked(fleet, "Scenario", "look").machines == ("m1", "m2")
    assert asked(fleet, "Scenario", "keep").machines == ("m2", "m3")
    assert asked(fleet, "Network", "n").machines == ("m1",)
    assert asked(fleet, "Group", "a").machines == ("m1", "m2", "m3")


def test_a_selector_that_names_a_group_in_a_target_or_a_wave_uses_it() -> None:
    targeted = FLEET[5].replace("spec: {", "spec: {targets: [{select: {groups: [a]}, run: x}], ")
    waves = (
        "kind: Group\nmetadata: {name: z}\nspec: {rollout: {waves: [{select: {groups: [a]}}]}}\n"
    )
    unassigned = FLEET[3].replace('  assign: [{scenario: look, run: "1"}]\n', "")
    documents = (*FLEET[:3], unassigned, FLEET[4], targeted, *FLEET[6:], waves)
    uses = [
        f"{each.kind} {each.name} {each.field}"
        for each in asked(compiled(*documents), "Group", "a").uses
    ]
    assert "Scenario look spec.targets[0].select" in uses
    assert "Group z spec.rollout.waves[0].select" in uses


def test_without_a_fleet_document_the_defaults_are_told() -> None:
    found = asked(compiled(FLEET[1]), "Fleet")
    assert (found.position, found.name) == (None, "fleet")
    assert told(found)["budgets.work.atOnce"] == ("20", "default")


def test_a_document_that_nothing_acts_on_says_so(every_kind: CompileResult) -> None:
    found = asked(every_kind, "OperatingSystem", "debian12")
    lines = list(document_lines(found, "r", None, NOW))
    assert lines[1] == "nothing acts on it yet: no provider installs operating systems yet"


def test_of_many_users_a_screen_shows_some_and_says_how_many_more() -> None:
    many = [f"kind: Group\nmetadata: {{name: a/g{index:02}}}\n" for index in range(40)]
    found = asked(compiled(*FLEET, *many), "Group", "a")
    lines = list(document_lines(found, "r", None, NOW))
    assert lines[-1] == f"  and {41 - SHOWN_USES} more: --format json has all"


def test_text_of_documents_cannot_steer_a_terminal() -> None:
    hold = (
        "kind: Hold\nmetadata: {name: h}\nspec: {select: {groups: [a]}, until: "
        '"2026-12-01T00:00:00Z", owner: ops, reason: "x [red]"}\n'
    )
    lines = list(document_lines(asked(compiled(*FLEET, hold), "Hold", "h"), "r", None, NOW))
    assert any("x [red]" in line for line in lines)


# --- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("group", "Group"),
        ("GROUPS", "Group"),
        ("machine-table", "MachineTable"),
        ("update_policies", "UpdatePolicy"),
        ("deployos", "DeployOS"),
        ("DeployOS", "DeployOS"),
    ],
)
def test_a_kind_is_found_however_it_is_written(text: str, kind: str) -> None:
    assert find_kind(text) == kind


def test_an_unknown_kind_is_answered_with_the_kinds() -> None:
    with pytest.raises(AuthoringError, match="there is no kind 'shedule'") as caught:
        find_kind("shedule")
    assert caught.value.code == "RW976"
    assert caught.value.action.startswith("Did you mean Schedule? There are: Calendar, DeployOS")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("Group", "a/c", "no Group is named 'a/c' in this revision Did you mean group/a/b?"),
        ("Image", "golden", "no Image is named 'golden' in this revision There are: i-{machine}"),
        ("Hold", "x", "no Hold is named 'x' in this revision There is no Hold document"),
        ("Fleet", "x1234", "no Fleet is named 'x1234' in this revision There are: f"),
        ("Network", "", "it takes a name: network/NAME There are: n, o"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(kind: str, name: str, message: str) -> None:
    fleet = compiled(*FLEET)
    with pytest.raises(AuthoringError) as caught:
        asked(fleet, kind, name)
    assert caught.value.code == "RW977"
    assert f"{caught.value.cause} {caught.value.action}" == message


# --- the command -------------------------------------------------------------------------


@pytest.fixture
def say(git_repository: GitRepository, tmp_path):
    text = "---\n".join(HEAD + document for document in FLEET)
    git_repository.commit("All", {"site/f.yaml": text, "other/g.yaml": HEAD + FLEET[1]})

    def run(*arguments: str, folder: str = "site") -> str:
        options = ["--repo", str(git_repository.path / folder), "--state", str(tmp_path / "state")]
        result = CliRunner().invoke(explain, [*arguments, *options])
        if result.exception:
            raise result.exception
        return result.output

    return run


def test_a_schedule_shows_its_next_times(say) -> None:
    said = say("schedule/s")
    assert said.startswith("schedule/s in ")
    assert said.count(" 03:00 Asia/Tokyo\n") == 5
    document = json.loads(say("schedule/s", "--format", "json"))
    assert len(document["next"]) == 5
    assert document["next"][0]["at"].endswith("T18:00:00+00:00")
    assert document["warnings"] == []


def test_the_data_of_a_document_has_every_place_and_all_machines(say) -> None:
    document = json.loads(say("Scenarios/keep", "--format", "json"))
    assert (document["kind"], document["name"], document["file"]) == ("Scenario", "keep", "f.yaml")
    assert document["machines"] == ["m2"]
    assert document["usedBy"] == [
        {
            "kind": "Schedule",
            "name": "s",
            "field": "spec.action.scenario",
            "file": "f.yaml",
            "line": 57,
            "column": 22,
            "machines": 1,
        }
    ]


def test_one_field_is_shown_alone(say) -> None:
    assert say("group/a/b", "protect").splitlines()[1:] == [
        "  protect  true",
        "           └ f.yaml:31:17",
    ]
    assert "waits.grant" in say("fleet", "waits")
    with pytest.raises(AuthoringError, match="there is no value 'protec' here"):
        say("group/a/b", "protec")


def test_a_machine_of_a_table_is_explained_by_its_row(say) -> None:
    assert "f.yaml:76:56, the machine's own" in say("machines/m2", "network")


@pytest.mark.parametrize("subject", ["group/x", "machine/x"])
def test_in_a_folder_of_a_repository_an_unknown_name_says_what_is_read(say, subject: str) -> None:
    with pytest.raises(AuthoringError) as caught:
        say(subject)
    assert "only the folder site of the repository /" in caught.value.action


def test_in_a_folder_of_a_repository_errors_say_what_is_read(
    git_repository: GitRepository, say
) -> None:
    broken = HEAD + FLEET[9]
    git_repository.commit("More", {"other/g.yaml": broken})
    with pytest.raises(ReconcilerError, match="RW141") as caught:
        say("schedule/s", folder="other")
    assert caught.value.code == "RW901"
    assert "only the folder other of the repository /" in caught.value.action


def test_what_is_neither_a_kind_nor_a_code_says_both(say) -> None:
    with pytest.raises(AuthoringError, match="'node-01' is neither KIND/NAME nor a code"):
        say("node-01")
