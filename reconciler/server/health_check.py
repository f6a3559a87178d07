"""Looks at one machine's health for a rollout: by an address of it, and by a program.

What is asked for is written in the repository; what may be run is decided by whoever keeps the
server: only programs of one folder, and without a shell.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from agent.errors import one_line
from reconciler.loop.rollouts import Look
from reconciler.state.health_programs import health_program, missing_program

SECONDS = 30.0
"""How long one look may take."""
_GOOD = range(200, 300)
_KEPT = 200
"""Characters of what a program says that are kept."""
_PIECE = 64 << 10
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
        return missing_program(self._state, program) or await _run(argv, environment)


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
        return f"{url} cannot be reached: {_why(error)}"
    return "" if status in _GOOD else f"{url} answered {status}"


def _why(error: BaseException) -> str:
    """Return what the system says, without the address that stands beside it."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return one_line(error)


async def _run(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a program and return why it is not good; empty where it is.

    Only the program itself is waited for: what it leaves behind may go on, and may keep its output
    open. A program that takes too long is ended with all that it started.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    said = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(reader, _keep_end, reader, said)
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env={**environment, "LC_ALL": "C", "PATH": _PATH},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"{Path(argv[0]).name} cannot be started: {one_line(error)}"
        finally:
            os.close(writer)
        status = await _status(process)
        _keep_end(reader, said)
    finally:
        loop.remove_reader(reader)
        os.close(reader)
    if status is None:
        return f"{Path(argv[0]).name} did not end within {SECONDS:.0f} s"
    if status == 0:
        return ""
    last = (said.decode("utf-8", "replace").strip().splitlines() or [""])[-1][:_KEPT]
    return f"{Path(argv[0]).name} ended with status {status}" + (f": {last}" if last else "")


async def _status(process: asyncio.subprocess.Process) -> int | None:
    """Return a program's exit status; None where it took too long, and was ended."""
    try:
        return await asyncio.wait_for(process.wait(), SECONDS)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _keep_end(reader: int, said: bytearray) -> None:
    """Read what is there, and keep the end of it."""
    try:
        piece = os.read(reader, _PIECE)
    except BlockingIOError:
        return
    if not piece:
        asyncio.get_running_loop().remove_reader(reader)
    said += piece
    del said[:-_PIECE]
