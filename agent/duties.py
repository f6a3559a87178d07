"""What an agent does by itself between its questions for work: inventory, renewal and the like."""

import logging
from collections.abc import Iterable
from typing import Protocol

from agent.errors import CodedError

_log = logging.getLogger(__name__)


class Duty(Protocol):
    """Something that an agent sees to by itself, whenever it is due."""

    def turn(self) -> None:
        """Do what is due now, if anything; called before each question for work.

        It holds up the machine's work, so that what takes longer than seconds is done in a
        thread of its own. CodedError where it fails: it is logged; the next turn comes anyway.
        """


def take_turns(duties: Iterable[Duty]) -> None:
    """Let each duty have its turn; one that fails keeps no other from it."""
    for duty in duties:
        try:
            duty.turn()
        except CodedError as error:
            _log.warning("%s", error)
