"""How an agent that was installed by a package comes to a server, and leaves it.

A server, its pin and a single-use token become the agent's configuration: by ``join``, or from
the package and the token file when the service starts. The token is in files that only root
may read, never in a package, an argument or a log.
"""

import logging
import os
import shutil
import stat
import sys
from pathlib import Path

from agent.config import AgentConfig, AgentPackage, load_config, save_config
from agent.credentials import CredentialStore
from agent.errors import TerminalError, UnwritableFileError
from agent.upgrade.release import SCRATCH
from agent.whole_file import TEMPORARY

TOKEN_FILE = "token"  # noqa: S105 - a name, beside the configuration
LEFTOVERS = f"{TEMPORARY}*"
STATE_FILES = (
    *("agent.*", "authority.*", "enrollment.*", "exchange", "operation.*", "shutdown.json"),
    *("files-order.json", "inventory", "packages.json", "installer.lock", LEFTOVERS),
)
"""Patterns of all files that an agent keeps in its state directory. There may be others, of a
server on the same machine: they are not the agent's. Which release is used (``launch.json``) is
none of a server's business, and goes with the package."""
STATE_FOLDERS = ("fetched", "files", SCRATCH)
"""Its folders there: what it fetches, what was there before files were brought, scratch files."""
STANDARD_INPUT = "-"

_LONGEST_TOKEN = 512
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_log = logging.getLogger(__name__)


def read_token(source: str) -> str:
    """Return the token in a file, or on standard input for ``-``.

    TerminalError RW581 where there is none, or others than the file's owner may read it.
    """
    place = "standard input" if source == STANDARD_INPUT else source
    try:
        if source == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(_LONGEST_TOKEN + 1)
        else:
            with Path(source).open("rb") as file:
                status = os.fstat(file.fileno())
                if _may_be_read_by_others(status):
                    raise _bad_token(
                        f"others may read {source} (mode {stat.S_IMODE(status.st_mode):04o})",
                        "Make a new token and write it to a file of mode 0600",
                    )
                raw = file.read(_LONGEST_TOKEN + 1)
    except OSError as error:
        raise _bad_token(
            f"{place} cannot be read: {error.strerror}", "Name a file that holds the token"
        ) from error
    text = raw.decode("ascii", "replace").strip()
    if not text or len(raw) > _LONGEST_TOKEN or not all("!" <= char <= "~" for char in text):
        raise _bad_token(
            f"what {place} holds is no token: a token is one word of at most {_LONGEST_TOKEN}"
            " characters",
            "Make a new token on the server",
        )
    return text


def _may_be_read_by_others(status: os.stat_result) -> bool:
    """Return whether permissions say so; those of Windows are in no mode."""
    regular = stat.S_ISREG(status.st_mode) and sys.platform != "win32"
    return regular and bool(status.st_mode & _OTHERS)


def join(config_path: Path, state: Path, server: str, pin: str, token_source: str) -> AgentConfig:
    """Write the configuration of an agent that enrolls with this server at its next start.

    ``pin`` is the SHA-256 fingerprint of the server's certificate, in any of the usual
    spellings. TerminalError: RW581 token, RW582 it belongs to a server already, RW583 server
    or pin; UnwritableFileError RW572.
    """
    if CredentialStore(state).load() is not None:
        raise TerminalError(
            "RW582",
            f"this agent belongs to {_server_of(config_path)} already",
            "Run `rackwright-agent leave` first; it then needs a new token",
        )
    config = _configuration(server, pin, read_token(token_source))
    _save(config_path, config)
    return config


def take_up_token(config_path: Path, state: Path, package: AgentPackage | None) -> None:
    """See to a token that was put beside the configuration, for the server of the package.

    It goes into the configuration, and its file away: also where it is not needed any more.
    TerminalError RW580 where the agent has neither a configuration nor such a token; RW581,
    RW583, UnwritableFileError RW572.
    """
    source = config_path.with_name(TOKEN_FILE)
    has_config = config_path.exists()
    if not source.exists():
        if not has_config:
            raise TerminalError(
                "RW580",
                f"this agent has not joined a server: there is no {config_path}",
                "Run `rackwright-agent join`, or write a token to "
                f"{source} and start the service again",
            )
        return
    if CredentialStore(state).load() is None:
        if has_config:
            known = load_config(config_path)
            server, pin = known.server, known.pin
        elif package is not None and package.server:
            server, pin = package.server, package.pin
        else:
            raise _no_server("nobody said which server the token is for")
        _save(config_path, _configuration(server, pin, read_token(str(source))))
    else:
        _log.info("the token in %s is not needed and goes away", source)
    _remove(source)


def leave(config_path: Path, state: Path) -> bool:
    """Remove the agent's configuration, credentials and state; return whether there were any.

    UnwritableFileError RW572 for what cannot be removed.
    """
    found = [config_path, config_path.with_name(TOKEN_FILE)]
    found += config_path.parent.glob(LEFTOVERS)
    for pattern in STATE_FILES:
        found += sorted(state.glob(pattern))
    present = [path for path in found if path.is_file()]
    for path in present:
        _remove(path)
    folders = [state / name for name in STATE_FOLDERS if (state / name).is_dir()]
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            reason = f"it cannot be removed: {error.strerror}"
            raise UnwritableFileError(folder, reason) from error
    return bool(present or folders)


def checked_server(server: str, pin: str) -> tuple[str, str]:
    """Return address and pin in their usual spelling; TerminalError RW583 where they are none."""
    config = _configuration(server, pin, "")
    return config.server, config.pin


def _configuration(server: str, pin: str, token: str) -> AgentConfig:
    if not server:
        raise _no_server("no server was named, and the package was made for none")
    plain = pin.replace(":", "").lower()
    try:
        return AgentConfig(server.rstrip("/"), plain, token, operation="", machine="")
    except ValueError as error:
        raise _no_server(
            f"server {server!r} and pin {pin!r} are no https:// URL without a path and "
            "no SHA-256 fingerprint"
        ) from error


def _save(config_path: Path, config: AgentConfig) -> None:
    try:
        config_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFileError(config_path, error.strerror or str(error)) from error
    save_config(config_path, config)


def _server_of(config_path: Path) -> str:
    try:
        return load_config(config_path).server
    except TerminalError:
        return "a server"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableFileError(path, f"it cannot be removed: {error.strerror}") from error


def _bad_token(cause: str, action: str) -> TerminalError:
    return TerminalError("RW581", cause, action)


def _no_server(cause: str) -> TerminalError:
    return TerminalError(
        "RW583",
        cause,
        "Give --server https://HOST:PORT and --pin HEX; `rackwright agent package` shows both",
    )
