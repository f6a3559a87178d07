"""The command line on broken repositories and broken state: what is said, and nothing else.

Every case is a whole process with its exact output. The repository is compared before
and after: nothing in it may be created or changed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.state.database import open_database

SOUND = Path(__file__).parents[1] / "broken" / "base"
ROOT = Path(__file__).parents[2]
NOBODY = 65534
SECONDS = 60
MIB = 2**20

GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Jane Doe",
    "GIT_AUTHOR_EMAIL": "jane@example.org",
    "GIT_AUTHOR_DATE": "1793696520 +0900",
    "GIT_COMMITTER_NAME": "Jane Doe",
    "GIT_COMMITTER_EMAIL": "jane@example.org",
    "GIT_COMMITTER_DATE": "1793696520 +0900",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with the sound fleet in ``fleet``; it is the present directory."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "RACKWRIGHT_"))]:
        monkeypatch.delenv(name)
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RACKWRIGHT_STATE", "state")
    monkeypatch.setenv("RACKWRIGHT_REPO", "fleet")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SOUND, tmp_path / "fleet")
    return tmp_path


def git(*arguments: str, cwd: str = "fleet") -> None:
    subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True)


def committed() -> None:
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message=Rack")


def rackwright(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconciler.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def contents(folder: Path) -> dict[str, object]:
    """Return what tells whether anything below a folder was touched."""
    return {
        str(path.relative_to(folder)): (status.st_mode, status.st_size, status.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        for status in [path.lstat()]
    }


def refused(command: str, error: str) -> None:
    """Assert the exact refusal of a command, and that the repository is as it was."""
    before = contents(Path("fleet"))
    done = rackwright(*command.split())
    assert done.stderr == f"error {error}\n"
    assert done.stdout == ""
    assert done.returncode == 1
    assert contents(Path("fleet")) == before


def out_of_tree() -> None:
    Path("fleet/x.yaml").symlink_to("/etc/passwd")


def out_of_tree_by_steps() -> None:
    Path("fleet/x.yaml").symlink_to("../state/secret.yaml")


def endless_file() -> None:
    Path("fleet/x.yaml").symlink_to("/dev/zero")


def circle() -> None:
    Path("fleet/x.yaml").symlink_to("y.yaml")
    Path("fleet/y.yaml").symlink_to("x.yaml")


def dangling() -> None:
    Path("fleet/x.yaml").symlink_to("gone.yaml")


def odd_name() -> None:
    Path("fleet/x\x1b[31m.yaml").write_text("")


def name_of_no_encoding() -> None:
    Path(os.fsdecode(b"fleet/x\xff.yaml")).write_text("")


def large_file() -> None:
    with Path("fleet/x.yaml").open("wb") as file:
        file.truncate(100 * MIB)


OUT = (
    "RW715: the symbolic link x.yaml leads out of the tree\n"
    "  Replace it by what it leads to: a revision must say all by itself"
)
BROKEN_FILES = [
    (out_of_tree, OUT),
    (out_of_tree_by_steps, OUT),
    (endless_file, OUT),
    (
        circle,
        (
            "RW715: the symbolic link x.yaml leads in a circle\n"
            "  Replace it by what it leads to: a revision must say all by itself"
        ),
    ),
    (
        dangling,
        (
            "RW715: the symbolic link x.yaml leads to gone.yaml, which is no file of the tree\n"
            "  Mend or remove the link"
        ),
    ),
    (
        odd_name,
        (
            "RW715: the file name 'x\\x1b[31m.yaml' has characters that are not printable UTF-8\n"
            "  Rename the file"
        ),
    ),
    (
        name_of_no_encoding,
        (
            "RW715: the file name 'x\\udcff.yaml' has characters that are not printable UTF-8\n"
            "  Rename the file"
        ),
    ),
    (
        large_file,
        (
            "RW714: x.yaml has 104,857,600 bytes, at most 33,554,432 are read of one file\n"
            "  Split it, or move it out of the fleet's folder"
        ),
    ),
]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("damage", "error"), BROKEN_FILES)
def test_a_file_that_cannot_be_read_as_it_is_is_refused(
    damage: Callable[[], None], error: str
) -> None:
    damage()
    refused("validate", error)
    committed()
    refused("validate --ref HEAD", error)
    refused("plan", error)


@pytest.mark.usefixtures("place")
def test_a_large_file_costs_neither_time_nor_memory() -> None:
    large_file()
    # Between the two a small process: the kernel counts what a parent held when it forked.
    measure = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(done.returncode, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime)\n"
    )
    command = [sys.executable, "-m", "reconciler.cli", "validate"]
    done = subprocess.run(
        [sys.executable, "-c", measure, *command], capture_output=True, text=True, check=True
    )
    status, mebibytes, seconds = map(float, done.stdout.split())
    assert status == 1
    assert mebibytes < 100  # what the program needs without the file
    assert seconds < 5


@pytest.mark.usefixtures("place")
def test_a_pipe_named_like_a_file_is_not_waited_for() -> None:
    os.mkfifo("fleet/x.yaml")
    refused("validate", "RW719: x.yaml is not a regular file\n  Move it out of the folder")


@pytest.mark.usefixtures("place")
def test_a_folder_named_like_a_file_is_a_folder() -> None:
    Path("fleet/x.yaml").mkdir()
    done = rackwright("validate")
    assert done.stdout == (
        "valid: 1 machine(s), 1 scenario(s) in 6 file(s), files outside Git (6)\n"
    )
    assert done.returncode == 0


@pytest.mark.needs_root
def test_a_file_that_this_user_may_not_read_is_named(place: Path) -> None:
    for folder in (place, *place.parents[:3]):
        folder.chmod(0o755)
    (place / "fleet/machine.yaml").chmod(0)
    # A checkout may lie where only root can read: everything is loaded before root is given up.
    program = (
        "import os, sys; import reconciler.cli.commands; from reconciler.cli.main import main;"
        "import reconciler.cli.validate, reconciler.git.location, reconciler.views.console;"
        "import reconciler.views.diagnostic_list, specs.compile.fleet, git, sqlite3\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.argv = ['rackwright', 'validate']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr == (
        "error RW719: machine.yaml cannot be read: Permission denied\n"
        "  Let this user read the whole folder\n"
    )
    assert done.returncode == 1


def unborn() -> None:
    git("init", "--quiet", "--initial-branch=main")


def head_of_nothing() -> None:
    committed()
    Path("fleet/.git/HEAD").write_text("garbage\n")


def no_objects() -> None:
    committed()
    shutil.rmtree("fleet/.git/objects")
    Path("fleet/.git/objects").mkdir()


def worktree_of_nothing() -> None:
    Path("fleet/.git").write_text("gitdir: /nowhere\n")


def submodule() -> None:
    committed()
    git("clone", "--quiet", "--bare", "fleet", "bare.git", cwd=".")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../bare.git", "sub")
    git("commit", "--quiet", "--message=Sub")


DAMAGED = (
    "RW717: {place}/fleet/.git is not a sound Git repository\n"
    "  See what `git fsck` says, or clone the repository again"
)
NO_COMMIT = "RW712: the repository fleet has no commit\n  Commit the fleet's files first"
SUBMODULE = (
    "RW716: sub is a Git submodule\n"
    "  Put the files themselves into the repository: a revision must say all by itself"
)
BROKEN_REPOSITORIES = [
    (unborn, "validate --ref HEAD", NO_COMMIT),
    (unborn, "plan", NO_COMMIT),
    (head_of_nothing, "validate", DAMAGED),
    (head_of_nothing, "plan", DAMAGED),
    (worktree_of_nothing, "validate", DAMAGED),
    (worktree_of_nothing, "plan", DAMAGED),
    (
        no_objects,
        "plan",
        (
            "RW713: 'HEAD' leads to no commit that the repository fleet holds\n"
            "  Name a commit; where it is one, see what `git fsck` says about the repository"
        ),
    ),
    (submodule, "validate", SUBMODULE),
    (submodule, "plan", SUBMODULE),
    (
        committed,
        "plan --ref mian",
        "RW713: the repository fleet has no 'mian'\n  Perhaps main is meant",
    ),
    (
        committed,
        "validate --ref=--upload-pack=evil",
        "RW713: the repository fleet has no '--upload-pack=evil'\n  Name a commit or one of main",
    ),
    (
        committed,
        "validate --ref HEAD:machine.yaml",
        (
            "RW713: 'HEAD:machine.yaml' leads to no commit that the repository fleet holds\n"
            "  Name a commit; where it is one, see what `git fsck` says about the repository"
        ),
    ),
    (
        committed,
        "validate --repo gone",
        "RW711: gone is not a directory\n  Name the folder that describes the fleet",
    ),
    (
        committed,
        "validate --repo=",
        "RW718: the source is an empty text\n  Name a directory, or . for the present one",
    ),
    (
        committed,
        "validate --repo http://example.org/fleet",
        (
            "RW718: 'http://example.org/fleet' cannot be a source\n"
            "  Use a path, or a URL with https://, ssh:// or file://"
        ),
    ),
    (
        committed,
        "validate --repo ext::sh",
        (
            "RW718: 'ext::sh' cannot be a source\n"
            "  Use a path, or a URL with https://, ssh:// or file://"
        ),
    ),
    (
        committed,
        "validate --repo https://jane:hunter2@example.org/fleet",
        (
            "RW718: the address of the repository on example.org has a password in it\n"
            "  Leave it out and give it to git by a credential helper"
        ),
    ),
]


@pytest.mark.parametrize(("damage", "command", "error"), BROKEN_REPOSITORIES)
def test_a_source_that_is_no_sound_repository_is_refused(
    place: Path, damage: Callable[[], None], command: str, error: str
) -> None:
    damage()
    refused(command, error.format(place=place))


@pytest.mark.usefixtures("place")
def test_a_bare_repository_is_read_at_its_head() -> None:
    committed()
    git("clone", "--quiet", "--bare", "fleet", "bare.git", cwd=".")
    done = rackwright("validate", "--repo", "bare.git")
    assert done.stdout.startswith("valid: 1 machine(s), 1 scenario(s) in 6 file(s), ")
    git("init", "--quiet", "--bare", "empty.git", cwd=".")
    refused(
        "validate --repo empty.git",
        "RW712: the repository empty.git has no commit\n  Commit the fleet's files first",
    )


@pytest.mark.usefixtures("place")
def test_a_place_without_files_is_not_called_valid() -> None:
    Path("empty/.hidden").mkdir(parents=True)
    Path("empty/.hidden/fleet.yaml").write_text("kind: Fleet\n")
    refused(
        "validate --repo empty",
        "RW911: empty has no YAML file to check (files outside Git (0))\n"
        "  Name the folder of the fleet; what begins with a dot is not read",
    )


@pytest.mark.usefixtures("place")
def test_a_merge_conflict_in_the_working_tree_is_a_problem_of_its_file() -> None:
    committed()
    machine = Path("fleet/machine.yaml")
    sound = machine.read_text()
    for branch, token in (("topic", "b"), ("main", "c")):
        git("checkout", "--quiet", "-B", branch, "HEAD")
        machine.write_text(sound.replace("2026-11", token))
        git("commit", "--quiet", "--all", f"--message={branch}")
        git("branch", "--force", f"kept-{branch}")
        git("reset", "--quiet", "--hard", "HEAD~1")
    git("reset", "--quiet", "--hard", "kept-main")
    merged = subprocess.run(["git", "merge", "kept-topic"], cwd="fleet", capture_output=True)  # noqa: PLW1510
    assert merged.returncode == 1
    done = rackwright("validate")
    assert done.returncode == 1
    assert done.stdout.startswith(
        "machine.yaml:11:1: RW105 an unresolved merge conflict\n"
        "    hint: resolve it and remove the lines that begin with <<<<<<<, ======= and >>>>>>>\n"
        "\n1 error(s) in 6 file(s), working tree, 1 uncommitted (machine.yaml) on "
    )
    assert done.stderr == ""
    assert rackwright("plan").returncode == 5  # the commit is sound


@pytest.mark.usefixtures("place")
def test_an_invalid_fleet_is_refused_with_all_its_problems_and_makes_no_state() -> None:
    Path("fleet/machine.yaml").write_text("kind: Machin\n")
    refused(
        "plan",
        'RW901: the repository has 2 error(s)\nmachine.yaml:1:1: RW125 "apiVersion" is missing\n'
        "    hint: add apiVersion: rackwright/v1alpha1\n"
        'machine.yaml:1:7: RW122 unknown kind "Machin"\n'
        "    hint: did you mean Machine?\n"
        "  Correct them; nothing else was done",
    )
    assert not Path("state").exists()


def test_what_is_shown_of_a_hostile_file_cannot_steer_a_terminal(place: Path) -> None:
    (place / "fleet/x.yaml").write_text(
        'apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: "\\e]0;owned\\a\\u202e"}\n'
    )
    done = rackwright("validate")
    assert done.returncode == 1
    assert done.stdout.startswith(
        'x.yaml:3:18: RW128 metadata.name: "\\u001b]0;owned\\u0007\\u202e" is not a name\n'
    )
    assert all(line.isprintable() for line in done.stdout.split("\n"))


# State.


def state_is_a_file() -> None:
    Path("state").write_text("in the way")


def state_below_a_file() -> None:
    state_is_a_file()
    os.environ["RACKWRIGHT_STATE"] = "state/inner"


def database_is_garbage() -> None:
    Path("state").mkdir()
    Path("state/rackwright.db").write_text("garbage\n")


def database_is_a_directory() -> None:
    Path("state/rackwright.db").mkdir(parents=True)


def sound_database() -> None:
    open_database(Path("state/rackwright.db")).close()


def database_of_the_future() -> None:
    sound_database()
    program = (
        "import sqlite3; d = sqlite3.connect('state/rackwright.db')\n"
        "d.execute(\"UPDATE alembic_version SET version_num = '9999'\"); d.commit(); d.close()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def database_cut_off() -> None:
    sound_database()
    os.truncate("state/rackwright.db", 5000)


BROKEN_STATE = [
    (
        state_below_a_file,
        (
            "error RW910: the system refused: Not a directory (state/inner)\n"
            "  Give this user access or room there, or name another place\n"
        ),
    ),
    (
        database_is_garbage,
        (
            "error RW701: the state database state/rackwright.db cannot be used: "
            "file is not a database\n"
            "  Restore it from a backup, or name another directory with --state\n"
        ),
    ),
    (
        database_is_a_directory,
        (
            "error RW701: the state database state/rackwright.db cannot be used: "
            "unable to open database file\n"
            "  Give this user access there, or name another directory with --state\n"
        ),
    ),
    (
        database_of_the_future,
        (
            "error RW701: the state database state/rackwright.db cannot be used: "
            "a newer version of Rackwright wrote it\n"
            "  Use the version that wrote it, or name another directory with --state\n"
        ),
    ),
    (
        database_cut_off,
        (
            "error RW701: the state database state/rackwright.db cannot be used: "
            "database disk image is malformed\n"
            "  Restore it from a backup, or name another directory with --state\n"
        ),
    ),
    (
        state_is_a_file,
        (
            "Usage: rackwright status [OPTIONS]\n"
            "Try 'rackwright status --help' for help.\n\n"
            "Error: Invalid value for '--state' (env var: 'RACKWRIGHT_STATE'): "
            "Directory 'state' is a file.\n"
        ),
    ),
]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("damage", "error"), BROKEN_STATE)
def test_state_that_cannot_be_used_is_named_and_left_as_it_is(
    damage: Callable[[], None], error: str
) -> None:
    committed()
    damage()
    before = contents(Path("fleet"))
    database = Path("state/rackwright.db")
    kept = database.read_bytes() if database.is_file() else None
    done = rackwright("status")
    assert done.stderr == error
    assert done.stdout == ""
    assert done.returncode == 1
    assert contents(Path("fleet")) == before
    assert (database.read_bytes() if database.is_file() else None) == kept


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """Return a file system of 64 KiB."""
    disk = place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "rackwright", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.needs_root
def test_a_full_disk_is_named(small_disk: Path) -> None:
    committed()
    done = rackwright("accept", "HEAD", "--reason", "x", "--state", f"{small_disk}/state")
    assert done.stderr == (
        f"error RW701: the state database {small_disk}/state/rackwright.db cannot be used: "
        "database or disk is full\n"
        "  Make room there, or name another directory with --state\n"
    )
    assert done.returncode == 1


@pytest.mark.needs_root
def test_a_disk_that_is_read_only_is_named(small_disk: Path) -> None:
    committed()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = rackwright("accept", "HEAD", "--reason", "x", "--state", f"{small_disk}/state")
    assert done.stderr == (
        f"error RW910: the system refused: Read-only file system ({small_disk}/state)\n"
        "  Give this user access or room there, or name another place\n"
    )
    assert done.returncode == 1


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"garbage", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[" * 200_000, "it is not JSON: maximum recursion depth exceeded"),
        (b"[]", "its format is None, not 'rackwright-plan/"),
        (b'{"format": "other/9"}', "its format is 'other/9', not 'rackwright-plan/"),
        (b"\x00\xff\xfe", "it is not JSON: "),
        (b"9" * 5000, "it is not JSON: Exceeds the limit"),
    ],
    ids=["empty", "text", "nested", "list", "other", "binary", "number"],
)
def test_a_plan_file_of_garbage_is_refused(content: bytes, why: str) -> None:
    committed()
    Path("plan.json").write_bytes(content)
    done = rackwright("apply", "plan.json")
    assert done.stderr.startswith(f"error RW906: plan.json is no plan: {why}")
    assert done.stderr.endswith("\n  Write one with `rackwright plan --out FILE`\n")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.returncode == 1


@pytest.mark.usefixtures("place")
def test_a_plan_file_that_is_not_there_is_named() -> None:
    committed()
    done = rackwright("apply", "plan.json")
    assert done.stderr == (
        "error RW906: plan.json is no plan: No such file or directory\n"
        "  Write one with `rackwright plan --out FILE`\n"
    )
    assert done.returncode == 1
