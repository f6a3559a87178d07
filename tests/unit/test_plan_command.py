"""`rackwright plan` and `apply` as a user calls them, up to where machines would be touched."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.commands import cli
from reconciler.errors import ReconcilerError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvV9mS1xUuhTXpyZfSXVTFpVVAPJSrZqz2QmC2qQkjR"
LAB = Path(__file__).parents[2] / "examples/lab/fleet"


@pytest.fixture
def run(git_repository, tmp_path, capsys):
    """Return a function that runs one command on a branch of the example fleet."""
    files = {path.name: path.read_text("utf-8") for path in LAB.glob("*.yaml")}
    git_repository.commit("main", files)
    git_repository.git("branch", "base")
    again = files["machines.yaml"].replace("run: 1", 'run: "2"')
    git_repository.commit("run again", {"machines.yaml": again})

    def run(*arguments):
        places = ["--repo", str(git_repository.path), "--state", str(tmp_path / "state")]
        code = cli.main([*arguments, *places], standalone_mode=False)
        return code, capsys.readouterr().out

    return run


def test_a_plan_is_written_in_several_forms_at_once(run, tmp_path):
    files = [tmp_path / name for name in ("plan.json", "plan.md", "plan.html")]
    outs = [part for path in files for part in ("--out", str(path))]
    code, text = run("plan", *outs)
    assert code == 3
    document = json.loads(files[0].read_text("utf-8"))
    assert text.startswith(document["verdict"])
    assert document["exitCode"] == code
    assert files[1].read_text("utf-8").startswith("<!-- rackwright-plan -->\n### Rackwright: ")
    assert files[2].read_text("utf-8").endswith("</body></html>\n")
    assert all(document["digest"][:12] in path.read_text("utf-8") for path in files)


@pytest.mark.parametrize(
    ("form", "begins"),
    [("json", "{"), ("markdown", "<!-- rackwright-plan -->"), ("html", "<!doctype html>")],
)
def test_standard_output_has_the_form_that_was_asked_for(run, form, begins):
    assert run("plan", "--format", form)[1].startswith(begins)


def test_explain_says_what_would_unblock(run, git_repository):
    machines = (LAB / "machines.yaml").read_text("utf-8")
    protected = machines.replace("  group: lab ", "  protect: true\n  group: lab ")
    protected = protected.replace("  group: lab\n", "  protect: true\n  group: lab\n")
    git_repository.commit("protect", {"machines.yaml": protected})
    assert "to unblock" not in run("plan")[1]
    code, text = run("plan", "--explain")
    assert code == 3
    assert "to unblock  Write `protect: false` at machines.yaml:" in text


def test_a_comparison_shows_what_the_branch_changes_on_the_same_observations(run):
    code, text = run("plan", "--against", "base")
    assert code == 3
    assert text.startswith("Wanted: DESTRUCTIVE 1 · DISRUPTIVE 1 · SAFE 0 · 1 disk to be ")
    assert "Introduced: DESTRUCTIVE 0 · DISRUPTIVE 1 · SAFE 0 · BLOCKED 0 · UNKNOWN 0" in text
    assert "assign: clone-golden run 1 → clone-golden run 2 · 1 machine: node-01" in text


@pytest.mark.parametrize(
    "command", [("plan",), ("status",), ("get", "machine", "node-01"), ("diff", "base")]
)
@pytest.mark.usefixtures("run")
def test_what_is_not_committed_is_named_unless_a_ref_is(git_repository, command, tmp_path):
    machines = (LAB / "machines.yaml").read_text("utf-8")
    git_repository.write({"machines.yaml": machines + "# more\n"})
    places = ["--repo", str(git_repository.path), "--state", str(tmp_path / "state")]
    note = "note: 1 uncommitted file is not looked at: machines.yaml\n"
    assert CliRunner().invoke(cli, [*command, *places]).stderr == note
    named = ["HEAD~0"] if command[0] == "diff" else ["--ref", "HEAD"]
    assert CliRunner().invoke(cli, [*command, *named, *places]).stderr == ""


@pytest.mark.parametrize("command", [("get", "machine", "new-01"), ("explain", "machine/new-01")])
def test_a_machine_that_is_not_committed_is_to_be_committed_first(git_repository, run, command):
    git_repository.write({"new.yaml": "# a machine\n"})
    with pytest.raises(ReconcilerError) as caught:
        run(*command)
    assert caught.value.code == "RW934"
    assert caught.value.action.startswith("Commit first: new.yaml changed since the commit")


@pytest.mark.usefixtures("run")
def test_what_is_not_committed_is_named_before_anything_is_applied(git_repository, tmp_path):
    git_repository.write({"new.yaml": "# more\n", "newer.yaml": "# more\n"})
    places = ["--repo", str(git_repository.path), "--state", str(tmp_path / "state")]
    for command in (("apply", "--yes", "0"), ("approve", "0123456789ab", "--reason", "it is time")):
        note = "note: 2 uncommitted files are not looked at: new.yaml, newer.yaml\n"
        assert CliRunner().invoke(cli, [*command, *places]).stderr.startswith(note)


SCENARIO = """apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: clone-all}
spec:
  targets:
    - {select: {groups: [lab]}, run: "1"}
  steps:
    - restore: {image: debian12-golden}
