"""A program that runs beside this one and is ended with it, or in its place. Linux only.

For the launcher of the agent (``agent.upgrade``): the standard library alone.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # prctl(2)
_GRACE_SECONDS = 10.0


class Child:
    """The program, started; OSError where it cannot be. One thread may start programs so."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        system = ctypes.CDLL(None)

        def die_with_parent() -> None:
            system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        self._process = subprocess.Popen(
            list(argv),
            env={**os.environ, **environment},
            preexec_fn=die_with_parent,  # noqa: PLW1509 - there is one thread
        )

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its status, a signal as a negative number; None where it runs for longer."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def send(self, number: int) -> None:
        """Send it a signal, where it has not ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end(self) -> None:
        """End it, the polite way first; it has ended then."""
        self.send(signal.SIGTERM)
        if self.wait(_GRACE_SECONDS) is None:
            self._process.kill()
            self._process.wait()


def become(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Become another program, under the same process id; OSError where it cannot be started."""
    os.execve(argv[0], list(argv), {**os.environ, **environment})  # noqa: S606 - no shell
