"""An image store on a mount that comes and goes, that is read-only, full, or does not answer."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from builders.simulated_site import simulated_site

from agent.imaging.chunk import digest_of, pack
from providers.imaging.http import routes
from providers.imaging.image_mount import mounted_image
from providers.imaging.store import ChunkStore
from reconciler.server.store_presence import StorePresence
from reconciler.state.database import Database, open_database
from reconciler.state.faults import Faults
from reconciler.state.image_store import ImageStores
from tests.unit.stored_images import chunks_of, is_whole, store_image

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(400)]

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def mounted(place: Path, *arguments: str | Path) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    mount(*arguments, place)
    try:
        yield
    finally:
        with suppress(subprocess.CalledProcessError):
            unmount(place)


class Server:
    """The parts of a server that use the store."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.faults = Faults(database)
        self.store = ChunkStore(folder / "store", reserve=0, identity="")
        self.presence = StorePresence(
            self.store, ImageStores(database), lambda: self.faults, lambda: NOW, 1.0
        )

    @property
    def said(self) -> str:
        found = [f"{each.code}: {each.cause}" for each in self.faults.present()]
        return found[0] if found else ""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "rackwright.db")
    yield opened
    opened.close()


async def test_a_read_only_store_is_read_and_captures_wait(
    tmp_path: Path, database: Database
) -> None:
    server = Server(tmp_path, database)
    with mounted(tmp_path / "store", "-t", "tmpfs", "tmpfs"):
        await server.presence.look()
        digest = store_image(server.store, tmp_path, 1)
        mount("-o", "remount,ro", tmp_path / "store")
        await server.presence.look()
        assert server.presence.is_there
        assert server.said.endswith("cannot be used: it is read-only: captures wait")
        application = web.Application()
        application.add_routes(routes(server.store, lambda *_: None, lambda *_: None))
        async with TestClient(TestServer(application)) as client:
            chunk = chunks_of(server.store, digest)[0]
            assert (await client.get(f"/v1/manifests/{digest}")).status == 200
            assert (await client.get(f"/v1/chunks/{chunk}")).status == 200
            answer = await client.put(f"/v1/chunks/{digest_of(b'new')}", data=pack(b"new"))
            assert (answer.status, (await answer.json())["code"]) == (503, "RW444")
            mount("-o", "remount,rw", tmp_path / "store")
            await server.presence.look()
            answer = await client.put(f"/v1/chunks/{digest_of(b'new')}", data=pack(b"new"))
            assert answer.status == 201
        assert server.said == ""


async def test_a_read_only_store_of_an_earlier_version_is_read_and_known_once_it_can_be_written(
    tmp_path: Path, database: Database
) -> None:
    server = Server(tmp_path, database)
    with mounted(tmp_path / "store", "-t", "tmpfs", "tmpfs"):
        digest = store_image(ChunkStore(tmp_path / "store", reserve=0), tmp_path, 1, "golden")
        for name in ("store.json", ".lock", "tags/.lock"):
            (tmp_path / "store" / name).unlink()
        mount("-o", "remount,ro", tmp_path / "store")
        await server.presence.look()
        assert server.presence.is_there
        assert server.store.usable(digest)
        assert is_whole(server.store, digest)
        with pytest.raises(OSError, match="Read-only file system"):
            server.store.missing(chunks_of(server.store, digest))
        mount("-o", "remount,rw", tmp_path / "store")
        await server.presence.look()
        assert server.store.identity == ImageStores(database).known() != ""
        assert server.store.missing(chunks_of(server.store, digest)) == frozenset()


async def test_a_store_that_is_full_takes_nothing_half_and_says_so(
    tmp_path: Path, database: Database
) -> None:
    server = Server(tmp_path, database)
    with mounted(tmp_path / "store", "-t", "tmpfs", "-o", "size=3m", "tmpfs"):
        await server.presence.look()
        application = web.Application()
        application.add_routes(routes(server.store, lambda *_: None, lambda *_: None))
        async with TestClient(TestServer(application)) as client:
            answers = []
            for _ in range(8):
                content = os.urandom(1 << 20)
                url = f"/v1/chunks/{digest_of(content)}"
                answer = await client.put(url, data=BytesIO(pack(content)))
                answers.append((answer.status, server.store.has(digest_of(content))))
        assert answers[0] == (201, True)
        assert answers[-1] == (507, False)
        assert {answer for answer in answers if answer[0] == 507} == {(507, False)}
        assert list((tmp_path / "store" / "incoming").iterdir()) == []


async def test_a_file_server_that_does_not_answer_holds_nothing_up(
    tmp_path: Path, database: Database
) -> None:
    server = Server(tmp_path, database)
    await server.presence.look()
    digest = store_image(server.store, tmp_path, 1)
    shown = tmp_path / "shown"
    server.store.root.rename(shown)
    server.store.root.mkdir()
    with mounted_image(shown, digest, server.store.root) as fuse:
        os.kill(fuse._server.pid, signal.SIGSTOP)  # as a file server that is gone
        try:
            began = asyncio.get_running_loop().time()
            await server.presence.look()
            assert asyncio.get_running_loop().time() - began < 5
            assert "it does not answer within 1 s" in server.said
        finally:
            os.kill(fuse._server.pid, signal.SIGCONT)
    server.store.root.rmdir()
    shown.rename(server.store.root)
    for _ in range(50):
        await server.presence.look()
        if server.presence.is_there:
            break
    assert server.said == ""


NAME = "sim-0001"
ON = ("--on", NAME, "--reason", "a test")


@pytest.mark.nightly
def test_work_that_needs_images_waits_for_the_mount_and_other_work_goes_on(
    tmp_path: Path, keep_consoles: Path
) -> None:
    """The mount is away while a server starts, and vanishes below one that runs."""
    state, real = tmp_path / "state", tmp_path / "real"
    place = state / "store"
    state.mkdir()
    real.mkdir()
    with mounted(place, "--bind", real), simulated_site(tmp_path, keep_consoles, 1) as site:
        site.until(lambda: site.states("capture") == {"golden": "verified"})
        chunks = sum(1 for _ in real.glob("chunks/*/*/*"))
        unmount(place)

        def faults() -> list[str]:
            found = json.loads(site.run("status", "--format", "json", expect=None))["faults"]
            return [f"{each['subject']} {each['code']}" for each in found]

        site.until(lambda: "disk/images RW444" in faults())
        said = site.run("plan", expect=None)
        assert "image simulated-golden is not known: RW444" in " ".join(said.split())
        site.run("image", "ls", expect=1)
        # Other work goes on.
        site.run("apply", "--yes", expect=None)

        site.end_server()
        site.serve(keep_consoles / "serve-2.log")
        site.until(lambda: "disk/images RW444" in faults())
        assert list(place.iterdir()) == []

        mount("--bind", real, place)
        site.until(lambda: "disk/images RW444" not in faults())
        clone = site.start("run", "clone-golden", *ON, "--yes=1")
        site.until(lambda: site.states("restore").get(NAME) in {"armed", "started"})
        unmount(place)
        site.until(lambda: "disk/images RW444" in faults())
        assert site.states("restore")[NAME] in {"armed", "started"}
        mount("--bind", real, place)
        said, _ = clone.communicate(timeout=180)
        assert clone.returncode == 0, said
        assert site.states("restore") == {NAME: "verified"}
        assert sum(1 for _ in real.glob("chunks/*/*/*")) == chunks
        store = ChunkStore(real)
        assert is_whole(store, store.names.resolve("simulated-golden"))
        unmount(place)
        assert list(place.iterdir()) == []
