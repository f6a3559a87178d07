"""Taking in what machines send of their work, and letting go of what is kept for too long."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from agent.imaging.packed_text import unpack
from agent.wire.evidence import EVIDENCE_NAMES
from reconciler.errors import ReconcilerError
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ENDED, NOT_BEGUN
from reconciler.state.run_evidence import GRACE, KeepLimits, RunEvidence, unneeded
from specs.fleet import FleetSettings

PRUNE_INTERVAL = 3600.0
"""Seconds."""
_AT_ONCE = 200
"""Texts that one step of pruning looks at: some milliseconds."""

log = structlog.get_logger(__name__)


class EvidenceKeeper:
    """The evidence of runs, as the server takes it in and prunes it."""

    def __init__(
        self,
        evidence: RunEvidence,
        settings: Callable[[], FleetSettings],
        clock: Callable[[], datetime],
    ) -> None:
        self._evidence = evidence
        self._settings = settings
        self._clock = clock

    def check(self, status: OperationStatus | None, attempt: int, name: str) -> None:
        """Raise ReconcilerError RW578 unless a machine may send this of its operation now.

        It may for the attempts that it began, until an hour after the operation's end.
        """
        if name not in EVIDENCE_NAMES:
            raise _refused(f"{name[:40]!r} is no text that is kept of runs")
        if status is None:
            raise _refused("it is not this machine's operation")
        begun = status.attempt - 1 if status.state in NOT_BEGUN else status.attempt
        if not 1 <= attempt <= begun:
            raise _refused(f"attempt {attempt} was not begun")
        if status.state in ENDED and self._clock() > status.at + GRACE:
            raise _refused(f"the operation ended at {status.at:%Y-%m-%d %H:%M:%S} UTC")

    async def take(self, op_id: str, attempt: int, name: str, body: bytes) -> None:
        """Keep one text. Raises ValueError where it is none, UnwritableFileError RW572."""
        await asyncio.to_thread(unpack, body)
        self._evidence.record(op_id, attempt, name, body, self._clock())
        await asyncio.to_thread(self._evidence.write, op_id, attempt, name, body)

    async def prune_for_ever(self) -> None:
        """Prune now and every hour, by the limits that hold then: a task for a supervisor."""
        while True:
            await self.prune()
            await asyncio.sleep(PRUNE_INTERVAL)

    async def prune(self) -> int:
        """Let go of what is too old or too much; return how many texts that were."""
        settings, evidence, now = self._settings(), self._evidence, self._clock()
        limits = KeepLimits(
            timedelta(seconds=settings.keep_evidence_seconds), settings.max_evidence_size
        )
        total, last, count = evidence.total(), None, 0
        while kept := evidence.oldest(last, _AT_ONCE):
            gone = unneeded(kept, total, limits, now)
            await asyncio.to_thread(evidence.remove, gone)
            evidence.forget(gone)
            total -= sum(file.size for file in gone)
            count += len(gone)
            last = kept[-1].file
            if last.at >= now - limits.keep and total <= limits.most_bytes:
                break
        if count:
            log.info("evidence of runs pruned", texts=count, bytes_left=total)
        return count


def _refused(why: str) -> ReconcilerError:
    return ReconcilerError(
        "RW578", f"what the machine sent of a run is not taken: {why}", "Nothing is needed"
    )
