"""One server for one state directory.

A server holds an exclusive lock (``flock(2)``) on a file of the directory as long as it lives, and
writes its process id there. Commands that want to know whether a server runs take a shared lock for
a moment, so that they do not hinder each other; a server that starts at that moment waits for it.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from reconciler.errors import ReconcilerError

WAIT_SECONDS = 1.0
"""Seconds for which a server that starts waits for the lock."""
_PAUSE = 0.01
_FILE = "server.lock"


def is_served(state: Path) -> bool:
    """Return whether a process serves this state directory now; nothing is created."""
    try:
        with (state / _FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def locked_state(state: Path) -> IO[str]:
    """Return the open lock file of a state directory; closing it gives the lock back.

    Raises:
        ReconcilerError: RW903, another server holds it.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (state / _FILE).open("a+", encoding="ascii")
    end = time.monotonic() + WAIT_SECONDS
    while not _locks(lock):
        if time.monotonic() < end:
            time.sleep(_PAUSE)
            continue
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise ReconcilerError(
            "RW903",
            f"process {holder or 'unknown'} serves {state} already",
            "Stop it first, or name another directory with --state",
        )
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _locks(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
