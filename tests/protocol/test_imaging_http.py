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
from providers.imaging.verification import Damage
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
def found() -> list[Damage]:
    """What agents found damaged."""
    return []


@pytest.fixture
async def client(store: ChunkStore, gate: Gate, found: list[Damage]) -> AsyncIterator[Client]:
    application = web.Application()
    heard = routes(store, gate, lambda *_: None, damaged=lambda _, damages: found.extend(damages))
    application.add_routes(heard)
    async with TestClient(TestServer(application)) as client:
        yield client


@pytest.fixture
def image(store: ChunkStore, tmp_path: Path) -> tuple[ChunkStore, str, str]:
    """The store with an image that can be restored, that image's digest and its last chunk's."""
    _, manifest, chunks = small_gpt_image(tmp_path)
    for name, frame in chunks.frames.items():
        store.put(name, frame)
    digest = store.put_manifest(encode(manifest))
    store.record_restore_test(digest, RestoreTest(ok=True, details=(), at="2026-11-01T00:00:00Z"))
    return store, digest, manifest.digests[-32:].hex()


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
    client: Client, image: tuple[ChunkStore, str, str]
) -> None:
    store, digest, chunk = image
    assert (await client.get(f"/v1/manifests/{digest}")).status == 200
    assert store.usable(digest)
    store.path(chunk).unlink()
    answer = await client.get(f"/v1/manifests/{digest}")
    assert answer.status == 422
    said = await answer.json()
    assert said["code"] == "RW433"
    assert f"image {digest} misses 1 of its" in said["cause"]
    assert not store.usable(digest)


def damage_content(path: Path, _patch: pytest.MonkeyPatch) -> None:
    path.write_bytes(FRAME)


def damage_file(path: Path, _patch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir()


def damage_medium(path: Path, patch: pytest.MonkeyPatch) -> None:
    real = os.open

    def broken(name: Path, flags: int, *more: int) -> int:
        if Path(name) == path and path.exists():
            raise OSError(errno.EIO, "Input/output error")
        return real(name, flags, *more)

    patch.setattr(os, "open", broken)


@pytest.fixture(
    params=[
        (damage_content, "?checked=1"),
        (damage_file, "?checked=1"),
        (damage_file, ""),
        (damage_medium, "?checked=1"),
        (damage_medium, ""),
        (lambda path, _patch: path.unlink(), ""),
    ]
)
def question(
    request: pytest.FixtureRequest,
    image: tuple[ChunkStore, str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Damage the last chunk of the image; return with which query an agent asks for it."""
    damage, query = request.param
    store, _, chunk = image
    damage(store.path(chunk), monkeypatch)
    return str(query)


async def test_a_chunk_that_an_agent_finds_damaged_takes_its_images_out_of_use(
    client: Client,
    image: tuple[ChunkStore, str, str],
    found: list[Damage],
    question: str,
) -> None:
    """An agent that was sent another frame asks again, with ``checked``."""
    store, digest, chunk = image
    path = f"/v1/chunks/{chunk}"
    answer = await client.get(path + question)
    said = await answer.json()
    assert (answer.status, said["code"]) in {(422, "RW402"), (404, "RW430")}
    assert f"chunk {chunk}" in said["cause"]
    assert not store.usable(digest)
    assert not store.has(chunk)
    assert (await client.get(f"{path}?checked=1")).status == 404
    assert {(each.image, each.chunk) for each in found} == {(digest, chunk)}


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
