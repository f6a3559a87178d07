"""What strangers may cost the HTTP ports, with real connections from several loopback sources."""

import asyncio
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from agent.wire.codec import WireError
from agent.wire.enrollment import EnrollmentRequest
from reconciler.server.connection_limits import (
    BodyTooLargeError,
    ConnectionLimits,
    Limits,
    decode_body,
    raise_descriptor_limit,
    read_body,
)
from reconciler.trust.authority import Authority
from reconciler.trust.tls import server_context
from tests.unit.virtual_time import VirtualTime

LIMITS = Limits(connections=300, per_source=100)


class Site:
    """A server behind limits; the clock of the limits is turned by hand."""

    def __init__(self, limits: Limits) -> None:
        self.time = VirtualTime()
        self.limits = ConnectionLimits(limits, clock=self.time)
        self.sources: list[str] = []
        self.release = asyncio.Event()
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def hello(self, request: web.Request) -> web.Response:
        self.sources.append(request.remote or "")
        return web.Response(text="hello")

    async def slow(self, _request: web.Request) -> web.Response:
        await self.release.wait()
        return web.Response(text="slow")

    async def body(self, request: web.Request) -> web.Response:
        try:
            return web.Response(text=str(len(await read_body(request, 65536))))
        except BodyTooLargeError as error:
            raise web.HTTPRequestEntityTooLarge(error.limit, 0) from error

    async def broken(self, _request: web.Request) -> web.Response:
        raise LookupError("two\nlines")

    async def connect(self, source: str = "127.0.0.1"):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0)
        )
        self._writers.append(writer)
        return reader, writer

    async def get(self, source: str = "127.0.0.1", path: str = "/") -> bytes:
        """Return the first line of the answer, empty if there is none."""
        reader, writer = await self.connect(source)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return (await asyncio.wait_for(reader.readline(), 10)).strip()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def settled(self, connections: int) -> None:
        """Wait until the server counts so many connections."""
        await self.until(lambda: self.limits.connections == connections)

    async def in_phase(self, *phases: str) -> None:
        """Wait until the connections are in these phases."""
        await self.until(lambda: tuple(c.phase for c in self.limits._open) == phases)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - nothing in the server tells
                await asyncio.sleep(0.01)

    def close_clients(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def serving(limits: Limits = LIMITS, tls: ssl.SSLContext | None = None):
    site = Site(limits)
    application = web.Application(middlewares=[site.limits.middleware])
    application.add_routes(
        [
            web.get("/", site.hello),
            web.get("/slow", site.slow),
            web.get("/broken", site.broken),
            web.post("/", site.body),
        ]
    )
    runner = web.AppRunner(application, **site.limits.runner_options())
    await runner.setup()
    sock = site.limits.listen("127.0.0.1", 0)
    site.port = sock.getsockname()[1]
    accepting = asyncio.create_task(site.limits.accept(sock, runner, tls and (lambda: tls)))
    with capture_logs() as site.logs:
        try:
            yield site
        finally:
            site.release.set()
            accepting.cancel()
            await asyncio.wait([accepting])
            sock.close()
            site.close_clients()
            await runner.cleanup()


async def test_a_source_with_too_many_connections_is_refused_and_others_are_served():
    async with serving() as site:
        for _ in range(100):
            await site.connect("127.0.0.2")
        await site.settled(100)
        assert await site.get("127.0.0.2") == b"HTTP/1.1 503 Service Unavailable"
        assert await site.get("127.0.0.3") == b"HTTP/1.1 200 OK"
        refusals = [entry for entry in site.logs if entry["log_level"] == "warning"]
        assert refusals[0]["event"] == "connection refused: too many are open"
        assert (refusals[0]["source"], refusals[0]["from_source"]) == ("127.0.0.2", 100)


async def test_refusals_of_one_source_are_one_line_per_interval():
    async with serving() as site:
        for _ in range(100):
            await site.connect("127.0.0.2")
        await site.settled(100)
        for _ in range(20):
            await site.get("127.0.0.2")
        assert len([entry for entry in site.logs if entry["log_level"] == "warning"]) == 1


async def test_hundreds_of_idle_connections_make_room_for_a_machine():
    async with serving() as site:
        for number in range(300):
            await site.connect(f"127.0.0.{2 + number % 4}")
        await site.settled(300)
        for machine in range(20):
            assert await site.get(f"127.0.1.{machine + 1}") == b"HTTP/1.1 200 OK"
        assert site.limits.connections <= 300


async def test_requests_at_work_are_not_cut_for_newcomers():
    async with serving(Limits(connections=4, per_source=4)) as site:
        at_work = [asyncio.create_task(site.get(path="/slow")) for _ in range(4)]
        await site.settled(4)
        await site.in_phase("request", "request", "request", "request")
        assert await site.get("127.0.0.9") == b"HTTP/1.1 503 Service Unavailable"
        site.release.set()
        assert await asyncio.gather(*at_work) == [b"HTTP/1.1 200 OK"] * 4


async def test_closed_connections_are_counted_no_more():
    async with serving() as site:
        for _ in range(100):
            _, writer = await site.connect("127.0.0.2")
            writer.close()
        await site.settled(0)
        assert await site.get("127.0.0.2") == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_half_sent_head_ends_after_its_time(sent):
    async with serving() as site:
        reader, writer = await site.connect()
        writer.write(sent)
        await site.settled(1)
        site.time.now = 29
        site.limits.end_slow()
        assert site.limits.connections == 1
        site.time.now = 30
        site.limits.end_slow()
        assert (await reader.readline()) == b"HTTP/1.1 408 Request Timeout\r\n"
        await site.settled(0)


async def test_a_tls_client_that_does_not_take_its_farewell_is_cut_off(tmp_path):
    now = datetime.now(UTC)
    authority = Authority.load_or_create(tmp_path, now)
    credentials = authority.server_credentials(IPv4Address("127.0.0.1"), now)
    trusting = ssl.create_default_context(cadata=authority.authority_pem)
    async with serving(tls=server_context(credentials, authority.authority_pem)) as site:

        def half_a_head() -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", site.port))
            client = trusting.wrap_socket(plain, server_hostname="127.0.0.1")
            client.sendall(b"GET / HT")
            return client

        client = await asyncio.to_thread(half_a_head)
        await site.in_phase("head")
        for second in (30, 31, 32, 33):
            site.time.now = second
            site.limits.end_slow()
            await asyncio.sleep(0)
        await site.settled(0)
        client.close()


async def test_a_half_sent_second_request_ends_too():
    async with serving() as site:
        reader, writer = await site.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"hello")
        site.time.now = 1000  # idle: aiohttp's affair
        site.limits.end_slow()
        writer.write(b"GET / HT")
        await site.in_phase("head")
        site.time.now = 1030
        site.limits.end_slow()
        await site.settled(0)


