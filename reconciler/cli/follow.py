"""Watching operations to their end, serving meanwhile where nobody else does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from reconciler.app.project import Project, utc_now
from reconciler.app.watched_operations import WatchedOperations
from reconciler.cli.serving import configure_log
from reconciler.server.service import Service, ServiceSettings
from reconciler.server.state_lock import is_served
from reconciler.state.operation_states import ENDED, OperationState
from reconciler.views.progress import Show, progress_view
from reconciler.views.rollout_text import halted_line
from reconciler.views.untrusted import for_terminal

_REFRESH = 0.25
_SETTLED = ENDED | {OperationState.INDETERMINATE, OperationState.PLANNED}
"""What was approved and is planned again has lost its approval."""


def follow(
    project: Project,
    boot_files: Path,
    operations: Sequence[str],
    output_format: str,
    *,
    stderr: bool = False,
) -> bool:
    """Show operations until all have ended, serving meanwhile where nobody else does.

    Where a person has to say whether a halted rollout goes on, nothing more is waited for.
    Return whether all are verified. ``stderr`` as ``progress_view``.
    """
    if is_served(project.state):
        return watch(project, operations, output_format, stderr=stderr)
    configure_log(quiet=True)
    settings = ServiceSettings(
        state=project.state, boot_files=boot_files, read_files=project.read_files
    )

    async def serve(show: Show) -> bool:
        async with Service(settings, project.fleet, project.database, utc_now):
            return await _watch(project, operations, show)

    with progress_view(output_format, stderr=stderr) as show:
        return asyncio.run(serve(show))


def watch(
    project: Project, operations: Sequence[str], output_format: str, *, stderr: bool = False
) -> bool:
    """Show operations that another process carries out, as ``follow``."""
    with progress_view(output_format, stderr=stderr) as show:
        return asyncio.run(_watch(project, operations, show))


async def _watch(project: Project, operations: Sequence[str], show: Show) -> bool:
    watched = WatchedOperations(project.database, operations)
    while True:
        statuses = watched.look()
        show(statuses, utc_now(), watched.waits(statuses))
        if all(status.state in _SETTLED for status in statuses):
            return all(status.state is OperationState.VERIFIED for status in statuses)
        halted = watched.halted(each for each in statuses if each.state not in _SETTLED)
        if halted:
            click.echo(for_terminal("; ".join(map(halted_line, halted))), err=True)
            return False
        await asyncio.sleep(_REFRESH)
