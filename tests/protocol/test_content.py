"""Agents fetch whole files from the server's routes over mutual TLS."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from agent.clock import Clock
from agent.content import ContentFile, WrongContentError, fetch
from agent.credentials import Credentials, CredentialStore
from agent.errors import TerminalError, UnwritableFileError
from agent.transport import PinnedServer, Transport
from agent.wire.enrollment import Enrollment
from providers.content.http import routes
from providers.content.store import ContentStore
from reconciler.trust.authority import Authority
from reconciler.trust.tls import connected_agent, server_context

pytestmark = pytest.mark.timeout(60)

DATA = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()
FILE = ContentFile(SHA256, len(DATA))
QUICK = Clock(pause=lambda _seconds: None, chance=lambda: 0.0)


class ContentServer:
    """The routes behind TLS in a thread; ``breaks`` answers end after so many bytes."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        self.store = ContentStore(folder / "content")
        self.authority = Authority.load_or_create(folder / "trust", now)
        server = self.authority.server_credentials(IPv4Address("127.0.0.1"), now)
        self.pin = server.pin
        self.asked: list[str] = []
        self.breaks: list[int] = []
        self._tls = server_context(server, self.authority.authority_pem)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(20)

    def _authorise(self, request: web.Request, _sha256: str) -> None:
        assert request.transport is not None
        connection = request.transport.get_extra_info("ssl_object")
        if connected_agent(connection, datetime.now(UTC)) is None:
            raise web.HTTPForbidden(text="no certificate")

    @web.middleware
    async def _note(self, request: web.Request, handler: Callable) -> web.StreamResponse:
        self.asked.append(request.headers.get("Range", ""))
        if not self.breaks:
            return await handler(request)
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        part = DATA[begin : begin + self.breaks.pop(0)]
        answer = web.StreamResponse(status=206 if begin else 200)
        answer.content_length = len(DATA) - begin
        if begin:
            answer.headers["Content-Range"] = f"bytes {begin}-{len(DATA) - 1}/{len(DATA)}"
        await answer.prepare(request)
        await answer.write(part)
        assert request.transport is not None
        request.transport.close()
        return answer

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def serve() -> web.AppRunner:
            application = web.Application(middlewares=[self._note])
            application.add_routes(routes(self.store, self._authorise))
            runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
            await site.start()
            assert site._server is not None
            self.port = site._server.sockets[0].getsockname()[1]
            return runner

        runner = self._loop.run_until_complete(serve())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def transport(self, credentials: Credentials | None) -> Transport:
        return Transport(f"https://127.0.0.1:{self.port}", PinnedServer(self.pin), credentials)

    def credentials(self, folder: Path) -> Credentials:
        """Return an installed agent's key and certificate."""
        store = CredentialStore(folder)
        now = datetime.now(UTC)
        signed = self.authority.sign_agent(
            store.signing_request(), "node-1", "installed", now, x509.random_serial_number()
        )
        return store.save(
            Enrollment(machine="node-1", certificate=signed, authority=self.authority.authority_pem)
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ContentServer]:
    made = ContentServer(tmp_path)
    with made.store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(DATA)
        transfer.finish("the test")
    yield made
    made.close()


@pytest.fixture
def transport(server: ContentServer, tmp_path: Path) -> Iterator[Transport]:
    made = server.transport(server.credentials(tmp_path / "agent"))
    yield made
    made.close()


def fetched(
    transport: Transport, folder: Path, file: ContentFile = FILE, **options: object
) -> Path:
    return fetch(
        transport, file, folder, lambda: None, lambda _done, _all: None, clock=QUICK, **options
    )


