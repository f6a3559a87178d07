"""icacls.exe: who may use files and folders.

Source: Microsoft, "icacls" (Windows Commands); "Well-known SIDs". Accounts are given by their
identifiers, for their names are translated.
"""

from pathlib import Path

from agent.commands.windows.host import Windows
from agent.errors import CommandError

_SYSTEM, _ADMINISTRATORS = "*S-1-5-18", "*S-1-5-32-544"
_SECONDS = 300.0


def protect_arguments(folder: str) -> list[str]:
    """Return the command by which nobody but the system and administrators may use a folder."""
    allowed = [f"{each}:(OI)(CI)F" for each in (_SYSTEM, _ADMINISTRATORS)]
    return ["icacls.exe", folder, "/inheritance:r", "/grant:r", *allowed, "/q"]


def protect(windows: Windows, folder: Path) -> None:
    """Give a folder to the system and the administrators; CommandError RW565.

    What is made in it later is theirs, too. It does not help where somebody else made the
    folder, who may have put something into it.
    """
    argv = protect_arguments(windows.native(folder))
    done = windows.run(argv, timeout=_SECONDS)
    if done.status != 0:
        raise CommandError(argv[:3], f"ended with status {done.status}", done.stderr, done.status)
