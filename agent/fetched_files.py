"""Files of the server that work on the installed system needs, in the agent's state directory."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from agent.clock import Clock
from agent.content import ContentFile, fetch
from agent.transport import Transport
from agent.wire.package import PackageFile


class FetchedFiles:
    """Fetches by digest and gives each file the name that an installer knows it by.

    ``content`` has files by their digest, ``named`` links to them. Both are cleared when an
    operation has ended; an operation that goes on after a restart finds what it had fetched.
    """

    def __init__(
        self, transport: Transport, state: Path, clock: Clock, name: str = "fetched"
    ) -> None:
        self._transport = transport
        self._folder = state / name
        self._clock = clock

    def has(self, file: PackageFile) -> bool:
        """Return whether the file was fetched; not whether it is still as it was."""
        return (self._folder / "content" / file.sha256).exists()

    def fetch(
        self, file: PackageFile, check: Callable[[], None], max_rate: float | None = None
    ) -> Path:
        """Return where the file lies under its own name.

        ``check`` raises when the work has to stop; ``max_rate`` is in bytes a second. Raises what
        ``content.fetch`` raises.
        """
        wanted = ContentFile(file.sha256, file.size)
        path = fetch(
            self._transport,
            wanted,
            self._folder / "content",
            check,
            lambda _done, _total: None,
            max_rate=max_rate,
            clock=self._clock,
        )
        named = self._folder / "named" / file.name
        named.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        named.unlink(missing_ok=True)  # of another package, with the same name
        os.link(path, named)
        return named

    def clear(self) -> None:
        """Forget all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)
