"""Images that each machine has of its own, and that no two machines write one image."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders.world import (
    CAPTURE,
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    an_image,
    observed,
    ramdisk,
)
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from providers.imaging.errors import UnknownImageError
from providers.imaging.image_record import ImageEntry
from providers.imaging.store import ChunkStore
from reconciler.app.by_hand import plan_of_run
from reconciler.app.project import Project
from reconciler.authoring.explanation import explained
from reconciler.cli.image import image as image_command
from reconciler.compiled.compile_files import compile_files
from reconciler.compiled.source import files_of_tree
from reconciler.errors import ReconcilerError
from reconciler.git.tree import SourceTree, blob_id
from reconciler.planning.approval_lapse import why_lapsed
from reconciler.planning.groups import group_items
from reconciler.planning.planner import plan
from specs.compile.fleet import compile_fleet
from specs.diagnostics.diagnostic import Diagnostics
from specs.fleet import BackupStep, DiskRequest
from specs.kinds.step import Backup
from specs.types.name import MACHINE, of_machine
from specs.validate.registry import Registry

HEAD = "apiVersion: rackwright/v1alpha1\n"
OWN, SHARED = '"nightly-{machine}"', "golden"


def document(kind, name, spec):
    return f"{HEAD}kind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def node(number, spec=""):
    return document(
        "Machine",
        f"node-{number:02}",
        f'{{group: lab, hardware: {{macs: ["52:54:00:00:00:{number:02}"]}}{spec}}}',
    )


def scenarios(image):
    return {
        "network.yaml": document("Network", "lab", "{subnet: 10.77.0.0/16}"),
        "image.yaml": document("Image", image, "{}"),
        "backup.yaml": document(
            "Scenario", "backup", f"{{steps: [{{backup: {{image: {image}}}}}]}}"
        ),
        "restore.yaml": document(
            "Scenario", "restore", f"{{steps: [{{restore: {{image: {image}}}}}]}}"
        ),
    }


BACKUP = ', assign: [{scenario: backup, run: "1"}]'
RESTORE = ', assign: [{scenario: restore, run: "1"}]'
TARGET = ', targets: [{select: {groups: [lab]}, run: "1"}]}'
SCHEDULE = document(
    "Schedule",
    "at-night",
    "{select: {groups: [lab]}, action: {scenario: backup}, "
    'when: {cron: "0 3 * * *", timeZone: Asia/Tokyo}}',
)


def fleet_files(image, way):
    """Return a fleet whose two machines have one backup scenario in one of all possible ways."""
    given_to_both = BACKUP if way == "assignments" else ""
    files = scenarios(image) | {
        "group.yaml": document(
            "Group", "lab", "{network: lab" + (BACKUP if way == "group" else "") + "}"
        ),
        "one.yaml": node(1, BACKUP if way == "assignment and schedule" else given_to_both),
        "two.yaml": node(2, given_to_both),
    }
    if way == "target":
        files["backup.yaml"] = files["backup.yaml"].replace("]}\n", "]" + TARGET + "\n")
    if "schedule" in way:
        files["schedule.yaml"] = SCHEDULE
    return {name: text.encode() for name, text in files.items()}


WAYS = ("assignments", "group", "target", "schedule", "assignment and schedule")


def file_by_file(files):
    blobs = {path: blob_id(data) for path, data in files.items()}
    return compile_files(files_of_tree(SourceTree("rev", files, blobs, None)), None)


def fleet_of(files):
    result = compile_fleet(files, "rev")
    assert [str(each) for each in result.diagnostics] == []
    return result.fleet


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_two_machines_that_would_write_one_image_are_refused_whatever_gives_them_the_scenario(
    way, together
):
    files = fleet_files(SHARED, way)
    if together:
        files["one.yaml"] += b"---\n" + files.pop("two.yaml")
    (said,) = compile_fleet(files, "rev").diagnostics
    assert (said.code, str(said.position)) == ("RW163", "backup.yaml:4:33")
    assert said.message == (
        'spec.steps[0].backup.image: machines "node-01" and "node-02" would both write image '
        '"golden"'
    )
    assert said.hint.startswith('call it "golden-{machine}" here and in the Image document')
    assert file_by_file(files) is None


@pytest.mark.parametrize("way", WAYS)
def test_with_the_machine_in_its_name_each_machine_writes_an_image_of_its_own(way):
    files = fleet_files(OWN, way)
    fleet = fleet_of(files)
    assert file_by_file(files).fleet("rev").machines.keys() == fleet.machines.keys()


def test_what_one_machine_writes_many_may_restore():
    files = fleet_files(SHARED, "")
    files |= {"one.yaml": node(1, BACKUP).encode()}
    files |= {f"{n}.yaml": node(n, RESTORE).encode() for n in (2, 3)}
    files.pop("two.yaml")
    assert fleet_of(files)
    assert file_by_file(files) is not None


def test_one_machine_may_write_one_image_by_two_scenarios():
    files = fleet_files(SHARED, "assignment and schedule") | {"two.yaml": b""}
    files["other.yaml"] = (
        files["backup.yaml"]
        .replace(b"name: backup", b"name: weekly")
        .replace(b"]}\n", b'], targets: [{select: {machines: [node-01]}, run: "1"}]}\n')
    )
    assert fleet_of(files)
    assert file_by_file(files) is not None


def in_ram(fleet):
    return {name: ramdisk(each, a_disk()) for name, each in fleet.machines.items()}


def test_plans_know_only_the_names_that_images_have_on_machines():
    fleet = fleet_of(fleet_files(OWN, "group"))
    items = plan(fleet, observed(in_ram(fleet)), NOW).items
    assert {item.machine: item.operation.instructions.steps[0].image for item in items} == {
        "node-01": "nightly-node-01",
        "node-02": "nightly-node-02",
    }
    assert all(f"captures image nightly-{item.machine}" in item.reason for item in items)
    (reason,) = group_items(items)[0].reasons
    assert (reason.count, reason.wordings) == (2, 2)


def test_machines_that_were_never_seen_are_planned_under_their_own_names():
    fleet = fleet_of(fleet_files(OWN, "group"))
    images = [
        step.image
        for item in plan(fleet, observed(), NOW).items
        for step in item.operation.instructions.steps
        if hasattr(step, "image")
    ]
    assert images == ["nightly-node-01", "nightly-node-02"]


def test_a_machine_restores_what_it_backed_up_itself():
    files = fleet_files(OWN, "") | {"one.yaml": node(1, RESTORE).encode()}
    files["two.yaml"] = node(2, RESTORE).encode()
    files["image.yaml"] = files["image.yaml"].replace(
        b'name: "nightly-{machine}"', b'name: "nightly-{machine}", displayName: Every night'
    )
    fleet = fleet_of(files)
    mine = an_image(name="nightly-node-01", manifest="b" * 64)
    items = plan(fleet, observed(in_ram(fleet), images=(mine,)), NOW).items
    first, second = sorted(items, key=lambda item: item.machine)
    (change,) = first.images
    assert (change.name, change.manifest, change.display_name) == (
        "nightly-node-01",
        "b" * 64,
        "Every night",
    )
    assert second.reason == "image nightly-node-02 has not been captured yet"
    assert second.unblock == (
        'Back the machine up: a scenario with `backup: {image: "nightly-{machine}"}`'
    )


def test_approved_work_of_a_machine_that_was_renamed_writes_no_image_of_the_old_name():
    backup = CAPTURE._replace(steps=(BackupStep("nightly-{machine}", DiskRequest()),))
    machine = a_machine(1, backup.name)
    fleet = replace(a_fleet(machine), scenarios={backup.name: backup})
    seen = ramdisk(machine, a_disk())
    (item,) = plan(fleet, observed({machine.name: seen}), NOW).items
    operation = item.operation
    later = NOW + timedelta(minutes=1)
    assert why_lapsed(fleet, machine, seen, {}, operation, later) == ""
    renamed = replace(machine, name="node-02")
    assert why_lapsed(fleet, renamed, seen, {}, operation, later) == (
        "the machine was renamed, and would write image nightly-node-02 now"
    )


def test_explain_says_what_images_are_called_on_a_machine():
    files = fleet_files(OWN, "schedule") | {"one.yaml": node(1, RESTORE).encode()}
    fleet = fleet_of(files)
    told = {
        each.field: (each.value, str(each.position), each.reason)
        for each in explained(fleet, fleet.machines["node-01"])
        if each.field.startswith("images")
    }
    assert told == {
        "images[restore]": (
            "nightly-node-01",
            "restore.yaml:3:18",
            "restored by scenario restore as nightly-{machine}",
        ),
        "images[backup]": (
            "nightly-node-01",
            "backup.yaml:3:18",
            "backed up by scenario backup as nightly-{machine}",
        ),
    }


@pytest.fixture
def project(tmp_path):
    def write(image):
        folder = tmp_path / "fleet"
        folder.mkdir()
        for name, data in fleet_files(image, "").items():
            (folder / name).write_bytes(data)
        (folder / "three.yaml").write_text(node(3))
        return Project(str(folder), None, tmp_path / "state")

    return write


def test_a_run_by_hand_on_machines_that_would_write_one_image_is_refused(project):
    found = project(SHARED)
    with pytest.raises(ReconcilerError) as caught:
        plan_of_run(found, "backup", ["group=lab"], "a test", NOW)
    assert str(caught.value.cause) == (
        "node-01, node-02 and 1 more would all write image golden by backup (backup.yaml:3:18)"
    )
    assert caught.value.code == "RW659"
    assert '"golden-{machine}"' in caught.value.action
    assert plan_of_run(found, "backup", ["node-02"], "a test", NOW).items
    assert len(plan_of_run(found, "restore", ["group=lab"], "a test", NOW).items) == 3


def test_a_run_by_hand_on_machines_that_write_images_of_their_own_is_planned(project):
    items = plan_of_run(project(OWN), "backup", ["group=lab"], "a test", NOW).items
    assert len(items) == 3


def test_image_ls_shows_the_words_of_the_document_with_each_machines_image(project, monkeypatch):
    found = project(OWN)
    place = found.state.parent / "fleet" / "image.yaml"
    place.write_text(place.read_text().replace("spec: {}", "spec: {description: Every night}"))
    entry = ImageEntry("nightly-node-02", "a" * 64, NOW.isoformat(), 1, 1, 1, 512, "proven", "")
    ChunkStore(found.state / "store")
    monkeypatch.setattr(ChunkStore, "images", lambda _: (entry,))
    said = CliRunner().invoke(
        image_command, ["ls", "--repo", str(place.parent), "--state", str(found.state)]
    )
    assert "Every night" in said.output


def test_a_document_that_cannot_be_read_may_define_the_image_of_each_machine():
    unreadable = ('kind: Image\nmetadata: {name: "nightly-{machine}"}\n',)
    registry = Registry([], unreadable, Diagnostics())
    assert registry.may_define("Image", "nightly-{machine}")
    assert not registry.may_define("Image", "weekly-{machine}")


machine_names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
parts = st.from_regex(r"[a-z0-9._-]{0,54}", fullmatch=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ChunkStore(tmp_path_factory.mktemp("store"))


@given(head=parts, tail=parts, machine=machine_names)
def test_whatever_may_be_written_is_a_name_for_the_store_on_every_machine(
    store, head, tail, machine
):
    text = f"{head}{MACHINE}{tail}"
    try:
        image = Backup.model_validate({"image": text}).image
    except ValidationError:
        assert len(text) > 63 or head[:1] in {".", "_", "-"} or tail[-1:] in {".", "_", "-"}
        return
    with pytest.raises(UnknownImageError):
        store.names.history(of_machine(image, machine))
