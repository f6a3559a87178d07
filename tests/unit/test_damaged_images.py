"""Images of which something is damaged: listed, verified and kept, whoever found it."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import UnwritableFileError
from agent.imaging.errors import ManifestError
from providers.imaging.collection import Limits, collect
from providers.imaging.errors import DamagedImageError, UnreadableImageError
from providers.imaging.image_record import RestoreTest
from providers.imaging.image_server import operations
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from providers.imaging.transfer import HealingStore, export_image
from providers.imaging.verification import take_out_of_use, verify_images
from tests.unit.image_desk import Desk
from tests.unit.imaging_images import ignore
from tests.unit.stored_images import PROVED, an_image, chunks_of, is_whole, store_image

EVERYTHING = Limits(
    datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(days=1), tuple
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def folder_of(desk: Desk, digest: str) -> Path:
    return desk.state / "store" / "images" / digest


def gone(path: Path) -> None:
    path.unlink()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


def other_fields(path: Path) -> None:
    path.write_bytes(b'{"a": 1}')


# --- its files beside the chunks ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("record.json", gone),
        ("record.json", garbage),
        ("record.json", other_fields),
        ("record.json", directory),
        ("proof.json", garbage),
        ("proof.json", directory),
        ("manifest.json", gone),
        ("manifest.json", directory),
    ],
)
def test_an_image_without_one_of_its_files_is_listed_as_damaged_and_not_restored(
    desk: Desk, name: str, damage: Callable[[Path], None]
) -> None:
    digest = desk.store_image(1, "golden")
    desk.store_image(2, "other")
    damage(folder_of(desk, digest) / name)
    entries = {each["name"]: each for each in json.loads(desk("ls", "--format", "json"))}
    assert entries["other"]["proof"] == "proven"
    assert entries["golden"]["damaged"]
    assert entries["golden"]["problem"].startswith("damaged: ")
    assert not desk.store.usable(digest)
    assert "damaged: " in desk("ls")


def test_what_the_record_said_is_taken_from_the_manifest(desk: Desk) -> None:
    digest = desk.store_image(1, "golden")
    before = desk.store.images()[0]
    gone(folder_of(desk, digest) / "record.json")
    (entry,) = desk.store.images()
    assert (entry.disk_size, entry.used_bytes, entry.stored_bytes) == (
        (before.disk_size, before.used_bytes, before.stored_bytes)
    )
    path = folder_of(desk, digest) / "record.json"
    assert entry.problem == f"damaged: the image store's file {path} is gone"
    assert "restorable  no, it is damaged: the image store's file" in desk("show", "golden")
    assert json.loads(desk("show", "golden", "--format", "json"))["damage"] == entry.problem[9:]


def test_verify_names_a_record_that_is_gone_and_proving_the_image_brings_it_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = desk.store_image(1, "golden")
    path = folder_of(desk, digest) / "record.json"
    gone(path)
    lines = desk("verify", "--all", expect=1).splitlines()
    assert lines == [
        f"image {digest[:12]} (golden) is damaged and is not restored any more:",
        f"  record: the image store's file {path} is gone",
        "1 image(s), 6 chunks of 6.3 MB: 1 image(s) are damaged; 1 not signed",
    ]
    passed = RestoreTest(ok=True, details=("6 chunks: intact",), at="2026-11-20T12:00:00+00:00")

    def test(store: ChunkStore, tested: str, _: Path) -> RestoreTest:  # of file systems: none here
        store.record_restore_test(tested, passed)
        return passed

    monkeypatch.setattr("reconciler.app.images.run_restore_test", test)
    lines = desk("verify", "--prove", "golden").splitlines()
    outcome = "1 image(s) are damaged, 1 of them mended; 1 not signed"
    assert lines[-1] == f"1 image(s), 6 chunks of 6.3 MB: {outcome}"
    assert path.exists()
    assert desk("verify", "--all") == "1 image(s), 6 chunks of 6.3 MB: undamaged; 1 not signed\n"
    assert desk.store.usable(digest)


@pytest.mark.parametrize("damage", [gone, garbage, directory])
@pytest.mark.parametrize("name", ["record.json", "manifest.json"])
def test_the_next_backup_brings_small_files_back(
    desk: Desk, name: str, damage: Callable[[Path], None]
) -> None:
    digest = desk.store_image(1, "golden")
    damage(folder_of(desk, digest) / name)
    assert desk.store_image(1, "golden") == digest
    assert verify_images(desk.store, [digest], ignore).damages == ()


def test_an_image_whose_folder_is_gone_is_listed_and_verified_and_stops_the_collection(
    desk: Desk,
) -> None:
    digest = desk.store_image(1, "golden")
    chunks = chunks_of(desk.store, digest)
    shutil.rmtree(folder_of(desk, digest))
    (entry,) = json.loads(desk("ls", "--format", "json"))
    assert (entry["proof"], entry["damaged"]) == ("failed", True)
    assert entry["problem"] == f"damaged: there is no image {digest}"
    lines = desk("verify", "--all", expect=1).splitlines()
    assert lines[1] == f"  manifest: there is no image {digest}"
    with pytest.raises(UnreadableImageError, match="its folder is gone from the store"):
        collect(desk.store, EVERYTHING)
    assert all(map(desk.store.has, chunks))
    desk.repo.joinpath("fleet.yaml").write_text("")
    assert desk("rm", "golden").startswith(f"removed from golden: {digest[:12]}")
    assert collect(desk.store, EVERYTHING).chunks == len(set(chunks))


@pytest.mark.parametrize("damage", [gone, garbage, directory])
@pytest.mark.parametrize("name", ["golden", ""])
def test_no_collection_takes_an_image_whose_record_is_damaged_nor_its_chunks(
    desk: Desk, name: str, damage: Callable[[Path], None]
) -> None:
    digest = desk.store_image(1, name)
    damage(folder_of(desk, digest) / "record.json")
    assert collect(desk.store, EVERYTHING).images == ()
    assert is_whole(desk.store, digest)


def test_retention_lets_go_of_nothing_that_is_damaged(desk: Desk) -> None:
    damaged = desk.store_image(1, "golden")
    desk.store_image(2, "golden")
    desk.store_image(3, "golden")
    gone(folder_of(desk, damaged) / "record.json")
    desk.repo.joinpath("fleet.yaml").write_text(
        "apiVersion: rackwright/v1alpha1\nkind: Image\nmetadata: {name: golden}\n"
        "spec: {retention: {last: 1}}\n"
    )
    assert damaged[:12] not in desk("prune", "--dry-run")


def test_a_pin_that_cannot_be_read_keeps_its_image(desk: Desk) -> None:
    digest = desk.store_image(1, "golden")
    desk("pin", "golden", "--reason", "evidence")
    garbage(folder_of(desk, digest) / "pin.json")
    desk.store.names.tag("other", digest)
    assert json.loads(desk("ls", "--format", "json"))[0]["pinned"]
    assert "RW443" in desk.refusal("rm", "other", "--force")
    assert digest not in desk.store.unnamed()


# --- chunks ------------------------------------------------------------------------------


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # its address has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def full_directory(path: Path) -> None:
    directory(path)
    (path / "file").write_bytes(b"")


@pytest.mark.parametrize("damage", [directory, full_directory, link_to_itself, pipe, a_socket])
def test_what_is_no_file_in_the_place_of_a_chunk_is_damage_that_a_backup_mends(
    desk: Desk, damage: Callable[[Path], None]
) -> None:
    digest = desk.store_image(1, "golden")
    chunk = chunks_of(desk.store, digest)[4]
    for _ in range(2):
        damage(desk.store.path(chunk))
        said = desk("verify", "--all", expect=1)
        assert "it is corrupt: something else than a file has its place" in said
        assert desk.store.missing([chunk]) == {chunk}
        said = desk("verify", "--all", expect=1)
        assert "it is corrupt and was set aside: something else than a file has its place" in said
        desk.store_image(1, "golden")
        assert "undamaged" in desk("verify", "--all")
    assert collect(desk.store, EVERYTHING).corrupt == 1
    assert "undamaged" in desk("verify", "--all")


def by_export(store: ChunkStore, digest: str, folder: Path) -> None:
    with pytest.raises(DamagedImageError) as caught:
        export_image(store, digest, folder / "out", "raw", folder)
    assert not (folder / "out").exists()
    assert caught.value.code == "RW446"
    assert "bytes 0 to 1,048,576 (partition table): it is " in caught.value.cause


def by_mount(store: ChunkStore, digest: str, _: Path) -> None:
    served = operations(store, digest, folders=False)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            served.read("/disk.raw", 4096, 0, 0)


def by_restore_test(store: ChunkStore, digest: str, folder: Path) -> None:
    assert not run_restore_test(store, digest, folder).ok


@pytest.mark.parametrize("damage", [gone, garbage])
@pytest.mark.parametrize("reader", [by_export, by_mount, by_restore_test])
def test_who_reads_a_damaged_chunk_does_what_verify_does(
    tmp_path: Path,
    reader: Callable[[ChunkStore, str, Path], None],
    damage: Callable[[Path], None],
) -> None:
    outcomes = []
    for reads in (True, False):
        folder = tmp_path / str(reads)
        folder.mkdir()
        desk = Desk(folder)
        images = [desk.store_image(number, f"name-{number}") for number in (1, 2)]
        damage(desk.store.path(chunks_of(desk.store, images[0])[0]))  # both have it
        if reads:
            reader(desk.store, images[0], folder)
        else:
            desk("verify", "name-1", expect=1)
        tests = [desk.store.restore_test(each) for each in images]
        again = desk("verify", "--all", expect=1)
        outcomes.append(([(test.ok, test.details) for test in tests], again))
        desk.close()
    assert outcomes[0] == outcomes[1]
    assert not any(ok for ok, _ in outcomes[0][0])
    word = "it is missing" if damage is gone else "it is corrupt and was set aside: no zstd frame"
    assert word in outcomes[0][1]


@pytest.mark.parametrize("damage", [garbage, directory])
def test_who_reads_a_damaged_manifest_does_what_verify_does(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = ChunkStore(tmp_path / "store", reserve=0)
    outcomes = []
    for number in (1, 2):
        digest = store_image(store, tmp_path, 1, "golden")
        store.record_restore_test(digest, PROVED)
        damage(store.manifest_path(digest))
        if number == 1:
            with pytest.raises(ManifestError):
                export_image(store, digest, tmp_path / "out", "raw", tmp_path)
        else:
            damages = verify_images(store, [digest], ignore).damages
            take_out_of_use(store, damages, "2026-11-21T12:00:00+00:00")
        tested = store.restore_test(digest)
        outcomes.append((tested.ok, tested.details))
    assert outcomes[0] == outcomes[1]
    assert not outcomes[0][0]


def test_an_image_is_not_marked_where_its_chunk_is_whole_again(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path / "store", reserve=0)
    digest = store_image(store, tmp_path, 1, "golden")
    chunk = chunks_of(store, digest)[0]
    frame = store.get(chunk)
    garbage(store.path(chunk))

    class MendedMeanwhile(ChunkStore):
        def get(self, digest: str, *, checked: bool = False) -> bytes:
            try:
                return super().get(digest, checked=checked)
            finally:
                self.path(chunk).write_bytes(frame)

    by_mount_once = operations(MendedMeanwhile(tmp_path / "store"), digest, folders=False)
    with pytest.raises(OSError, match="Input/output error"):
        by_mount_once.read("/disk.raw", 4096, 0, 0)
    assert store.usable(digest)
    assert len(by_mount_once.read("/disk.raw", 4096, 0, 0)) == 4096


def test_what_cannot_be_written_down_is_said_beside_what_was_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = desk.store_image(1, "golden")
    garbage(desk.store.path(chunks_of(desk.store, digest)[0]))

    def refuse(*_: object) -> None:
        raise UnwritableFileError(Path("proof.json"), "Read-only file system", 30)

    monkeypatch.setattr(ChunkStore, "record_restore_test", refuse)
    lines = desk("verify", "golden", expect=1).splitlines()
    assert lines[0] == f"image {digest[:12]} (golden) is damaged:"
    assert lines[1].startswith("  chunk ")
    assert lines[3].startswith("this could not be written down, and they can still be restored: ")
    document = json.loads(desk("verify", "golden", "--format", "json", expect=1))
    assert "Read-only file system" in document["notWrittenDown"]


def test_a_chunk_that_is_corrupt_is_taken_again_at_once(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path / "store", reserve=0)
    digest = store_image(store, tmp_path, 1, "golden")
    chunks = chunks_of(store, digest)
    _, frames = an_image(tmp_path, 1)
    garbage(store.path(chunks[1]))
    gone(store.path(chunks[2]))
    sink = HealingStore(store)
    assert sink.missing(chunks) == {chunks[1], chunks[2]}
    for chunk in chunks[1:3]:
        sink.put(chunk, frames.frames[chunk])
    assert verify_images(store, [digest], ignore).damages == ()
    assert store.usable(digest)


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deadbeef", "0123456789", "f" * 64])
def test_a_new_name_does_not_read_as_digits_of_a_digest(desk: Desk, name: str) -> None:
    desk.store_image(1, "golden")
    assert desk.refusal("tag", "golden", name) == (
        f"RW435: {name!r} cannot be the name of an image: it reads as the first digits of a "
        "digest. Use another name, such as one with a letter beyond f or a '-'."
    )
    digest = desk.store_image(2, name)  # as a backup of a machine that is called so
    desk("tag", "golden~0", name)
    assert desk.store.names.resolve(name) != digest


def test_short_and_other_names_are_no_digits(desk: Desk) -> None:
    desk.store_image(1, "golden")
    for name in ("deadbee", "deadbeef-1", "beefcafe/1", "f" * 65):
        desk("tag", "golden", name)
