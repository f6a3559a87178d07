"""What an agent knows of its updates, kept outside the process."""

import logging
from pathlib import Path

from attrs import field, frozen, validators

from agent.errors import UnwritableFileError
from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode
from agent.wire.package import PackageResult
from agent.wire.updates import PHASES, UpdateOrders

_MODE = 0o600
_log = logging.getLogger(__name__)


@frozen
class UpdateState:
    """How far the updates are. Times are seconds since 1970."""

    orders: UpdateOrders = field(factory=UpdateOrders)
    orders_digest: str = field(factory=lambda: UpdateOrders().digest)
    """What the server called them: a newer one may have fields that this agent does not know."""
    since: int = 0
    """When the policy was first known: what was due before was due under no policy."""
    checked: int = 0
    """When it was looked last; 0: never."""
    boot: str = ""
    """The boot in which that was."""
    notice: int = 0
    """The last request for a check that was followed."""
    urgent: tuple[str, ...] = ()
    """The urgent packages that were looked for."""
    phase: str = field(default="idle", validator=validators.in_(PHASES))
    phase_since: int = 0
    why: str = ""
    code: str = ""
    run: str = ""
    """Names the check that is under way, or was last."""
    found: tuple[str, ...] = ()
    """The packages that were missing."""
    missing_since: int = 0
    """Since when something is missing, and in which boot that was found: people are waited for from
    then on, whatever is missing besides by now."""
    missing_boot: str = ""
    restart_boot: str = ""
    """The boot that has to end before more can be done."""
    agreed: bool = False
    """A person at the machine agreed to the installation."""
    postponed: int = 0
    """Until when a person put it off."""
    results: tuple[PackageResult, ...] = ()
    results_of: str = ""
    """The check that the results are of: while the next one is under way they are what is known."""


@frozen
class KeptUpdates:
    """The file ``updates.json`` in the agent's state directory."""

    path: Path

    def read(self) -> UpdateState:
        """Return what is known; nothing where the file is not there or cannot be used."""
        try:
            return decode(UpdateState, self.path.read_bytes())
        except FileNotFoundError:
            return UpdateState()
        except (OSError, WireError) as error:
            _log.warning("what is known of updates is lost path=%s error=%s", self.path, error)
            return UpdateState()

    def write(self, state: UpdateState) -> None:
        """Keep it. Where there is no room it is kept in memory only: nothing is lost by that."""
        try:
            write_atomically(self.path, encode(state), _MODE)
        except UnwritableFileError as error:
            _log.warning("what is known of updates is not kept: %s", error.cause)
