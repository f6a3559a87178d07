"""Files and listings that people asked machines for: taken in, kept for a day, shown to them.

They are apart from the content that machines may fetch: nobody but who may read the server's state
has them. A machine brings one while it is at work on an operation that reads it, and no more of it
than the operation says.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from aiohttp import web

from agent.wire.listing import MOST_LISTING
from agent.wire.step import ListFolder, ReadFile
from providers.content.errors import (
    BadChecksumError,
    NoRoomError,
    TransferInUseError,
    WrongContentError,
)
from providers.content.store import KEEP_FREE, ContentStore, Transfer
from reconciler.server.agent_requests import refusal
from reconciler.state.operation import Operation

FOLDER = "machine-files"
KEPT = timedelta(days=1)
PRUNE_INTERVAL = 3600.0
"""Seconds."""
_PIECE = 256 << 10

log = structlog.get_logger(__name__)


class MachineFiles:
    """What machines brought, in the state directory."""

    def __init__(self, state: Path, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._clock = clock

    @property
    def store(self) -> ContentStore:
        """Where they are, by their SHA-256."""
        return ContentStore(self._state / FOLDER)

    async def take(self, request: web.Request, operation: Operation, sha256: str) -> None:
        """Take in one file as it comes; what is here already is only compared by its name.

        Refused with RW289 where the operation reads nothing, or less than that, and where the
        checksum is not that of what came; with RW260 while there is no room.
        """
        size = request.content_length
        most = most_of(operation)
        if size is None or size > most:
            number = "any number of" if size is None else f"{size:,}"
            raise _refused(
                f"{operation.machine} would bring {number} bytes, and its operation reads "
                f"{most:,} at most"
            )
        try:
            with self.store.transfer(sha256, KEEP_FREE) as transfer:
                if transfer is None:
                    async for _ in request.content.iter_chunked(_PIECE):
                        pass
                    return
                await self._take(request, transfer, size)
        except NoRoomError as error:
            raise refusal(
                web.HTTPInsufficientStorage, error.code, error.cause, error.action
            ) from error
        except (BadChecksumError, WrongContentError) as error:
            raise _refused(error.cause) from error
        except TransferInUseError as error:
            raise refusal(
                web.HTTPServiceUnavailable, error.code, error.cause, error.action
            ) from error

    async def _take(self, request: web.Request, transfer: Transfer, size: int) -> None:
        transfer.restart()
        await asyncio.to_thread(self.store.require_room, size, KEEP_FREE)
        async for piece in request.content.iter_chunked(_PIECE):
            await asyncio.to_thread(transfer.append, piece)
        await asyncio.to_thread(transfer.finish, "the machine")

    async def prune_for_ever(self) -> None:
        """Let go of what is too old, now and every hour: a task for a supervisor."""
        while True:
            count = await asyncio.to_thread(self.store.sweep, (), self._clock() - KEPT)
            if count:
                log.info("files of machines pruned", files=count)
            await asyncio.sleep(PRUNE_INTERVAL)


def most_of(operation: Operation) -> int:
    """Return how many bytes a machine may bring at once for its operation; 0 for none."""
    found = [0]
    for step in operation.instructions.steps:
        if isinstance(step, ReadFile):
            found.append(step.most)
        if isinstance(step, ListFolder):
            found.append(MOST_LISTING)
    return max(found)


def _refused(cause: str) -> web.HTTPException:
    return refusal(
        web.HTTPUnprocessableEntity, "RW289", cause, "Run it again; if it recurs, report this"
    )
