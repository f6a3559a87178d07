"""The value that tells this agent from a copy of it: from an answer to the next report.

It has to be on the medium before it is shown: a value that the agent has shown and lost would
look as if its state had been copied before.
"""

import logging
import re
from pathlib import Path

from attrs import frozen

from agent.errors import UnwritableFileError
from agent.whole_file import write_atomically

_MODE = 0o600
_FORM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_log = logging.getLogger(__name__)


@frozen
class ExchangeFile:
    """The file ``exchange`` in the agent's state directory."""

    path: Path

    def value(self) -> str:
        """Return the value; empty where there is none."""
        try:
            text = self.path.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return ""
        return text if _FORM.fullmatch(text) else ""

    def keep(self, value: str) -> None:
        """Keep a value. One that cannot be kept is not shown, as if the answer had got lost."""
        if not _FORM.fullmatch(value) or value == self.value():
            return
        try:
            write_atomically(self.path, value.encode("ascii"), _MODE)
        except UnwritableFileError as error:
            _log.warning("cannot keep what the server gave: %s", error.cause)
