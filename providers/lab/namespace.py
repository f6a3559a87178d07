"""The network namespace of a rack and who lives in it."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from providers.lab.directory import ENVIRONMENT_VARIABLE
from providers.lab.errors import program_missing

_PROC = Path("/proc")


def enter_argv(process: int, command: Sequence[str]) -> list[str]:
    """Return the command line that runs ``command`` in the network namespace of ``process``."""
    return ["nsenter", f"--net=/proc/{process}/ns/net", "--", *command]


def become(argv: Sequence[str], directory: Path) -> NoReturn:
    """Replace this process by a command inside a rack, which finds its directory by RACKWRIGHT_LAB.

    So signals and the exit status pass without anybody between. RW801.
    """
    try:
        os.execvpe(argv[0], list(argv), {**os.environ, ENVIRONMENT_VARIABLE: str(directory)})  # noqa: S606 - no shell is wanted
    except FileNotFoundError as error:
        raise program_missing(argv[0], "util-linux") from error


def processes_in(namespace: str) -> Iterator[int]:
    """Yield the processes whose network namespace it is, as ``net:[4026531840]`` names it."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is a zombie
                if str((entry / "ns/net").readlink()) == namespace:
                    yield int(entry.name)


def ancestry(process: int) -> set[int]:
    """Return a process, its parent, that one's parent, and so on."""
    found: set[int] = set()
    while process > 0 and process not in found:
        found.add(process)
        try:
            status = (_PROC / str(process) / "status").read_text()
        except OSError:
            break
        process = parent_of(status)
    return found


def parent_of(status: str) -> int:
    """Return the parent's id from the text of ``/proc/PID/status``; 0 for none."""
    for line in status.splitlines():
        if line.startswith("PPid:"):
            return int(line.removeprefix("PPid:"))
    return 0


def end_other_processes(client: int) -> None:
    """Ask the other processes in this one's network namespace to end.

    What was started inside a rack goes down with it; one that stayed would keep the
    bridge. ``client``, which asks for it, and its ancestors are spared.
    """
    own = str((_PROC / "self/ns/net").readlink())
    spared = ancestry(client) | {os.getpid()}
    for process in processes_in(own):
        if process not in spared:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