async def test_a_half_sent_body_ends_after_its_time_without_a_traceback():
    async with serving() as site:
        _, writer = await site.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        await site.settled(1)
        await site.in_phase("request")
        site.time.now = 30
        site.limits.end_slow()
        await site.settled(0)
        await asyncio.sleep(0)
        assert {entry["log_level"] for entry in site.logs} == {"debug"}


async def test_a_long_answer_is_not_cut():
    async with serving() as site:
        answer = asyncio.create_task(site.get(path="/slow"))
        await site.settled(1)
        await site.in_phase("request")
        site.time.now = 3600
        site.limits.end_slow()
        site.release.set()
        assert await answer == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("head", "sent"),
    [
        (b"Content-Length: 4000000", b""),
        (b"Transfer-Encoding: chunked", b"fffff\r\n" + b"x" * 70000),
    ],
)
async def test_a_body_over_the_limit_is_refused_before_it_has_arrived(head, sent):
    async with serving() as site:
        reader, writer = await site.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + sent)
        assert (await reader.readline()) == b"HTTP/1.1 413 Request Entity Too Large\r\n"


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\n\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nA B: c\r\n\r\n"],
)
async def test_a_malformed_request_is_one_debug_line(garbage):
    async with serving() as site:
        reader, writer = await site.connect()
        writer.write(garbage)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
        assert [entry["log_level"] for entry in site.logs] == ["debug"]
        assert "exc_info" not in site.logs[0]
        assert "\n" not in "".join(str(value) for value in site.logs[0].values())


