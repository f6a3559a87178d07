"""Open boot files: one descriptor per file, however many transfers read it."""

import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

_READ_AHEAD = 64 * 1024

Key = tuple[int, int, int, int]


@dataclass(slots=True)
class _Shared:
    descriptor: int
    size: int
    readers: int = 0


class SharedFiles:
    """Opens files for reading. A file that was replaced is another file. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Key, _Shared] = {}

    def open(self, path: Path) -> BinaryIO:
        """Return a reader with a position of its own. Raises ``OSError``."""
        with self._lock:
            found = path.stat()
            key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            shared = self._open.get(key)
            if shared is None:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                shared = self._open[key] = _Shared(descriptor, os.fstat(descriptor).st_size)
            shared.readers += 1
        reader = _Reader(shared, lambda: self._closed(key))
        return cast("BinaryIO", io.BufferedReader(reader, _READ_AHEAD))

    def _closed(self, key: Key) -> None:
        with self._lock:
            shared = self._open[key]
            shared.readers -= 1
            if not shared.readers:
                del self._open[key]
                os.close(shared.descriptor)


class _Reader(io.RawIOBase):
    """One reader's view of a shared file."""

    def __init__(self, shared: _Shared, closed: Callable[[], None]) -> None:
        super().__init__()
        self._shared = shared
        self._closed = closed
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._shared.size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = os.preadv(self._shared.descriptor, [buffer], self._at)
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._closed()
