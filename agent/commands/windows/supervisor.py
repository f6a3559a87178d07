"""Runs one program of Windows with all that it starts, apart from the agent: a process of its own.

What ``agent.commands.supervisor`` is on Linux, with the same order and the same answer.
``agent.commands.supervised`` starts this file by its path, with the standard library alone. The
program and all that it starts are in a job object (Microsoft, "Job Objects"): nothing leaves it,
and all of it is ended at once. The job does not end with this process's own handle, and this
process not with the agent: an installer is never ended half-way because of that. What Windows' own
services do for a program is not in its job, above all the installing part of Windows Installer.

    standard input   the order, one line; later one byte: end the program
    standard output  what the program prints, both streams in one
    standard error   one line of JSON when all is over
"""

import ctypes
import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from typing import Any

_PIECE = 64 << 10
_LOOK_SECONDS = 0.5
_REST_SECONDS = 10.0  # within which the agent takes what is left in the pipe
_LITTLE_SECONDS = 0.1
"""Of processor time: a program that waits for somebody wakes up now and then."""
_UNITS = 10_000_000  # a second in units of FILETIME
_RECENT = 1000  # bytes
_SUSPENDED, _NO_WINDOW = 0x4, 0x0800_0000
_ACCOUNTING = 1  # JobObjectBasicAccountingInformation
_ENDED = 1  # the status that ended processes get; nobody reads it


class _Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION."""

    _fields_ = [
        ("user", ctypes.c_int64),
        ("kernel", ctypes.c_int64),
        ("user_of_period", ctypes.c_int64),
        ("kernel_of_period", ctypes.c_int64),
        ("page_faults", ctypes.c_uint32),
        ("processes", ctypes.c_uint32),
        ("active", ctypes.c_uint32),
        ("terminated", ctypes.c_uint32),
    ]


class Job:
    """A job object."""

    def __init__(self) -> None:
        self._kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
        self._native: Any = ctypes.WinDLL("ntdll")  # type: ignore[attr-defined,unused-ignore]
        self._kernel.CreateJobObjectW.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(self._kernel.CreateJobObjectW(None, None))
        self._require(self._handle.value)

    def take(self, process: int) -> None:
        """Put a suspended process, by its handle, into the job, and let it run. Raises OSError."""
        handle = ctypes.c_void_p(process)
        self._require(self._kernel.AssignProcessToJobObject(self._handle, handle))
        self._require(self._native.NtResumeProcess(handle) == 0)

    def use(self) -> tuple[float, int, int]:
        """Return the seconds of processor time, how many processes there were, and how many are."""
        found = _Accounting()
        size = ctypes.c_uint32(ctypes.sizeof(found))
        place = ctypes.byref(found)
        query = self._kernel.QueryInformationJobObject
        self._require(query(self._handle, _ACCOUNTING, place, size, None))
        return (found.user + found.kernel) / _UNITS, found.processes, found.active

    def end(self) -> None:
        """End all that is in it."""
        self._kernel.TerminateJobObject(self._handle, _ENDED)

    @staticmethod
    def _require(done: object) -> None:
        if not done:
            raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined,unused-ignore]


class Supervision:
    """One program and what it has started, until all have ended."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._job = Job()
        self._printed = time.monotonic()
        self._recent = b""  # of the output
        self._is_unwanted = threading.Event()

    def run(self) -> dict[str, Any]:
        """Start the program and return how it ended; OSError where it cannot be started."""
        begun = time.monotonic()
        process = self._started()
        reader = threading.Thread(target=self._pass_on, args=(process.stdout,), daemon=True)
        reader.start()
        threading.Thread(target=self._hear, daemon=True).start()
        why = self._until_all_ended(process, begun)
        prompt = last_line(self._recent) if why else ""
        if why:
            self._job.end()
            process.wait()
        # What it left in the background, or what a service got from it, may hold the pipe open.
        reader.join(_REST_SECONDS if why or self._order["wait_for_all"] else _LOOK_SECONDS)
        return {
            "status": None if why else process.returncode & 0xFFFF_FFFF,
            "why": why,
            "seconds": time.monotonic() - begun,
            "prompt": prompt,
            "left_behind": [],
        }

    def _started(self) -> subprocess.Popen[bytes]:
        order = self._order
        process = subprocess.Popen(
            order["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=order["environment"],
            cwd=order["cwd"],
            creationflags=_SUSPENDED | _NO_WINDOW,
        )
        try:
            self._job.take(int(process._handle))  # type: ignore[attr-defined,unused-ignore]  # noqa: SLF001 - it has no public name
        except BaseException:
            process.kill()
            raise
        return process

    def _until_all_ended(self, process: subprocess.Popen[bytes], begun: float) -> str:
        """Wait; return why it has to be ended, empty where it ended by itself."""
        active, before = begun, (-1.0, 0)
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
            seconds, processes, running = self._job.use()
            if process.returncode is not None:
                if not running or not self._order["wait_for_all"]:
                    return ""
                self._is_unwanted.wait(_LOOK_SECONDS)
            if self._is_unwanted.is_set():
                return "stopped"
            now = time.monotonic()
            if processes != before[1] or seconds > before[0] + _LITTLE_SECONDS:
                active, before = now, (seconds, processes)
            if now - begun > self._order["timeout"]:
                return "timed-out"
            if now - max(active, self._printed) > self._order["silence"]:
                return "silent"

    def _pass_on(self, output: Any) -> None:  # noqa: ANN401 - a pipe
        """Give the agent what the program prints; it is read also when the agent is gone."""
        is_heard = True
        while piece := os.read(output.fileno(), _PIECE):
            self._printed = time.monotonic()
            self._recent = (self._recent + piece)[-_RECENT:]
            while is_heard and piece:
                try:
                    piece = piece[os.write(1, piece) :]
                except OSError:
                    is_heard = False

    def _hear(self) -> None:
        """Take an order to end the program; the agent's own end is none."""
        if os.read(0, 1):
            self._is_unwanted.set()


def last_line(output: bytes) -> str:
    """Return the last line with something on it, in the code page of consoles."""
    lines = [line.strip() for line in output.decode("oem", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def lock(path: str) -> None:
    """Return once this process has locked the file, for as long as it lives."""
    import msvcrt  # noqa: PLC0415 - Windows has it alone

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    while True:
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            return
        time.sleep(_LOOK_SECONDS)


def main() -> int:
    """Do the order that standard input has."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (piece := os.read(0, 1)):
            return 1
        line += piece
    order = json.loads(line)
    try:
        if order["lock"] is not None:
            lock(order["lock"])
        answer = Supervision(order).run()
    except OSError as error:
        answer = {"error": error.strerror or str(error), "errno": error.errno}
    try:
        os.write(2, json.dumps(answer).encode() + b"\n")
    except OSError:  # the agent is gone
        return 1
    return 0


if __name__ == "__main__":
    os._exit(main())  # a thread may still read