"""


@pytest.fixture
def poisoned(git_repository, run):
    """A branch on which one line gives all machines another image; nothing was observed."""
    image = "apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: other}\n"
    git_repository.commit("main", {"all.yaml": SCENARIO, "other.yaml": image})
    git_repository.git("branch", "--force", "base")
    edited = SCENARIO.replace("image: debian12-golden", "image: other")
    git_repository.commit("a harmless change", {"all.yaml": edited})
    return run


def test_without_observations_another_image_is_no_absence_of_work(poisoned, tmp_path):
    path = tmp_path / "plan.md"
    code, text = poisoned("plan", "--against", "base", "--out", str(path))
    assert code == 3
    assert "It introduces no work" not in text
    assert "all.yaml:8:24" in "".join(text.splitlines()[:5])
    comment = path.read_text("utf-8").splitlines()
    assert comment[1].startswith("### Rackwright: wanted **DESTRUCTIVE ")
    assert "all.yaml:8:24" in "".join(comment[:10])
    code, text = poisoned("plan", "--against", "base", "--format", "json")
    document = json.loads(text)
    assert (code, document["exitCode"]) == (3, 3)
    (cause,) = document["causes"]
    assert (cause["class"], cause["exact"], cause["places"]) == (
        "DESTRUCTIVE",
        True,
        ["all.yaml:8:24"],
    )
    assert cause["machines"] == cause["disks"] == document["wanted"]["DESTRUCTIVE"] > 1


def test_two_commits_are_compared_by_cause_without_any_state(poisoned, git_repository, tmp_path):
    code, text = poisoned("diff", "base")
    assert code == 3
    assert text.startswith("Wanted: DESTRUCTIVE ")
    assert "all.yaml:8:24" in text
    document = json.loads(poisoned("diff", "base", "HEAD", "--format", "json")[1])
    assert document["format"] == "rackwright-diff/1"
    assert document["against"] == git_repository.git("rev-parse", "base")
    assert document["exitCode"] == 3
    assert [each["places"] for each in document["causes"]] == [["all.yaml:8:24"]]
    assert not (tmp_path / "state" / "rackwright.db").exists()
    code, text = poisoned("diff", "HEAD")
    assert (code, text.splitlines()[-1]) == (0, "Nothing: both mean the same.")


def test_a_branch_that_repairs_its_base_can_be_reviewed(git_repository, run):
    git_repository.git("branch", "--force", "base")
    git_repository.commit("broken", {"wrong.yaml": "kind: Nothing\n"})
    git_repository.git("branch", "--force", "broken")
    git_repository.git("rm", "--quiet", "wrong.yaml")
    git_repository.commit("repaired", {})
    code, text = run("plan", "--against", "broken")
    assert code == 3  # of all that is planned
    assert f"{git_repository.git('rev-parse', 'broken')[:12]} (" in text
    assert "has errors that this repairs, so all that is planned counts as introduced" in text
    assert "wrong.yaml:1:1" in text
    document = json.loads(run("plan", "--against", "broken", "--format", "json")[1])
    assert document["introduced"]
    assert any("wrong.yaml:1:1" in each for each in document["baseErrors"])
    comment = run("plan", "--against", "broken", "--format", "markdown")[1]
    assert "wrong.yaml:1:1" in comment.replace("\u2060", "")


@pytest.mark.parametrize(
    ("command", "side"),
    [
        (("plan", "--ref", "broken", "--against", "base"), "broken"),
        (("diff", "base", "broken"), "broken"),
        (("diff", "broken", "base"), "broken"),
    ],
)
def test_an_error_names_the_side_that_has_it(git_repository, run, command, side):
    git_repository.commit("broken", {"wrong.yaml": "kind: Nothing\n"})
    git_repository.git("branch", "--force", side)
    with pytest.raises(ReconcilerError) as caught:
        run(*command)
    assert caught.value.code == "RW901"
    assert caught.value.cause.startswith(git_repository.git("rev-parse", side)[:12])


def test_a_branch_compared_with_itself_changes_nothing(run):
    code, text = run("plan", "--against", "HEAD")
    assert code == 0
    assert "Nothing: both plan the same and mean the same machines." in text


def test_a_comparison_is_json_too(run):
    document = json.loads(run("plan", "--against", "base", "--format", "json")[1])
    assert document["format"] == "rackwright-plan-difference/1"
    assert [each["field"] for each in document["fields"]] == ["assign", "assign"]


def test_json_says_whether_the_commit_may_be_applied(run, git_repository, tmp_path):
    path = tmp_path / "plan.json"
    assert json.loads(run("plan", "--out", str(path), "--format", "json")[1])["notice"] == ""
    signer = f"{{name: Jane, key: {KEY}}}"
    fleet = (
        "apiVersion: rackwright/v1alpha1\nkind: Fleet\nmetadata: {name: lab}\n"
        f"spec: {{commits: {{verify: ssh, signers: [{signer}]}}}}\n"
    )
    git_repository.commit("only signed commits", {"fleet.yaml": fleet})
    for arguments in (("plan",), ("plan", "--against", "base")):
        text = run(*arguments, "--out", str(path), "--format", "json")[1]
        notice = json.loads(text)["notice"]
        assert notice.startswith(
            "for review only, this commit is not acceptable: RW730: the commit"
        )
        assert json.loads(path.read_text("utf-8"))["notice"] == notice


def test_a_comparison_has_no_page(run):
    with pytest.raises(ReconcilerError) as refusal:
        run("plan", "--against", "base", "--format", "html")
    assert (refusal.value.code, refusal.value.cause) == (
        "RW921",
        "--format html shows one plan, and --against compares two",
    )


def test_a_plan_file_that_was_edited_is_refused_before_anything_is_recorded(run, tmp_path):
    path = tmp_path / "plan.json"
    run("plan", "--out", str(path))
    document = json.loads(path.read_text("utf-8"))
    document["items"][0]["operation"] = "f" * 32
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ReconcilerError, match="RW920"):
        run("apply", str(path), "--yes")
