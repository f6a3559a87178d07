"""The installed agent's configuration, ``/etc/rackwright/agent.json``.

The identity step writes it into the restored system, ``agent.joining`` into one that runs
already; at its first start the agent enrolls with ``token`` and rewrites the file without
it. Once the server has said that the operation is verified, the file says so too: no agent
does that operation again, whatever a server says later.
"""

from pathlib import Path

from attrs import field, frozen, validators

from agent.errors import TerminalError
from agent.whole_file import write_atomically
from agent.wire.codec import WireError, decode, encode

_MODE = 0o600


@frozen
class AgentConfig:
    """Where the server is and how to trust it. ``token`` is empty once it was used."""

    server: str = field(validator=validators.matches_re(r"^https://[^/\s]+$"))
    pin: str = field(validator=validators.matches_re(r"^[0-9a-f]{64}$"))
    token: str = field(repr=False)
    operation: str
    """The op_id that installed this system; empty where none did."""
    machine: str
    finished: str = ""
    """When the server said that the operation is verified, by its clock; empty until then."""


def load_config(path: Path) -> AgentConfig:
    """Return the configuration; TerminalError RW562 where it cannot be read or understood."""
    try:
        return decode(AgentConfig, path.read_bytes())
    except (OSError, WireError) as error:
        raise TerminalError(
            "RW562",
            f"the configuration {path} cannot be used: {error}",
            "Restore the file, or deploy this machine again",
        ) from error


def save_config(path: Path, config: AgentConfig) -> None:
    """Replace the configuration, readable by root only; UnwritableFileError RW572."""
    write_atomically(path, encode(config) + b"\n", _MODE)


PACKAGE_FILE = Path(__file__).parents[1] / "rackwright-package.json"
"""Beside the agent, where it was installed by a package."""


@frozen
class AgentPackage:
    """The package that brought this agent, and the server that it was made for, if any."""

    version: str
    server: str = ""
    pin: str = ""


def load_package(path: Path = PACKAGE_FILE) -> AgentPackage | None:
    """Return what the package says of itself; None where no package brought this agent."""
    try:
        return decode(AgentPackage, path.read_bytes())
    except (OSError, WireError):
        return None
