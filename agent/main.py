"""The agent's command line.

Exit status: 0 the session is over, or the command did what it says · 2 wrong usage · 3 refused
or impossible, and starting again would not help · 4 the server stayed away · 70 an error of the
agent itself (EX_SOFTWARE) · 75 it wants to be started anew, by its launcher (EX_TEMPFAIL).
"""

import argparse
import logging
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.commands import systemctl
from agent.config import load_package
from agent.deploy_os import run_deploy_os
from agent.errors import CodedError, TransientError
from agent.identity.linux.agent_bundle import CONFIG, UNIT
from agent.joining import join, leave, take_up_token
from agent.log import log_to_stderr
from agent.service import run_service
from agent.shutdown.local_commands import add_commands
from agent.steps.upgrade import AgentRestartWantedError
from agent.upgrade.places import RESTART_STATUS
from agent.version import AGENT_VERSION
from agent.windows import installation

REFUSED = 3
AWAY = 4
BROKEN = 70
_CONFIG, _STATE = Path(CONFIG), Path("/var/lib/rackwright")
if sys.platform == "win32":
    _CONFIG, _STATE = Path(installation.CONFIG), Path(installation.STATE)
_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; return the exit status."""
    options = _parser().parse_args(arguments)
    log_to_stderr()
    try:
        options.run(options)
    except CodedError as error:
        if options.for_people:
            sys.stderr.write(f"{error}\n")
        else:
            _log.error("%s", error)
        return AWAY if isinstance(error, TransientError) else REFUSED
    except AgentRestartWantedError:
        _log.info("this agent ends for the launcher to start the next one")
        return RESTART_STATUS
    except Exception as error:  # noqa: BLE001 - the last word of the process
        _log.error("the agent failed", exc_info=error)
        return BROKEN
    return 0


def _deploy_os(options: argparse.Namespace) -> None:
    run_deploy_os(options.command_line, options.state)


def _service(options: argparse.Namespace) -> None:
    take_up_token(options.config, options.state, load_package())
    run_service(options.config, options.state)


def _join(options: argparse.Namespace) -> None:
    package = load_package()
    server, pin = options.server, options.pin
    if package is not None and not server and not pin:
        server, pin = package.server, package.pin
    config = join(options.config, options.state, server, pin, options.token_file)
    if systemctl.is_running():
        systemctl.change_unit("restart", UNIT)
        _say(f"joining {config.server}: the service was started and enrolls now")
    else:
        _say(f"joining {config.server}: it enrolls when the service starts")


def _leave(options: argparse.Namespace) -> None:
    if systemctl.is_running():
        systemctl.change_unit("stop", UNIT)
    if leave(options.config, options.state):
        _say("configuration, key and certificate are gone; the server is not told")
    else:
        _say("this agent had not joined a server")


def _version(_: argparse.Namespace) -> None:
    package = load_package()
    brought = f"package {package.version}" if package else "no package"
    _say(f"rackwright-agent {AGENT_VERSION} ({brought}, Python {platform.python_version()})")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rackwright-agent", description="Rackwright's agent on a machine."
    )
    parser.add_argument("--version", action="version", version=AGENT_VERSION)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], None], text: str, *, for_people: bool
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run, for_people=for_people)
        return added

    ram = command(
        "deploy-os",
        _deploy_os,
        "run in the RAM system, by the kernel command line",
        for_people=False,
    )
    ram.add_argument("--command-line", type=Path, default=Path("/proc/cmdline"))
    ram.add_argument("--state", type=Path, default=Path("/run/rackwright"))
    add_commands(commands)
    service = command("service", _service, "run in an installed system", for_people=False)
    joining = command(
        "join",
        _join,
        "join a server with a single-use token, and start the service",
        for_people=True,
    )
    joining.add_argument("--server", default="", metavar="URL", help="https://HOST:PORT")
    joining.add_argument(
        "--pin", default="", metavar="HEX", help="SHA-256 fingerprint of the server's certificate"
    )
    joining.add_argument(
        "--token-file", required=True, metavar="FILE", help="has the token; - is standard input"
    )
    leaving = command(
        "leave", _leave, "stop the service; remove configuration and credentials", for_people=True
    )
    command("version", _version, "say which agent this is", for_people=True)
    for added in (service, joining, leaving):
        added.add_argument("--config", type=Path, default=_CONFIG)
        added.add_argument("--state", type=Path, default=_STATE)
    return parser
