"""What `rackwright init --with` writes."""

from itertools import combinations

import pytest
from click.testing import CliRunner

from reconciler.app.project import InvalidRepositoryError
from reconciler.authoring.layout import laid_out
from reconciler.authoring.rewrite import AuthoringError
from reconciler.authoring.shipped_scenarios import names, shipped
from reconciler.authoring.starter_fleet import SCHEMA_FILE
from reconciler.cli.init import init
from specs.compile.fleet import compile_fleet

KEPT = b"""\
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  steps: [{inspectDisks: {}}]
"""


def asked(*arguments):
    return CliRunner().invoke(
        init, list(map(str, arguments)), standalone_mode=False, catch_exceptions=False
    )


def compiled(folder):
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.yaml")
    }
    return compile_fleet(files, "r")


def test_these_are_shipped_and_each_says_what_it_is_for():
    assert names() == ("backup", "inspect", "linux-master")
    said = asked("--with").output
    assert said.splitlines() == [
        "backup        Read the system disk of each machine into an image of its own",
        "inspect       Look at the disks of a machine; nothing is written",
        "linux-master  Capture a Linux system that was installed by hand; clone it",
        "",
        "`rackwright init --with backup,inspect` writes such files.",
    ]


@pytest.mark.parametrize("name", names())
def test_each_has_the_one_layout_and_can_be_carried_out(tmp_path, name):
    text = shipped(name).text
    assert laid_out(text) == text
    assert asked("--with", name, tmp_path / "fleet").output.count("written: ") == 7
    result = compiled(tmp_path / "fleet")
    assert [str(problem) for problem in result.diagnostics] == []
    assert all(not each.unsupported for each in result.fleet.scenarios.values())
    assert not result.fleet.unsupported


def test_all_of_them_go_into_one_repository(tmp_path):
    for one, other in combinations(names(), 2):
        asked("--with", f"{one}, {other}", tmp_path / one / other)
        assert [*compiled(tmp_path / one / other).diagnostics] == []


def test_a_repository_that_is_there_gets_these_files_alone(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(KEPT % b"mine")
    done = asked("--with", "inspect", tmp_path)
    assert done.output.splitlines() == [
        f"written: {tmp_path}/scenarios/inspect.yaml",
        "Assign them to machines or groups, review the change and commit it.",
    ]
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "mine.yaml",
        "scenarios/inspect.yaml",
    ]
    assert (tmp_path / "scenarios/inspect.yaml").read_text() == shipped("inspect").text
    assert sorted(compiled(tmp_path).fleet.scenarios) == ["inspect", "mine"]


def test_where_the_schema_lies_the_file_names_it(tmp_path):
    asked(tmp_path)
    assert (tmp_path / SCHEMA_FILE).exists()
    asked("--with", "backup", tmp_path)
    first = (tmp_path / "scenarios/backup.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../.rackwright/schema.json"


@pytest.mark.parametrize(
    ("kind", "name", "asked_for"),
    [("Scenario", "inspect", "inspect"), ("Image", "linux-master", "inspect,linux-master")],
)
def test_a_name_that_is_taken_is_refused_with_its_place(tmp_path, kind, name, asked_for):
    text = KEPT % name.encode()
    if kind == "Image":
        text = text.partition(b"spec:")[0].replace(b"Scenario", b"Image")
    (tmp_path / "mine.yaml").write_bytes(text)
    with pytest.raises(AuthoringError) as caught:
        asked("--with", asked_for, tmp_path)
    assert caught.value.code == "RW971"
    assert caught.value.cause == f"the repository has already: {kind} {name} at mine.yaml:3:18"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(AuthoringError) as caught:
        asked("--with", "inspect,bakcup", tmp_path)
    assert (caught.value.code, caught.value.cause) == (
        "RW970",
        "no scenario 'bakcup' is shipped; did you mean backup?",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced(tmp_path):
    place = tmp_path / "scenarios" / "inspect.yaml"
    place.parent.mkdir()
    place.write_bytes(KEPT % b"mine")
    with pytest.raises(AuthoringError, match="RW933"):
        asked("--with", "inspect", tmp_path)
    assert place.read_bytes() == KEPT % b"mine"


def test_a_broken_repository_is_not_added_to(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(KEPT.replace(b"spec", b"spce") % b"mine")
    with pytest.raises(InvalidRepositoryError, match="would have errors with these"):
        asked("--with", "inspect", tmp_path)
    assert not (tmp_path / "scenarios").exists()
