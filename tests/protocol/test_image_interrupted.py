"""Commands on images that are ended or killed, or whose output nobody reads, leave nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.commands import losetup
from reconciler.cli.image import image
from tests.protocol.imaging_disks import MIB, blank, ext4, gpt_disk, run, tree

_STOP = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started the tests may have ignored it
from agent.commands import qemu_img
from reconciler.cli.main import main
convert = qemu_img.convert
def stop(*arguments):
    convert(*arguments)
    print("here", flush=True)
    signal.pause()
qemu_img.convert = stop
main()
"""
_PARTCLONE = """
import signal, sys
from pathlib import Path
from agent.commands import losetup
with losetup.attached(Path(sys.argv[1]), 1048576, 4194304, 512, write=False) as loop:
    print(loop, flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    raw = gpt_disk(folder / "disk.raw", tree(folder / "content", 1, 5 * MIB), 64 * MIB)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, folder / "disk.qcow2")
    return folder / "disk.qcow2"


@pytest.fixture
def importing(tmp_path: Path, disk: Path) -> Iterator["subprocess.Popen[str]"]:
    """An import that has made a raw disk of its file."""
    words = ["image", "import", disk, "--name", "golden", "--state", tmp_path / "state"]
    process = subprocess.Popen(
        [sys.executable, "-c", _STOP, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def said(state: Path, *arguments: str | Path) -> str:
    words = [*map(str, arguments), "--state", str(state)]
    result = CliRunner().invoke(image, words, standalone_mode=False, catch_exceptions=False)
    return result.output


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_import_that_is_ended_cleans_up(
    importing: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals, status: int
) -> None:
    work = tmp_path / "state" / "image-work"
    assert len(list(work.iterdir())) == 1
    importing.send_signal(number)
    error = importing.communicate(timeout=60)[1]
    assert importing.returncode == status
    assert error.strip() == "interrupted"
    assert list(work.iterdir()) == []


def test_what_a_killed_import_left_is_removed_by_the_collection(
    importing: "subprocess.Popen[str]", tmp_path: Path, disk: Path
) -> None:
    state, repo = tmp_path / "state", tmp_path / "repo"
    repo.mkdir()
    work = state / "image-work"
    gc = ("gc", "--repo", repo)
    assert "work folder" not in said(state, *gc)  # it is held
    importing.kill()
    importing.wait()
    (left,) = work.iterdir()
    text = said(state, *gc, "--dry-run").splitlines()[1]
    assert text.startswith("would be removed: 1 work folder(s) of commands that were killed; ")
    assert left.exists()
    assert "\nremoved: 1 work folder(s) of commands that were killed; " in said(state, *gc)
    assert list(work.iterdir()) == []
    text = said(state, "import", disk, "--name", "golden")
    assert "golden is image" in text
    assert "not signed" not in text
    (listed,) = json.loads(said(state, "ls", "--format", "json"))
    assert listed["signature"]["state"] == "good"


def test_an_import_without_the_authoritys_keys_says_that_it_is_not_signed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    file = ext4(blank(tmp_path / "disk", 16 * MIB), 0, 16 * MIB)
    (state / "trust").mkdir(mode=0o700, parents=True)
    (state / "trust/authority.key").mkdir()  # root may read any file, but no directory
    text = said(state, "import", file, "--name", "golden")
    assert "golden is image" in text
    assert "\nit is not signed: RW501: " in text


def test_a_loop_device_goes_with_the_process_that_made_it(tmp_path: Path) -> None:
    file = blank(tmp_path / "disk", 8 * MIB)
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(
            [sys.executable, "-c", _PARTCLONE, str(file)], stdout=subprocess.PIPE, text=True
        )
        with process:
            loop = Path(process.stdout.readline().strip())
            backing = Path("/sys/block", loop.name, "loop/backing_file")
            assert backing.read_text().strip() == str(file)
            assert Path("/sys/block", loop.name, "size").read_text().strip() == "8192"
            process.send_signal(number)
            process.wait(timeout=30)
        until(lambda backing=backing: not backing.exists() or str(file) not in text(backing))


def test_what_is_written_to_a_loop_device_is_in_the_file(tmp_path: Path) -> None:
    file = blank(tmp_path / "disk", 8 * MIB)
    with losetup.attached(file, MIB, MIB, 512, write=True) as loop:
        with loop.open("r+b") as device:
            assert device.seek(0, os.SEEK_END) == MIB
            device.seek(4096)
            device.write(b"here")
        assert "1" in run("losetup", "--noheadings", "--output", "AUTOCLEAR", loop)
    assert file.read_bytes()[MIB + 4096 : MIB + 4100] == b"here"
    with losetup.attached(file, 0, MIB, 512, write=False) as loop:
        assert run("blockdev", "--getro", loop).strip() == "1"
    assert run("losetup", "--associated", file) == ""


def test_output_that_nobody_reads_is_no_error_and_no_success(tmp_path: Path) -> None:
    state = tmp_path / "state"
    file = ext4(blank(tmp_path / "disk", 16 * MIB), 0, 16 * MIB)
    said(state, "import", file, "--name", "golden")
    command = [sys.executable, "-m", "reconciler.cli", "image"]
    place = ["--state", str(state)]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*command, "show", "golden", *place],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
    shell = 'set -o pipefail; "$@" | head -1'
    words = ["bash", "-c", shell, "bash", *command, "show", "golden", *place]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("image ")


def until(condition: object) -> None:
    """Wait for what the kernel does a moment later."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
