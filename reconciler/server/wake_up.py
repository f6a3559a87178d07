"""Waiting for news without polling."""

import asyncio


class WakeUp:
    """One signal, any number of waiters; a signal between two waits is not lost.

    ``generation`` counts signals: a waiter says which one it has seen.
    """

    def __init__(self) -> None:
        self._condition = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.generation = 0

    def signal(self) -> None:
        """Wake all waiters; call it from the event loop's thread."""
        self.generation += 1
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._condition:
            self._condition.notify_all()

    async def wait(self, seen: int, seconds: float) -> bool:
        """Wait until there was a signal after ``seen``, at most ``seconds``; False on time-out."""
        try:
            async with asyncio.timeout(seconds), self._condition:
                await self._condition.wait_for(lambda: self.generation != seen)
        except TimeoutError:
            return False
        return True
