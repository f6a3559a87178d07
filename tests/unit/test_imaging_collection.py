"""Garbage is collected beside captures, and no image ever loses a chunk."""

import os
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.imaging import manifest as manifest_format
from providers.imaging.collection import Collected, Limits, collect
from providers.imaging.errors import IncompleteImageError, UnreadableImageError
from providers.imaging.image_record import Pin
from providers.imaging.store import ChunkStore
from tests.unit.stored_images import an_image, chunks_of, is_whole, store_image

DAY = timedelta(days=1)
LAG = 0.02
"""Seconds by which times of files lag behind the clock: a tick of the kernel."""
WHY = Pin("ada", "2026-11-20T12:00:00+00:00", "evidence")


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(tmp_path / "store", reserve=0)


def limits(before: datetime | None = None, *, in_use: tuple[str, ...] = ()) -> Limits:
    """Return limits by which everything is old, unless ``before`` says otherwise."""
    later = datetime.now(UTC) + DAY
    return Limits(before or later, later, lambda: in_use)


def age(store: ChunkStore, *digests: str, days: int = 10) -> None:
    """Let nobody have asked for these chunks for some days."""
    at = time.time() - days * 86400
    for digest in digests:
        os.utime(store.path(digest), (at, at))


def all_files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_chunk_goes_with_the_last_image_that_needs_it(store: ChunkStore, tmp_path: Path) -> None:
    kept = store_image(store, tmp_path, 1, "golden")
    lost = store_image(store, tmp_path, 2, "other")
    own = set(chunks_of(store, lost)) - set(chunks_of(store, kept))
    freed = sum(store.path(each).stat().st_size for each in own)
    assert collect(store, limits()) == Collected((), 0, 0, 0, 0)
    store.names.forget("other", [lost])
    assert collect(store, limits()) == Collected((lost,), 1, 0, freed, 0)
    assert not any(map(store.has, own))
    assert store.image_digests() == {kept}
    assert is_whole(store, kept)


def test_a_dry_run_says_what_would_go_and_deletes_nothing(
    store: ChunkStore, tmp_path: Path
) -> None:
    store_image(store, tmp_path, 1, "golden")
    store_image(store, tmp_path, 2)
    before = all_files(tmp_path)
    would = collect(store, limits(), dry_run=True)
    assert all_files(tmp_path) == before
    assert would == collect(store, limits())
    assert would.chunks == 1


@pytest.mark.parametrize("reason", ["name", "older generation", "pin", "work", "age"])
def test_an_image_is_kept_for_each_reason(store: ChunkStore, tmp_path: Path, reason: str) -> None:
    digest = store_image(store, tmp_path, 1, "golden" if "g" in reason or reason == "name" else "")
    if reason == "older generation":
        store_image(store, tmp_path, 2, "golden")
    if reason == "pin":
        store.names.pin(digest, WHY)
    before = datetime.now(UTC) - DAY if reason == "age" else None
    in_use = (digest,) if reason == "work" else ()
    age(store, *chunks_of(store, digest))
    assert collect(store, limits(before, in_use=in_use)) == Collected((), 0, 0, 0, 0)
    assert is_whole(store, digest)


def test_a_chunk_that_a_capture_was_told_of_is_kept(store: ChunkStore, tmp_path: Path) -> None:
    digest = store_image(store, tmp_path, 1)
    chunks = chunks_of(store, digest)
    data = store.get_manifest(digest)
    store.remove_unnamed([digest])
    age(store, *chunks)
    began = datetime.now(UTC) - timedelta(seconds=1)
    assert store.missing(chunks) == frozenset()  # the capture asks, and is told: all are there
    assert collect(store, limits(began)).too_young == len(chunks)
    assert store.put_manifest(data) == digest
    assert is_whole(store, digest)


@pytest.mark.parametrize("asks", [True, False])
def test_sending_a_chunk_that_is_there_counts_as_asking_for_it(
    store: ChunkStore, tmp_path: Path, *, asks: bool
) -> None:
    _, frames = an_image(tmp_path, 1)
    digest, frame = next(iter(frames.frames.items()))
    store.put(digest, frame)
    age(store, digest)
    if asks:
        store.put(digest, frame)
    collect(store, limits(datetime.now(UTC) - DAY))
    assert store.has(digest) == asks


