"""Versions of the agent."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_VERSION = r"[0-9]{1,9}(\.[0-9]{1,9}){1,3}(-[0-9]{1,9})?"
_is_version = re.compile(_VERSION).fullmatch


def _agent_version(text: str) -> str:
    if _is_version(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is no version of the agent",
        "numbers with dots, for example 0.3.0, or 0.3.0-2 for a build of it",
    )


AgentVersion = Annotated[str, read_with(_agent_version), shown_as(f"^{_VERSION}$", "0.3.0")]
"""The agent's version, and which build of it where that is said."""
