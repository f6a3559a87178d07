"""Which images and chunks work needs."""

from collections.abc import Iterable
from datetime import datetime

from agent.wire.step import Backup, Restore
from reconciler.state.database import Database
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import AT_WORK, OperationState
from reconciler.state.operations import UNDER_WAY, Operations


class ImageNeeds:
    """What operations that have not ended need of the image store."""

    def __init__(self, database: Database) -> None:
        self._operations = Operations(database)

    def restoring(self, digests: Iterable[str]) -> tuple[OperationStatus, ...]:
        """Return the work that restores one of these images.

        It is approved and has not ended, or nobody knows how it ended.
        """
        wanted = frozenset(digests)
        under_way = self._operations.current(UNDER_WAY)
        return tuple(each for each in under_way if not _restored(each).isdisjoint(wanted))

    def images(self) -> frozenset[str]:
        """Return the images that work restores, and those that it brought in and tests still."""
        under_way = {each.operation.op_id: each for each in self._operations.current(UNDER_WAY)}
        captures = self._operations.captures()
        brought = frozenset(each.manifest for each in captures if each.operation in under_way)
        return brought.union(*map(_restored, under_way.values()))

    def captures_planned(self) -> list[datetime]:
        """Return when the captures were planned of which one may still store an image.

        None of them asked for chunks before.
        """
        states = AT_WORK | {OperationState.INDETERMINATE}
        return self._operations.planned_at(
            [
                each.operation.op_id
                for each in self._operations.current(states)
                if any(isinstance(step, Backup) for step in each.operation.instructions.steps)
            ]
        )


def _restored(status: OperationStatus) -> frozenset[str]:
    steps = status.operation.instructions.steps
    return frozenset(step.manifest for step in steps if isinstance(step, Restore))
