"""Running external programs: what comes back, in which time, and what is left behind."""

import os
import struct
import sys
import time
from pathlib import Path

import pytest

from agent.commands.losetup import configuration
from agent.commands.mount import mount_arguments
from agent.commands.runner import follow_command, run_command
from agent.errors import CommandError, MissingCommandError

LO_FLAGS_READ_ONLY, LO_FLAGS_AUTOCLEAR = 1, 4
PYTHON = [sys.executable, "-c"]


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    end = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < end:
        os.sched_yield()
    assert not is_running(pid)


def test_both_streams_and_the_status_come_back() -> None:
    done = run_command(shell("echo out; echo ' err ' >&2; exit 2"), accept=(0, 2))
    assert (done.status, done.stdout, done.stderr) == (2, b"out\n", "err")


def test_a_program_speaks_english_and_knows_no_more_of_us_than_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    monkeypatch.setenv("TOKEN", "secret")
    text = run_command(["env"]).stdout.decode()
    assert "LC_ALL=C\n" in text
    assert {line.partition("=")[0] for line in text.splitlines()} == {"LC_ALL", "PATH"}


def test_input_larger_than_a_pipe_passes_through() -> None:
    data = bytes(range(256)) * 4096
    assert run_command(["cat"], standard_input=data).stdout == data


def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert run_command(["true"], standard_input=b"x" * 200_000).status == 0


def test_a_program_without_input_finds_its_end_at_once() -> None:
    assert run_command(["cat"], timeout=10).stdout == b""


def test_a_failure_is_told_in_the_programs_last_words() -> None:
    with pytest.raises(CommandError) as caught:
        run_command(shell("echo no such device >&2; exit 3"))
    assert str(caught.value) == (
        "RW565: sh -c echo no such device >&2; exit 3 ended with status 3: no such device. "
        "See the message of the command."
    )
    assert (caught.value.program, caught.value.status) == ("sh", 3)
    assert caught.value.words == "no such device"


def test_a_program_that_says_nothing_has_no_message() -> None:
    with pytest.raises(CommandError, match=r"^RW565: false ended with status 1: no message\."):
        run_command(["false"])


def test_what_a_program_prints_is_in_no_error() -> None:
    with pytest.raises(CommandError) as caught:
        run_command(shell("cat; exit 1"), standard_input=b"PRIVATE KEY")
    assert "PRIVATE" not in f"{caught.value} {caught.value.words}"


def test_a_missing_program_is_named() -> None:
    for run in (run_command, follow_command):
        with pytest.raises(MissingCommandError) as caught:
            run(["no-such-program", "--all"])
        assert str(caught.value) == (
            "RW566: the command no-such-program does not exist here. Install it in this system."
        )


def test_a_file_that_is_no_program_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("text")
    with pytest.raises(CommandError, match=r"RW565: .*/text cannot be started: Permission denied"):
        run_command([str(file)])


@pytest.mark.parametrize("run", [run_command, follow_command])
def test_a_program_that_takes_too_long_is_ended_with_its_children(
    run: type[object], tmp_path: Path
) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(CommandError) as caught:
        run(shell(script), timeout=0.5)  # type: ignore[call-arg]
    assert "did not end within 0 s" in caught.value.cause
    assert caught.value.status is None
    wait_until_gone(int((tmp_path / "child").read_text()))


def test_a_child_that_outlives_its_program_does_not_hold_us_up(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child"
    with pytest.raises(CommandError, match="did not end within 0 s"):
        run_command(shell(script), timeout=0.5)
    wait_until_gone(int((tmp_path / "child").read_text()))


def test_endless_output_is_not_kept(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; exec yes"
    with pytest.raises(CommandError, match=r"printed more than 1000 bytes"):
        run_command(shell(script), most_output=1000)
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_of_endless_messages_the_end_is_kept() -> None:
    script = "i=0; while [ $i -lt 4000 ]; do echo message $i; i=$((i+1)); done >&2; exit 1"
    with pytest.raises(CommandError) as caught:
        run_command(shell(script))
    assert len(caught.value.words) <= 16 << 10
    assert caught.value.words.endswith("message 3999")
    done = follow_command(shell(script))
    assert len(done.words) <= 16 << 10
    assert (done.status, done.words.endswith("message 3999")) == (1, True)


def test_lines_are_passed_on_as_they_come() -> None:
    lines: list[str] = []
    done = follow_command(shell("echo one; echo two >&2; printf three; exit 7"), lines.append)
    assert lines == ["one", "two", "three"]
    assert (done.status, done.words) == (7, "one\ntwo\nthree")


def test_a_line_without_an_end_is_cut() -> None:
    lines: list[str] = []
    follow_command(shell("head -c 200000 /dev/zero"), lines.append)
    assert [len(line) for line in lines] == [65536, 65536, 65536, 3392]


def test_who_stops_listening_ends_the_program(tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise KeyboardInterrupt

    script = f"echo $$ > {tmp_path}/pid; echo begin; exec sleep 60"
    with pytest.raises(KeyboardInterrupt):
        follow_command(shell(script), fail)
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_a_loop_device_goes_with_its_last_user_and_for_reading_cannot_be_written(
    tmp_path: Path,
) -> None:
    with (tmp_path / "disk").open("wb") as file:
        reading = configuration(file.fileno(), 1048576, 4096, 512, write=False)
        writing = configuration(file.fileno(), 1048576, 4096, 512, write=True)
    assert len(reading) == 304  # linux/loop.h: struct loop_config
    place, flags = struct.Struct("=2Q"), struct.Struct("=I")
    assert place.unpack_from(reading, 8 + 24) == (1048576, 4096)
    assert flags.unpack_from(reading, 8 + 52) == (LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY,)
    assert flags.unpack_from(writing, 8 + 52) == (LO_FLAGS_AUTOCLEAR,)


def test_looking_at_a_file_system_replays_no_journal() -> None:
    line = mount_arguments(Path("/dev/vda1"), Path("/mnt"), "ext4", write=False)
    assert line[line.index("-o") + 1] == "ro,noload,nosuid,nodev,noexec"
