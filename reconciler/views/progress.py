"""Work under way: bars on a terminal, a line per change when piped, JSON for programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from json import dumps

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ENDED, OperationState
from reconciler.views.console import console
from reconciler.views.untrusted import for_terminal

_TENTH = 10
STEP_WORDS = {
    "inspectDisks": "inspect disks",
    "backup": "capture",
    "restore": "restore",
    "applyIdentity": "apply identity",
    "run": "run a command",
    "packages": "install packages",
    "files": "bring files",
    "listFolder": "list a folder",
    "readFile": "read a file",
    "showMessage": "show a message",
    "upgradeAgent": "upgrade the agent",
    "finish": "finish",
}
"""What people call the types of steps."""


Show = Callable[[Sequence[OperationStatus], datetime, Mapping[str, str]], None]
"""Shows operations; called again and again with their present state, and what each waits for."""


def phase(status: OperationStatus, waits: str = "") -> str:
    """Return what is going on, in a few words; ``waits`` says what work waits for."""
    attempt = f" (attempt {status.attempt})" if status.attempt > 1 else ""
    match status.state:
        case OperationState.ARMED:
            what = "its agent" if status.operation.runs_in_system else "the network boot"
            return f"waits for {what}{attempt}"
        case OperationState.STARTED if status.steps_done:
            if status.operation.proof:
                return "boots from its own disk"
            is_capture = status.operation.kind == "capture"
            return "proves that the image can be restored" if is_capture else "ends"
        case OperationState.STARTED:
            steps = status.operation.instructions.steps
            name = STEP_WORDS[steps[min(status.step, len(steps) - 1)].STEP_TYPE]
            waiting = f", waits for {waits}" if waits else ""
            return f"{name} ({status.step + 1}/{len(steps)}){attempt}{waiting}"
        case OperationState.VERIFIED:
            return f"done: {status.reason}"
        case OperationState.APPROVED:
            return f"waits for {waits or 'its turn'}"
        case OperationState.PLANNED:
            return f"approval lapsed: {status.reason}"
        case _:
            return f"{status.state}: {status.reason}"


class _WithBytes(ProgressColumn):
    """A column of work that moves bytes; of other work it is empty."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        """Return the column, once it is known how many bytes there are."""
        return self._column.render(task) if (task.total or 0) > 1 else Text()


@contextmanager
def progress_view(output_format: str, *, stderr: bool = False) -> Iterator[Show]:
    """Yield what shows operations in the way that suits the output.

    With ``stderr`` it goes there, for people: standard output is for something else.
    """
    screen = console(stderr=stderr)
    if not stderr and output_format == "json":
        yield _objects()
    elif screen.is_terminal:
        progress = Progress(
            TextColumn("{task.fields[machine]}", style="bold", markup=False),
            TextColumn("{task.description}", markup=False),
            _WithBytes(BarColumn(bar_width=24)),
            _WithBytes(DownloadColumn()),
            _WithBytes(TransferSpeedColumn()),
            TimeElapsedColumn(),
            _WithBytes(TimeRemainingColumn()),
            console=screen,
        )
        with progress:
            yield _bars(progress)
    else:
        yield _lines(screen)


def _bars(progress: Progress) -> Show:
    """Return what shows a bar per operation and step; ended steps keep their last state."""
    tasks: dict[tuple[str, int, int], TaskID] = {}

    def show(statuses: Sequence[OperationStatus], now: datetime, waits: Mapping[str, str]) -> None:
        del now
        for status in statuses:
            op_id = status.operation.op_id
            # A bar of its own per step: rate and time left must not mix two steps.
            key = (op_id, status.attempt, status.step)
            if key not in tasks:
                for (earlier, *_), task in tasks.items():
                    if earlier == op_id:
                        progress.update(task, visible=False)
                tasks[key] = progress.add_task(
                    for_terminal(phase(status, waits.get(op_id, ""))),
                    machine=for_terminal(status.operation.machine),
                    total=None,
                )
            progress.update(
                tasks[key],
                description=for_terminal(phase(status, waits.get(op_id, ""))),
                completed=status.bytes_done,
                total=status.bytes_total or (1 if status.state in ENDED else None),
            )

    return show


def _lines(screen: Console) -> Show:
    """Return what prints a line when the phase changes and at every tenth of the bytes."""
    said: dict[str, tuple[str, int]] = {}

    def show(statuses: Sequence[OperationStatus], now: datetime, waits: Mapping[str, str]) -> None:
        for status in statuses:
            tenth = _TENTH * status.bytes_done // status.bytes_total if status.bytes_total else 0
            news = (phase(status, waits.get(status.operation.op_id, "")), tenth)
            if said.get(status.operation.op_id) == news:
                continue
            said[status.operation.op_id] = news
            percent = f" {tenth * _TENTH} %" if status.bytes_total and tenth else ""
            line = f"{now:%H:%M:%S} {status.operation.machine}: {news[0]}{percent}"
            screen.print(for_terminal(line), markup=False)

    return show


def _objects() -> Show:
    """Return what prints one JSON object per line and change."""
    said: dict[str, dict[str, object]] = {}

    def show(statuses: Sequence[OperationStatus], now: datetime, waits: Mapping[str, str]) -> None:
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
                "waitsFor": waits.get(status.operation.op_id, ""),
            }
            if said.get(status.operation.op_id) != news:
                said[status.operation.op_id] = news
                print(dumps({"at": now.isoformat(), **news}), flush=True)  # noqa: T201 - output

    return show


BuildProgress = Callable[[str, float | None], None]
"""What is being done, and how much of the whole is done (0 to 1), if that is known."""


ByteProgress = Callable[[int, int], None]
"""``progress(done, total)`` in bytes."""


@contextmanager
def bytes_progress(screen: Console, title: str) -> Iterator[ByteProgress]:
    """Yield a reporter of bytes: a bar with rate and time left on a terminal, else nothing."""
    if not screen.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def build_progress(screen: Console, title: str) -> Iterator[BuildProgress]:
    """Yield a reporter: a bar on a terminal, a line per phase when piped."""
    if not screen.is_terminal:
        said: set[str] = set()

        def line(phase: str, done: float | None) -> None:
            del done
            if phase not in said:
                said.add(phase)
                screen.print(f"{title}: {phase}", markup=False)

        yield line
        return
    columns = (
        TextColumn("{task.fields[title]}", style="bold", markup=False),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, BarColumn(bar_width=24), TimeElapsedColumn(), console=screen) as bar:
        task = bar.add_task("begins", total=1.0, title=title)

        def update(phase: str, done: float | None) -> None:
            bar.update(task, description=phase, completed=done if done is not None else None)

        yield update
