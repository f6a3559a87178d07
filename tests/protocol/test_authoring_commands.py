"""The commands that write desired state, run as a user runs them."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.netboot.decision import BootRequest
from reconciler.state.boots import Boots
from reconciler.state.database import open_database

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "lab" / "fleet"


@pytest.fixture
def rackwright(tmp_path):
    """A function that runs the command line in a folder, with 80 columns and its own state."""

    def run(*arguments, cwd=tmp_path, **options):
        return subprocess.run(
            [sys.executable, "-m", "reconciler.cli", *map(str, arguments)],
            env={
                **{key: value for key, value in os.environ.items() if "RACKWRIGHT" not in key},
                "PYTHONPATH": str(ROOT),
                "RACKWRIGHT_STATE": str(tmp_path / "state"),
                "COLUMNS": "80",
            },
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **options,
        )

    return run


def tree(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_fleet_is_valid_plans_and_is_formatted(tmp_path, rackwright):
    done = rackwright("init", "--git", "my fleet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "Next:\n"
        "  1. cd 'my fleet'\n"
        "  2. rackwright validate\n"
        "  3. edit networks.yaml and machines.yaml: they are examples\n"
        "  4. git add . && git commit -m 'A first fleet'\n"
        "  5. rackwright plan\n"
    )
    fleet = tmp_path / "my fleet"
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "add", "."], cwd=fleet, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "-m", "x"], cwd=fleet, check=True)
    assert rackwright("validate", cwd=fleet).stdout.startswith("valid: 1 machine(s)")
    assert rackwright("plan", cwd=fleet).returncode == 0
    assert rackwright("fmt", "--check", cwd=fleet).returncode == 0
    assert "name: my-fleet\n" in (fleet / "fleet.yaml").read_text()


def test_a_new_fleet_outside_git_is_valid_and_plans(rackwright):
    done = rackwright("init", "fleet")
    assert "  4. git init\n" in done.stdout
    assert "another Git repository" not in done.stdout
    assert rackwright("validate", "--repo", "fleet").stdout.startswith("valid: 1 machine(s)")
    done = rackwright("plan", "--repo", "fleet", "--state", "state")
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stdout


def test_a_new_fleet_in_a_folder_of_a_repository_is_valid_and_plans(tmp_path, rackwright):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    done = rackwright("init", "sites/fleet")
    assert done.stdout.endswith(
        f"\nThis folder is inside another Git repository, {tmp_path}.\n"
        "`rackwright init --git DIR` makes a fleet a repository of its own.\n"
        "\n"
        "Next:\n"
        "  1. cd sites/fleet\n"
        "  2. rackwright validate\n"
        "  3. edit networks.yaml and machines.yaml: they are examples\n"
        f"  4. git init, unless the fleet is to be a part of {tmp_path}\n"
        "  5. git add . && git commit -m 'A first fleet'\n"
        "  6. rackwright plan\n"
    )
    fleet = ("--repo", "sites/fleet")
    assert rackwright("validate", *fleet).stdout == (
        "valid: 1 machine(s), 1 scenario(s) in 5 file(s), working tree, no commit yet\n"
    )
    done = rackwright("plan", *fleet)
    assert done.returncode == 1
    assert done.stderr == (
        "error RW712: the repository sites/fleet has no commit\n  Commit the fleet's files first\n"
    )
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "add", "sites"], cwd=tmp_path, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "-m", "x"], cwd=tmp_path, check=True)
    done = rackwright("plan", *fleet)
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stdout


def test_init_names_what_exists_and_writes_nothing(tmp_path, rackwright):
    (tmp_path / "groups.yaml").write_text("mine")
    (tmp_path / "machines.yaml").symlink_to("/nowhere")
    done = rackwright("init")
    assert done.returncode == 1
    assert done.stderr == (
        "error RW933: . has already: groups.yaml, machines.yaml\n"
        "  Name another place; nothing was written\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["groups.yaml", "machines.yaml"]


def test_schema_prints_or_writes_one_and_the_same(tmp_path, rackwright):
    printed = rackwright("schema").stdout
    assert json.loads(printed)["title"] == "Rackwright desired state"
    assert rackwright("schema", "--out", "s.json").stdout == "written: s.json\n"
    assert (tmp_path / "s.json").read_text() == printed


def test_fmt_writes_what_it_can_and_names_what_is_broken(tmp_path, rackwright):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    (fleet / "wide.yaml").write_text("a:\n      b:   1 # kept\n")
    (fleet / "broken.yaml").write_text("a: [1\n")
    before = tree(fleet)
    done = rackwright("fmt", "--check", cwd=fleet)
    assert done.returncode == 1
    assert "would be formatted: wide.yaml\n" in done.stdout
    done = rackwright("fmt", "--diff", cwd=fleet)
    assert "-      b:   1 # kept\n+  b: 1 # kept\n" in done.stdout
    assert tree(fleet) == before
    done = rackwright("fmt", cwd=fleet)
    assert done.returncode == 1
    assert done.stdout == (
        "broken.yaml:1:4: RW101 this [ is not closed\n"
        '    hint: add the "]", or a missing ","\n'
        "formatted: wide.yaml\n"
    )
    assert done.stderr == "1 of 8 file(s) formatted, 1 left as they are\n"
    changed = {path for path, content in tree(fleet).items() if content != before[path]}
    assert changed == {str(fleet / "wide.yaml")}
    assert (fleet / "wide.yaml").read_text() == "a:\n  b: 1 # kept\n"


def test_explain_says_value_place_and_way(rackwright):
    done = rackwright("explain", "machine/node-01", "network", "--repo", EXAMPLE)
    assert done.stdout.splitlines()[1:] == [
        "  network  lab",
        "           └ groups.yaml:10:12, through group lab",
    ]
    done = rackwright("explain", "machine/node-01", "--format", "json", "--repo", EXAMPLE)
    fields = {each["field"]: each for each in json.loads(done.stdout)["fields"]}
    assert fields["network"] == {
        "field": "network",
        "value": "lab",
        "displayName": "",
        "file": "groups.yaml",
        "line": 10,
        "column": 12,
        "groups": ["lab"],
        "reason": "through group lab",
    }
    assert fields["protect"]["file"] is None
    done = rackwright("explain", "machine/node-1", "--repo", EXAMPLE)
    assert done.returncode == 1
    assert done.stderr.startswith("error RW934: there is no machine 'node-1' in this revision\n")
    assert done.stderr.endswith("Did you mean machine/node-01?\n")


def test_explain_explains_a_code(rackwright):
    assert rackwright("explain", "rw141").stdout == (
        "RW141: a name that no document has\n\n"
        "Cause: The field refers to a document that does not exist.\n"
        "Action: Correct the name or add the document.\n"
    )
    assert rackwright("explain", "node-01").stderr == (
        "error RW935: 'node-01' is neither KIND/NAME nor a code\n"
        "  Write machine/node-01 for a machine, another kind likewise, or a code such as RW141\n"
    )


def test_machines_survive_export_to_csv_and_import(tmp_path, rackwright):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    before = rackwright("explain", "machine/node-01", "--repo", fleet).stdout
    done = rackwright("export", "csv", "--repo", fleet, "--out", "machines.csv")
    assert done.stdout == "written: machines.csv, 2 machine(s)\n"
    assert (tmp_path / "machines.csv").read_text() == rackwright(
        "export", "csv", "--repo", fleet
    ).stdout
    (fleet / "machines.yaml").unlink()
    done = rackwright("import", "csv", "machines.csv", "--out", fleet / "machines.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2 machine(s)\ngroups that the repository must have: lab\n")
    after = rackwright("explain", "machine/node-01", "--repo", fleet).stdout

    def fields(text):
        return [line for line in text.splitlines()[1:] if "└" not in line]

    assert fields(after) == fields(before)
    assert rackwright("fmt", "--check", fleet).returncode == 0


def test_import_csv_writes_nothing_on_errors_and_replaces_nothing(tmp_path, rackwright):
    (tmp_path / "m.csv").write_text("name,macs\na,02:00:00:00:00:01\nb,x\nc,\n")
    done = rackwright("import", "csv", "m.csv", "--out", "m.yaml")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error RW936: m.csv has 5 error(s)"
    assert not (tmp_path / "m.yaml").exists()
    (tmp_path / "m.csv").write_text("name,macs\na,02:00:00:00:00:01\n")
    (tmp_path / "m.yaml").write_text("mine")
    done = rackwright("import", "csv", "m.csv", "--out", "m.yaml", "--group", "lab")
    assert done.stderr == (
        "error RW933: . has already: m.yaml\n  Name another place; nothing was written\n"
    )
    assert (tmp_path / "m.yaml").read_text() == "mine"


def saw(state, *boots):
    """Write boot requests into a state database, as the server does."""
    database = open_database(state / "rackwright.db")
    requests = Boots(database)
    for mac, uuid in boots:
        request = BootRequest("dhcp", mac, uuid, 7, "0.0.0.0", "x")  # noqa: S104 - no bind
        requests.record(request, datetime(2026, 11, 21, 12, 0, tzinfo=UTC), known=False)
    requests.write()
    database.close()


def test_discovered_machines_are_listed_and_adopted(tmp_path, rackwright):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    before = (fleet / "machines.yaml").read_bytes()
    nowhere = rackwright("adopt", cwd=fleet)
    assert nowhere.stderr.startswith("error RW972: there is no state database in ")
    uuid = "4c4c4544-0042-3510-8052-b4c04f4e4a32"
    saw(tmp_path / "state", ("02:00:00:00:00:0a", uuid), ("52:54:00:77:00:11", ""))
    assert rackwright("adopt", cwd=fleet).stdout == (
        f"02:00:00:00:00:0a  2026-11-21 12:00:00Z  {uuid}\n"
        "\nAdopt one with `rackwright adopt MAC --group GROUP`, all with --all.\n"
    )
    done = rackwright("adopt", uuid, "--group", "lab", "--name", "node-02", cwd=fleet)
    assert done.stdout.startswith(
        "adopted: node-02 (02:00:00:00:00:0a), group lab -> machines.yaml\n  by --group\n"
    ), done.stderr
    after = (fleet / "machines.yaml").read_bytes()
    assert after.startswith(before)
    assert after.decode().endswith(
        "---\napiVersion: rackwright/v1alpha1\nkind: Machine\nmetadata:\n  name: node-02\n"
        'spec:\n  group: lab\n  hardware:\n    macs: ["02:00:00:00:00:0a"]\n'
        f"    uuid: {uuid}\n"
    )
    assert rackwright("validate", cwd=fleet).stdout.startswith("valid: 3 machine(s)")
    assert rackwright("adopt", cwd=fleet).stdout == (
        "No unknown machine asked for a boot, and none has an agent.\n"
    )


RULES = """\
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: named}
spec: {order: 1, match: {names: [pc-1]}, group: lab}
---
apiVersion: rackwright/v1alpha1
kind: EnrollmentRule
metadata: {name: vendor}
spec: {match: {macs: ["02:00:00:*"]}, group: osaka/row1, network: lab}
"""
FIRED = 'rule vendor (rules.yaml:8:18): MAC address "02:00:00:00:00:0a" fits "02:00:00:*"'


def with_rules(tmp_path):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    (fleet / "rules.yaml").write_text(RULES)
    return fleet


def test_without_a_group_the_first_rule_that_matches_decides_and_is_named(tmp_path, rackwright):
    fleet = with_rules(tmp_path)
    saw(tmp_path / "state", ("02:00:00:00:00:0a", ""), ("06:00:00:00:00:0b", ""))
    before = tree(fleet)
    assert rackwright("adopt", cwd=fleet).stdout == (
        "06:00:00:00:00:0b  2026-11-21 12:00:00Z  no UUID\n"
        "  no enrollment rule matches: name its group with --group\n"
        "02:00:00:00:00:0a  2026-11-21 12:00:00Z  no UUID\n"
        "  belongs in group osaka/row1 by rule vendor (rules.yaml:8:18)\n"
        "\nAdopt one with `rackwright adopt MAC`, all with --all.\n"
        "Why a rule fires, and the others do not: `rackwright adopt --explain`.\n"
    )
    named = "  1 named (rules.yaml:3:18) does not match: its name is not known\n"
    assert rackwright("adopt", "--explain", cwd=fleet).stdout == (
        f"06:00:00:00:00:0b  no UUID\n{named}"
        "  1000 vendor (rules.yaml:8:18) does not match: "
        'MAC address "06:00:00:00:00:0b" does not fit "02:00:00:*"\n'
        f"02:00:00:00:00:0a  no UUID\n{named}"
        "  1000 vendor (rules.yaml:8:18) fires: "
        'MAC address "02:00:00:00:00:0a" fits "02:00:00:*"\n'
    )
    done = rackwright("adopt", "--all", cwd=fleet)
    assert done.stderr == (
        "error RW939: no group is known for 06:00:00:00:00:0b: no enrollment rule matches\n"
        "  Name a group with --group; `rackwright adopt --explain` says why no rule matches\n"
    )
    assert tree(fleet) == before
    done = rackwright("adopt", "02:00:00:00:00:0a", "--patch", cwd=fleet)
    assert tree(fleet) == before
    assert done.stderr.splitlines()[1] == f"  by {FIRED}"
    done = rackwright("adopt", "02:00:00:00:00:0a", "--name", "node-02", cwd=fleet)
    assert done.stdout == (
        "adopted: node-02 (02:00:00:00:00:0a), group osaka/row1 -> machines.yaml\n"
        f"  by {FIRED}\n"
        "new group: osaka/row1, which no document had -> machines.yaml\n"
        "Review the change and commit it; nothing happens to the machines before.\n"
    ), done.stderr
    assert (
        (fleet / "machines.yaml")
        .read_text()
        .endswith(
            "---\napiVersion: rackwright/v1alpha1\nkind: Group\nmetadata:\n  name: osaka/row1\n"
            "---\napiVersion: rackwright/v1alpha1\nkind: Machine\nmetadata:\n  name: node-02\n"
            'spec:\n  group: osaka/row1\n  hardware:\n    macs: ["02:00:00:00:00:0a"]\n'
            "  network: lab\n"
        )
    )
    assert rackwright("validate", cwd=fleet).stdout.startswith("valid: 3 machine(s)")


def test_adopted_machines_become_rows_of_a_table(tmp_path, rackwright):
    fleet = with_rules(tmp_path)
    table = (
        "apiVersion: rackwright/v1alpha1\nkind: MachineTable\nmetadata: {name: rack}\n"
        "spec:\n  defaults: {labels: {role: compute}}\n  rows: # of the rack\n"
        '    - {name: a, group: lab, macs: ["06:00:00:00:00:0a"]}\n'
    )
    (fleet / "rack.yaml").write_text(table)
    saw(tmp_path / "state", ("02:00:00:00:00:0a", ""))
    done = rackwright("adopt", "--all", "--table", "rack.yaml", "--name", "b", cwd=fleet)
    assert done.returncode == 0, done.stderr
    assert (fleet / "rack.yaml").read_text() == (
        table
        + '    - {name: b, macs: ["02:00:00:00:00:0a"], group: osaka/row1, network: lab}\n'
        + "---\napiVersion: rackwright/v1alpha1\nkind: Group\nmetadata:\n  name: osaka/row1\n"
    )
    assert rackwright("validate", cwd=fleet).stdout.startswith("valid: 4 machine(s)")
    done = rackwright("explain", "machine/b", "labels.role", "--repo", fleet)
    assert "labels.role  compute" in done.stdout


@pytest.mark.parametrize("file", ["machines.yaml", "new/found.yaml"])
def test_a_patch_changes_nothing_until_git_applies_it(tmp_path, rackwright, file):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    saw(tmp_path / "state", ("02:00:00:00:00:0a", ""))
    before = tree(fleet)
    done = rackwright("adopt", "--all", "--group", "lab", "--patch", "--file", file, cwd=fleet)
    assert done.returncode == 0, done.stderr
    assert tree(fleet) == before
    subprocess.run(["git", "apply", "-"], cwd=fleet, input=done.stdout.encode(), check=True)
    rackwright("adopt", "--all", "--group", "lab", "--file", f"./{file}", cwd=fleet)
    assert rackwright("validate", cwd=fleet).stdout.startswith("valid: 3 machine(s)")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("../out.yaml", "../out.yaml is outside of the repository"),
        ("/tmp/out.yaml", "/tmp/out.yaml is outside of the repository"),  # noqa: S108 - refused
        ("away.d/out.yaml", "away.d/out.yaml is outside of ."),
        (".hidden/x.yaml", ".hidden/x.yaml would not be read as desired state"),
        ("notes.txt", "notes.txt would not be read as desired state"),
    ],
)
def test_adopt_writes_nowhere_but_into_the_repository(tmp_path, rackwright, file, said):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    (tmp_path / "elsewhere").mkdir()
    (fleet / "away.d").symlink_to(tmp_path / "elsewhere")
    saw(tmp_path / "state", ("02:00:00:00:00:0a", ""))
    before = tree(fleet)
    done = rackwright("adopt", "--all", "--group", "lab", "--file", file, cwd=fleet)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error RW932: {said}\n"), done.stderr
    assert tree(fleet) == before
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_machine_that_would_break_the_repository_is_not_written(tmp_path, rackwright):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    saw(tmp_path / "state", ("02:00:00:00:00:0a", ""))
    before = tree(fleet)
    done = rackwright("adopt", "--all", "--group", "lab", "--name", "golden", cwd=fleet)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error RW901: the repository would have errors with these machines\nmachines.yaml:"
    )
    assert tree(fleet) == before


def test_registration_files_of_windows_become_documents(tmp_path, rackwright):
    (tmp_path / "GroupAsName.ini").write_bytes(
        "/東京1/棟A;ComputerA;192.168.1.1;255.255.0.0\r\n".encode("cp932")
    )
    (tmp_path / "GroupAsIp.ini").write_bytes(b"\xef\xbb\xbf/Row 2;10.0.0.0;255.255.255.0\r\n")
    (tmp_path / "machines.csv").write_text(
        "Machine Name,MAC Address,Machine Group\nPC-1,02-00-00-00-00-01,/東京1/棟A\n", "cp932"
    )
    arguments = ("import", "dpm", "--names", "GroupAsName.ini", "--addresses", "GroupAsIp.ini")
    done = rackwright(*arguments, "--machines", "machines.csv", "--network", "rack", "--out", "f")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "converted: GroupAsName.ini:1: group '東京1/棟A' -> 1-7092966a9d/a-bb4b50a7d9",
        "converted: GroupAsIp.ini:1: group 'Row 2' -> row-2",
        "converted: machines.csv:2: machine 'PC-1' -> pc-1",
        "written: f/networks.yaml, 1 document(s)",
        "written: f/groups.yaml, 2 document(s)",
        "written: f/enrollment.yaml, 2 document(s)",
        "written: f/machines.yaml, 1 document(s)",
    ]
    assert rackwright("fmt", "--check", "f").returncode == 0
    again = rackwright(*arguments, "--out", "f")
    assert again.stderr.startswith(
        "error RW933: f has already: networks.yaml, groups.yaml, enrollment.yaml\n"
    )
    (tmp_path / "GroupAsName.ini").write_text("/a\n;b\n")
    done = rackwright(*arguments, "--out", "g")
    assert done.stderr == (
        "error RW936: the files have 2 error(s)\n"
        "GroupAsName.ini:1: no machine name after the group\n"
        "GroupAsName.ini:2: no group at the beginning\n"
        "  Correct them; nothing was written\n"
    )
    assert not (tmp_path / "g").exists()


def test_names_in_any_script_become_ids_that_a_person_may_choose(tmp_path, rackwright):
    (tmp_path / "m.csv").write_text(
        "マシン名,MACアドレス,グループ名\nﾃｱ,02:00:00:00:00:01,/東京\n", "cp932"
    )
    arguments = ("import", "csv", "m.csv", "--out", "f/m.yaml", "--groups", "f/g.yaml")
    done = rackwright(*arguments)
    assert done.returncode == 0, done.stderr
    done = rackwright("import", "csv", "m.csv", "--out", "n.yaml", "--write-ids", "ids.csv")
    assert done.stdout.splitlines()[-1] == "groups that the repository must have: g-130016b259"
    assert (tmp_path / "ids.csv").read_text() == ("name,id\nﾃｱ,m-9acf1bfada\n/東京,g-130016b259\n")
    (tmp_path / "ids.csv").write_text("name,id\nﾃｱ,tea\n/東京,tokyo\n/大阪,osaka\n")
    done = rackwright(*arguments[:3], "--ids", "ids.csv", "--out", "n2.yaml", "--groups", "g2.yaml")
    assert done.stdout.splitlines() == [
        "converted: m.csv:2: machine 'ﾃｱ' -> tea",
        "converted: m.csv:2: group '東京' -> tokyo",
        "note: ids.csv: no group '大阪' is imported, so its id is unused",
        "written: n2.yaml, 1 machine(s)",
        "written: g2.yaml, 1 group(s)",
    ]
    assert '  name: tokyo\n  displayName: "東京"\n' in (tmp_path / "g2.yaml").read_text()
    (tmp_path / "m.csv").write_text("name,macs,group\nﾃｱ,02:00:00:00:00:01,a\n", "cp932")
    done = rackwright("import", "csv", "m.csv", "--out", "x.yaml")
    assert done.stderr == (
        "error RW978: m.csv can be read as utf-8 and as cp932; line 2 would be\n"
        "  utf-8  ñ,02:00:00:00:00:01,a\n"
        "  cp932  ﾃｱ,02:00:00:00:00:01,a\n"
        "  Say which is right: --encoding utf-8 or --encoding cp932\n"
    )
    assert not (tmp_path / "x.yaml").exists()
    done = rackwright("import", "csv", "m.csv", "--out", "x.yaml", "--encoding", "cp932")
    assert done.returncode == 0, done.stderr
    done = rackwright("import", "csv", "m.csv", "--out", "y.yaml", "--groups", "y.yaml")
    assert "--out, --groups and --write-ids name different files" in done.stderr


def test_adopt_takes_a_file_or_a_table_and_not_both(rackwright):
    done = rackwright("adopt", "--all", "--file", "a.yaml", "--table", "b.yaml")
    assert done.returncode == 1
    assert "name either --file or --table" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "adopt",
        "explain",
        "export csv",
        "fmt",
        "import csv",
        "import dpm",
        "init",
        "migrate",
        "schema",
    ],
)
def test_help_fits_80_columns_and_has_examples(rackwright, command):
    done = rackwright(*command.split(), "--help")
    assert done.returncode == 0
    assert "Examples:\n    rackwright " in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 84


def test_migrate_leaves_a_current_fleet_alone_and_names_what_is_broken(tmp_path, rackwright):
    fleet = tmp_path / "fleet"
    shutil.copytree(EXAMPLE, fleet)
    (fleet / "broken.yaml").write_text("a: [1\n")
    before = tree(fleet)
    done = rackwright("migrate", cwd=fleet)
    assert done.returncode == 1
    assert done.stdout.startswith("broken.yaml:1:4: RW101 this [ is not closed\n")
    assert done.stderr == "0 of 7 file(s) migrated, 1 left as they are\n"
    assert tree(fleet) == before
    (fleet / "broken.yaml").unlink()
    assert rackwright("migrate", "--check", cwd=fleet).returncode == 0
