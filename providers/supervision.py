"""Long-lived tasks that are never lost silently, and a watchdog for the event loop.

A task that ends is logged with its cause and started again. A task that the process cannot
do without and that keeps failing ends the process, and so does an event loop that stands
still: a service manager starts the process again, and a person sees why it ended.
"""

import asyncio
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import structlog

from agent.errors import TerminalError, one_line

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
STABLE = 60.0
"""Seconds a task has to run before its earlier failures are forgotten."""
FAILING_BOUND = 300.0
"""Seconds that an essential task may keep failing."""
LOOP_BOUND = 60.0
"""Seconds that the event loop may stand still."""
EXIT_STANDSTILL = 70
"""EX_SOFTWARE of sysexits.h."""
_BEAT = 1.0
_LOOKS = 10

Run = Callable[[], Awaitable[object]]
Sleep = Callable[[float], Awaitable[object]]

log = structlog.get_logger(__name__)


class SupervisionError(TerminalError):
    """A task that the process cannot do without keeps failing (RW890)."""


@dataclass(frozen=True, slots=True)
class TaskHealth:
    """How one supervised task does.

    ``failing_seconds`` is the time since the first failure that was not followed by
    ``STABLE`` seconds of work, None while the task is well; ``cause`` is then the last one.
    """

    name: str
    failing_seconds: float | None
    cause: str


class _Supervised:
    """The record of one task."""

    def __init__(self, name: str, run: Run, *, essential: bool, may_end: bool) -> None:
        self.name = name
        self.run = run
        self.essential = essential
        self.may_end = may_end
        self.running_since: float | None = None
        self.failing_since: float | None = None
        self.cause = ""
        self.failures = 0

    def failed(self, cause: str, now: float) -> None:
        """Note the end of a run."""
        self.forget_old_failures(now)
        self.running_since = None
        if self.failing_since is None:
            self.failing_since = now
        self.cause = cause
        self.failures += 1

    def forget_old_failures(self, now: float) -> None:
        """Forget earlier failures if the present run has been stable."""
        if self.running_since is not None and now - self.running_since >= STABLE:
            self.failing_since, self.failures, self.cause = None, 0, ""


class Supervisor:
    """Owns long-lived tasks; an asynchronous context manager that ends them all.

    When an essential task has failed for ``failing_bound`` seconds, the body of the
    ``async with`` is cancelled and the context ends with ``SupervisionError`` RW890, as
    ``asyncio.TaskGroup`` does for a failure. ``clock`` is monotonic, in seconds; ``jitter``
    returns a number from 0 to 1.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        failing_bound: float = FAILING_BOUND,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._failing_bound = failing_bound
        self._supervised: dict[str, _Supervised] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._body: asyncio.Task[object] | None = None
        self._error: SupervisionError | None = None

    async def __aenter__(self) -> Self:
        """Remember whom to stop."""
        self._body = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all tasks; raise ``SupervisionError`` if one of them was the reason."""
        del error, traceback
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._error is None or self._body is None:
            return
        others = self._body.uncancel()
        if kind is None or (kind is asyncio.CancelledError and others == 0):
            raise self._error from None

    def start(self, name: str, run: Run, *, essential: bool = False, may_end: bool = False) -> None:
        """Run ``run()`` until the context ends, again and again if need be.

        ``name`` is unique. A return is a failure as an exception is, unless ``may_end``.
        """
        if name in self._supervised:
            raise ValueError(f"there is a task {name!r} already")
        supervised = _Supervised(name, run, essential=essential, may_end=may_end)
        self._supervised[name] = supervised
        task = asyncio.get_running_loop().create_task(self._keep(supervised), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def health(self) -> tuple[TaskHealth, ...]:
        """Return how each task does, in the order in which they were started."""
        now = self._clock()
        for supervised in self._supervised.values():
            supervised.forget_old_failures(now)
        return tuple(
            TaskHealth(each.name, None if since is None else now - since, each.cause)
            for each in self._supervised.values()
            for since in (each.failing_since,)
        )

    @property
    def error(self) -> SupervisionError | None:
        """The failure of an essential task that ends the process, None if there is none."""
        return self._error

    async def _keep(self, supervised: _Supervised) -> None:
        while self._error is None:
            cause = await self._run_once(supervised)
            if cause is None:
                del self._supervised[supervised.name]
                return
            now = self._clock()
            supervised.failed(cause, now)
            if supervised.essential and self._is_beyond_bound(supervised, now):
                self._give_up(supervised)
                return
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(supervised.failures - 1, 16))
            pause *= (1 + self._jitter()) / 2
            log.error("task failed", task=supervised.name, cause=cause, again_in=round(pause, 1))
            await self._sleep(pause)

    async def _run_once(self, supervised: _Supervised) -> str | None:
        """Return why the run ended, None if it was allowed to."""
        supervised.running_since = self._clock()
        try:
            await supervised.run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return "something that it waited for was cancelled"
        except Exception as error:
            log.debug("task failed", task=supervised.name, exc_info=error)
            return one_line(error)
        return None if supervised.may_end else "it returned"

    def _is_beyond_bound(self, supervised: _Supervised, now: float) -> bool:
        since = supervised.failing_since
        return since is not None and now - since >= self._failing_bound

    def _give_up(self, supervised: _Supervised) -> None:
        minutes = self._failing_bound / 60
        self._error = SupervisionError(
            "RW890",
            f"the task {supervised.name!r} keeps failing for {minutes:g} minutes, "
            f"at last with: {supervised.cause}",
            "Remove the cause and start the process again",
        )
        log.critical("task given up", task=supervised.name, cause=supervised.cause)
        if self._body is not None:
            self._body.cancel()


