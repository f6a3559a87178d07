"""What the installed agent knows of the operation that installed its system."""

import logging
from pathlib import Path

from attrs import evolve

from agent.config import AgentConfig, save_config
from agent.errors import FinishedWorkError, UnwritableFileError

_log = logging.getLogger(__name__)


class InstalledOperation:
    """The operation whose system this is, in the agent's configuration."""

    def __init__(self, path: Path, config: AgentConfig) -> None:
        self._path = path
        self._config = config

    @property
    def op_id(self) -> str:
        """The operation; empty where none installed this system."""
        return self._config.operation

    @property
    def finished(self) -> str:
        """When the server said that it is verified; empty until it did."""
        return self._config.finished

    def acknowledge(self, finished: str) -> None:
        """Keep, once, that the server knows the operation as verified."""
        if self._config.finished:
            return
        config = evolve(self._config, finished=finished)
        try:
            save_config(self._path, config)
        except UnwritableFileError as error:  # the next report is answered alike
            _log.warning("cannot keep that the operation is finished: %s", error.cause)
            return
        self._config = config

    def refuse(self, operation: str) -> None:
        """Raise FinishedWorkError RW574 where this operation is finished: nothing restarts."""
        if self.finished and operation == self.op_id:
            cause = f"this system is what operation {operation} installed"
            raise FinishedWorkError("RW574", cause, self.finished)
