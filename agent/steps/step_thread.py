"""Runs a step where it can be left behind: a program of the kernel may never come back from a disk.

A step stops by itself once its progress or a request to the server raises. One that does neither
is waited for some time; then it is left to itself, in a thread of its own.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from agent.errors import TerminalError

T = TypeVar("T")

_LOOK_SECONDS = 0.5


class StepHangsError(TerminalError):
    """A step did not stop when it should have, and cannot be stopped."""


def run_to_end(step: Callable[[], T], why_hangs: Callable[[], TerminalError | None]) -> T:
    """Return what the step returns, and raise what it raises.

    ``why_hangs`` returns why it should have stopped long ago, None where it should not; then
    StepHangsError is raised. The step may go on, so that nothing else may be done on this machine.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(step())
        except BaseException as error:  # noqa: BLE001 - raised below, in the session's thread
            errors.append(error)

    name = f"{threading.current_thread().name} step"
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    while True:
        thread.join(_LOOK_SECONDS)
        if not thread.is_alive():
            break
        why = why_hangs()
        if why is not None:
            action = "Look at the machine and at its disks"
            raise StepHangsError(why.code, f"{why.cause}; the step hangs", action)
    if errors:
        raise errors[0]
    return results[0]