def test_a_file_is_fetched_once_and_has_its_checksum_for_a_name(
    server: ContentServer, transport: Transport, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    for _ in range(2):
        path = fetch(
            transport,
            FILE,
            tmp_path / "got",
            lambda: None,
            lambda done, whole: told.append((done, whole)),
            clock=QUICK,
        )
        assert path == tmp_path / "got" / SHA256
        assert path.read_bytes() == DATA
    assert server.asked == [""]
    assert told[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_transfer_that_breaks_off_goes_on_where_it_ended(
    server: ContentServer, transport: Transport, tmp_path: Path
) -> None:
    server.breaks = [1_000_000, 1_000_000]
    path = fetched(transport, tmp_path / "got")
    assert path.read_bytes() == DATA
    assert server.asked == ["", "bytes=1000000-", "bytes=2000000-"]


def test_a_part_of_before_a_restart_is_gone_on_with(
    server: ContentServer, transport: Transport, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, _whole: int) -> None:
        if done > 2_000_000:
            raise StoppedError

    with pytest.raises(StoppedError):
        fetch(transport, FILE, tmp_path / "got", lambda: None, stop, clock=QUICK)
    arrived = (tmp_path / "got" / f"{SHA256}.part").stat().st_size
    assert 2_000_000 < arrived < len(DATA)
    assert fetched(transport, tmp_path / "got").read_bytes() == DATA
    assert server.asked == ["", f"bytes={arrived}-"]


def test_a_damaged_part_is_found_and_the_next_transfer_is_right(
    transport: Transport, tmp_path: Path
) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    (folder / f"{SHA256}.part").write_bytes(b"damaged")
    with pytest.raises(WrongContentError) as caught:
        fetched(transport, folder)
    assert caught.value.code == "RW458"
    assert fetched(transport, folder).read_bytes() == DATA


def test_a_damaged_file_is_fetched_again(transport: Transport, tmp_path: Path) -> None:
    path = fetched(transport, tmp_path / "got")
    path.write_bytes(DATA[:-1] + b"x")
    assert fetched(transport, tmp_path / "got").read_bytes() == DATA


def test_another_size_than_the_works_is_refused(transport: Transport, tmp_path: Path) -> None:
    for size in (len(DATA) - 1, len(DATA) + 1):
        with pytest.raises(WrongContentError):
            fetched(transport, tmp_path / f"{size}", ContentFile(SHA256, size))


def test_a_damaged_file_of_the_server_is_refused_and_deleted(
    server: ContentServer, transport: Transport, tmp_path: Path
) -> None:
    server.store.path(SHA256).write_bytes(DATA[:-1] + b"x")
    with pytest.raises(WrongContentError) as caught:
        fetched(transport, tmp_path / "got")
    assert caught.value.cause.startswith(f"what the server sent for {SHA256} has the checksum ")
    assert list((tmp_path / "got").iterdir()) == []


def test_without_room_nothing_is_fetched(
    server: ContentServer, transport: Transport, tmp_path: Path
) -> None:
    with pytest.raises(UnwritableFileError) as caught:
        fetched(transport, tmp_path / "got", reserve=1 << 60)
    assert caught.value.code == "RW572"
    assert f"{len(DATA)} bytes are needed" in caught.value.cause
    assert server.asked == []


def test_a_rate_is_kept(transport: Transport, tmp_path: Path) -> None:
    waited: list[float] = []
    clock = Clock(monotonic=lambda: sum(waited), pause=waited.append, chance=lambda: 0.0)
    fetch(
        transport,
        FILE,
        tmp_path / "got",
        lambda: None,
        lambda _done, _all: None,
        max_rate=1_000_000.0,
        clock=clock,
    )
    assert sum(waited) == pytest.approx(len(DATA) / 1_000_000)


def test_whoever_has_no_certificate_gets_nothing(server: ContentServer, tmp_path: Path) -> None:
    transport = server.transport(None)
    with pytest.raises(TerminalError) as caught:
        fetched(transport, tmp_path / "got")
    transport.close()
    assert caught.value.code == "RW553"


def test_a_file_that_the_server_lacks_is_said_to_be_missing(
    transport: Transport, tmp_path: Path
) -> None:
    with pytest.raises(TerminalError) as caught:
        fetched(transport, tmp_path / "got", ContentFile("0" * 64, 5))
    assert caught.value.code == "RW555"
    assert "RW275 the content store has no file" in caught.value.cause


def test_nothing_but_a_checksum_becomes_a_path(
    server: ContentServer, transport: Transport, tmp_path: Path
) -> None:
    for text in ("../x", "A" * 64, ""):
        with pytest.raises(WrongContentError):
            fetched(transport, tmp_path / "got", ContentFile(text, 5))
    assert server.asked == []