def test_nothing_is_deleted_while_a_manifest_cannot_be_read(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    _, frames = an_image(tmp_path, 2)
    for chunk, frame in frames.frames.items():
        store.put(chunk, frame)
    store.manifest_path(digest).write_bytes(b"rot")
    with pytest.raises(UnreadableImageError) as caught:
        collect(store, limits())
    assert str(caught.value) == (
        f"RW440: the manifest of image {digest} cannot be read: not an image manifest: it is no "
        "JSON. No chunk was deleted. Bring the manifest back from a backup of the store, or remove "
        "the image with `rackwright image rm`."
    )
    store.manifest_path(digest).unlink()
    with pytest.raises(UnreadableImageError):
        collect(store, limits())
    assert all(map(store.has, frames.frames))


def test_what_is_no_chunk_is_left_alone(store: ChunkStore, tmp_path: Path) -> None:
    store_image(store, tmp_path, 1, "golden")
    strangers = [
        tmp_path / "store" / "chunks" / "lost+found" / "x",
        tmp_path / "store" / "chunks" / "ab" / "cd" / ".nfs0001",
        tmp_path / "store" / "images" / "lost+found" / "x",
    ]
    for each in strangers:
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_bytes(b"")
    assert collect(store, limits()) == Collected((), 0, 0, 0, 0)
    assert all(each.exists() for each in strangers)


def test_corrupt_chunks_are_kept_for_a_while_to_be_looked_at(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    chunk = chunks_of(store, digest)[0]
    age(store, chunk)
    store.path(chunk).write_bytes(b"rot")
    age(store, chunk)
    assert store.set_aside(chunk)
    recent = Limits(datetime.now(UTC) + DAY, datetime.now(UTC) - DAY, tuple)
    assert collect(store, recent).corrupt == 0
    assert collect(store, limits()) == Collected((), 0, 1, 3, 0)


def test_a_chunk_that_is_whole_is_not_set_aside(store: ChunkStore, tmp_path: Path) -> None:
    digest = store_image(store, tmp_path, 1)
    assert not store.set_aside(chunks_of(store, digest)[0])
    assert is_whole(store, digest)


_CAPTURES = """
import random, sys, time
from pathlib import Path
from agent.imaging import manifest as manifest_format
from providers.imaging.store import ChunkStore
from tests.unit.stored_images import an_image, is_whole
root, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
work = root / f"capture-{seed}"
work.mkdir()
images = [an_image(work, number) for number in range(8)]
store = ChunkStore(root / "store", reserve=0)
for _ in range(rounds):
    manifest, frames = chance.choice(images)
    began = root / f"began-{seed}"
    began.with_suffix(".new").write_text(str(time.time()))
    began.with_suffix(".new").replace(began)
    lacking = store.missing(frames.frames)
    for digest in sorted(lacking):
        store.put(digest, frames.frames[digest])
    digest = store.put_manifest(manifest_format.encode(manifest))
    name = f"name-{seed}"
    try:
        store.names.tag(name, digest)
    except Exception as error:  # it has no name yet, and another capture's may have been removed
        if type(error).__name__ != "UnknownImageError":
            raise
        continue
    assert is_whole(store, digest), digest
    store.names.forget(name, [digest])
"""


def test_captures_of_other_processes_never_lose_a_chunk_to_a_collector(
    store: ChunkStore, tmp_path: Path
) -> None:
    captures = [
        subprocess.Popen(
            [sys.executable, "-c", _CAPTURES, str(tmp_path), str(seed), "200"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(2)
    ]
    collected = 0
    while any(each.poll() is None for each in captures):
        # As tight as can be: whatever no capture under way can have asked for is garbage.
        began = [float(each.read_text()) for each in tmp_path.glob("began-?")]
        before = datetime.fromtimestamp(min([time.time(), *began]) - LAG, UTC)
        collected += collect(store, Limits(before, before, tuple)).chunks
        for digest in store.image_digests():
            try:
                assert is_whole(store, digest)
            except AssertionError:
                assert digest not in store.image_digests()
    for each in captures:
        _, said = each.communicate()
        assert each.returncode == 0, said
    assert collected


def test_a_manifest_that_comes_while_garbage_is_swept_has_its_chunks_or_is_refused(
    store: ChunkStore, tmp_path: Path
) -> None:
    """The worst that a wrong clock can do: the backup is refused, and has to be run again."""
    manifest, frames = an_image(tmp_path, 1)
    data = manifest_format.encode(manifest)
    stored, refused = [], []
    chance = random.Random(1)  # noqa: S311 - no secret
    is_over = threading.Event()

    def capture() -> None:
        while not is_over.is_set():
            for digest in chance.sample(sorted(frames.frames), len(frames.frames)):
                store.put(digest, frames.frames[digest])
            try:
                stored.append(store.put_manifest(data))
            except IncompleteImageError as error:
                refused.append(error)

    thread = threading.Thread(target=capture)
    thread.start()
    try:
        until = time.monotonic() + 20
        while (len(stored) < 5 or not refused) and time.monotonic() < until:
            collect(store, limits())  # even what was asked for in this moment
            is_over.wait(chance.random() / (50 if refused else 5000))
            for digest in store.image_digests():
                assert is_whole(store, digest) or digest not in store.image_digests()
    finally:
        is_over.set()
        thread.join()
    assert stored
    assert refused
