"""apt-cache: what the machine's sources say of packages."""

import re
from collections.abc import Sequence

from agent.commands.runner import run_command

_FIELD = re.compile(r"^(Size|Installed-Size): (\d+)$", re.MULTILINE)
_KIB = 1024


def show_arguments(wanted: Sequence[str]) -> list[str]:
    """Return the command that describes ``name=version``, each once."""
    return ["apt-cache", "--no-all-versions", "show", "--", *wanted]


def sizes(wanted: Sequence[str]) -> tuple[int, int]:
    """Return the bytes of these packages' files, and of what they unpack to; CommandError."""
    output = run_command(show_arguments(wanted)).stdout.decode("utf-8", "replace")
    return parse_sizes(output)


def parse_sizes(output: str) -> tuple[int, int]:
    """Return the sums of Size (bytes) and Installed-Size (KiB) in bytes (deb-control(5))."""
    found = _FIELD.findall(output)
    return (
        sum(int(size) for field, size in found if field == "Size"),
        sum(int(size) * _KIB for field, size in found if field == "Installed-Size"),
    )
