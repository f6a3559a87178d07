"""The program that the agent's service starts: it starts the release that is used.

Mostly it becomes that agent (execve(2)). A release on trial it starts as a child and waits: one
that ends, or has not reported when its time is over, is ended, and the one before it is started.
It never upgrades itself; a package manager does. Commands for people go to the used release.

This file is run as a program, by Python alone: nothing but the standard library is loaded.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

_LIBRARY = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(_LIBRARY))  # before the imports below: Python is isolated (-I)

from agent.commands.child import Child, become  # noqa: E402
from agent.errors import UnwritableFileError  # noqa: E402
from agent.failpoint import failpoint  # noqa: E402
from agent.upgrade.launch_state import Trial, failed, next_launch  # noqa: E402
from agent.upgrade.places import (  # noqa: E402
    LAUNCH_STATE,
    LAUNCHED,
    RESTART_STATUS,
    START,
    folder_of,
    home_of,
    own_version,
    present_versions,
)
from agent.upgrade.state_file import read_state, write_state  # noqa: E402

_STATE = "/var/lib/rackwright"
_SERVICE = "service"
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Launcher:
    """Starts agents for one command line; ``library`` is the folder that has the base."""

    def __init__(self, arguments: Sequence[str], library: Path) -> None:
        self._arguments = list(arguments)
        self._library = library
        self._home = home_of(library)
        self._base = own_version(library)
        self._path = Path(_option(arguments, "--state") or _STATE) / LAUNCH_STATE
        self._child: Child | None = None
        self._stops = False

    def run(self) -> int:
        """Become the agent, or return the exit status of one that was on trial."""
        if self._arguments[:1] != [_SERVICE]:
            return self._become(self._without_trial())
        while True:
            trial = self._next()
            if trial is None:
                return self._become(self._without_trial())
            status = self._try(trial)
            if status is not None:
                return status

    def _without_trial(self) -> str:
        state = replace(read_state(self._path), trial=None)
        return next_launch(state, self._base, present_versions(self._home)).version

    def _next(self) -> Trial | None:
        """Write down what is started next; return the trial, where that is one."""
        state = read_state(self._path)
        launch = next_launch(state, self._base, present_versions(self._home))
        if launch.state != state:
            try:
                write_state(self._path, launch.state)
            except UnwritableFileError as error:
                _say(str(error))
                return None  # a start that is not counted could be repeated for ever
        return launch.trial

    def _become(self, version: str) -> int:
        """Become the agent of a version, or the base where that cannot be started. OSError."""
        if version:
            failpoint("launch.become", version)
            with suppress(OSError):
                become(self._command(version), {LAUNCHED: "1"})
            _say(f"the agent {version} cannot be started; {self._base} is")
        if not (self._library / "__main__.py").is_file():
            os.chdir(self._library)
        failpoint("launch.become", self._base)
        become(self._command(""), {LAUNCHED: "1"})

    def _command(self, version: str) -> list[str]:
        if version:
            return [str(folder_of(self._home, version) / START), *self._arguments]
        if (self._library / "__main__.py").is_file():
            own = ["-I", "-B", "-X", "utf8", str(self._library)]
        else:  # of a restored system: its folder is the working directory
            own = ["-sE", "-m", "agent"]
        return [sys.executable, *own, *self._arguments]

    # --- a release on trial -------------------------------------------------------

    def _try(self, trial: Trial) -> int | None:
        """Start a release on trial; return an exit status, None where another one is started."""
        _say(f"the agent {trial.version} is on trial for {trial.seconds} s, start {trial.starts}")
        try:
            child = self._started(trial)
        except OSError as error:
            self._fail(trial, f"it cannot be started: {error.strerror or error}")
            return None
        status = child.wait(trial.seconds)
        if status is None and self._is_pending(trial):
            child.end()
            self._fail(trial, f"it did not report to the server within {trial.seconds} s")
            return None
        if status is None:
            status = child.wait() or 0
        if not self._is_pending(trial):
            return None if status == RESTART_STATUS else _exit_status(status)
        if self._stops or status == -signal.SIGTERM:
            return _exit_status(status)  # the service is stopped: the trial goes on later
        self._fail(trial, f"it ended with {_words(status)} before it had reported to the server")
        return None

    def _started(self, trial: Trial) -> Child:
        for number in _STOPPING:
            signal.signal(number, self._pass_on)
        failpoint("launch.trial", trial.version)
        self._child = Child(self._command(trial.version), {LAUNCHED: "1"})
        return self._child

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._stops = True
        if self._child is not None:
            self._child.send(number)

    def _is_pending(self, trial: Trial) -> bool:
        return read_state(self._path).trial == trial

    def _fail(self, trial: Trial, cause: str) -> None:
        """Write down that a trial failed, unless it had succeeded in the last moment."""
        _say(f"the agent {trial.version} is not used: {cause}")
        state = read_state(self._path)
        if state.trial == trial:
            write_state(self._path, failed(state, cause))
        for number in _STOPPING:
            signal.signal(number, signal.SIG_DFL)
        if self._stops:
            sys.exit(_exit_status(-signal.SIGTERM))


def _exit_status(status: int) -> int:
    return status if status >= 0 else 128 - status  # as shells have it


def _words(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"


def _option(arguments: Sequence[str], name: str) -> str:
    """Return the value of an option of the agent's command line; empty where it is not given."""
    for index, argument in enumerate(arguments):
        if argument == name:
            return "".join(arguments[index + 1 : index + 2])
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return ""


def _say(text: str) -> None:
    sys.stderr.write(f"launcher: {text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the agent that is used, with these arguments."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        return Launcher(given, _LIBRARY).run()
    except UnwritableFileError as error:
        _say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
