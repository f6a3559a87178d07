"""An image as files in a directory, as long as a block runs.

A second process serves the files (``providers.imaging.image_server``). It ends with this one,
also where this one is killed, and takes away every mount below the directory.
"""

import ctypes
import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import TypeVar

from attrs import field, frozen

from agent.commands.mount import mount_arguments, mounted
from agent.commands.runner import run_command
from agent.errors import CommandError
from providers.imaging.errors import ImageMountError
from providers.imaging.image_layout import ImagePart
from providers.imaging.image_server import FAILED, READY

T = TypeVar("T")
_FUSE = Path("/dev/fuse")
_END_SECONDS = 20.0
_CLONE_NEWNS = 0x00020000  # linux/sched.h
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18  # linux/mount.h
_LONGEST_REASON = 300
FROM_FILE = ("loop",)
"""Options to mount a part's file; the loop device vanishes with the mount (LO_FLAGS_AUTOCLEAR)."""


@frozen
class ImageMount:
    """An image that is mounted at ``place``."""

    place: Path
    _server: "subprocess.Popen[str]" = field(repr=False)

    def wait(self) -> None:
        """Return when somebody has unmounted it, or its server ended otherwise."""
        self._server.wait()


@contextmanager
def mounted_image(
    store: Path, digest: str, place: Path, *, folders: bool = False
) -> Iterator[ImageMount]:
    """Show the image's disk, partitions and volumes as files in an empty directory.

    With ``folders`` it also has an empty directory for each file system. ImageMountError
    RW450 where that cannot be done.
    """
    _check(place)
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "providers.imaging.image_server"),
            *(str(store), digest, str(place), "folders" if folders else "-"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process alone, which ends the other
    )
    try:
        _await_ready(server, place)
        yield ImageMount(place, server)
    finally:
        _end(server)


@contextmanager
def temporary_place() -> Iterator[Path]:
    """Provide an empty directory for a mount; only the directory is removed."""
    place = Path(tempfile.mkdtemp(prefix="rackwright-image-"))
    try:
        yield place
    finally:
        with suppress(OSError):  # still a mount where that could not be ended
            place.rmdir()


@contextmanager
def mounted_part(files: Path, part: ImagePart, spot: Path) -> Iterator[None]:
    """Keep all of a part's file system mounted read-only at ``spot``; needs root.

    ``files`` is where the image is mounted. CommandError where the kernel does not know the file
    system or refuses it.
    """
    device = files / part.file
    with mounted(device, spot, part.filesystem, write=False, options=_whole(part)):
        yield


def mount_file_systems(files: Path, parts: Sequence[ImagePart]) -> dict[str, str]:
    """Mount the parts' file systems below ``files``, which has folders; needs root.

    Return for each name of a part with a file system why that was not, empty where it was.
    """
    outcome = {}
    for part in parts:
        if not part.has_file_system:
            continue
        try:
            run_command(
                mount_arguments(
                    files / part.file,
                    files / part.name,
                    part.filesystem,
                    write=False,
                    options=_whole(part),
                )
            )
            outcome[part.name] = ""
        except CommandError as error:
            outcome[part.name] = error.line
    return outcome


def enter_private_mounts() -> None:
    """Let what this thread mounts from now on be seen by it and what it starts alone.

    It all ends with them. OSError without the right to do so.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "mount namespace")


def in_private_mounts(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, or raise what it raises; nobody else sees what it mounts.

    It runs in a thread with a mount namespace of its own, which programs that it starts share.
    OSError without the right to do so.
    """

    def apart() -> T:
        enter_private_mounts()
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(apart).result()


def _whole(part: ImagePart) -> tuple[str, ...]:
    """Return the options that show all subvolumes of a Btrfs, whichever is the default one."""
    return (*FROM_FILE, *(("subvolid=5",) if part.filesystem == "btrfs" else ()))


def _check(place: Path) -> None:
    if not _FUSE.exists():
        raise ImageMountError(place, f"the kernel offers no FUSE ({_FUSE})")
    try:
        is_empty = next(place.iterdir(), None) is None
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            problem = "an earlier mount there lost its server"
            raise ImageMountError(place, problem, f"umount --lazy {quote(str(place))}") from error
        raise ImageMountError(place, error.strerror or str(error)) from error
    if not is_empty:
        raise ImageMountError(place, "the directory is not empty")


def _await_ready(server: "subprocess.Popen[str]", place: Path) -> None:
    assert server.stdout is not None  # noqa: S101 - it was asked for
    word, _, reason = server.stdout.readline().strip().partition(" ")
    if word == READY:
        return
    said = reason if word == FAILED else "its server ended at once"
    raise ImageMountError(place, said[:_LONGEST_REASON])


def _end(server: "subprocess.Popen[str]") -> None:
    """End the server, which unmounts everything; it notices that nobody holds its input."""
    for stream in (server.stdin, server.stdout):
        if stream is not None:
            stream.close()
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
