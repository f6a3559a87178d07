"""An agent's identity as its certificate carries it: a URI (RFC 5280, section 4.2.1.6).

``rackwright://machine/<name>/<environment>``, the name percent-encoded. The URI
alone decides; the common name is there for people who look at a certificate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from urllib.parse import quote, unquote

from reconciler.errors import TrustError

Environment = Literal["deploy-os", "installed"]

LIFETIME: Final[Mapping[Environment, timedelta]] = {
    "deploy-os": timedelta(hours=12),  # longer than any operation, gone by the next day
    "installed": timedelta(days=30),  # renewed while the machine is on
}

_PREFIX = "rackwright://machine/"
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """Which machine, and in which of its systems the agent runs."""

    machine: str
    environment: Environment

    def uri(self) -> str:
        """Return the subject alternative name; TrustError RW507 for a name it cannot carry."""
        if not (0 < len(self.machine) <= _LONGEST_NAME and self.machine.isprintable()):
            raise TrustError(
                "RW507",
                f"{self.machine!r} cannot be the name of a machine in a certificate",
                f"Use 1 to {_LONGEST_NAME} printable characters",
            )
        return f"{_PREFIX}{quote(self.machine, safe='')}/{self.environment}"


def parse_uri(uri: str) -> AgentIdentity | None:
    """Return the identity that ``uri`` carries; None unless it is one in canonical form."""
    name = unquote(uri.removeprefix(_PREFIX).partition("/")[0])
    candidates = (AgentIdentity(name, environment) for environment in LIFETIME)
    try:
        return next((each for each in candidates if each.uri() == uri), None)
    except TrustError:
        return None
