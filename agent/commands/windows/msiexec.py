"""msiexec.exe: Windows Installer packages.

Source: Microsoft, "Command-Line Options" and "REINSTALLMODE" (Windows Installer). Nobody is
asked (``/qn``) and nothing restarts (``/norestart``).
"""

from collections.abc import Sequence

from agent.commands.windows.host import Windows

OTHER_PACKAGE = 1638

_QUIET = ("/qn", "/norestart")


def install_arguments(file: str, log: str, more: Sequence[str] = ()) -> list[str]:
    """Return the command that installs a package; ``more`` are properties: ``NAME=VALUE``."""
    return ["msiexec.exe", "/i", file, *_QUIET, "/l*v", log, *more]


def replace_arguments(file: str, log: str, more: Sequence[str] = ()) -> list[str]:
    """Return the command for another package of a product that is there (a minor upgrade)."""
    return install_arguments(file, log, ["REINSTALL=ALL", "REINSTALLMODE=vomus", *more])


def remove_arguments(product: str, log: str) -> list[str]:
    """Return the command that removes a product by its code."""
    return ["msiexec.exe", "/x", product, *_QUIET, "/l*v", log]


def run(windows: Windows, argv: Sequence[str], timeout: float) -> int:
    """Run it to its end; return its status. CommandError where it takes longer (seconds)."""
    return windows.run(argv, timeout=timeout).status
