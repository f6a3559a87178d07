"""The agent's program for Windows' service control manager.

``python -m agent.windows_service`` is the service's command line. Its log is a file, since a
service has no console: four parts of a megabyte. Where starting again would not help
(status 3) the service stops; everything else ends the process, and the manager starts
it anew. What the package for Windows Installer leaves to be done is done at each start: the agent's
folder is for the system and the administrators only, and a token is taken up.
"""

import argparse
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from agent.commands.windows.host import ThisWindows, Windows
from agent.commands.windows.icacls import protect
from agent.config import AgentPackage, load_package
from agent.errors import CodedError, CommandError, UnwritableFileError
from agent.joining import TOKEN_FILE, read_token, take_up_token
from agent.log import log_to_stderr
from agent.whole_file import write_atomically
from agent.windows.installation import read_settings
from agent.windows.service_host import ServiceHost
from agent.windows.services import start_again_after_failures

NAME = "RackwrightAgent"
TITLE = "Rackwright agent"
_LOG_BYTES = 1 << 20
_OLD_LOGS = 3
_REFUSED = 3  # as of agent.main
_FAILED = 1
_MODE = 0o600
_log = logging.getLogger(__name__)


def command_line(python: str, config: str, state: str, log: str) -> str:
    """Return the service's command line; all are paths as Windows writes them.

    ``python`` is ``pythonw.exe``: ``python.exe`` gives up where a service's streams are no handles.
    """
    return f'"{python}" {service_arguments(config, state, log)}'


def service_arguments(config: str, state: str, log: str) -> str:
    """Return what stands behind Python in the service's command line."""
    places = f'--config "{config}" --state "{state}" --log "{log}"'
    return f"-E -B -m agent.windows_service {places}"


class LogStream(io.TextIOBase):
    """A stream in place of standard error; what is written goes to a file that is kept short.

    The file is there from the first text on: its folder may have to be protected before.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._handler = RotatingFileHandler(
            path, maxBytes=_LOG_BYTES, backupCount=_OLD_LOGS, encoding="utf-8", delay=True
        )
        self._handler.terminator = ""

    def write(self, text: str) -> int:
        """Append a text."""
        self._handler.handle(logging.makeLogRecord({"msg": text}))
        return len(text)

    def close(self) -> None:
        """Let go of the file."""
        self._handler.close()
        super().close()


class AgentService:
    """The agent's work in a thread that does not keep the process from ending."""

    def __init__(self, arguments: Sequence[str], prepare: Callable[[], None]) -> None:
        self._arguments = arguments
        self._prepare = prepare
        self._over = threading.Event()
        self._status = 0

    def work(self) -> int:
        """Run the agent until it ends or shall stop; return its status."""
        # Loaded here, when the manager has its answer: it waits 30 s for that, and the first
        # start after boot reads all of it from a busy disk.
        from agent.main import main  # noqa: PLC0415 - see above

        threading.Thread(target=self._run, args=(main,), daemon=True).start()
        self._over.wait()
        if self._status not in (0, _REFUSED):
            os._exit(self._status)  # without a word to the manager, which starts it again
        return self._status

    def stop(self) -> None:
        """Let ``work`` return."""
        self._over.set()

    def _run(self, main: Callable[[Sequence[str]], int]) -> None:
        try:
            self._prepare()
            self._status = main(self._arguments)
        except CodedError as error:
            _log.error("%s", error)
            passes = isinstance(error, (CommandError, UnwritableFileError))
            self._status = _FAILED if passes else _REFUSED
        finally:
            self._over.set()


def prepare(windows: Windows, config: Path, state: Path) -> None:
    """Make and protect the agent's folders; take up the server and the token of an installation.

    Nothing is written to the folder, and nothing read from it, before it is protected.
    CommandError RW565; TerminalError RW581, RW583; UnwritableFileError RW572.
    """
    _make(config.parent)
    protect(windows, config.parent)
    _make(state)
    start_again_after_failures(windows, NAME)
    settings = read_settings(windows)
    beside = config.with_name(TOKEN_FILE)
    given = windows.local(settings.token_file) if settings.token_file else beside
    if given != beside and given.exists():
        write_atomically(beside, read_token(str(given)).encode(), _MODE)
        try:
            given.unlink()
        except OSError as error:
            reason = f"it cannot be removed: {error.strerror}"
            raise UnwritableFileError(given, reason, error.errno) from error
    package = load_package()
    if settings.server:
        package = AgentPackage("", settings.server, settings.pin)
    if beside.exists():
        take_up_token(config, state, package)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFileError(folder, error.strerror or str(error), error.errno) from error


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve the service control manager; return the exit status."""
    parser = argparse.ArgumentParser(prog="agent.windows_service", description=__doc__)
    for name in ("--config", "--state", "--log"):
        parser.add_argument(name, type=Path, required=True)
    options = parser.parse_args(arguments)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout = sys.stderr = LogStream(options.log)
    log_to_stderr()
    service = AgentService(
        ["service", "--config", str(options.config), "--state", str(options.state)],
        lambda: prepare(ThisWindows(options.state), options.config, options.state),
    )
    try:
        ServiceHost(NAME, service.work, service.stop).run()
    except CodedError as error:
        _log.error("%s", error)
        return _REFUSED
    # At once: its own files shall be free when the manager knows that it has stopped.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run())
