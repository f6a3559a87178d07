"""Files over HTTP where the machines of a rack reach them."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PORT = 8099


@contextmanager
def web(inside: Callable[[list[str]], Sequence[str]], folder: Path) -> Iterator[None]:
    """Serve a folder; ``inside`` makes of a command one that runs in the rack's network."""
    command = [sys.executable, "-m", "http.server", str(PORT), "--directory", str(folder)]
    process = subprocess.Popen(inside(command), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
