"""Progress of a build whose phases are known, but not their bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

BuildProgress = Callable[[str, float | None], None]
"""What is being done, and how much of the whole is done (0 to 1), if that is known."""


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
