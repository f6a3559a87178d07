"""Tar archives whose bytes depend on their contents alone; the package as such a file."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from providers.agent_package.layout import NAME, PackageVersion
from providers.agent_package.tree import paths_below

GZIP_LEVEL = 6


def file_name(version: PackageVersion) -> str:
    """Return the name of the file."""
    return f"{NAME}-{version}-linux-x86_64.tar.gz"


def write(root: Path, version: PackageVersion, epoch: int, work: Path) -> Path:
    """Write what is below ``root`` as a file in ``work``, to be unpacked at a machine's root."""
    path = work / file_name(version)
    path.write_bytes(gzip.compress(archive_of(root, epoch), GZIP_LEVEL, mtime=0))
    return path


def archive_of(root: Path, epoch: int) -> bytes:
    """Return the archive of what is below ``root``, all of it root's and of that time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in paths_below(root):
            entry = archive.gettarinfo(path, f"./{path.relative_to(root).as_posix()}")
            _make_uniform(entry, epoch)
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
    return buffer.getvalue()


def archive_of_texts(texts: Iterable[tuple[str, str, int]], epoch: int) -> bytes:
    """Return the archive of these files: name, text, permissions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, text, mode in texts:
            content = text.encode()
            entry = tarfile.TarInfo(f"./{name}")
            entry.size, entry.mode = len(content), mode
            _make_uniform(entry, epoch)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _make_uniform(entry: tarfile.TarInfo, epoch: int) -> None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = epoch
    if entry.islnk():  # of one inode that the host shares between two names
        raise ValueError(f"{entry.name} is a hard link")
