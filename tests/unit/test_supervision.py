"""Long-lived tasks: what ends one, what follows, and when the process ends."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.errors import TerminalError
from providers.supervision import (
    EXIT_STANDSTILL,
    LONGEST_PAUSE,
    STABLE,
    ServiceManager,
    SupervisionError,
    Supervisor,
    Watchdog,
)
from tests.unit.virtual_time import VirtualTime


def supervisor(time: VirtualTime, jitter: float = 1.0, **more) -> Supervisor:
    return Supervisor(clock=time, sleep=time.sleep, jitter=lambda: jitter, **more)


@pytest.fixture(autouse=True)
def logs():
    """Keep the log: rendering a traceback for a terminal takes longer than the test."""
    with capture_logs() as entries:
        yield entries


class Task:
    """Runs for the given seconds each time, then does what it is told."""

    def __init__(self, time: VirtualTime, lasts: float = 0.0, error: Exception | None = None):
        self.time, self.lasts, self.error = time, lasts, error
        self.begun: list[float] = []

    async def __call__(self) -> None:
        self.begun.append(self.time.now)
        await self.time.sleep(self.lasts)
        if self.error is not None:
            raise self.error


async def test_a_task_that_raises_is_logged_once_per_failure_and_started_again(logs):
    time = VirtualTime()
    task = Task(time, error=ValueError("a\nb"))
    async with supervisor(time) as owner:
        owner.start("leases", task)
        await time.pass_by(1.5)
    assert task.begun == [0.0, 1.0]
    assert [entry for entry in logs if entry["log_level"] != "debug"] == [
        {
            "event": "task failed",
            "log_level": "error",
            "task": "leases",
            "cause": "ValueError: a b",
            "again_in": pause,
        }
        for pause in (1.0, 2.0)
    ]
    assert all("exc_info" in entry for entry in logs if entry["log_level"] == "debug")


async def test_a_coded_error_is_logged_as_it_reads(logs):
    time = VirtualTime()
    async with supervisor(time) as owner:
        owner.start("x", Task(time, error=TerminalError("RW302", "no eth0", "Plug it in")))
        await time.pass_by(0)
    assert logs[-1]["cause"] == "RW302: no eth0. Plug it in."


@pytest.mark.parametrize(("jitter", "begun"), [(1.0, [0, 1, 3, 7, 15, 31]), (0.0, [0, 0.5, 1.5])])
async def test_pauses_double_and_jitter_halves_them_at_most(jitter, begun):
    time = VirtualTime()
    task = Task(time, error=ValueError())
    async with supervisor(time, jitter) as owner:
        owner.start("x", task)
        await time.pass_by(begun[-1])
    assert task.begun == begun


@given(
    st.lists(st.integers(0, 2 * int(STABLE)), min_size=1, max_size=30),
    st.sampled_from([0.0, 0.5, 1.0]),  # exact in binary, as are all times of this test
)
def test_pauses_stay_in_their_bounds_and_start_anew_after_a_stable_run(runs, jitter):
    time, begun, left = VirtualTime(), [], list(runs)

    async def task():
        begun.append(time.now)
        await time.sleep(left.pop(0) if left else 10 * STABLE)
        raise ValueError

    async def scenario():
        async with supervisor(time, jitter) as owner:
            owner.start("x", task)
            await time.pass_by(len(runs) * (3 * STABLE))

    asyncio.run(scenario())
    failures = 0
    for length, start, again in zip(runs, begun, begun[1:], strict=False):
        failures = 1 if length >= STABLE else failures + 1
        pause = again - start - length
        expected = min(LONGEST_PAUSE, 2 ** (failures - 1)) * (1 + jitter) / 2
        assert pause == pytest.approx(expected, abs=1e-6)


async def test_a_task_that_returns_is_started_again():
    time = VirtualTime()
    task = Task(time)
    async with supervisor(time) as owner:
        owner.start("x", task)
        await time.pass_by(1)
        assert owner.health()[0].cause == "it returned"
    assert len(task.begun) == 2


async def test_a_task_that_may_end_is_left_alone():
    time = VirtualTime()
    task = Task(time)
    async with supervisor(time) as owner:
        owner.start("x", task, may_end=True)
        await time.pass_by(1000)
        assert owner.health() == ()
        owner.start("x", task, may_end=True)  # the name is free again
    assert len(task.begun) == 1


async def test_a_cancelled_future_inside_a_task_does_not_end_it():
    time = VirtualTime()
    begun = []

    async def waits_for_the_cancelled():
        begun.append(time.now)
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async with supervisor(time) as owner:
        owner.start("x", waits_for_the_cancelled)
        await time.pass_by(1)
    assert begun == [0, 1]


async def test_one_task_does_not_disturb_another():
    time = VirtualTime()
    well = Task(time, lasts=10_000)
    async with supervisor(time) as owner:
        owner.start("ill", Task(time, error=ValueError()))
        owner.start("well", well, essential=True)
        await time.pass_by(1000)
        assert [(task.name, task.failing_seconds) for task in owner.health()] == [
            ("ill", 1000),
            ("well", None),
        ]
    assert well.begun == [0]


async def test_health_says_since_when_and_why():
    time = VirtualTime()
    async with supervisor(time) as owner:
        owner.start("x", Task(time, lasts=20, error=ValueError("no")), essential=True)
        await time.pass_by(10)
        (health,) = owner.health()
        assert health.failing_seconds is None
        await time.pass_by(20)  # failed at 20, again at 21
        (health,) = owner.health()
        assert health.failing_seconds == 10
        assert health.cause == "ValueError: no"


async def test_health_forgets_a_failure_after_a_stable_run():
    time = VirtualTime()
    errors = [ValueError("once")]

    async def fails_once():
        if errors:
            raise errors.pop()
        await time.sleep(10 * STABLE)

    async with supervisor(time) as owner:
        owner.start("x", fails_once)
        await time.pass_by(STABLE + 2)
        (health,) = owner.health()
        assert (health.failing_seconds, health.cause) == (None, "")


async def test_an_essential_task_that_keeps_failing_ends_the_body_with_its_cause():
    time = VirtualTime()
    owner = supervisor(time, failing_bound=300)
    cancelled = []

    async def body():
        async with owner:
            owner.start("netboot", Task(time, error=OSError("no disk")), essential=True)
            try:
                await time.pass_by(1000)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    with pytest.raises(SupervisionError) as caught:
        await body()
    assert cancelled
    assert time.now < 300 + LONGEST_PAUSE
    assert owner.error is caught.value
    assert str(caught.value) == (
        "RW890: the task 'netboot' keeps failing for 5 minutes, at last with: OSError: no disk. "
        "Remove the cause and start the process again."
    )
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_task_that_is_not_essential_may_fail_for_ever():
    time = VirtualTime()
    task = Task(time, error=ValueError())
    async with supervisor(time) as owner:
        owner.start("x", task)
        await time.pass_by(6 * 3600)
    assert len(task.begun) > 300


async def test_an_essential_task_that_recovers_is_given_its_whole_time_again():
    time = VirtualTime()
    task = Task(time, lasts=STABLE, error=ValueError())
    async with supervisor(time) as owner:
        owner.start("x", task, essential=True)
        await time.pass_by(3600)
    assert owner.error is None


async def test_leaving_ends_all_tasks_and_hides_no_other_error():
    time = VirtualTime()
    ended = []

    async def task():
        try:
            await time.sleep(1000)
        finally:
            ended.append(True)

    async def body():
        async with supervisor(time) as owner:
            owner.start("x", task)
            await time.rest()
            raise KeyError

    with pytest.raises(KeyError):
        await body()
    assert ended == [True]


async def test_a_cancelled_body_stays_cancelled():
    time = VirtualTime()

    async def body():
        async with supervisor(time) as owner:
            owner.start("x", Task(time, lasts=10))
            await time.sleep(1000)

    task = asyncio.create_task(body())
    await time.rest()
    task.cancel()
    await time.rest()
    assert task.cancelled()


async def test_two_tasks_of_one_name_are_a_mistake():
    time = VirtualTime()
    async with supervisor(time) as owner:
        owner.start("x", Task(time, lasts=10))
        with pytest.raises(ValueError, match="a task 'x' already"):
            owner.start("x", Task(time))


# --- the service manager and the watchdog ----------------------------------------------


@pytest.fixture
def notifications(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(0)
        yield sock


def received(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(100))
        except BlockingIOError:
            return found


def manager(sock: socket.socket, **more: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": sock.getsockname(), **more})


def test_systemd_is_told(notifications):
    told = manager(notifications, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    told.ready()
    told.alive()
    told.stopping()
    assert received(notifications) == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    assert told.watchdog_seconds == 30


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}]
)
def test_without_a_watchdog_of_our_own_no_sign_of_life_is_sent(notifications, environment):
    manager(notifications, **environment).alive()
    assert received(notifications) == []


def test_the_abstract_name_space_is_known():
    name = f"rackwright-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        sock.settimeout(1)
        assert sock.recv(100) == b"READY=1"


def test_a_service_manager_that_is_gone_disturbs_nothing(tmp_path):
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    ServiceManager({}).ready()


async def test_signs_of_life_stop_while_something_essential_fails(notifications):
    time = VirtualTime()
    healthy = [True]
    watchdog = Watchdog(
        manager(notifications, WATCHDOG_USEC="30000000"), lambda: healthy[0], sleep=time.sleep
    )
    task = asyncio.create_task(watchdog.run())
    await time.pass_by(10)
    assert len(received(notifications)) == 11
    healthy[0] = False
    await time.pass_by(10)
    assert received(notifications) == []
    task.cancel()
    await asyncio.wait([task])


async def test_a_loop_that_stands_still_is_reported_with_its_place():
    reported = threading.Event()
    reasons = []

    def end(reason: str) -> None:
        reasons.append(reason)
        reported.set()

    task = asyncio.create_task(Watchdog(ServiceManager({}), lambda: True, bound=0.2, end=end).run())
    await asyncio.sleep(0)
    assert reported.wait(10)  # stands still in here
    task.cancel()
    await asyncio.wait([task])
    assert reasons[0].startswith("the event loop has not turned for 0.2 s, it is in threading.py:")


STANDSTILL = """
import asyncio
from providers.supervision import ServiceManager, Supervisor, Watchdog

def stands_still():
    while True:
        pass

async def main():
    async with Supervisor() as supervisor:
        watchdog = Watchdog(ServiceManager({}), lambda: supervisor.error is None, bound=0.3)
        supervisor.start("watchdog", watchdog.run)
        await asyncio.sleep(0)
        stands_still()

asyncio.run(main())
"""


def test_a_process_that_stands_still_ends_with_70_and_one_line():
    done = subprocess.run(
        [sys.executable, "-c", STANDSTILL],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == EXIT_STANDSTILL
    (line,) = (done.stdout + done.stderr).splitlines()
    assert "the event loop has not turned for 0.3 s, it is in <string>:" in line
    assert line.rstrip("'").endswith("stands_still")
