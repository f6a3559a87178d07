"""The step ``run``: a command on the installed system, and what came of it."""

import shlex
import sys
from collections.abc import Callable

from agent.commands.ended import Ended
from agent.commands.supervised import run_supervised
from agent.errors import StepFailedError, TerminalError
from agent.packages.user_session import active_user
from agent.version import AGENT_VERSION
from agent.wire.step import Run

MOST_OUTPUT = 16_000
"""Characters of a command's output that the server is told: its end."""
_MOST_SAID = 3000
"""Characters of it that are part of an error's cause."""


def run_command_step(step: Run, check: Callable[[], None]) -> dict[str, str]:
    """Run the command to its end, with all that it starts.

    ``check`` raises when the step has to stop; the command is ended then. Returns ``status`` and
    ``output``. StepFailedError: RW590 another exit status than wanted, RW591 it ran too long, RW592
    it waited for an answer; TerminalError RW227 it is for a user's session on Windows;
    TransientError RW226 nobody is logged in whose session it is for; and what the start of a
    command raises.
    """
    if step.session == "user" and sys.platform == "win32":
        raise TerminalError(
            "RW227",
            f"`{shlex.join(step.command)}` shall run in the user's session, where the agent "
            f"{AGENT_VERSION} starts no program on Windows",
            "Take `session: user` off, so that it runs as the system's account",
        )
    session = active_user() if step.session == "user" else None
    ended = run_supervised(
        step.command,
        timeout=step.timeout,
        silence=step.silence,
        user=session.program_user if session else None,
        environment=session.environment if session else {},
        check=check,
    )
    error = why_failed(step, ended)
    if error is not None:
        raise error
    return found(ended)


def found(ended: Ended) -> dict[str, str]:
    """Return the result of a step whose command ended: ``output``, and ``status`` if it has one."""
    status = {} if ended.status is None else {"status": str(ended.status)}
    return {**status, "output": ended.output[-MOST_OUTPUT:]}


def why_failed(step: Run, ended: Ended) -> StepFailedError | None:
    """Return why a command that ended did not do what it should; None where it did."""
    command = shlex.join(step.command)
    said = f"; it wrote last: {ended.output[-_MOST_SAID:].strip()}" if ended.output.strip() else ""
    if ended.why == "timed-out":
        return StepFailedError(
            "RW591",
            f"`{command}` did not end within {step.timeout} s and was ended with all that it "
            f"started{said}",
            "Give it more time (`timeout` of the step), or look on the machine for what it waits",
            found(ended),
        )
    if ended.why == "silent":
        return StepFailedError(
            "RW592",
            f"`{command}` wrote nothing and used no processor for {step.silence} s: it waits for "
            f"an answer that nobody gives, and was ended{said}",
            "Use the command's options for work without questions, or raise `silence` of the step",
            found(ended),
        )
    if ended.status not in step.success:
        status = f"status {ended.status}"
        if ended.status is not None and ended.status < 0:
            status = f"signal {-ended.status}"
        return StepFailedError(
            "RW590",
            f"`{command}` ended with {status}{said}",
            "Correct the command; in a scenario, name the status in `success` if it means success",
            found(ended),
        )
    return None
