"""Work spread over a few threads with bounded look-ahead, results in order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def worker_count(most: int = 4) -> int:
    """Return how many threads keep this machine's CPUs and one disk busy."""
    return max(2, min(most, os.cpu_count() or 1))


def flow(
    work: Callable[[T], R], items: Iterable[T], *, workers: int | None = None
) -> Generator[R, None, None]:
    """Yield ``work(item)`` for each item, in order.

    At most two items per worker are begun before they are asked for, so that
    memory stays bounded. The first error is raised at its item's place; nothing
    new is begun after it, and all threads have ended when the generator is closed,
    which a caller that may stop early has to do.
    """
    count = workers or worker_count()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
