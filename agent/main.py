"""The agent's command line.

Exit status: 0 the session is over · 2 wrong usage · 3 refused or impossible, and
starting again would not help · 4 the server stayed away · 70 an error of the agent
itself (EX_SOFTWARE).
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from agent.deploy_os import run_deploy_os
from agent.errors import CodedError, TransientError
from agent.log import log_to_stderr
from agent.service import run_service
from agent.version import AGENT_VERSION

REFUSED = 3
AWAY = 4
BROKEN = 70
_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; return the exit status."""
    options = _parser().parse_args(arguments)
    log_to_stderr()
    try:
        if options.command == "deploy-os":
            run_deploy_os(options.command_line, options.state)
        else:
            run_service(options.config, options.state)
    except CodedError as error:
        _log.error("%s", error)
        return AWAY if isinstance(error, TransientError) else REFUSED
    except Exception as error:  # noqa: BLE001 - the last word of the process
        _log.error("the agent failed", exc_info=error)
        return BROKEN
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent", description="Rackwright's agent on a machine.")
    parser.add_argument("--version", action="version", version=AGENT_VERSION)
    commands = parser.add_subparsers(dest="command", required=True)
    ram = commands.add_parser("deploy-os", help="run in the RAM system, by the kernel command line")
    ram.add_argument("--command-line", type=Path, default=Path("/proc/cmdline"))
    ram.add_argument("--state", type=Path, default=Path("/run/rackwright"))
    service = commands.add_parser("service", help="run in an installed system")
    service.add_argument("--config", type=Path, default=Path("/etc/rackwright/agent.json"))
    service.add_argument("--state", type=Path, default=Path("/var/lib/rackwright"))
    return parser
