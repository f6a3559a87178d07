"""Images on a file system that nobody may write to: what is found is said, and that it stays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from tests.protocol.imaging_disks import MIB, blank, ext4, run

pytestmark = pytest.mark.needs_root
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@frozen
class Done:
    status: int
    out: str
    err: str


class Shelf:
    """A state directory with the image ``golden``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.repo = folder / "repo"
        self.repo.mkdir()
        disk = ext4(blank(folder / "disk", 16 * MIB), 0, 16 * MIB)
        words = ["image", "import", disk, "--name", "golden", "--state", self.state]
        # A process of its own: while one has the database open, its log lies beside it.
        run(sys.executable, "-m", "reconciler.cli", *words)
        assert not self.state.joinpath("rackwright.db-wal").exists()

    def run(self, *arguments: str | Path) -> Done:
        """Run `rackwright image` where the state directory is read-only."""
        words = [sys.executable, "-m", "reconciler.cli", "image"]
        words += [*map(str, arguments), "--state", str(self.state)]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(self.state), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def chunk(self) -> Path:
        return min(each for each in (self.state / "store" / "chunks").rglob("*") if each.is_file())

    def files(self) -> dict[Path, bytes]:
        return {each: each.read_bytes() for each in self.state.rglob("*") if each.is_file()}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def test_what_only_looks_works(shelf: Shelf) -> None:
    before = shelf.files()
    assert shelf.run("ls").out.splitlines()[3].split()[0] == "golden"
    assert "import golden" in shelf.run("show", "golden").out  # from the database
    done = shelf.run("gc", "--dry-run", "--repo", shelf.repo)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("would be deleted: 0 image(s)")
    assert shelf.run("verify", "--all").out.endswith(": undamaged\n")
    for file_format in ("raw", "qcow2"):
        target = shelf.folder / f"out.{file_format}"
        done = shelf.run("export", "golden", target, "--format", file_format)
        assert (done.status, done.err) == (0, "")
    assert shelf.files() == before


def test_what_writes_says_that_it_cannot(shelf: Shelf) -> None:
    before = shelf.files()
    for words in (
        ("tag", "golden", "other", "--repo", shelf.repo),
        ("gc", "--repo", shelf.repo),
        ("import", shelf.folder / "disk", "--name", "golden"),
    ):
        done = shelf.run(*words)
        if words[0] != "gc":
            assert done.status == 1
            assert done.err.startswith("error RW")
        assert "Traceback" not in done.err
        assert "RW999" not in done.err
    assert shelf.files() == before


def test_who_may_only_read_sees_a_database_that_others_have_open(
    shelf: Shelf,
) -> None:
    writer = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
names = [row[1] for row in database.execute("PRAGMA table_info(image_event)") if not row[5]]
values = ", ".join("'just now'" if name == "reason" else name for name in names)
database.execute(
    f"INSERT INTO image_event ({', '.join(names)}) SELECT {values} FROM image_event LIMIT 1"
)
database.execute("COMMIT")
print("written", flush=True)
sys.stdin.read()
"""
    database = shelf.state / "rackwright.db"
    with subprocess.Popen(
        [sys.executable, "-c", writer, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "written\n"
        done = shelf.run("show", "golden")
        process.kill()
    assert "just now" in done.out


@pytest.mark.parametrize("word", ["corrupt", pytest.param("missing", marks=pytest.mark.nightly)])
def test_a_finding_that_cannot_be_written_down_is_a_finding(tmp_path: Path, word: str) -> None:
    shelf = Shelf(tmp_path)
    chunk = shelf.chunk()
    chunk.unlink() if word == "missing" else chunk.write_bytes(b"rot")
    before = shelf.files()
    done = shelf.run("verify", "--all")
    assert done.status == 1
    assert done.out.splitlines()[0].endswith(" (golden) is damaged:")
    assert f"it is {word}" in done.out
    assert "1 image(s) are damaged" in done.out
    assert done.err.startswith("this could not be written down, and they can still be restored: ")
    assert "Read-only file system" in done.err
    done = shelf.run("verify", "--all", "--format", "json")
    assert "Read-only file system" in json.loads(done.out)["notWrittenDown"]
    done = shelf.run("export", "golden", tmp_path / "out")
    assert done.status == 1
    assert "error RW446: image" in done.err
    assert f"it is {word}" in done.err
    assert "(and that could not be written down: " in done.err
    assert not (tmp_path / "out").exists()
    assert shelf.files() == before
