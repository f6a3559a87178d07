"""The store's HTTP interface, asked by a real client over a socket."""

import errno
import hashlib
import os
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from agent.imaging.chunk import CHUNK_SIZE, MAX_FRAME_SIZE, digest_of, pack
from agent.imaging.manifest import encode
from providers.imaging.errors import SignatureError
from providers.imaging.http import MAX_DIGESTS, routes
from providers.imaging.image_record import RestoreTest
from providers.imaging.store import ChunkStore
from tests.unit.imaging_images import small_gpt_image

CONTENT = hashlib.shake_256(b"content").digest(CHUNK_SIZE)  # as large as a frame gets
DIGEST = digest_of(CONTENT)
FRAME = pack(CONTENT)
OTHER = "0" * 64

Client = TestClient[web.Request, web.Application]


class Gate:
    """Lets everything through, or only what it is told to."""

    def __init__(self) -> None:
        self.purposes = {"read", "write"}

    def __call__(self, _request: web.Request, purpose: str) -> None:
        if purpose not in self.purposes:
            raise web.HTTPForbidden(text="no")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(tmp_path / "store", reserve=0)


@pytest.fixture
async def client(store: ChunkStore, gate: Gate) -> AsyncIterator[Client]:
    application = web.Application()
    application.add_routes(routes(store, gate, lambda *_: None))
    async with TestClient(TestServer(application)) as found:
        yield found


async def test_a_chunk_goes_in_once_and_comes_out_as_it_was(client: Client) -> None:
    assert (await client.put(f"/v1/chunks/{DIGEST}", data=BytesIO(FRAME))).status == 201
    assert (await client.put(f"/v1/chunks/{DIGEST}", data=BytesIO(FRAME))).status == 200
    answer = await client.get(f"/v1/chunks/{DIGEST}")
    assert answer.status == 200
    assert answer.content_type == "application/zstd"
    assert await answer.read() == FRAME


async def test_only_missing_digests_are_named_in_the_order_asked(
    client: Client, store: ChunkStore
) -> None:
    store.put(DIGEST, FRAME)
    asked = ["f" * 64, DIGEST, OTHER, "f" * 64]
    answer = await client.post("/v1/chunks/missing", json={"digests": asked})
    assert await answer.json() == {"missing": ["f" * 64, OTHER]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"digests": "x"}',
        b'{"digests": [1]}',
        b'{"digests": ["x"]}',
        b"[" * 100_000,
    ],
)
async def test_a_malformed_question_is_answered_400(client: Client, body: bytes) -> None:
    assert (await client.post("/v1/chunks/missing", data=BytesIO(body))).status == 400


async def test_a_question_has_a_limit(client: Client) -> None:
    most = {"digests": [f"{number:064x}" for number in range(MAX_DIGESTS)]}
    assert (await client.post("/v1/chunks/missing", json=most)).status == 200
    most["digests"].append(OTHER)
    assert (await client.post("/v1/chunks/missing", json=most)).status == 400
    assert (await client.post("/v1/chunks/missing", data=b" " * 400_000)).status == 413


@pytest.mark.parametrize("frame", [b"", FRAME[:-1], pack(b"other"), pack(bytes(CHUNK_SIZE))])
async def test_a_frame_that_is_not_the_chunk_is_answered_422(
    client: Client, store: ChunkStore, frame: bytes
) -> None:
    answer = await client.put(f"/v1/chunks/{DIGEST}", data=BytesIO(frame))
    assert answer.status == 422
    assert (await answer.json())["code"] == "RW402"
    assert not store.has(DIGEST)


async def test_a_frame_has_a_limit_announced_or_not(client: Client, store: ChunkStore) -> None:
    body = bytes(MAX_FRAME_SIZE + 1)
    assert (await client.put(f"/v1/chunks/{DIGEST}", data=BytesIO(body))).status == 413

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(65536)

    assert (await client.put(f"/v1/chunks/{DIGEST}", data=parts())).status == 413
    assert not store.has(DIGEST)


