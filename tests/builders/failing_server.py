"""The command line, in a process that dies or cannot write at its failpoints.

    python tests/builders/failing_server.py kill REACHED serve
    python tests/builders/failing_server.py kill=POINT REACHED serve
    python tests/builders/failing_server.py full REACHED serve

``kill``: at each failpoint that is not named in the file REACHED yet, it is added there and
the process kills itself; whoever started it does so again and again. ``kill=POINT``: at this one
only. ``full``: at each such write the process is told, once, that the disk is full.
"""

import errno
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from types import FrameType

from sqlalchemy.exc import OperationalError

from agent import failpoint

_WRITERS = frozenset(
    {
        "contextlib.py",
        "database.py",
        "failpoint.py",
        "failing_server.py",
        "store_place.py",
        "whole_file.py",
    }
)
_WRITES = frozenset({"transaction.before", "file.before", "image.before", "restore-test.before"})


class FailingServer:
    """What happens at the failpoints of this process."""

    def __init__(self, mode: str, reached: Path) -> None:
        self._mode, _, self._only = mode.partition("=")
        self._reached = reached
        self._known = set(reached.read_text().split()) if reached.exists() else set()
        self._lock = threading.Lock()

    def watch(self, name: str, what: str) -> None:
        """Let the process fail at a failpoint that was not reached before."""
        point = f"{what or writer(sys._getframe(1))}:{name}"
        with self._lock:
            if point in self._known or self._only not in ("", point):
                return
            self._known.add(point)
            with self._reached.open("a") as file:
                file.write(f"{point}\n")
                file.flush()
                os.fsync(file.fileno())
            if self._mode == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        if self._mode == "full" and name in _WRITES:
            raise disk_full(name)


def writer(frame: FrameType | None) -> str:
    """Return the function that writes, as ``module.Class.function``."""
    while frame is not None and Path(frame.f_code.co_filename).name in _WRITERS:
        frame = frame.f_back
    assert frame is not None
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}"


def disk_full(name: str) -> Exception:
    """Return what is raised where the disk is full: by SQLite, or by the kernel."""
    if name.startswith("transaction"):
        said = sqlite3.OperationalError("database or disk is full")
        return OperationalError("COMMIT", {}, said)
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


if __name__ == "__main__":
    mode, reached, *arguments = sys.argv[1:]
    failpoint.watch = FailingServer(mode, Path(reached)).watch
    from reconciler.cli.main import main

    sys.argv = ["rackwright", *arguments]
    main()
