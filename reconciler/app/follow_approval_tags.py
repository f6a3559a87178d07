"""Signed tags in ``serve``: what waits for approvals begins once tags approve it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import structlog

from reconciler.app.approvals import PlanApprovals
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError
from reconciler.loop.reconcile import SERVER
from reconciler.state.approvals import Approvals

LOOK = 10.0
"""Seconds between two looks; a repository behind a URL is fetched only where a plan waits."""

log = structlog.get_logger(__name__)


async def follow_approval_tags(
    project: Project, clock: Callable[[], datetime], stop: asyncio.Event
) -> None:
    """Count the tags of plans that wait for approvals, until ``stop`` is set.

    StateError where the state cannot be read or written: whoever supervises this tries again.
    """
    while not stop.is_set():
        await asyncio.to_thread(count_tags, project, clock())
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK)


def count_tags(project: Project, now: datetime) -> None:
    """Count the tags of this moment, where a plan waits for approvals at all."""
    if not project.has_state or not Approvals(project.database).waiting():
        return
    present = Project(project.repo, project.ref, project.state)
    try:
        present.hold()
        for answer in PlanApprovals(present, now).count_tags(SERVER):
            run = answer.run.run_id if answer.run else None
            log.info("approved by tags", complete=answer.complete, run=run)
    except ReconcilerError as error:
        log.warning("tags not counted", code=error.code, cause=error.cause, action=error.action)
    finally:
        present.database.close()
