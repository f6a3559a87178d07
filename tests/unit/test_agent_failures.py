"""What the agent does after a failure: the move, the keys, the time limits."""

import logging
import os
import pty
import threading
from pathlib import Path

import pytest
from attrs import define, field

from agent.after_failure import Failure
from agent.clock import Clock
from agent.console import ConsoleKeys, pressed
from agent.deadlines import Deadlines
from agent.departure import Departure, NoKeys
from agent.errors import (
    NotAcceptedError,
    RefusedError,
    TerminalError,
    TimeLimitError,
    TransientError,
)
from agent.imaging.errors import CorruptChunkError
from agent.inspection.host_paths import HostPaths
from agent.log import LogMemory
from agent.steps.chunk_store import ChunkStore
from agent.steps.step_thread import StepHangsError, run_to_end
from agent.transport import problem_of
from agent.wire.disk import DiskSelector
from agent.wire.step import Backup, Finish, InspectDisks
from agent.wire.work import OnError, TimeLimit, Work


@define
class HandClock:
    """Time that passes when it is told to, or waited for."""

    now: float = 100.0

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.wait, lambda: 0.0)

    def wait(self, seconds: float) -> None:
        self.now += seconds


@define
class RecordedPower:
    """Takes down what was asked for instead of doing it."""

    calls: list[str] = field(factory=list)
    called: threading.Event = field(factory=threading.Event)

    def reboot(self) -> None:
        self.calls.append("reboot")
        self.called.set()

    def poweroff(self) -> None:
        self.calls.append("poweroff")
        self.called.set()


def failure(action: str, *, written: bool = False, hangs: bool = False, delay: int = 60) -> Failure:
    return Failure("RW421: it failed. Do it", OnError(action, delay), written, hangs)


@pytest.mark.parametrize(
    ("action", "untouched", "written", "hangs", "hangs_written"),
    [
        ("local-boot", "restart", "stay", "restart", "poweroff"),
        ("reboot", "restart", "restart", "restart", "restart"),
        ("poweroff", "poweroff", "poweroff", "poweroff", "poweroff"),
        ("stay", "stay", "stay", "stay", "stay"),
    ],
)
def test_a_machine_starts_from_its_disk_only_if_nothing_was_written_or_it_is_told_to(
    action: str, untouched: str, written: str, hangs: str, hangs_written: str
) -> None:
    assert failure(action).move == untouched
    assert failure(action, written=True).move == written
    assert failure(action, hangs=True).move == hangs
    assert failure(action, written=True, hangs=True).move == hangs_written


def test_only_a_machine_whose_disks_are_as_they_were_leaves_without_the_servers_knowledge() -> None:
    assert failure("local-boot").delivery_seconds == 600.0
    assert failure("poweroff").delivery_seconds == 600.0
    assert failure("poweroff", written=True).delivery_seconds is None
    assert failure("stay").delivery_seconds is None


def test_the_screen_says_what_comes_next() -> None:
    assert failure("local-boot").next_words(59.6) == (
        "No disk was written. Restarting in 60 s; without other work it starts from its disk. "
        "Keys: p switches off, r restarts."
    )
    assert failure("local-boot", written=True).next_words(float("inf")) == (
        "A disk was written. The machine stays in the Deploy-OS and waits for work. "
        "Keys: p switches off, r restarts."
    )


def test_the_cause_is_shown_every_minute_until_the_machine_leaves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hand, power = HandClock(), RecordedPower()
    departure = Departure(failure("local-boot", delay=150), power, NoKeys(), hand.clock())
    while not departure.is_over():
        hand.wait(10)
    assert power.calls == ["reboot"]
    shown = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert shown[::2] == ["STOPPED RW421: it failed. Do it"] * 3
    assert [text.partition("Restarting in ")[2].partition(";")[0] for text in shown[1::2]] == [
        "150 s",
        "90 s",
        "30 s",
    ]
    assert hand.now == 250.0


@define
class OneKey:
    """A keyboard on which one key is pressed once ``go`` is set."""

    key: str
    go: threading.Event = field(factory=threading.Event)

    def wait(self, stop: threading.Event) -> str:
        self.go.wait(5)
        return "" if stop.is_set() else self.key


@pytest.mark.parametrize(("key", "call"), [("p", "poweroff"), ("r", "reboot")])
def test_a_key_acts_at_once_also_where_the_machine_stays(key: str, call: str) -> None:
    power, keys = RecordedPower(), OneKey(key)
    departure = Departure(failure("stay"), power, keys, HandClock().clock())
    assert not departure.is_over()
    keys.go.set()
    assert power.called.wait(5)
    assert power.calls == [call]


