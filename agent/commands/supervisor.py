"""Runs one program with all that it starts, apart from the agent: a process of its own.

``agent.commands.supervised`` starts this file by its path, with the standard library alone. It
reads a line of JSON from standard input, starts the program, and passes on what it prints. It is
the subreaper of all that the program starts (prctl(2)): what loses its parent becomes its child,
and nothing leaves the tree by forking or by a session of its own. So it knows when all have ended,
and can end all. It goes on when the agent dies: an installer is never ended half-way because of
that, and what it prints is then read all the same.

    standard input   the order, one line; later one byte: end the program
    standard output  what the program prints, both streams in one
    standard error   one line of JSON when all is over
"""

import ctypes
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
_PIECE = 64 << 10
_MOST_WAITING = 1 << 20  # bytes that a stopped agent has not taken yet
_GRACE_SECONDS = 5.0  # between asking a program to end and ending it
_LOOK_SECONDS = 0.5
_LITTLE_TICKS = 10
"""Of CPU time (100 a second): a program that waits for somebody wakes up now and then."""
_MOST_NAMES = 20
_RECENT = 1000  # bytes


class Supervision:
    """One program and what it has started, until all have ended."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting = bytearray()  # for standard output
        self._agent_reads = True
        self._status: int | None = None
        self._why = ""
        self._ended_ones: list[str] = []
        self._recent = b""  # of the output
        self._prompt = ""
        self._selector = selectors.DefaultSelector()

    def run(self) -> dict[str, Any]:
        """Start the program and return how it ended; OSError where it cannot be started."""
        begun = time.monotonic()
        self._selector.register(wakened_by_signals(), selectors.EVENT_READ, "signal")
        self._process = self._started()
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was asked for
        os.set_blocking(output.fileno(), False)
        os.set_blocking(1, False)
        self._selector.register(output, selectors.EVENT_READ, "output")
        self._selector.register(0, selectors.EVENT_READ, "order")
        self._until_all_ended(begun)
        self._take_output(output.fileno())  # what is left in the pipe
        self._pass_on(to_the_end=True)
        return {
            "status": self._status,
            "why": self._why,
            "seconds": time.monotonic() - begun,
            "prompt": self._prompt,
            "left_behind": self._ended_ones[:_MOST_NAMES],
        }

    def _started(self) -> subprocess.Popen[bytes]:
        order = self._order
        user: dict[str, Any] = {}
        if order["user"] is not None:
            number, group, groups = order["user"]
            user = {"user": number, "group": group, "extra_groups": groups}
        return subprocess.Popen(
            order["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=order["environment"],
            cwd=order["cwd"],
            start_new_session=True,
            **user,
        )

    def _until_all_ended(self, begun: float) -> None:
        active = begun
        activity = (-1, frozenset[int]())
        while self._reap():
            if self._attend(_LOOK_SECONDS):
                active = time.monotonic()
            if self._why:
                self._end_all()
                continue
            now = time.monotonic()
            ticks, members = cpu_use(os.getpid())
            if members != activity[1] or ticks > activity[0] + _LITTLE_TICKS:
                active, activity = now, (ticks, members)
            if now - begun > self._order["timeout"]:
                self._why = "timed-out"
            elif now - active > self._order["silence"]:
                self._why = "silent"
            if self._why:
                self._prompt = last_line(self._recent)
                self._ended_ones = [name_of(member) for member in sorted(members)]

    def _attend(self, seconds: float) -> bool:
        """Wait for something to do and do it; return whether the program printed something."""
        some = False
        for key, _ in self._selector.select(seconds):
            if key.data == "output":
                some = self._take_output(key.fd) or some
            elif key.data == "order":
                self._hear()
            elif key.data == "agent":
                self._pass_on()
            else:
                os.read(key.fd, _PIECE)
        return some

    def _reap(self) -> bool:
        """Take in all that have ended; return whether something still has to be waited for."""
        assert self._process is not None  # noqa: S101 - it was started
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                break
            if process == self._process.pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                if not self._why:  # else it is how the supervision ended it
                    self._status = self._process.returncode
        alone = self._process.returncode is not None and not self._order["wait_for_all"]
        return not alone or bool(self._why)

    def _take_output(self, descriptor: int) -> bool:
        """Read what is there; return whether something was."""
        some = False
        while True:
            try:
                piece = os.read(descriptor, _PIECE)
            except BlockingIOError:
                break
            if not piece:
                if descriptor in self._selector.get_map():
                    self._selector.unregister(descriptor)
                break
            some = True
            self._recent = (self._recent + piece)[-_RECENT:]
            self._waiting += piece
            del self._waiting[:-_MOST_WAITING]
            self._pass_on()
            if len(piece) < _PIECE:
                break
        return some

    def _pass_on(self, *, to_the_end: bool = False) -> None:
        """Give the agent what it takes; what it does not take is kept, up to a bound."""
        if to_the_end and self._agent_reads:
            os.set_blocking(1, True)
        while self._waiting and self._agent_reads:
            try:
                del self._waiting[: os.write(1, self._waiting[:_PIECE])]
            except BlockingIOError:
                break
            except OSError:  # the agent is gone
                self._agent_reads = False
                self._waiting.clear()
        registered = 1 in self._selector.get_map()
        if self._waiting and not registered:
            self._selector.register(1, selectors.EVENT_WRITE, "agent")
        elif not self._waiting and registered:
            self._selector.unregister(1)

    def _hear(self) -> None:
        """Take an order to end the program; the agent's own end is none."""
        if not os.read(0, 1):
            self._selector.unregister(0)
        elif not self._why:
            self._why = "stopped"

    def _end_all(self) -> None:
        """End the whole tree: politely, and then by stopping all before any is ended.

        A stopped process starts no others, so that none is missed.
        """
        for member in members_of(os.getpid()):
            signal_to(member, signal.SIGTERM)
            signal_to(member, signal.SIGCONT)
        late = time.monotonic() + _GRACE_SECONDS
        while self._reap() and time.monotonic() < late:
            self._attend(0.1)
        stopped: set[int] = set()
        while new := members_of(os.getpid()) - stopped:
            for member in new:
                signal_to(member, signal.SIGSTOP)
            stopped |= new
        for member in stopped:
            signal_to(member, signal.SIGKILL)
        while self._reap():
            self._attend(0.1)