async def test_a_manifest_that_is_not_permitted_is_answered_422(
    store: ChunkStore, gate: Gate
) -> None:
    def permit(digest: str) -> None:
        raise SignatureError(digest, "it is not signed")

    application = web.Application()
    application.add_routes(routes(store, gate, lambda *_: None, permit))
    async with TestClient(TestServer(application)) as client:
        answer = await client.get(f"/v1/manifests/{DIGEST}")
        assert answer.status == 422
        assert (await answer.json())["code"] == "RW447"


async def test_a_full_store_is_answered_507(tmp_path: Path, gate: Gate) -> None:
    application = web.Application()
    full = ChunkStore(tmp_path / "full", reserve=1 << 60)
    told: list[str] = []
    application.add_routes(routes(full, gate, lambda _, error: told.append(error.wait)))
    async with TestClient(TestServer(application)) as client:
        answer = await client.put(f"/v1/chunks/{DIGEST}", data=BytesIO(FRAME))
        assert answer.status == 507
        assert (await answer.json())["code"] == "RW431"
    (wait,) = told
    assert wait.startswith(f"room in the image store {tmp_path / 'full'} (")
    assert wait.endswith("bytes are free, 1,152,921,504,606,846,976 are kept in reserve)")


@pytest.mark.parametrize("path", ["/v1/chunks", "/v1/manifests"])
async def test_what_is_unknown_is_404_and_what_is_no_digest_400(client: Client, path: str) -> None:
    assert (await client.get(f"{path}/{OTHER}")).status == 404
    for bad in ("abc", DIGEST.upper(), "..%2f..%2fetc%2fpasswd", "." * 64):
        assert (await client.get(f"{path}/{bad}")).status == 400
    assert (await client.put(f"/v1/chunks/{DIGEST.upper()}", data=BytesIO(FRAME))).status == 400


async def test_an_image_that_lost_a_chunk_is_not_handed_out_and_not_planned_with(
    client: Client, store: ChunkStore, tmp_path: Path
) -> None:
    _, image, chunks = small_gpt_image(tmp_path)
    for name, frame in chunks.frames.items():
        store.put(name, frame)
    digest = store.put_manifest(encode(image))
    store.record_restore_test(digest, RestoreTest(ok=True, details=(), at="2026-11-01T00:00:00Z"))
    assert (await client.get(f"/v1/manifests/{digest}")).status == 200
    assert store.usable(digest)
    store.path(image.digests[-32:].hex()).unlink()
    answer = await client.get(f"/v1/manifests/{digest}")
    assert answer.status == 422
    said = await answer.json()
    assert said["code"] == "RW433"
    assert f"image {digest} misses 1 of its" in said["cause"]
    assert not store.usable(digest)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_server_without_descriptors_does_not_say_that_a_chunk_is_lost(
    client: Client, store: ChunkStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.put(DIGEST, FRAME)
    real, refused = os.open, [number]

    def scarce(path: Path, flags: int, *more: int) -> int:
        if refused and Path(path).name == DIGEST:
            raise OSError(refused.pop(), "short")
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", scarce)
    answer = await client.get(f"/v1/chunks/{DIGEST}")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (await client.get(f"/v1/chunks/{DIGEST}")).status == 200


async def test_nothing_happens_without_authorisation(
    client: Client, store: ChunkStore, gate: Gate
) -> None:
    gate.purposes = {"read"}
    assert (await client.put(f"/v1/chunks/{DIGEST}", data=BytesIO(FRAME))).status == 403
    assert (await client.post("/v1/chunks/missing", json={"digests": []})).status == 403
    assert not store.has(DIGEST)
    store.put(DIGEST, FRAME)
    assert (await client.get(f"/v1/chunks/{DIGEST}")).status == 200
    gate.purposes = {"write"}
    assert (await client.get(f"/v1/chunks/{DIGEST}")).status == 403
    assert (await client.get(f"/v1/manifests/{DIGEST}")).status == 403


async def test_an_image_cannot_be_named_or_stored_over_http(client: Client) -> None:
    url = client.make_url(f"/v1/manifests/{DIGEST}")
    async with ClientSession() as session:
        assert (await session.put(url, data=b"{}")).status == 405
        assert (await session.post(url, data=b"{}")).status == 405
