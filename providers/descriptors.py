"""Where no file descriptor is left: wait, then say so, and never "not found"."""

import asyncio
import errno
import os
from pathlib import Path

from aiohttp import web

SHORT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
PAUSES = (0.1, 0.4, 1.5, 3.0)
"""Seconds between looks whether a descriptor is there again."""


async def wait_until_openable(path: Path) -> None:
    """Return once a file can be opened, or cannot for another reason; HTTP 503 after a while.

    To be awaited before ``web.FileResponse``, which answers 404 for every file that it cannot
    open: a client would take a chunk or a kernel for lost.
    """
    for pause in PAUSES:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno not in SHORT_OF_DESCRIPTORS:
                return
            await asyncio.sleep(pause)
        else:
            return
    raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
