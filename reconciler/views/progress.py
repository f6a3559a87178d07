"""Operations under way: bars on a terminal, a line per change when piped, JSON for programs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from json import dumps
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import OperationState
from reconciler.views.console import console
from reconciler.views.untrusted import for_terminal

_TENTH = 10
STEP_WORDS = {
    "inspectDisks": "inspect disks",
    "backup": "capture",
    "restore": "restore",
    "applyIdentity": "apply identity",
    "finish": "finish",
}
"""What people call the types of steps."""


class ProgressView(Protocol):
    """Shows operations; called again and again with their present state."""

    def show(self, statuses: Sequence[OperationStatus], now: datetime) -> None:
        """Show ``statuses``."""


def phase(status: OperationStatus) -> str:
    """Return what is going on, in a few words."""
    attempt = f" (attempt {status.attempt})" if status.attempt > 1 else ""
    match status.state:
        case OperationState.ARMED:
            return f"waits for the network boot{attempt}"
        case OperationState.STARTED if status.steps_done:
            if status.operation.proof:
                return "boots from its own disk"
            return "proves that the image can be restored"
        case OperationState.STARTED:
            steps = status.operation.instructions.steps
            name = STEP_WORDS[steps[min(status.step, len(steps) - 1)].STEP_TYPE]
            return f"{name} ({status.step + 1}/{len(steps)}){attempt}"
        case OperationState.VERIFIED:
            return f"done: {status.reason}"
        case OperationState.APPROVED:
            return "waits for its turn"
        case OperationState.PLANNED:
            return f"approval lapsed: {status.reason}"
        case _:
            return f"{status.state}: {status.reason}"


@contextmanager
def progress_view(output_format: str) -> Iterator[ProgressView]:
    """Return the view that suits the output."""
    if output_format == "json":
        yield _JsonView()
        return
    screen = console()
    if not screen.is_terminal:
        yield _LineView(screen)
        return
    progress = Progress(
        TextColumn("{task.fields[machine]}", style="bold", markup=False),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=screen,
    )
    with progress:
        yield _BarView(progress)


class _BarView:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, int, int], TaskID] = {}

    def show(self, statuses: Sequence[OperationStatus], now: datetime) -> None:
        """Show one bar per operation and step; ended steps keep their last state."""
        del now
        for status in statuses:
            # A bar of its own per step: rate and time left must not mix two steps.
            key = (status.operation.op_id, status.attempt, status.step)
            if key not in self._tasks:
                self._hide_earlier(status.operation.op_id)
                self._tasks[key] = self._progress.add_task(
                    for_terminal(phase(status)),
                    machine=for_terminal(status.operation.machine),
                    total=None,
                )
            self._progress.update(
                self._tasks[key],
                description=for_terminal(phase(status)),
                completed=status.bytes_done,
                total=status.bytes_total or (1 if status.state in _OVER else None),
            )

    def _hide_earlier(self, operation: str) -> None:
        for key, task in self._tasks.items():
            if key[0] == operation:
                self._progress.update(task, visible=False)


_OVER = {OperationState.VERIFIED, OperationState.FAILED, OperationState.CANCELLED}


class _LineView:
    """A line when the phase changes and at every tenth of the bytes."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._said: dict[str, tuple[str, int]] = {}

    def show(self, statuses: Sequence[OperationStatus], now: datetime) -> None:
        """Print what is new."""
        for status in statuses:
            tenth = _TENTH * status.bytes_done // status.bytes_total if status.bytes_total else 0
            news = (phase(status), tenth)
            if self._said.get(status.operation.op_id) == news:
                continue
            self._said[status.operation.op_id] = news
            percent = f" {tenth * _TENTH} %" if status.bytes_total and tenth else ""
            line = f"{now:%H:%M:%S} {status.operation.machine}: {news[0]}{percent}"
            self._screen.print(for_terminal(line), markup=False)


class _JsonView:
    """One JSON object per line and change."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, object]] = {}

    def show(self, statuses: Sequence[OperationStatus], now: datetime) -> None:
        """Print what is new."""
        for status in statuses:
            news: dict[str, object] = {
                "operation": status.operation.op_id,
                "machine": status.operation.machine,
                "state": str(status.state),
                "attempt": status.attempt,
                "step": status.step,
                "bytesDone": status.bytes_done,
                "bytesTotal": status.bytes_total,
                "stepsDone": status.steps_done,
                "reason": status.reason,
            }
            if self._said.get(status.operation.op_id) != news:
                self._said[status.operation.op_id] = news
                print(dumps({"at": now.isoformat(), **news}), flush=True)  # noqa: T201 - output
