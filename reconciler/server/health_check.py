"""Looks at one machine's health for a rollout: by an address of it, and by a program.

What is asked for is written in the repository; what may be run is decided by whoever keeps the
server: only programs of one folder, and without a shell.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from agent.commands.runner import follow_command
from agent.errors import CodedError, one_line
from reconciler.loop.rollouts import Look
from reconciler.state.health_programs import health_program, missing_program

SECONDS = 30.0
"""How long one look may take."""
_GOOD = range(200, 300)
_KEPT = 200
"""Characters of what a program says that are kept."""


class HealthChecker:
    """Asks machines, a few at a time."""

    def __init__(self, state: Path) -> None:
        self._state = state

    async def problem(self, look: Look) -> str:
        """Return why a machine is not healthy, as a clause; empty where it is."""
        check, words = look.check, _words(look)
        if "{address}" in " ".join((check.url, *check.command)) and not look.address:
            return "no address of it is known"
        found = await _asked(_filled(check.url, words)) if check.url else ""
        if found or not check.command:
            return found
        program, *arguments = check.command
        path = str(health_program(self._state, program))
        argv = [path, *(_filled(each, words) for each in arguments)]
        environment = {f"RACKWRIGHT_{name.upper()}": each for name, each in words.items()}
        return missing_program(self._state, program) or await asyncio.to_thread(
            _run, argv, environment
        )


def _words(look: Look) -> dict[str, str]:
    return {"machine": look.machine, "hostname": look.hostname, "address": look.address}


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def _asked(url: str) -> str:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            status = answer.status
    except TimeoutError:
        return f"{url} gave no answer within {SECONDS:.0f} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{url} cannot be reached: {one_line(error)}"
    return "" if status in _GOOD else f"{url} answered {status}"


def _run(argv: list[str], environment: Mapping[str, str]) -> str:
    try:
        done = follow_command(argv, timeout=SECONDS, environment=environment)
    except CodedError as error:
        return f"{error.code}: {error.cause}"
    if done.status == 0:
        return ""
    said = (done.words.strip().splitlines() or [""])[-1][:_KEPT]
    return f"{Path(argv[0]).name} ended with status {done.status}" + (f": {said}" if said else "")