def last_line(output: bytes) -> str:
    """Return the last line with something on it."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def wakened_by_signals() -> int:
    """Return a descriptor that has something to read after each signal."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def write(*_: object) -> None:
        with suppress(BlockingIOError):
            os.write(writing, b"x")

    # What the agent's starter had ignored would be ignored by the program, too. Python's own
    # (SIGPIPE and its like) are given back by subprocess.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    # Handlers, and not SIG_IGN, which the program would inherit. What ends the agent's session or
    # service politely is not for the installer.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, write)
    return reading


def members_of(ancestor: int) -> set[int]:
    """Return the processes below ``ancestor`` that have not ended (proc(5))."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - fewer imports
        if name.isdigit() and (fields := stat_of(name)) and fields[0] != "Z":
            parents[int(name)] = int(fields[1])
    members: set[int] = set()
    wanted = {ancestor}
    while wanted:
        wanted = {process for process, parent in parents.items() if parent in wanted} - members
        members |= wanted
    return members


def cpu_use(ancestor: int) -> tuple[int, frozenset[int]]:
    """Return the CPU time, in ticks, of all processes below ``ancestor``, and which they are."""
    members = members_of(ancestor)
    ticks = 0
    for member in members:
        if fields := stat_of(str(member)):
            ticks += sum(int(field) for field in fields[11:15])
    return ticks, frozenset(members)


def stat_of(process: str) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the state on; none where it is gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - fewer imports
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def name_of(process: int) -> str:
    """Return the name of a program; empty where it is gone."""
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - fewer imports
            return file.read().strip()
    except OSError:
        return ""


def signal_to(process: int, number: int) -> None:
    """Send a signal to who may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def main() -> int:
    """Do the order that standard input has."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (piece := os.read(0, 1)):
            return 1
        line += piece
    order = json.loads(line)
    try:
        if order["lock"] is not None:  # as long as this process is there
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fcntl.flock(os.open(order["lock"], flags, 0o600), fcntl.LOCK_EX)
        answer = Supervision(order).run()
    except OSError as error:
        answer = {"error": error.strerror or str(error), "errno": error.errno}
    try:
        os.write(2, json.dumps(answer).encode() + b"\n")
    except OSError:  # the agent is gone
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
