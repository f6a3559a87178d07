"""What came of work by hand on each machine, as its agent said it. Pure."""

import shlex
from collections.abc import Iterable, Iterator
from json import loads
from typing import NamedTuple

from agent.steps.command import MOST_OUTPUT
from agent.steps.message import SHOWN
from agent.wire.files import PlacedFile
from agent.wire.step import ListFolder, PlaceFiles, ReadFile, Run, ShowMessage, Step
from reconciler.state.machine_history import PastOperation
from reconciler.state.operation import Operation
from reconciler.state.operation_states import OperationState

_WROTE_LAST = "; it wrote last: "
"""In the reason of a failed command: what it wrote is shown beside it."""
_GOOD, _FAILED = OperationState.VERIFIED, OperationState.FAILED


class MachineResult(NamedTuple):
    """What became of one operation of one step."""

    machine: str
    operation: str
    state: OperationState
    said: str
    """In a few words: ``exit 0``."""
    status: int | None = None
    """Of a command, where it ended by itself."""
    output: str = ""
    """Of a command: the end of both streams."""
    is_cut: bool = False
    """Whether there may have been more output before it."""
    sha256: str = ""
    """Of the file or listing that it brought."""
    size: int = 0
    shown: tuple[str, ...] = ()
    """Where a message was shown."""

    @property
    def is_good(self) -> bool:
        """Return whether all was done that was asked for."""
        return self.state is _GOOD


class Folded(NamedTuple):
    """Machines with equal results."""

    machines: tuple[str, ...]
    result: MachineResult
    """Of the first of them."""


def results(operations: Iterable[PastOperation]) -> tuple[MachineResult, ...]:
    """Return what became of operations, by machine."""
    return tuple(sorted((_result(each) for each in operations), key=lambda each: each.machine))


def _result(past: PastOperation) -> MachineResult:
    operation = past.operation
    steps = operation.instructions.steps
    found = past.known_steps[-1].result if past.known_steps else {}
    status = _number(found.get("status", ""))
    result = MachineResult(operation.machine, operation.op_id, past.state, _said(past, status))
    if isinstance(steps[0], Run):
        output = found.get("output", "")
        return result._replace(status=status, output=output, is_cut=len(output) >= MOST_OUTPUT)
    if past.state is not _GOOD:
        return result
    if isinstance(steps[0], ShowMessage):
        shown = tuple(_texts(found.get(SHOWN, "[]")))
        where = f"shown: {', '.join(shown)}" if shown else "nobody can have seen it"
        return result._replace(shown=shown, said=where)
    return result._replace(
        said=_done(steps[0], found.get("unchanged") == "1", found.get("removed", "")),
        sha256=found.get("sha256", ""),
        size=_number(found.get("size", "")) or 0,
    )


def _said(past: PastOperation, status: int | None) -> str:
    reason = past.lines[-1].reason.split(_WROTE_LAST)[0]
    # A command that was ended has no status. One with 0 does not fail work: something else did.
    if status is not None and (past.state is _GOOD or (past.state is _FAILED and status)):
        return f"exit {status}" if status >= 0 else f"ended by signal {-status}"
    if past.state is _GOOD:
        return "done"
    return f"{past.state.value}: {reason}" if reason else past.state.value


def _done(step: Step, is_unchanged: bool, removed: str) -> str:  # noqa: FBT001 - two facts of one result
    if isinstance(step, PlaceFiles) and step.remove:
        return f"removed {removed or '0'} of {len(step.remove)}"
    if isinstance(step, PlaceFiles):
        return "it was so already" if is_unchanged else "placed"
    return "read" if isinstance(step, ReadFile | ListFolder) else "done"


def asked_for(operation: Operation) -> str:
    """Return all of what a person asked for that no document has; empty for work of documents."""
    return _asked_for(operation.instructions.steps[0]) if operation.is_inline else ""


def _asked_for(step: Step) -> str:
    match step:
        case Run(command, session=session):
            return f"runs `{shlex.join(command)}`" + (" in a session" if session == "user" else "")
        case PlaceFiles(files=files, remove=remove):
            said = [f"brings {file.target} ({_terms(file)})" for file in files]
            return " and ".join([*said, *(f"removes {path}" for path in remove)])
        case ListFolder(path):
            return f"lists {path}"
        case ReadFile(path, follow=follow):
            return f"reads {path}" + (" and follows links" if follow else "")
        case ShowMessage(text):
            return f"shows “{text}”"
        case _:
            return step.STEP_TYPE


def _terms(file: PlacedFile) -> str:
    owner = f", owner {file.owner}" if file.owner else ""
    group = f", group {file.group}" if file.group else ""
    return f"mode {file.mode:04o}{owner}{group}, SHA-256 {file.sha256}"


def folded(found: Iterable[MachineResult]) -> tuple[Folded, ...]:
    """Return results with equal ones together: the most frequent first, failures after all else."""
    groups: dict[tuple[object, ...], list[MachineResult]] = {}
    for each in found:
        key = (each.state, each.said, each.output, each.is_cut)
        groups.setdefault(key, []).append(each)
    together = (
        Folded(tuple(each.machine for each in group), group[0]) for group in groups.values()
    )
    return tuple(
        sorted(
            together, key=lambda each: (not each.result.is_good, -len(each.machines), each.machines)
        )
    )


def _number(text: str) -> int | None:
    sign, digits = text[:1] == "-", text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 18):  # noqa: PLR2004 - 64 bits
        return None
    return -int(digits) if sign else int(digits)


def _texts(text: str) -> Iterator[str]:
    """Yield the texts of a list as JSON; an agent may say anything."""
    try:
        found = loads(text)
    except ValueError:
        return
    for each in found if isinstance(found, list) else ():
        if isinstance(each, str):
            yield each
