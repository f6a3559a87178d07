"""Programs of a tree that is built, which the build itself runs.

They run through the tree's own dynamic loader and libraries, so the host's versions do
not matter: byte code is made by the Python that will read it.
"""

from collections.abc import Sequence
from pathlib import Path

from providers.deploy_os import command

LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = f"{LIBRARIES}/ld-linux-x86-64.so.2"
PYTHON = "usr/bin/python3.11"
STANDARD_LIBRARY = "usr/lib/python3.11"


def applets(root: Path, log: Path) -> list[str]:
    """Return the names of the commands that the tree's busybox has."""
    return [name for name in run_program(root, ["usr/bin/busybox", "--list"], log) if name]


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
    run_program(root, line, log)
    if not keep:
        for folder in folders:
            for source in (tree / folder).rglob("*.py"):
                source.unlink()


def run_program(root: Path, line: Sequence[str], log: Path) -> list[str]:
    """Run a program of the tree with arguments; return its lines. RW857 when it fails."""
    loader = [str(root / LOADER), "--library-path", str(root / LIBRARIES)]
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
