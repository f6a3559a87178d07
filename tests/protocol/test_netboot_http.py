"""The HTTP side of network boot against curl."""

import asyncio
import os
import resource
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from builders.leases import InMemoryLeaseStore

from providers.netboot.boot_files import BootFiles
from providers.netboot.boot_policy import BootSite
from providers.netboot.boot_service import BootService
from providers.netboot.http_routes import routes
from providers.netboot.lease_table import LeaseTable
from providers.netboot.leases import Lease
from providers.netboot.served_fleet import ServedFleet
from tests.unit.netboot_world import MAC, NOW, OTHER_MAC, RecordingAuthority, grant, network

KERNEL = bytes(range(256)) * 4000
SCRIPT = "/boot/ipxe/52-54-00-12-34-56"


class HttpSite:
    def __init__(self, root: Path) -> None:
        self.authority = RecordingAuthority([grant()])
        self.leases = LeaseTable(InMemoryLeaseStore())
        self.leases.put(
            Lease("rack", IPv4Address("127.0.0.1"), MAC, "bound", NOW + timedelta(hours=1))
        )
        (root / "vmlinuz").write_bytes(KERNEL)
        (root / "deploy-os.json").write_text('{"kernel_arguments": []}')
        site = BootSite(IPv4Address("127.0.0.1"), "http://127.0.0.1")
        net = network(subnet="127.0.0.0/8", pool=None)
        fleet = ServedFleet([net])
        self.boots = BootService(
            self.authority, self.leases, BootFiles(root), site, lambda: fleet, lambda: NOW
        )
        self.url = ""

    async def curl(self, path: str, *options: str) -> tuple[str, bytes]:
        """Return status code and body."""
        process = await asyncio.create_subprocess_exec(
            "curl",
            "--silent",
            "--path-as-is",
            "--write-out",
            "%{stderr}%{http_code}",
            *options,
            self.url + path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        body, status = await process.communicate()
        return status.decode(), body

    def noted(self) -> list[str]:
        return [request.detail for request in self.authority.noted]


@pytest.fixture
async def site(tmp_path):
    here = HttpSite(tmp_path)
    application = web.Application()
    application.add_routes(routes(here.boots))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield here
    await runner.cleanup()


async def test_the_leaseholder_gets_its_script(site):
    status, body = await site.curl(SCRIPT, "--include")
    assert status == "200"
    assert b"Cache-Control: no-store" in body
    assert b"rackwright.token=" in body
    (asked,) = site.authority.decided
    assert (asked.route, asked.mac, asked.source) == ("http", MAC, "127.0.0.1")


async def test_another_machines_script_is_the_local_disk(site):
    site.authority.grants.append(grant(OTHER_MAC))
    status, body = await site.curl(f"/boot/ipxe/{OTHER_MAC}")
    assert status == "200"
    assert b"rackwright" not in body
    assert body.endswith(b"\nexit\n")


async def test_a_head_request_mints_no_token(site):
    status, _ = await site.curl(SCRIPT, "--head")
    assert status == "405"
    assert site.authority.credentials_minted == 0


@pytest.mark.parametrize(
    "path",
    [
        "/boot/ipxe/nonsense",
        "/boot/files/absent",
        "/boot/files/..%2fsecret",
        "/boot/files/../../etc/passwd",
        "/boot/files/%2fetc%2fpasswd",
        "/boot/files/",
        "/boot/nothing",
    ],
)
async def test_what_is_not_there_is_not_found(site, path):
    assert (await site.curl(path))[0] == "404"
    assert site.authority.decided == []


async def test_a_file_is_sent_and_its_transfer_noted_under_the_machine(site):
    assert await site.curl("/boot/files/vmlinuz") == ("200", KERNEL)
    assert site.noted() == ["GET vmlinuz (whole)", "vmlinuz sent after 0.0 s"]
    assert {request.mac for request in site.authority.noted} == {MAC}


async def test_ranges_are_sent_and_noted(site):
    status, body = await site.curl("/boot/files/vmlinuz", "--range", "256-511")
    assert (status, body) == ("206", bytes(range(256)))
    assert site.noted()[0] == "GET vmlinuz (bytes=256-511)"


async def test_a_client_that_goes_away_is_noted(site, monkeypatch):
    broke_off = asyncio.Event()
    note = site.authority.note

    def noting(request):
        note(request)
        if "broke off" in request.detail:
            broke_off.set()

    monkeypatch.setattr(site.authority, "note", noting)
    (site.boots.files.root / "initrd.img").write_bytes(bytes(200_000_000))
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    writer.write(b"GET /boot/files/initrd.img HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    await asyncio.wait_for(broke_off.wait(), 10)
    assert site.noted()[1].startswith("initrd.img broke off after ")


async def test_a_file_is_never_said_to_be_missing_for_lack_of_descriptors(site):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    writer.write(b"GET /boot/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"404: Not Found")
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        writer.write(b"GET /boot/files/deploy-os.json HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.3)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
