"""The inventory that the server acknowledged, kept over restarts of the agent."""

import logging
import zlib
from pathlib import Path

from attrs import frozen

from agent.whole_file import write_atomically
from agent.wire.codec import WireError
from agent.wire.inventory import Inventory, pack, unpack
from agent.wire.inventory_changes import changes_since, entries_of, sections_after

_log = logging.getLogger(__name__)
_MODE = 0o600
_NOTHING: Inventory = {}


@frozen
class KeptInventory:
    """The file ``inventory`` in the agent's state directory: the message that said all of it."""

    path: Path

    def read(self) -> Inventory:
        """Return it, empty where there is none: all of it is then sent again."""
        try:
            report = unpack(self.path.read_bytes())
            sections = sections_after(report.changes, lambda _: None)
        except FileNotFoundError:
            return _NOTHING
        except (OSError, WireError, zlib.error) as error:
            _log.warning("kept inventory unreadable path=%s error=%s", self.path, error)
            return _NOTHING
        return {name: entries_of(name, rows) for name, rows in sections.items() if rows is not None}

    def write(self, inventory: Inventory) -> None:
        """Keep it; UnwritableFileError RW572 where there is no room."""
        write_atomically(self.path, pack(changes_since(_NOTHING, inventory)), _MODE)
