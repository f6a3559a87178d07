import contextlib
import errno
import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import whole_file
from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import digest_of, pack
from agent.imaging.errors import CorruptChunkError, ManifestError
from agent.imaging.image_growable import growable
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.wire.imaged_system import ImagedSystem, Obstacle
from providers.imaging.errors import (
    BadDigestError,
    BadNameError,
    IncompleteImageError,
    NoSpaceError,
    UnknownChunkError,
    UnknownImageError,
)
from providers.imaging.image_names import ImageNames
from providers.imaging.image_record import RestoreTest, Tag, TagMove
from providers.imaging.store import ChunkStore
from reconciler.state.images import observed_images
from tests.unit.imaging_images import MIB, MemoryStore, small_gpt_image

CONTENT = b"a chunk" * 100
DIGEST = digest_of(CONTENT)
FRAME = pack(CONTENT)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> ChunkStore:
    return ChunkStore(tmp_path / "store", reserve=0, now=clock)


@pytest.fixture
def image(tmp_path: Path) -> tuple[Manifest, MemoryStore]:
    _, manifest, frames = small_gpt_image(tmp_path)
    return manifest, frames


def fill(store: ChunkStore, frames: MemoryStore) -> None:
    for digest, frame in frames.frames.items():
        store.put(digest, frame)


def stored(store: ChunkStore, image: tuple[Manifest, MemoryStore]) -> str:
    fill(store, image[1])
    return store.put_manifest(manifest_format.encode(image[0]))


def other(manifest: Manifest) -> Manifest:
    """The same disk with fewer used blocks: another image of the same chunks."""
    return attrs.evolve(
        manifest,
        firmware=attrs.evolve(manifest.firmware, uefi=True),
    )


OWN = {".lock", "store.json"}
"""Files that every store has."""


