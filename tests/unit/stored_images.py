"""Small images in a real store, for tests of what is done with images."""

from pathlib import Path

import attrs

from agent.imaging import manifest as manifest_format
from agent.imaging.extent import Extent
from agent.imaging.manifest import ImagedPartition, Manifest
from providers.imaging.image_record import RestoreTest
from providers.imaging.store import ChunkStore
from tests.unit.imaging_images import MIB, MemoryStore, image_of, noise, write_gpt

PROVED = RestoreTest(ok=True, details=("6 chunks: intact",), at="2026-11-20T12:00:00+00:00")
SIZE = 8 * MIB


def an_image(folder: Path, number: int = 0) -> tuple[Manifest, MemoryStore]:
    """Return an image of six chunks, of which the last is that number's own."""
    path = folder / f"disk-{number}"
    path.write_bytes(noise(SIZE))
    write_gpt(path, SIZE, [(2048, SIZE // 512 - 2049)])
    with path.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(noise(MIB, 100 + number))
    store = MemoryStore()
    used = [Extent(0, 3 * MIB), Extent(4 * MIB, 2 * MIB)]
    manifest = image_of(path, used, store)
    partition = ImagedPartition(
        1,
        MIB,
        6 * MIB,
        "0fc63daf-8483-4772-8e79-3d69d8477de4",
        "",
        "ext4",
        "root",
        "used-blocks",
        "",
    )
    path.unlink()
    return attrs.evolve(manifest, partitions=(partition,)), store


def store_image(  # noqa: PLR0913, PLR0917 - all that an image may have beside it
    store: ChunkStore,
    folder: Path,
    number: int = 0,
    name: str = "",
    test: RestoreTest | None = PROVED,
    unreadable: tuple[Extent, ...] = (),
) -> str:
    """Store the image of that number as a capture does; name it and say how its test went."""
    manifest, frames = an_image(folder, number)
    manifest = attrs.evolve(manifest, unreadable=unreadable)
    for digest in sorted(store.missing(frames.frames)):
        store.put(digest, frames.frames[digest])
    digest = store.put_manifest(manifest_format.encode(manifest))
    if test is not None:
        store.record_restore_test(digest, test)
    if name:
        store.names.tag(name, digest)
    return digest


def chunks_of(store: ChunkStore, digest: str) -> list[str]:
    """Return the digests of an image's chunks in disk order."""
    manifest = manifest_format.decode(store.get_manifest(digest))
    return [chunk.digest for chunk in manifest.chunks()]


def is_whole(store: ChunkStore, digest: str) -> bool:
    """Return whether the store has all chunks of an image."""
    return all(store.has(each) for each in chunks_of(store, digest))
