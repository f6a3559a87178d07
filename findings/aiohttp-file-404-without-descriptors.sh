#!/usr/bin/env bash
# aiohttp answers 404 for a file that exists when the process has no descriptor left to open it.
#
# Guess from memory: a server that runs out of descriptors answers 500 or 503 for a file, so that
# clients try again; 404 means that the file is not there.
# Behaviour (aiohttp 3.14.5, Python 3.11): web.FileResponse, which also serves static routes, turns
# every OSError on opening the file into 404. EMFILE looks like a file that was never there.
# Why it matters: firmware and boot loaders take 404 as final. iPXE, GRUB and UEFI HTTP boot go on
# to the next boot option or stop, where they would have retried a 503: a hundred machines that are
# switched on together can empty a descriptor table, and some of them would boot something else.
#
# Output seen:
#   with descriptors: 200
#   without descriptors: 404
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5

cat > "$work/serve.py" <<'PYTHON'
import asyncio
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from aiohttp import web

FILE = Path(sys.argv[1])


async def answer(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(FILE)


async def status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Ask over a connection that is open already, so that asking needs no descriptor."""
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    sizes = (line.split(":") for line in head.lower().splitlines())
    length = next((int(size[1]) for size in sizes if size[0] == "content-length"), 0)
    await reader.readexactly(length)
    return head.split()[1]


async def main() -> None:
    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    connection = await asyncio.open_connection("127.0.0.1", port)
    print("with descriptors:", await status(*connection))
    await asyncio.sleep(0.5)  # the file of the first answer is closed a moment after it
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    with suppress(OSError):
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    said = await status(*connection)
    for descriptor in taken:
        os.close(descriptor)
    print("without descriptors:", said)
    connection[1].close()
    await runner.cleanup()


asyncio.run(main())
PYTHON

head -c 4096 /dev/zero > "$work/vmlinuz"
"$work/venv/bin/python" "$work/serve.py" "$work/vmlinuz" | tee "$work/seen"
diff "$work/seen" - <<'EXPECTED'
with descriptors: 200
without descriptors: 404
EXPECTED
echo "as described"
