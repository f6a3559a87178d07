"""A clock that tests turn by hand; sleepers wake in the order of their times."""

import asyncio
import heapq
from itertools import count

_ROUNDS = 10
"""Turns of the event loop that let everything that was woken come to rest."""


class VirtualTime:
    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._number), future))
        await future

    async def pass_by(self, seconds: float) -> None:
        """Let the time pass, waking whoever's time has come."""
        end = self.now + seconds
        await self.rest()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await self.rest()
        self.now = end

    async def rest(self) -> None:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
