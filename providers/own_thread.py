"""Calls that may take for ever, as those to a file server that is away: beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(call: Callable[[], T], name: str) -> T:
    """Return what a call returns that may wait for long, or raise what it raises.

    Its thread is of its own, so that one that hangs holds up no other, and does not keep the
    process from ending: whatever it does may be broken off at any moment.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # without an error there is one

    def work() -> None:
        result, failed = None, None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it is whose call it is to judge
            failed = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result, failed)

    threading.Thread(target=work, name=name, daemon=True).start()
    return await future
