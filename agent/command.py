"""Running an external command: an argument list in, status and output out."""

import os
import subprocess
from collections.abc import Sequence

from attrs import frozen

from agent.errors import TerminalError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT_SECONDS = 300.0


class CommandError(TerminalError):
    """A command is missing (RW566), failed or did not end in time (RW565)."""


@frozen
class Completed:
    """A command that has ended with one of the accepted statuses."""

    status: int
    stdout: bytes
    stderr: str


def run_command(
    argv: Sequence[str], *, accept: Sequence[int] = (0,), timeout: float = _TIMEOUT_SECONDS
) -> Completed:
    """Run ``argv`` in the C locale without input; CommandError unless its status is accepted."""
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", _PATH)},
        )
    except FileNotFoundError as error:
        raise CommandError(
            "RW566", f"the command {argv[0]} does not exist here", "Install it in this system"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(
            "RW565",
            f"{' '.join(argv)} did not end within {timeout:.0f} s",
            "Look at the device that it works on",
        ) from error
    stderr = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode not in accept:
        raise CommandError(
            "RW565",
            f"{' '.join(argv)} ended with status {done.returncode}: {stderr or 'no message'}",
            "See the message of the command",
        )
    return Completed(done.returncode, done.stdout, stderr)