class ServiceManager:
    """systemd's notification socket (sd_notify(3)); without one nothing is sent."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        pid = environment.get("WATCHDOG_PID", str(os.getpid()))
        wanted = microseconds.isdecimal() and pid == str(os.getpid())
        self.watchdog_seconds = int(microseconds) / 1e6 if wanted else None
        """How long systemd waits for a sign of life, None if it does not."""

    def ready(self) -> None:
        """Say that the service is up."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """Say that the service works."""
        if self.watchdog_seconds is not None:
            self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send(b"STOPPING=1")

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        # An address that begins with @ is one of the abstract name space (unix(7)).
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0)
                sock.sendto(message, address)
        except OSError as error:
            log.debug("service manager not told", reason=str(error))


class Watchdog:
    """Tells the service manager that the loop turns, and ends a process whose loop does not.

    ``run`` is a task for a ``Supervisor``. ``healthy`` says whether to tell the service
    manager; ``end`` gets the line to log and ends the process. A thread looks ten times per
    ``bound``: it counts looks, not seconds, so that a process that was stopped for a while
    (SIGSTOP, a paused virtual machine) is not taken for one that stands still.
    """

    def __init__(
        self,
        manager: ServiceManager,
        healthy: Callable[[], bool],
        *,
        bound: float = LOOP_BOUND,
        sleep: Sleep = asyncio.sleep,
        end: Callable[[str], None] | None = None,
    ) -> None:
        self._manager = manager
        self._healthy = healthy
        self._bound = bound
        self._sleep = sleep
        self._end = end or _end_process
        self._turns = 0

    async def run(self) -> None:
        """Feed the service manager and watch the loop, until cancelled."""
        stop = threading.Event()
        thread = threading.Thread(
            target=self._watch, args=(stop, threading.get_ident()), name="watchdog", daemon=True
        )
        thread.start()
        seconds = min(_BEAT, self._bound / _LOOKS, (self._manager.watchdog_seconds or 60) / 3)
        try:
            while True:
                self._turns += 1
                if self._healthy():
                    self._manager.alive()
                await self._sleep(seconds)
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event, loop_thread: int) -> None:
        seen, missed = -1, 0
        while not stop.wait(self._bound / _LOOKS):
            missed = missed + 1 if seen == self._turns else 0
            seen = self._turns
            if missed >= _LOOKS:
                place = _place(sys._current_frames().get(loop_thread))  # noqa: SLF001 - documented
                self._end(f"the event loop has not turned for {self._bound:g} s, it is in {place}")
                return


def _place(frame: FrameType | None) -> str:
    """Return the innermost call of ours, else the innermost one."""
    here = frame
    while here is not None and "site-packages" in here.f_code.co_filename:
        here = here.f_back
    here = here or frame
    if here is None:
        return "an unknown place"
    return f"{Path(here.f_code.co_filename).name}:{here.f_lineno} {here.f_code.co_name}"


def _end_process(reason: str) -> None:
    with suppress(Exception):  # whatever is wrong with the log, the process ends
        log.critical("watchdog ends the process", reason=reason)
        sys.stderr.flush()
    os._exit(EXIT_STANDSTILL)
