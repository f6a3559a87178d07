"""The HTTP side of network boot: aiohttp routes for iPXE scripts and boot files."""

import time
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from providers.descriptors import wait_until_openable
from providers.netboot.boot_policy import FILES_PATH, IPXE_SCRIPT_PATH
from providers.netboot.boot_script import parse_mac
from providers.netboot.boot_service import BootService
from providers.netboot.client_text import printable


def routes(boots: BootService) -> list[web.AbstractRouteDef]:
    """Return the routes. They answer anyone: no certificate exists at this stage.

    ``GET /boot/ipxe/{mac}`` is a machine's iPXE script; HEAD is not answered, as
    each script mints a token. ``GET /boot/files/{name}`` is a file of the boot
    files directory, with ranges.
    """
    door = _Door(boots)
    return [
        web.get(IPXE_SCRIPT_PATH + "{mac}", door.ipxe_script, allow_head=False),
        web.get(FILES_PATH + "{name}", door.boot_file),
    ]


class _Door:
    """The handlers."""

    def __init__(self, boots: BootService) -> None:
        self._boots = boots

    async def ipxe_script(self, request: web.Request) -> web.Response:
        """Answer with the script for one machine; nobody may keep a copy."""
        mac = parse_mac(request.match_info["mac"])
        if mac is None:
            raise web.HTTPNotFound(text="no MAC address")
        text = self._boots.script("ipxe", mac, _source(request))
        return web.Response(text=text, headers={"Cache-Control": "no-store"})

    async def boot_file(self, request: web.Request) -> web.FileResponse:
        """Send a file and note how it went: a boot that hangs is seen by its transfers."""
        path = self._boots.files.find(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound(text="no such boot file")
        await wait_until_openable(path)
        return _NotedFile(path, self._boots)


class _NotedFile(web.FileResponse):
    """Notes how the sending went, which aiohttp does inside ``prepare``."""

    def __init__(self, path: Path, boots: BootService) -> None:
        super().__init__(path)
        self._name = path.name
        self._boots = boots

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send headers and file."""
        span = request.headers.get("Range", "whole")
        self._note(request, f"{request.method} {self._name} ({printable(span)})")
        started, ending = time.monotonic(), "broke off"
        try:
            writer = await super().prepare(request)
            ending = "sent"
        finally:
            seconds = time.monotonic() - started
            self._note(request, f"{self._name} {ending} after {seconds:.1f} s")
        return writer

    def _note(self, request: web.BaseRequest, detail: str) -> None:
        self._boots.note_transfer("http", _source(request), detail)


def _source(request: web.BaseRequest) -> str:
    """Return the peer's IPv4 address; 0.0.0.0, which no network has, if it has none."""
    return request.remote or "0.0.0.0"  # noqa: S104 (an absent peer, nothing is bound)
