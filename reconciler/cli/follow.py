"""Watching operations to their end, serving meanwhile where nobody else does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.log import configure_log
from reconciler.cli.workspace import Workspace, utc_now
from reconciler.ledger.ledger import Ledger
from reconciler.ledger.operation import OperationStatus
from reconciler.ledger.states import ENDED, OperationState
from reconciler.rendering.progress import ProgressView, progress_view
from reconciler.server.service import Service, ServiceSettings, is_served

if TYPE_CHECKING:
    from reconciler.store.database import Database

_REFRESH = 0.25
_SETTLED = ENDED | {OperationState.INDETERMINATE}


def follow(
    workspace: Workspace, boot_files: Path, operations: Sequence[str], output_format: str
) -> bool:
    """Show the operations until all have ended; return whether all are verified."""
    configure_log(quiet=True)
    with progress_view(output_format) as view:
        if is_served(workspace.state):
            return asyncio.run(_watch(workspace.database, operations, view))
        settings = ServiceSettings(state=workspace.state, boot_files=boot_files)
        return asyncio.run(_serve_and_watch(workspace, settings, operations, view))


async def _serve_and_watch(
    workspace: Workspace,
    settings: ServiceSettings,
    operations: Sequence[str],
    view: ProgressView,
) -> bool:
    async with Service(settings, workspace.fleet, workspace.database, utc_now):
        return await _watch(workspace.database, operations, view)


async def _watch(database: "Database", operations: Sequence[str], view: ProgressView) -> bool:
    ledger = Ledger(database)
    while True:
        statuses = [status for op_id in operations for status in ledger.operations(op_id=op_id)]
        view.show(statuses, utc_now())
        if all(status.state in _SETTLED for status in statuses):
            return _all_verified(statuses)
        await asyncio.sleep(_REFRESH)


def _all_verified(statuses: Sequence[OperationStatus]) -> bool:
    return all(status.state is OperationState.VERIFIED for status in statuses)
