"""Programs of the RAM system that the build runs on its own tree.

They run through the tree's own dynamic loader and libraries, so the host's versions do
not matter: byte code is made by the Python that will read it.
"""

from collections.abc import Sequence
from pathlib import Path

from providers.deploy_os import command

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = f"{_LIBRARIES}/ld-linux-x86-64.so.2"
PYTHON = "usr/bin/python3.11"
STANDARD_LIBRARY = "usr/lib/python3.11"


def applets(root: Path, log: Path) -> list[str]:
    """Return the names of the commands that the tree's busybox has."""
    return [name for name in _run(root, ["usr/bin/busybox", "--list"], log) if name]


def compile_modules(
    root: Path, tree: Path, folders: Sequence[str], *, keep: bool, log: Path
) -> None:
    """Compile the Python modules in ``folders`` of ``tree`` with the Python below ``root``.

    The byte code is never checked against its source (PEP 552, unchecked hash). With
    ``keep`` the sources stay and are shown in tracebacks; without, only byte code stays.
    """
    line = [PYTHON, "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    line += ["-s", str(tree), "-p", "/"]
    if not keep:
        line.append("-b")
    line += [str(tree / folder) for folder in folders]
    _run(root, line, log)
    if not keep:
        for folder in folders:
            for source in (tree / folder).rglob("*.py"):
                source.unlink()


def _run(root: Path, line: list[str], log: Path) -> list[str]:
    loader = [str(root / _LOADER), "--library-path", str(root / _LIBRARIES)]
    return command.run(
        [*loader, str(root / line[0]), *line[1:]],
        log,
        environment={
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": "",
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
