"""The step ``showMessage``: a line for the people at the machine, and where it was shown."""

import json

from agent.notices import MessageWays, show_message
from agent.wire.step import ShowMessage

SHOWN = "shown"
"""What the places are called in the step's result: a list as JSON."""
_MOST = 200
"""Places that the server is told."""


def show_message_step(step: ShowMessage, ways: MessageWays | None = None) -> dict[str, str]:
    """Show the line; return where. Nobody may be there: that is no error."""
    shown = show_message(step.text, ways)
    return {SHOWN: json.dumps(shown[:_MOST])}