def files(root: Path) -> list[str]:
    """Return all files but the locks, which have no content."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name not in OWN)
    return sorted(str(path.relative_to(root)) for path in found)


def test_a_chunk_is_found_where_its_digest_says(store: ChunkStore, tmp_path: Path) -> None:
    assert store.missing([DIGEST, DIGEST]) == {DIGEST}
    store.put(DIGEST, FRAME)
    assert store.has(DIGEST)
    assert store.missing([DIGEST]) == frozenset()
    assert store.get(DIGEST) == FRAME
    assert store.path(DIGEST) == (tmp_path / "store" / "chunks" / DIGEST[:2] / DIGEST[2:4] / DIGEST)
    assert files(tmp_path / "store") == [f"chunks/{DIGEST[:2]}/{DIGEST[2:4]}/{DIGEST}"]


def test_an_unknown_chunk_is_named(store: ChunkStore) -> None:
    with pytest.raises(UnknownChunkError, match=f"the store has no chunk {DIGEST}"):
        store.get(DIGEST)


@pytest.mark.parametrize("frame", [b"", FRAME[:-1], pack(b"other"), b"x" * 3_000_000])
def test_a_frame_that_is_not_the_chunk_is_not_stored(
    store: ChunkStore, tmp_path: Path, frame: bytes
) -> None:
    with pytest.raises(CorruptChunkError):
        store.put(DIGEST, frame)
    assert not store.has(DIGEST)
    assert files(tmp_path / "store") == []


def test_a_stored_chunk_is_not_written_again(store: ChunkStore) -> None:
    store.put(DIGEST, FRAME)
    before = store.path(DIGEST).stat()
    store.put(DIGEST, FRAME)
    assert store.path(DIGEST).stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    "text",
    ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", DIGEST + "\n", "z" * 64],
)
def test_what_is_no_digest_reaches_no_file(store: ChunkStore, text: str) -> None:
    for use in (store.path, store.has, store.get, store.manifest_path, store.record, store.usable):
        with pytest.raises(BadDigestError):
            use(text)
    with pytest.raises(BadDigestError):
        store.put(text, FRAME)


def test_a_crash_between_temporary_file_and_rename_leaves_no_chunk(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        os._exit(9)

    pid = os.fork()
    if pid == 0:  # the process that dies half way
        monkeypatch.setattr(Path, "replace", crash)
        store.put(DIGEST, FRAME)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert len(files(tmp_path / "store" / "incoming")) == 1
    again = ChunkStore(tmp_path / "store", reserve=0)
    assert not again.has(DIGEST)
    again.put(DIGEST, FRAME)
    assert again.get(DIGEST) == FRAME


def test_leftovers_are_swept_once_they_are_old(store: ChunkStore, tmp_path: Path) -> None:
    incoming = tmp_path / "store" / "incoming"
    (incoming / "tmpfile").write_bytes(b"half")
    (incoming / "tmpfolder").mkdir()
    (incoming / "tmpfolder" / "manifest.json").write_bytes(b"half")
    now = datetime.now(UTC)
    assert store.sweep(now - timedelta(days=1)) == 0
    assert store.sweep(now + timedelta(days=1)) == 2
    assert list(incoming.iterdir()) == []


def test_an_error_while_writing_leaves_nothing(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fsync", full)
    with pytest.raises(NoSpaceError, match=rf"needs {len(FRAME)} bytes"):
        store.put(DIGEST, FRAME)
    assert files(tmp_path / "store") == []


def test_the_reserve_stays_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: tuple[Manifest, MemoryStore]
) -> None:
    store = ChunkStore(tmp_path / "store", reserve=1000)
    fill(store, image[1])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000 + len(FRAME) - 1))
    with pytest.raises(NoSpaceError) as caught:
        store.put(DIGEST, FRAME)
    assert str(caught.value) == (
        f"RW431: the image store {tmp_path / 'store'} needs {len(FRAME):,} bytes, "
        f"{999 + len(FRAME):,} bytes are free and 1,000 of them are kept in reserve. "
        "Free space on the store's disk or move the store to a larger one."
    )
    with pytest.raises(NoSpaceError):
        store.put_manifest(manifest_format.encode(image[0]))
    with pytest.raises(NoSpaceError):
        store.ensure_space(1 << 40)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000 + len(FRAME)))
    store.put(DIGEST, FRAME)


def test_an_image_is_stored_with_its_facts(
    store: ChunkStore, image: tuple[Manifest, MemoryStore]
) -> None:
    manifest, frames = image
    digest = stored(store, image)
    data = manifest_format.encode(manifest)
    assert digest == manifest_format.digest(data)
    assert store.get_manifest(digest) == data
    record = store.record(digest)
    assert record.created == "2026-11-20T12:00:00+00:00"
    assert (record.disk_size, record.used_bytes) == (manifest.disk_size, manifest.used_bytes)
    assert record.stored_bytes == sum(len(frame) for frame in frames.frames.values())


def test_what_an_image_has_installed_is_told_with_its_name(
    store: ChunkStore, tmp_path: Path, image: tuple[Manifest, MemoryStore]
) -> None:
    manifest, frames = image
    obstacle = Obstacle("RW462", "it has no Python", "Install python3")
    system = ImagedSystem("Debian GNU/Linux 12", "1", "", "", (obstacle,))
    digest = stored(store, (attrs.evolve(manifest, system=system), frames))
    store.names.tag("golden", digest)
    (entry,) = store.images()
    assert entry.system == system
    (known,) = observed_images(store).values()
    assert known.system == system
    # As an earlier version wrote it.
    path = tmp_path / "store/images" / digest / "record.json"
    facts = json.loads(path.read_text())
    del facts["system"]
    path.write_text(json.dumps(facts))
    (entry,) = store.images()
    assert entry.system is None


def test_what_of_an_image_can_grow_is_told_with_its_name(
    store: ChunkStore, tmp_path: Path, image: tuple[Manifest, MemoryStore]
) -> None:
    digest = stored(store, image)
    store.names.tag("golden", digest)
    (known,) = observed_images(store).values()
    assert known.growable == growable(*image)
    # As an earlier version wrote it.
    path = tmp_path / "store/images" / digest / "record.json"
    facts = json.loads(path.read_text())
    facts["growable"]["version"] = 0
    path.write_text(json.dumps(facts))
    (known,) = observed_images(store).values()
    assert known.growable is None
    del facts["growable"]
    path.write_text(json.dumps(facts))
    (known,) = observed_images(store).values()
    assert known.growable is None


def test_an_image_whose_lvm_metadata_is_damaged_in_the_store_is_stored_all_the_same(
    store: ChunkStore, image: tuple[Manifest, MemoryStore]
) -> None:
    manifest, frames = image
    place = 2 * MIB, 4 * MIB
    volume = ImagedPartition(1, *place, "0x8e", "", "LVM2_member", "", "used-blocks", "")
    manifest = attrs.evolve(manifest, partitions=(volume,))
    first = next(each for each in manifest.chunks() if each.span.offset == place[0])
    for each, frame in frames.frames.items():
        store.put(each, frame)
    store.path(first.digest).write_bytes(b"rot")
    store.names.tag("golden", store.put_manifest(manifest_format.encode(manifest)))
    assert [each.growable for each in observed_images(store).values()] == [None]


def test_storing_an_image_twice_changes_nothing(
    store: ChunkStore, clock: Clock, image: tuple[Manifest, MemoryStore]
) -> None:
    digest = stored(store, image)
    before = store.record(digest)
    clock.now += timedelta(days=1)
    assert stored(store, image) == digest
    assert store.record(digest) == before


def test_an_image_with_a_missing_chunk_is_not_stored_and_the_older_one_stays(
    store: ChunkStore, tmp_path: Path, image: tuple[Manifest, MemoryStore]
) -> None:
    manifest, _frames = image
    older = stored(store, image)
    store.names.tag("golden", older)
    before = files(tmp_path / "store")
    newer = attrs.evolve(manifest, digests=manifest.digests[:-32] + bytes.fromhex(DIGEST))
    data = manifest_format.encode(newer)
    with pytest.raises(IncompleteImageError) as caught:
        store.put_manifest(data)
    assert str(caught.value) == (
        f"RW433: image {manifest_format.digest(data)} misses 1 of its 6 different chunks, "
        f"the first is {DIGEST}. Run the backup again; it sends only what is missing."
    )
    assert files(tmp_path / "store") == before
    assert store.names.resolve("golden") == older


def test_garbage_is_no_manifest(store: ChunkStore, tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        store.put_manifest(b"{}")
    assert files(tmp_path / "store") == []


def test_a_crash_while_an_image_is_stored_leaves_no_image(
    store: ChunkStore,
    tmp_path: Path,
    image: tuple[Manifest, MemoryStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(store, image[1])
    data = manifest_format.encode(image[0])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("providers.imaging.store.sync_folder", crash)
        with pytest.raises(KeyboardInterrupt):
            store.put_manifest(data)
    assert list((tmp_path / "store" / "images").iterdir()) == []
    with pytest.raises(UnknownImageError):
        store.get_manifest(manifest_format.digest(data))
    assert store.put_manifest(data) == manifest_format.digest(data)


def test_a_name_moves_and_remembers_what_it_pointed_to(
    store: ChunkStore, clock: Clock, image: tuple[Manifest, MemoryStore]
) -> None:
    first = stored(store, image)
    second = store.put_manifest(manifest_format.encode(other(image[0])))
    assert first != second
    store.names.tag("rack07/golden", first)
    store.names.tag("rack07/golden", first)
    clock.now += timedelta(hours=1)
    store.names.tag("rack07/golden", second)
    assert store.names.resolve("rack07/golden") == second
    assert [(entry.digest, entry.at) for entry in store.names.history("rack07/golden")] == [
        (first, "2026-11-20T12:00:00+00:00"),
        (second, "2026-11-20T13:00:00+00:00"),
    ]


def test_a_name_needs_an_image(store: ChunkStore) -> None:
    with pytest.raises(UnknownImageError):
        store.names.tag("golden", DIGEST)
    with pytest.raises(UnknownImageError, match="there is no image golden"):
        store.names.resolve("golden")


def test_names_moved_side_by_side_lose_no_history(
    store: ChunkStore, image: tuple[Manifest, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stored(store, image)
    second = store.put_manifest(manifest_format.encode(other(image[0])))
    store.names.tag("golden", first)
    meeting = threading.Barrier(2, timeout=0.3)
    met: list[bool] = []
    read_tag = ImageNames._read_tag

    def read_and_wait(self: ImageNames, path: Path, name: str, moving: tuple[TagMove, ...]) -> Tag:
        """Return what is there now, if possible when the other thread has read it too."""
        found = read_tag(self, path, name, moving)
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait()
            met.append(True)
        return found

    monkeypatch.setattr(ImageNames, "_read_tag", read_and_wait)
    movers = [
        threading.Thread(target=store.names.tag, args=("golden", name)) for name in (second, first)
    ]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert met == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "/etc",
        "a//b",
        "a/",
        ".hidden",
        "a\n",
        "ä",
        "a b",
        "%2e",
        "x" * 121,
    ],
)
def test_a_name_that_could_leave_the_store_is_refused(
    store: ChunkStore, tmp_path: Path, name: str
) -> None:
    for use in (lambda: store.names.tag(name, DIGEST), lambda: store.names.resolve(name)):
        with pytest.raises(BadNameError):
            use()
    assert files(tmp_path) == []


@given(st.text(max_size=130))
def test_no_text_names_a_file_outside_the_tags(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    store = ChunkStore(tmp_path_factory.getbasetemp() / "names")
    try:
        path = store.names._tag_path(name)
    except BadNameError:
        return
    assert path.resolve().parent == store.tag_folder.resolve()


def test_the_list_shows_every_name_with_its_facts_and_restore_test(
    store: ChunkStore, image: tuple[Manifest, MemoryStore]
) -> None:
    first = stored(store, image)
    second = store.put_manifest(manifest_format.encode(other(image[0])))
    store.names.tag("b", first)
    store.names.tag("a", second)
    store.names.tag("c/d", first)
    store.record_restore_test(first, RestoreTest(ok=True, details=("fine",), at="now"))
    store.record_restore_test(second, RestoreTest(ok=False, details=("broken",), at="now"))
    entries = store.images()
    assert [(entry.name, entry.digest, entry.restore_test) for entry in entries] == [
        ("a", second, "failed"),
        ("b", first, "proven"),
        ("c/d", first, "proven"),
    ]
    assert entries[0].disk_size == image[0].disk_size
    assert entries[0].used_bytes == image[0].used_bytes


def test_only_a_tested_image_is_usable(
    store: ChunkStore, image: tuple[Manifest, MemoryStore]
) -> None:
    assert not store.usable(DIGEST)
    digest = stored(store, image)
    assert not store.usable(digest)
    failed = RestoreTest(ok=False, details=("partition 2: bad",), at="now")
    store.record_restore_test(digest, failed)
    assert not store.usable(digest)
    passed = RestoreTest(ok=True, details=("fine",), at="now")
    store.record_restore_test(digest, passed)
    assert store.usable(digest)
    assert store.restore_test(digest) == passed


def test_a_restore_test_needs_an_image(store: ChunkStore) -> None:
    with pytest.raises(UnknownImageError):
        store.record_restore_test(DIGEST, RestoreTest(ok=True, details=(), at="now"))


def test_a_chunk_set_aside_is_sent_again(store: ChunkStore) -> None:
    store.put(DIGEST, FRAME)
    store.path(DIGEST).write_bytes(b"rot")
    store.set_aside(DIGEST)
    assert store.missing([DIGEST]) == {DIGEST}
    store.put(DIGEST, FRAME)
    assert store.get(DIGEST) == FRAME
