"""Images out of the store as files of disks, and such files into it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from agent.commands import qemu_img
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import Progress, capture
from agent.imaging.manifest import Manifest
from agent.whole_file import sync_folder
from agent.wire.disk import Disk, DiskIdentity
from providers.imaging.disk_file import format_of, raw_disk, require_file, require_whole
from providers.imaging.errors import ExportError
from providers.imaging.image_reader import stored_manifest
from providers.imaging.imported_system import ImportedSystem, imported_system
from providers.imaging.restore_test import replay
from providers.imaging.store import ChunkStore
from providers.imaging.verification import is_whole

ExportFormat = Literal["raw", "qcow2"]
_SECTOR = 512
_METADATA = 64 << 20
"""Bytes that a qcow2 file takes besides its data, at most, for each TiB or part of it."""
_TIB = 1 << 40
_LACKING = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))
"""What a file system without links, or without modes, as FAT and exFAT, says when asked for one."""
_THERE = ("it is there already", "Name another file, or remove it")


def export_image(
    store: ChunkStore, digest: str, target: Path, file_format: ExportFormat, work: Path
) -> None:
    """Write an image to a new file: a sparse raw one, or qcow2.

    ExportError where the file is there, there is no room for it or it cannot be written;
    DamagedImageError as ``replay``; ManifestError as ``stored_manifest``; CommandError. No file is
    left behind then.
    """
    image = stored_manifest(store, digest)
    if target.is_symlink() or target.exists():
        raise ExportError(target, *_THERE)
    try:
        for place in {target.parent} if file_format == "raw" else {target.parent, work}:
            _require_room(image, target, place)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".rackwright-") as draft:
            made = Path(draft) / "disk"
            if file_format == "raw":
                replay(store, digest, image, made)
            else:
                _convert(store, digest, image, made, work)
            with made.open("rb") as file:
                os.fsync(file.fileno())
            _close_to_others(made)
            _give_name(made, target)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise ExportError(target, *_THERE) from error
    except OSError as error:
        action = "Name another file, or make room there"
        raise ExportError(target, error.strerror or str(error), action) from error


def _close_to_others(file: Path) -> None:
    """Let its owner alone read a file, where files have modes."""
    try:
        file.chmod(0o600)
    except OSError as error:
        if error.errno not in _LACKING:
            raise


def _give_name(made: Path, target: Path) -> None:
    """Give a file its name; FileExistsError where somebody made another of this name meanwhile."""
    try:
        os.link(made, target)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
    else:
        return
    target.open("xb").close()  # the name is taken, and what takes it is replaced
    try:
        made.replace(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _convert(store: ChunkStore, digest: str, image: Manifest, made: Path, work: Path) -> None:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        raw = Path(folder) / "disk.raw"
        replay(store, digest, image, raw)
        most = image.used_bytes + _METADATA * (image.disk_size // _TIB + 1)
        qemu_img.convert(raw, "raw", made, "qcow2", most)


def _require_room(image: Manifest, target: Path, place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < image.used_bytes:
        problem = f"it needs {image.used_bytes:,} bytes in {place}, where {free:,} are free"
        raise ExportError(target, problem, "Make room there, or name another file")


def import_image(  # noqa: PLR0913 - what an import needs
    store: ChunkStore,
    file: Path,
    file_format: str,
    work: Path,
    progress: Progress,
    *,
    look: bool,
) -> tuple[str, ImportedSystem]:
    """Store the image of a disk's file, as a capture of that disk would be; return its digest.

    ``file_format`` is ``auto`` or a format. With ``look``, the installed system is looked at, for
    which the kernel mounts file systems of the disk; it is returned, too. The image has no name
    and no restore test yet.

    Raises DiskFileError, NoSpaceError, and what a capture raises.
    """
    path = file.absolute()
    require_file(path)
    with (
        tempfile.TemporaryDirectory(dir=work) as folder,
        raw_disk(path, format_of(path, file_format), Path(folder)) as raw,
    ):
        require_whole(path, raw)
        disk = described(raw, raw.stat().st_size, _SECTOR)
        found = imported_system(disk) if look else ImportedSystem(None, "that was not asked for")
        image = capture(disk, HealingStore(store), progress, found.system)
        return store.put_manifest(manifest_format.encode(image)), found


class HealingStore:
    """A store that takes again what it holds already, where that is corrupt; a ``ChunkSink``.

    Each chunk that is there is read, as the restore test will read it.
    """

    def __init__(self, store: ChunkStore) -> None:
        self._store = store

    def missing(self, digests: Sequence[str]) -> frozenset[str]:
        """Return those of the digests that the store lacks; what is corrupt is set aside."""
        lacking = self._store.missing(digests)
        corrupt = {each for each in digests if each not in lacking and not self._holds(each)}
        return lacking | corrupt

    def put(self, digest: str, frame: bytes) -> None:
        """Store a frame; raises as ``ChunkStore.put``."""
        self._store.put(digest, frame)

    def _holds(self, digest: str) -> bool:
        return is_whole(self._store, digest) or not self._store.set_aside(digest)


def described(node: Path, size: int, sector_size: int) -> Disk:
    """Return a file, or a device that shows one, as an inspection describes a disk."""
    return Disk(
        identity=DiskIdentity(wwn="", serial="", path="file", size=size),
        node=str(node),
        model="",
        sector_size=sector_size,
        table="",
        removable=False,
        read_only=False,
    )
