"""Watching operations to their end, serving meanwhile where nobody else does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from reconciler.app.project import Project, utc_now
from reconciler.app.watched_operations import WatchedOperations
from reconciler.cli.log import configure_log
from reconciler.server.service import Service, ServiceSettings, is_served
from reconciler.state.database import Database
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ENDED, OperationState
from reconciler.views.progress import ProgressView, progress_view

_REFRESH = 0.25
_SETTLED = ENDED | {OperationState.INDETERMINATE, OperationState.PLANNED}
"""What was approved and is planned again has lost its approval."""


def follow(
    project: Project, boot_files: Path, operations: Sequence[str], output_format: str
) -> bool:
    """Show the operations until all have ended; return whether all are verified."""
    configure_log(quiet=True)
    with progress_view(output_format) as view:
        if is_served(project.state):
            return asyncio.run(_watch(project.database, operations, view))
        settings = ServiceSettings(state=project.state, boot_files=boot_files)
        return asyncio.run(_serve_and_watch(project, settings, operations, view))


async def _serve_and_watch(
    project: Project,
    settings: ServiceSettings,
    operations: Sequence[str],
    view: ProgressView,
) -> bool:
    async with Service(settings, project.fleet, project.database, utc_now):
        return await _watch(project.database, operations, view)


async def _watch(database: Database, operations: Sequence[str], view: ProgressView) -> bool:
    watched = WatchedOperations(database, operations)
    while True:
        statuses = watched.look()
        view.show(statuses, utc_now())
        if all(status.state in _SETTLED for status in statuses):
            return _all_verified(statuses)
        await asyncio.sleep(_REFRESH)


def _all_verified(statuses: Sequence[OperationStatus]) -> bool:
    return all(status.state is OperationState.VERIFIED for status in statuses)
