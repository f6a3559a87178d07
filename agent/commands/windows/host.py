"""Where programs of Windows are started, and how its paths are found.

Windows counts exit statuses in 32 bits without a sign, and installers use all of them.
"""

import codecs
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from agent.commands.runner import Completed, run_command

SECONDS = 120.0
"""That a program may take which only looks or sets one thing."""

_STATUSES = 0xFFFF_FFFF


class Windows(Protocol):
    """A running Windows, or what runs its programs."""

    @property
    def scratch(self) -> Path:
        """A folder that only the system's administrators write to."""

    def run(self, argv: Sequence[str], *, timeout: float = SECONDS) -> Completed:
        """Run a program to its end; its status is between 0 and 0xFFFFFFFF.

        CommandError RW565 where it cannot be started or takes longer, RW566 where it is
        not there.
        """

    def local(self, path: str) -> Path:
        """Return where this process finds a file that Windows calls ``path``."""

    def native(self, path: Path) -> str:
        """Return what Windows calls a file of this process."""


@frozen
class ThisWindows:
    """The Windows that this process runs in."""

    scratch: Path

    def run(self, argv: Sequence[str], *, timeout: float = SECONDS) -> Completed:
        """Run a program to its end, whatever its status."""
        done = run_command(argv, accept=None, timeout=timeout)
        return Completed(done.status & _STATUSES, done.stdout, done.stderr)

    def local(self, path: str) -> Path:
        """Return the path itself."""
        return Path(path)

    def native(self, path: Path) -> str:
        """Return the path itself."""
        return str(path)


def console_text(output: bytes) -> str:
    """Return what a program printed, with one line feed after each line.

    A pipe gets the OEM code page, from ``wmic`` also UTF-16 with its mark. What the code
    page does not have was lost before; so nothing but ASCII is to be looked for here.
    """
    if output.startswith(codecs.BOM_UTF16_LE):
        text = output[2:].decode("utf-16-le", "replace")
    else:
        text = output.decode("oem" if sys.platform == "win32" else "cp437", "replace")
    # wmic ends lines with CR CR LF where its output is no console.
    return text.replace("\r", "")