def test_a_key_does_nothing_once_other_work_has_begun() -> None:
    power, keys = RecordedPower(), OneKey("p")
    departure = Departure(failure("local-boot"), power, keys, HandClock().clock())
    departure.call_off()
    keys.go.set()
    assert not departure.is_over()
    assert power.calls == []


# --- keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"p", b"P", b"p\n", b"p\r\n"])
def test_one_key_alone_counts(data: bytes) -> None:
    assert pressed(data) == "p"


@pytest.mark.parametrize(
    "data", [b"", b"x", b"pr", b"\xffp", b"keys: p switches off, r restarts", b"\x1b[p", b"p\np"]
)
def test_an_echo_or_noise_is_no_key(data: bytes) -> None:
    assert pressed(data) == ""


@pytest.fixture
def terminal(tmp_path: Path) -> tuple[int, HostPaths]:
    """Return the end of a terminal at which a person sits, and where the agent finds the other."""
    person, machine = pty.openpty()
    paths = HostPaths(tmp_path / "sys", tmp_path / "proc", tmp_path / "dev")
    active = paths.sysfs / "class/tty/console/active"
    active.parent.mkdir(parents=True)
    active.write_text("tty0 ttyS0 ttyS9\n")
    paths.dev.mkdir()
    (paths.dev / "tty1").write_text("no terminal")
    (paths.dev / "ttyS0").symlink_to(os.ttyname(machine))
    paths.proc.mkdir()
    (paths.proc / "cmdline").write_text("console=ttyS0\n")
    return person, paths


def heard(paths: HostPaths) -> tuple[threading.Thread, threading.Event, list[str]]:
    stop, keys = threading.Event(), list[str]()
    thread = threading.Thread(target=lambda: keys.append(ConsoleKeys(paths).wait(stop)))
    thread.start()
    return thread, stop, keys


def test_a_key_on_a_serial_line_is_heard_without_enter(terminal: tuple[int, HostPaths]) -> None:
    person, paths = terminal
    os.write(person, b"r")  # typed before anybody asked
    thread, _, keys = heard(paths)
    while thread.is_alive():  # until the agent has opened the line
        os.write(person, b"p")
        thread.join(0.6)
    assert keys == ["p"]


def test_what_comes_in_bursts_is_not_heard(terminal: tuple[int, HostPaths]) -> None:
    person, paths = terminal
    thread, stop, keys = heard(paths)
    for _ in range(3):
        os.write(person, b"Keys: p switches off, r restarts.\n")
        thread.join(0.4)
    stop.set()
    thread.join(5)
    assert keys == [""]


def test_a_console_with_a_shell_on_it_is_left_to_that(terminal: tuple[int, HostPaths]) -> None:
    _, paths = terminal
    (paths.proc / "cmdline").write_text("console=ttyS0 rackwright.shell\n")
    assert ConsoleKeys(paths).wait(threading.Event()) == ""


# --- time limits -----------------------------------------------------------------------

WORK = Work(
    "op",
    1,
    (InspectDisks(), Backup("own", DiskSelector()), Finish("reboot")),
    limits=(TimeLimit(1, 1, 60), TimeLimit(0, 1, 3600)),
)


def test_a_limit_counts_from_the_step_that_it_begins_with() -> None:
    hand = HandClock()
    deadlines = Deadlines(WORK, hand.clock())
    hand.wait(10_000)  # nothing was begun: waiting is no step
    deadlines.check()
    deadlines.begin(0)
    hand.wait(3000)
    deadlines.check()
    deadlines.begin(1)
    hand.wait(60)
    deadlines.check()
    hand.wait(1)
    with pytest.raises(TerminalError) as caught:
        deadlines.check()
    assert str(caught.value) == (
        "RW576: step 2 of 3 (backup) did not end within 0:01:00. See the run's log for what it "
        "waited for; give it more time (`timeout`) or run it again."
    )


@define
class FullServer:
    """A transport to a server whose image store has no room at first."""

    refusals: float
    asked: int = 0

    def send(self, method: str, path: str, _body: bytes, *, content_type: str) -> bytes:
        assert content_type == "application/octet-stream"
        self.asked += 1
        said = b'{"code": "RW431", "cause": "the image store /s is full", "action": "Free some."}'
        problem = problem_of(507, f"{method} {path}", said)
        if problem is not None and self.asked <= self.refusals:
            raise problem
        return b""


