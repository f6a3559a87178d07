"""``python -m tests.builders.failing_disk FILE DIR CONTROL``: a file whose sectors fail, by FUSE.

``DIR/disk`` has the bytes of FILE. A read that meets a range of CONTROL fails with EIO; a loop
device on it is a block device with bad sectors. CONTROL is read anew at each request and has
lines of ``OFFSET LENGTH TIMES``: a read fails for as often as TIMES says, ``-1`` for ever. It ends
when its standard input does.
"""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "/disk"


class FailingFile:
    """What FUSE asks for (the methods of fuse.h), one request after the other."""

    use_ns = True

    def __init__(self, file: Path, control: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR)
        self._control = control
        self._failed: dict[str, int] = {}

    def init(self, path: str) -> None:
        del path
        print("ready", flush=True)  # noqa: T201 - the line is for the test

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        del fh
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != _NAME:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        size = os.fstat(self._descriptor).st_size
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": size}

    def readdir(self, path: str, fh: int) -> list[str]:
        del path, fh
        return [".", "..", _NAME[1:]]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        del fh
        for line in self._control.read_text().splitlines():
            start, length, times = map(int, line.split())
            if start < offset + size and offset < start + length:
                self._failed[line] = self._failed.get(line, 0) + 1
                if times < 0 or self._failed[line] <= times:
                    raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return os.pread(self._descriptor, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        del path, fh
        return os.pwrite(self._descriptor, data, offset)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        del path, datasync, fh
        os.fsync(self._descriptor)


@contextmanager
def failing_disk(file: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Show a file as a block device; yield its node and the file that says what fails."""
    place, control = folder / "failing", folder / "failing.control"
    place.mkdir()
    control.write_text("")
    command = [sys.executable, "-m", __name__, str(file), str(place), str(control)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as served:
        assert served.stdout is not None
        assert served.stdout.readline() == b"ready\n"
        attach = ["losetup", "--find", "--show", "--sector-size", "512", str(place / _NAME[1:])]
        made = subprocess.run(attach, check=True, capture_output=True, text=True, timeout=60)
        node = made.stdout.strip()
        try:
            yield node, control
        finally:
            subprocess.run(["losetup", "--detach", node], check=True, timeout=60)


def fail(control: Path, *ranges: tuple[int, int], times: int = -1) -> None:
    """Let reads of byte ranges (offset, length) fail from now on, ``times`` times or for ever."""
    written = control.with_suffix(".new")
    written.write_text("".join(f"{start} {length} {times}\n" for start, length in ranges))
    written.replace(control)


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # libfuse unmounts then


def main(file: str, place: str, control: str) -> None:
    """Serve until the starter ends."""
    from mfusepy import FUSE  # noqa: PLC0415 - it looks for libfuse when it is imported

    threading.Thread(target=_end_with_starter, daemon=True).start()
    served = FailingFile(Path(file), Path(control))
    # Without direct_io the kernel would read whole pages of it, and eight sectors fail for one.
    FUSE(served, place, foreground=True, nothreads=True, direct_io=True, fsname="failing")


if __name__ == "__main__":
    main(*sys.argv[1:])
