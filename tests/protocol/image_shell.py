"""``rackwright image`` on a server's state, as a user runs it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from providers.imaging.store import ChunkStore
from reconciler.cli.image import image


class ImageShell:
    """The state of a server, and ``rackwright image`` on it. No command leaves work behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"

    @property
    def store(self) -> ChunkStore:
        return ChunkStore(self.state / "store")

    def __call__(self, *arguments: str | Path, expect: int = 0) -> str:
        """Run a command; return what it said. Raises what the command raises."""
        words = [*map(str, arguments), "--state", str(self.state)]
        result = CliRunner().invoke(image, words, standalone_mode=False)
        if result.exception:
            raise result.exception
        assert (result.return_value or 0) == expect, result.output
        self.assert_clean()
        return result.output

    def refusal(self, *arguments: str | Path) -> str:
        """Run a command that is refused with a code; return what it said."""
        with pytest.raises(Exception, match="RW") as caught:
            self(*arguments)
        self.assert_clean()
        return str(caught.value)

    def assert_clean(self) -> None:
        assert not list((self.state / "image-work").glob("*"))
