"""The boot files directory: what Deploy-OS's build put there for machines to fetch."""

import json
from collections.abc import Iterable
from pathlib import Path

from agent.errors import TerminalError
from providers.netboot.errors import Problem

METADATA = "deploy-os.json"


class BootFiles:
    """Reads one directory; what is outside it cannot be named.

    Files may be replaced while the server runs: nothing is kept in memory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, name: str) -> Path | None:
        """Return the regular file behind a name from the network, None if there is none.

        ``name`` uses ``/``; leading ones count as the directory itself, as in a
        TFTP server that changed its root. A name that climbs out, by ``..``, by a
        backslash or over a symbolic link, has no file.
        """
        relative = name.lstrip("/")
        parts = relative.split("/")
        if not relative or "\\" in name or "\0" in name or ".." in parts:
            return None
        try:
            root = self.root.resolve(strict=True)
            path = root.joinpath(*parts).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return path if path.is_relative_to(root) and path.is_file() else None

    def missing(self, names: Iterable[str]) -> Problem | None:
        """Return the problem that some of ``names`` are not there, None if all are."""
        absent = [name for name in names if self.find(name) is None]
        if not absent:
            return None
        return Problem(
            "RW303",
            f"the boot files directory {self.root} lacks {', '.join(absent)}",
            "Build it: rackwright deploy-os build",
        )

    def kernel_arguments(self) -> tuple[str, ...]:
        """Return what the Deploy-OS build wants on its kernel's command line.

        Raises ``TerminalError``.
        """
        path = self.root / METADATA
        try:
            return parse_metadata(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise TerminalError(
                "RW304",
                f"{path} cannot be used: {error}",
                "Build it again: rackwright deploy-os build",
            ) from error


def parse_metadata(text: str) -> tuple[str, ...]:
    """Return ``kernel_arguments`` of a ``deploy-os.json``.

    Its form is ``{"version": str, "kernel_arguments": [str, …]}``; other keys are
    the build's own. Raises ``ValueError``.
    """
    metadata = json.loads(text)
    if not isinstance(metadata, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 (ValueError as from json itself)
    arguments = metadata.get("kernel_arguments")
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise ValueError("kernel_arguments is not a list of strings")
    return tuple(arguments)