def test_what_has_no_room_on_the_server_is_sent_again_until_it_has() -> None:
    hand, server = HandClock(), FullServer(refusals=20)
    deadlines = Deadlines(WORK, hand.clock())
    deadlines.begin(0)
    ChunkStore(server, hand.clock(), deadlines.check).put("a" * 64, b"frame")
    assert server.asked == 21
    assert 200 < hand.now - 100 < 20 * 30


@pytest.mark.parametrize(
    ("status", "checked", "kind"),
    [
        (422, True, CorruptChunkError),
        (404, True, CorruptChunkError),
        (404, False, NotAcceptedError),
        (400, True, NotAcceptedError),
        (403, True, RefusedError),
    ],
)
def test_a_chunk_that_the_server_has_not_whole_is_corrupt(
    status: int, kind: type[TerminalError], *, checked: bool
) -> None:
    class Server:
        """A transport to a server that refuses every request."""

        def send(self, method: str, path: str, _body: None, *, content_type: str) -> bytes:
            del content_type
            assert path.endswith("?checked=1") == checked
            said = b'{"code": "RW402", "cause": "no zstd frame", "action": "Verify it."}'
            raise problem_of(status, f"{method} {path}", said) or AssertionError

    hand = HandClock()
    with pytest.raises(kind) as caught:
        ChunkStore(Server(), hand.clock(), list).get("a" * 64, checked=checked)
    assert "RW402 no zstd frame" in caught.value.cause


def test_a_limit_that_passes_meanwhile_says_what_was_waited_for() -> None:
    hand, server = HandClock(), FullServer(refusals=float("inf"))
    deadlines = Deadlines(WORK, hand.clock())
    deadlines.begin(1)
    with pytest.raises(TimeLimitError) as caught:
        ChunkStore(server, hand.clock(), deadlines.check).put("a" * 64, b"frame")
    assert str(caught.value) == (
        "RW576: step 2 of 3 (backup) did not end within 0:01:00: the server has no room for PUT "
        f"/v1/chunks/{'a' * 64}: RW431 the image store /s is full. Free some."
    )
    assert 60 < hand.now - 100 < 60 + 30


def test_the_limit_of_all_steps_names_the_one_under_way() -> None:
    hand = HandClock()
    deadlines = Deadlines(WORK, hand.clock())
    deadlines.begin(0)
    hand.wait(3590)
    deadlines.begin(1)
    hand.wait(20)
    assert deadlines.error().cause == (
        "steps 1 to 2 did not end within 1:00:00: step 2 of 3 (backup) was under way"
    )


def test_a_step_that_cannot_be_stopped_is_left_to_itself() -> None:
    for_ever = threading.Event()
    told = TerminalError("RW576", "step 1 did not end", "x")
    with pytest.raises(StepHangsError, match="RW576: step 1 did not end; the step hangs"):
        run_to_end(for_ever.wait, lambda: told)
    for_ever.set()


def test_a_step_returns_and_raises_as_if_it_were_called() -> None:
    assert run_to_end(lambda: 7, lambda: None) == 7

    def fails() -> None:
        raise TransientError("RW557", "away", "wait")

    with pytest.raises(TransientError):
        run_to_end(fails, lambda: None)


# --- the log ---------------------------------------------------------------------------


def test_the_log_keeps_its_beginning_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    memory = LogMemory()
    logger = logging.getLogger("agent.test")
    caplog.set_level("INFO")
    with memory.attached():
        for number in range(9000):
            logger.info("line %06d of many that are logged", number)
    logger.info("after the end")
    lines = memory.text().splitlines()
    assert lines[0].endswith("line 000000 of many that are logged")
    assert lines[-1].endswith("line 008999 of many that are logged")
    (mark,) = [line for line in lines if "left out here" in line]
    assert mark == f"[... {9000 - len(lines) + 1} lines left out here ...]"
    assert len(memory.text()) < 330 * 1024


def test_a_log_has_the_lines_of_its_own_threads_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    memory = LogMemory(lambda thread: thread.split(" ")[0] == "sim-0001")
    with memory.attached():
        for name in ("sim-0001", "sim-0001 step", "sim-0002"):
            thread = threading.Thread(target=logging.getLogger("x").info, args=(name,), name=name)
            thread.start()
            thread.join()
    lines = memory.text().splitlines()
    assert [line.partition("INFO x: ")[2] for line in lines] == ["sim-0001", "sim-0001 step"]
