"""``rackwright-agent status | postpone | now``: what a person at the machine says."""

import argparse
import re
import sys

from agent.errors import TerminalError
from agent.shutdown.control import SOCKET, Request, ask

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,6})([smhd])")


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the agent's command line."""
    status = commands.add_parser("status", help="say whether a restart or shutdown waits")
    postpone = commands.add_parser("postpone", help="put a restart or shutdown off")
    postpone.add_argument("time", metavar="TIME", help="from now on, such as 10m or 1h")
    now = commands.add_parser("now", help="let a restart or shutdown that waits happen now")
    for parser in (status, postpone, now):
        parser.set_defaults(run=_run, for_people=True)
        parser.add_argument("--socket", default=str(SOCKET), help=argparse.SUPPRESS)


def parse_duration(text: str) -> int:
    """Return the seconds of ``10m`` or ``1h``; TerminalError RW246 where it is no such text."""
    found = _DURATION.fullmatch(text)
    if found is None or not int(found[1]):
        raise TerminalError(
            "RW246",
            f"{text[:40]!r} is no length of time",
            "Write a number and s, m, h or d, such as 10m",
        )
    return int(found[1]) * _UNITS[found[2]]


def _run(options: argparse.Namespace) -> None:
    seconds = parse_duration(options.time) if options.command == "postpone" else 0
    sys.stdout.write(ask(Request(options.command, seconds), options.socket) + "\n")
