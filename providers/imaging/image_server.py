"""``python -m providers.imaging.image_server STORE DIGEST DIR FOLDERS``: an image as files in DIR.

A process of its own serves the read-only files by FUSE; ``providers.imaging.image_mount``
starts it. It says ``ready``, or ``failed`` and why, in a line on its standard output. It ends
when its standard input does, that is with whoever started it, however that ended; then DIR and
all that is mounted below it are unmounted. With FOLDERS, ``folders`` or ``-``, there is an
empty directory for each file system.
"""

import errno
import os
import signal
import stat
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from agent.errors import CodedError
from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent
from providers.imaging.errors import StoreAwayError, UnknownChunkError
from providers.imaging.image_layout import DISK_FILE, image_parts
from providers.imaging.image_reader import ExtentsReader, ImageReader, stored_manifest
from providers.imaging.store import ChunkStore
from providers.imaging.store_identity import found_at
from providers.imaging.verification import mark_damaged

log = structlog.get_logger(__name__)
READY, FAILED = "ready", "failed"
_MOST_TOLD = 1000


class ImageOperations:
    """What FUSE asks for (the methods of fuse.h), one request after the other."""

    use_ns = True

    def __init__(
        self, files: Mapping[str, ExtentsReader], folders: frozenset[str], store: ChunkStore
    ) -> None:
        self._files = files
        self._folders = folders
        self._store = store
        self.is_mounted = False
        self._told: set[str] = set()
        self._marked: set[str] = set()

    def init(self, path: str) -> None:
        """Say that the kernel has mounted it."""
        del path
        self.is_mounted = True
        say(READY)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Return the fields of stat(2); FileNotFoundError."""
        del fh
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        name = path.removeprefix("/")
        if not name or name in self._folders:
            return {"st_mode": stat.S_IFDIR | 0o500, "st_nlink": 2, **owner}
        return {
            "st_mode": stat.S_IFREG | 0o400,
            "st_nlink": 1,
            "st_size": self._file(name).size,
            **owner,
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        """Return the names in a directory."""
        del fh
        inside = [*self._files, *sorted(self._folders)] if path == "/" else []
        return [".", "..", *inside]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Return bytes of a file; OSError EIO where a chunk is missing or corrupt."""
        del fh
        try:
            return self._file(path.removeprefix("/")).read(offset, size)
        except CodedError as error:
            self._tell(error)
            raise OSError(errno.EIO, os.strerror(errno.EIO), path) from error

    def _tell(self, error: CodedError) -> None:
        """Log an error once, and take what is damaged out of use as a verification does.

        The kernel asks again for every page of a chunk.
        """
        if error.cause in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(error.cause)
        log.error("image.unreadable", code=error.code, cause=error.cause)
        if isinstance(error, CorruptChunkError | UnknownChunkError):
            if error.digest in self._marked:
                return  # what was set aside is unknown from then on
            try:
                _, unwritten = mark_damaged(self._store, (error.digest,))
            except StoreAwayError as away:  # nothing is known of the chunk then
                self._told.discard(error.cause)
                self._tell(away)
                return
            self._marked.add(error.digest)
            if unwritten:
                log.warning("image.damage-not-written-down", cause=unwritten)

    def _file(self, name: str) -> ExtentsReader:
        try:
            return self._files[name]
        except KeyError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error


def operations(store: ChunkStore, digest: str, *, folders: bool) -> ImageOperations:
    """Return the files of an image; CodedError where its manifest cannot be read."""
    image = stored_manifest(store, digest)
    reader = ImageReader(image, store)
    parts = image_parts(image)
    files = {DISK_FILE: ExtentsReader(reader, (Extent(0, image.disk_size),))}
    files |= {each.file: ExtentsReader(reader, each.extents) for each in parts}
    named = frozenset(each.name for each in parts if each.has_file_system)
    return ImageOperations(files, named if folders else frozenset(), store)


def say(*words: str) -> None:
    """Write a line for whoever started this."""
    print(*words, flush=True)  # noqa: T201 - the line is for a program


def main(store: str, digest: str, place: str, folders: str) -> None:
    """Serve until the starter ends, somebody unmounts DIR or a signal comes."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.umask(0o077)
    try:
        # It looks for libfuse when it is imported.
        from mfusepy import FUSE  # noqa: PLC0415

        root = Path(store)
        chunks = ChunkStore(root, identity=found_at(root).identity)
        served = operations(chunks, digest, folders=folders == "folders")
        threading.Thread(target=_end_with_starter, daemon=True).start()
        name = f"rackwright-{digest[:12]}"
        options = {"foreground": True, "nothreads": True, "ro": True}
        try:
            FUSE(served, place, **options, fsname=name, subtype="image")
        except RuntimeError as error:  # libfuse 3 also counts an end by a signal
            if not served.is_mounted:
                raise OSError(f"libfuse refused with status {error}") from error
    except (CodedError, OSError) as error:
        say(FAILED, str(error))
        sys.exit(1)


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # libfuse unmounts then


if __name__ == "__main__":
    main(*sys.argv[1:])
