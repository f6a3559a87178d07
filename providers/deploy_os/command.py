"""Runs the build's external commands: output to a log file, clear errors."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.commands.runner import follow_command
from agent.errors import TerminalError

_SHOWN_LINES = 12
_TIMEOUT = 4 * 3600.0  # seconds; packages come over slow networks


def require(tools: Mapping[str, str]) -> None:
    """Check that the commands ``tools`` (command to Debian package) exist. RW853 names all gaps."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = {
        tool: package for tool, package in tools.items() if not shutil.which(tool, path=path)
    }
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise TerminalError(
            "RW853",
            f"building the Deploy-OS needs {', '.join(sorted(missing))}, not found on this host",
            f"Install: apt install {packages}",
        )


def run(
    arguments: Sequence[str],
    log: Path,
    on_line: Callable[[str], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Run a command to its end and return the lines it wrote, both streams in one.

    Each line goes to ``log`` and to ``on_line`` as it comes. ``environment`` is added to
    ours. A command that fails raises CommandFailedError with its last lines.
    """
    lines: list[str] = []
    with log.open("a", encoding="utf-8") as record:

        def keep(line: str) -> None:
            record.write(f"{line}\n")
            lines.append(line)
            on_line(line)

        done = follow_command(
            arguments, keep, timeout=_TIMEOUT, environment={**os.environ, **(environment or {})}
        )
    if done.status != 0:
        raise CommandFailedError(arguments[0], done.status, lines, log)
    return lines


class CommandFailedError(Exception):
    """A command ended with a status other than zero."""

    def __init__(self, command: str, status: int, lines: Sequence[str], log: Path) -> None:
        super().__init__(f"{command} ended with status {status}")
        self.command = command
        self.status = status
        self.tail = list(deque(lines, maxlen=_SHOWN_LINES))
        self.log = log

    def as_terminal(self, code: str, action: str) -> TerminalError:
        """Return the error that a person reads: the last lines and where the rest is."""
        said = "".join(f"\n    {line}" for line in self.tail) or "\n    (nothing)"
        return TerminalError(
            code,
            f"{self.command} ended with status {self.status}; its last lines:{said}\n"
            f"    whole log: {self.log}",
            action,
        )
