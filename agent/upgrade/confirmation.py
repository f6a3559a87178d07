"""A release on trial that has reported to the server is used from then on."""

import logging
from collections.abc import Callable
from pathlib import Path

from agent.errors import UnwritableFileError
from agent.upgrade.launch_state import confirmed, removable
from agent.upgrade.places import (
    LAUNCH_STATE,
    home_of,
    own_version,
    packaged_version,
    present_versions,
)
from agent.upgrade.staging import remove_releases
from agent.upgrade.state_file import read_state, write_state

_log = logging.getLogger(__name__)


def confirm(state: Path, home: Path, version: str) -> None:
    """Write down that this release is used, where it is on trial, and remove old ones.

    UnwritableFileError RW572: it stays on trial then.
    """
    path = state / LAUNCH_STATE
    known = read_state(path)
    if known.trial is None or known.trial.version != version:
        return
    known = confirmed(known)
    write_state(path, known)
    _log.info("upgraded version=%s before=%s", known.version, known.previous or "the installed one")
    old = removable(known, packaged_version(home), present_versions(home))
    try:
        remove_releases(home, old)
    except UnwritableFileError as error:  # the next upgrade removes them
        _log.warning("old releases stay: %s", error.cause)


class Confirmation:
    """A duty. A session takes its turn after it has reported, before it asks for work."""

    def __init__(
        self, state: Path, home: Path | None = None, version: Callable[[], str] = own_version
    ) -> None:
        self._state = state
        self._home = home or home_of()
        self._version = version

    def turn(self) -> None:
        """Confirm a trial of this release whose operation is over: nobody else would."""
        confirm(self._state, self._home, self._version())
