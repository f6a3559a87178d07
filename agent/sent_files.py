"""Files of this machine that the work in hand brings to the server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from attrs import frozen

from agent.clock import Clock
from agent.retry import RetryPolicy, retry
from agent.transport import Transport

_RETRY = RetryPolicy(first=1.0, cap=30.0)
_READ_SECONDS = 300.0
_PIECE = 256 << 10


@frozen
class SentFiles:
    """Sends files for one attempt of an operation; ``check`` raises when it has to stop."""

    transport: Transport
    clock: Clock
    operation: str
    attempt: int
    check: Callable[[], None]
    progress: Callable[[int, int], None]

    def send(self, path: Path, sha256: str, size: int) -> None:
        """Send a file whose checksum and size are known; the server compares both.

        Waits for a server that is away, or has no room, however long. Raises what ``check`` and
        ``Transport.send`` raise.
        """
        place = f"/v1/operations/{self.operation}/files/{self.attempt}/{sha256}"

        def once() -> None:
            self.check()
            with path.open("rb") as file:
                self.transport.send(
                    "PUT",
                    place,
                    _pieces(file, size, self.progress),
                    content_type="application/octet-stream",
                    read_seconds=_READ_SECONDS,
                    quick_retries=False,
                    header=("Content-Length", str(size)),
                )

        retry(once, _RETRY, self.clock)


def _pieces(file: IO[bytes], size: int, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    done = 0
    while piece := file.read(_PIECE):
        done += len(piece)
        yield piece
        progress(done, size)
