"""Keys that a person presses at the machine: on its screen's keyboard or a serial line."""

import os
import select
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent.inspection.host_paths import HostPaths, read_line

if sys.platform != "win32":  # which has no consoles of this kind, and no Deploy-OS
    import termios
    import tty

_LOOK_SECONDS = 0.5
_QUIET_SECONDS = 0.3
_PIECE = 4096
_SHELL = "rackwright.shell"
KEYS = ("p", "r")


class ConsoleKeys:
    """The consoles of the machine that the kernel writes to; none where a shell has them."""

    def __init__(self, paths: HostPaths) -> None:
        self._paths = paths

    def wait(self, stop: threading.Event) -> str:
        """Return the key that was pressed; empty once ``stop`` is set, or without a console."""
        with _opened(self._terminals()) as terminals:
            while terminals and not stop.is_set():
                ready, _, _ = select.select(terminals, (), (), _LOOK_SECONDS)
                for terminal in ready:
                    data = _read(terminal)
                    if not data:
                        terminals.remove(terminal)  # it was hung up
                    elif key := pressed(data):
                        return key
        return ""

    def _terminals(self) -> Iterator[Path]:
        if _SHELL in read_line(self._paths.proc / "cmdline").split():
            return
        for name in read_line(self._paths.sysfs / "class/tty/console/active").split():
            yield self._paths.dev / ("tty1" if name == "tty0" else name)


def pressed(data: bytes) -> str:
    """Return the key if ``data``, all that came before a pause, is one key; else nothing.

    A serial line that returns what is written to it, or only noise, brings more than that.
    """
    key = data.decode("ascii", "replace").strip("\r\n").lower()
    return key if key in KEYS else ""


@contextmanager
def _opened(paths: Iterator[Path]) -> Iterator[list[int]]:
    """Open terminals so that each key arrives at once; those that cannot be are left out."""
    with ExitStack() as stack:
        found: list[int] = []
        for path in paths:
            with suppress(OSError, termios.error):
                found.append(stack.enter_context(_each_key(path)))
        yield found


@contextmanager
def _each_key(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor, termios.TCSAFLUSH)  # what was typed before is thrown away
        try:
            yield descriptor
        finally:
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
    finally:
        os.close(descriptor)


def _read(terminal: int) -> bytes:
    """Return what came, with all that follows without a pause."""
    data = b""
    rest: Sequence[int] = [terminal]
    while rest and len(data) < _PIECE:
        with suppress(BlockingIOError):
            piece = os.read(terminal, _PIECE)
            if not piece:
                return data
            data += piece
        rest, _, _ = select.select([terminal], (), (), _QUIET_SECONDS)
    return data
