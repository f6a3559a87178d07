"""Reading a pipe piece by piece without waiting for ever, where pipes cannot be selected."""

import os
import queue
import threading
from collections.abc import Iterator
from typing import IO

_PIECE = 64 << 10


def pieces(stream: IO[bytes], seconds: float) -> Iterator[bytes]:
    """Yield what comes, and nothing (``b""``) where for so long nothing does; end with the pipe.

    What comes after the iterator was closed is read and dropped.
    """
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    is_over = threading.Event()

    def read() -> None:
        while piece := os.read(stream.fileno(), _PIECE):
            if not is_over.is_set():
                waiting.put(piece)
        waiting.put(b"")

    threading.Thread(target=read, name="pipe", daemon=True).start()
    try:
        while True:
            try:
                piece = waiting.get(timeout=seconds)
            except queue.Empty:
                yield b""
                continue
            if not piece:
                return
            yield piece
    finally:
        is_over.set()
