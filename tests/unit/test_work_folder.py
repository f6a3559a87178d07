"""Folders for large files: held by a lock, and removed when nobody holds them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from providers.imaging.work_folder import Leftovers, remove_leftovers, work_folder

_HOLD = """
import sys
from pathlib import Path
from providers.imaging.work_folder import work_folder
with work_folder(Path(sys.argv[1])) as folder:
    (folder / "disk.raw").write_bytes(bytes(8192))
    print(folder.name, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(parent: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """Run a process that works in a folder until its input ends; it is killed if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield parent / process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_a_folder_goes_with_its_block(tmp_path: Path) -> None:
    with work_folder(tmp_path / "work") as folder:
        (folder / "disk.raw").touch()
    assert list((tmp_path / "work").iterdir()) == []
    with pytest.raises(KeyboardInterrupt), work_folder(tmp_path / "work"):
        raise KeyboardInterrupt
    assert list((tmp_path / "work").iterdir()) == []


def test_what_another_process_holds_stays_and_what_a_killed_one_left_goes(tmp_path: Path) -> None:
    with another_process(tmp_path) as (folder, process):
        assert remove_leftovers(tmp_path, dry_run=False) == Leftovers(0, 0)
        with work_folder(tmp_path):
            assert (folder / "disk.raw").exists()
        process.kill()
        process.wait()
        assert folder.exists()
        assert remove_leftovers(tmp_path, dry_run=True) == Leftovers(1, 8192)
        with work_folder(tmp_path) as own:
            assert list(tmp_path.iterdir()) == [own]


def test_what_an_earlier_version_left_goes_too_and_what_is_no_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "tmp1234").mkdir()
    (tmp_path / "tmp1234" / "disk").write_bytes(b"x")
    (tmp_path / "note").touch()
    (tmp_path / "link").symlink_to("/etc")
    assert remove_leftovers(tmp_path, dry_run=False).folders == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "note"]
    assert remove_leftovers(tmp_path / "nowhere", dry_run=False) == Leftovers(0, 0)
