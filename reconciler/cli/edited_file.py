"""Files that a command rewrites: found below one folder, replaced whole or not at all."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from agent.errors import UnwritableFileError
from agent.whole_file import write_atomically
from reconciler.authoring.rewrite import AuthoringError
from reconciler.git.tree import MAX_ENTRIES, MAX_FILE_BYTES, too_many_entries
from specs.desired_state import SUFFIXES, is_desired_state, is_hidden


def files_below(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files that ``paths`` name, each once: files as they are, folders searched.

    A search enters no hidden folder and follows no symbolic link. Raises
    AuthoringError RW932 for a path that is not there or is neither file nor folder.
    """
    seen: set[Path] = set()
    for path in paths:
        found = _searched(path) if path.is_dir() else [path]
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def _searched(folder: Path) -> Iterator[Path]:
    entries = 0
    for place, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        entries += len(files)
        if entries > MAX_ENTRIES:
            raise too_many_entries()
        for name in sorted(files):
            file = Path(place) / name
            if file.suffix in SUFFIXES and not is_hidden(name) and not file.is_symlink():
                yield file


def read_file(path: Path) -> bytes:
    """Return the content of a regular file; AuthoringError RW932 for anything else.

    A symbolic link is refused: what it points at may be outside of the repository.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise _refused(path, "is a symbolic link", "Name the file that it points at") from error
        raise _refused(
            path, f"cannot be read: {error.strerror}", "Name a file that this user can read"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(path, "is not a regular file", "Name a file")
        if status.st_size > MAX_FILE_BYTES:
            raise _refused(path, f"has more than {MAX_FILE_BYTES >> 20} MiB", "Split it")
        return file.read(MAX_FILE_BYTES + 1)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file of the repository in one step, or create it; owner and mode stay.

    Raises AuthoringError RW932 when it cannot be written, or when ``path`` is a
    symbolic link: what it points at may be outside of the repository.
    """
    if path.is_symlink():
        raise _refused(path, "is a symbolic link", "Name the file that it points at")
    write_output(path, content, follow_links=False)


def write_output(
    path: Path, content: bytes | Iterable[bytes], *, follow_links: bool = True
) -> None:
    """Write what somebody named to get a command's output: a file, a link to one, a device.

    Raises AuthoringError RW932 when that is not possible.
    """
    try:
        write_atomically(path, content, follow_links=follow_links)
    except UnwritableFileError as error:
        raise _refused(
            path,
            f"cannot be written: {error.reason}",
            "Let this user write in its folder, and make room there",
        ) from error


def create_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, by their path in a folder, none of which may exist yet.

    The folder and those within it are created. Raises AuthoringError RW933, which
    names what exists, before anything is written; RW932 when a link leads out of the
    folder.
    """
    refuse_existing(folder, files)
    for path in files:
        below(folder, folder / path)
    for path, content in files.items():
        make_folder((folder / path).parent)
        write_file(folder / path, content)


def refuse_existing(folder: Path, files: Iterable[str]) -> None:
    """Raise AuthoringError RW933, which names those of ``files`` that ``folder`` has already."""
    existing = [path for path in files if os.path.lexists(folder / path)]
    if existing:
        raise AuthoringError(
            "RW933",
            f"{folder} has already: {', '.join(existing)}",
            "Name another place; nothing was written",
        )


def replace_file(path: Path, old: bytes, new: bytes) -> None:
    """Write ``new`` where ``old`` was read before, empty where there was no file.

    Raises AuthoringError RW932 when the file is another one by now, which is also so
    for one that is there and was not read because Git ignores it.
    """
    present = read_file(path) if os.path.lexists(path) else b""
    if present != old:
        raise _refused(
            path,
            "is not what was read from the repository: somebody else writes it, or Git ignores it",
            "Run the command again, or name another file",
        )
    write_file(path, new)


def refuse_place(path: str) -> None:
    """Raise AuthoringError RW932 for a path whose file would not be read as desired state."""
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        raise _refused(Path(path), "is outside of the repository", "Name a file below its folder")
    if not is_desired_state(path) or not path.isprintable():
        raise _refused(
            Path(path), "would not be read as desired state", "Name a .yaml file, not a hidden one"
        )


def make_folder(path: Path) -> None:
    """Create a folder and those above it; AuthoringError RW932 when that is refused."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(
            path, f"cannot be created: {error.strerror}", "Name a folder where this user can write"
        ) from error


def below(root: Path, path: Path) -> Path:
    """Return ``path`` with all links resolved; AuthoringError RW932 when it leaves ``root``."""
    top, real = root.resolve(), path.resolve()
    if not real.is_relative_to(top):
        raise _refused(path, f"is outside of {root}", "Name a file in the repository")
    return real


def _refused(path: Path, why: str, action: str) -> AuthoringError:
    return AuthoringError("RW932", f"{path} {why}", action)
