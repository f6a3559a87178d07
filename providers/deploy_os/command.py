"""Runs the build's external commands: output to a log file, clear errors."""

import os
import shutil
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


def run(  # noqa: PLR0913 - what runs, and what a person is told when it fails
    arguments: Sequence[str],
    log: Path,
    on_line: Callable[[str], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
    *,
    code: str = "RW857",
    action: str = "Run the build again without its cache",
) -> list[str]:
    """Run a command to its end and return the lines it wrote, both streams in one.

    Each line goes to ``log`` and to ``on_line`` as it comes. ``environment`` is added to
    ours. A command that fails raises CommandFailedError with ``code`` and ``action``.
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
        raise CommandFailedError(
            code, f"{arguments[0]} ended with status {done.status}", lines, log, action
        )
    return lines


class CommandFailedError(TerminalError):
    """A command ended with a status other than zero.

    ``tail`` has its last lines, which are told with the place of the rest.
    """

    def __init__(
        self, code: str, problem: str, lines: Sequence[str], log: Path, action: str
    ) -> None:
        self.tail = lines[-_SHOWN_LINES:]
        said = "".join(f"\n    {line}" for line in self.tail) or "\n    (nothing)"
        super().__init__(code, f"{problem}; its last lines:{said}\n    whole log: {log}", action)