async def test_a_handler_that_fails_is_one_line_and_the_next_request_is_served():
    async with serving() as site:
        assert await site.get(path="/broken") == b"HTTP/1.1 500 Internal Server Error"
        assert await site.get() == b"HTTP/1.1 200 OK"
        (line,) = [entry for entry in site.logs if entry["log_level"] == "error"]
        assert line["reason"] == "LookupError: two lines"


async def test_handshakes_that_do_not_come_are_counted_and_end():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    async with serving(Limits(100, 50, handshake_seconds=0.2), tls) as site:
        for _ in range(50):
            await site.connect("127.0.0.2")
        await site.settled(50)
        reader, _ = await site.connect("127.0.0.2")
        assert await reader.read() == b""
        await site.settled(0)


async def test_long_bodies_are_decoded_beside_the_event_loop():
    request = {
        "token": "t",
        "csr": "c",
        "environment": "installed",
        "uuid": "",
        "agent_version": "",
    }
    body = json.dumps(request | {"macs": ["52:54:00:12:34:56"] * 50_000}).encode()
    turns = 0

    async def turning():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(turning())
    await asyncio.sleep(0)
    decoded = await decode_body(EnrollmentRequest, body)
    task.cancel()
    assert len(decoded.macs) == 50_000
    assert turns > 2
    with pytest.raises(WireError):
        await decode_body(EnrollmentRequest, b"{}")


def test_limits_leave_descriptors_for_the_rest():
    assert Limits.for_descriptors(1024) == Limits(connections=384, per_source=96)
    assert Limits.for_descriptors(524288).per_source == 512
    assert Limits.for_descriptors(10).connections == 16


FEW_DESCRIPTORS = """
import asyncio, resource, sys
from aiohttp import web
from reconciler.server.connection_limits import ConnectionLimits, Limits

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

async def hello(request):
    return web.Response(text="hello")

async def main():
    limits = ConnectionLimits(Limits(connections=1000, per_source=1000))
    application = web.Application(middlewares=[limits.middleware])
    application.add_routes([web.get("/", hello)])
    runner = web.AppRunner(application, **limits.runner_options())
    await runner.setup()
    sock = limits.listen("127.0.0.1", 0)
    print(sock.getsockname()[1], flush=True)
    await limits.accept(sock, runner)

asyncio.run(main())
"""


async def test_a_process_out_of_descriptors_waits_and_goes_on_by_itself(tmp_path):
    with (tmp_path / "errors").open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            FEW_DESCRIPTORS,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    port = int(await asyncio.wait_for(process.stdout.readline(), 20))
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.5)
    for _, other in idle:
        other.transport.abort()
    assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    process.terminate()
    printed = (await process.stdout.read()).decode()
    await process.wait()
    lines = [line for line in printed.splitlines() if "no connections accepted" in line]
    assert len(lines) == 1
    assert "Traceback" not in printed + (tmp_path / "errors").read_text()


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("rounds", range(5))
async def test_a_connection_that_comes_while_the_server_stops_is_closed(rounds):
    limits = ConnectionLimits(LIMITS, clock=lambda: 0.0)
    runner = web.AppRunner(web.Application(), **limits.runner_options())
    await runner.setup()
    with limits.listen("127.0.0.1", 0) as sock:
        accepting = asyncio.create_task(limits.accept(sock, runner))
        for _ in range(3):
            await asyncio.sleep(0)  # it waits
        with socket.create_connection(sock.getsockname()) as client:
            for _ in range(rounds):
                await asyncio.sleep(0)
            accepting.cancel()
            await asyncio.wait([accepting])
            await runner.cleanup()
            sock.close()
            client.settimeout(10)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
