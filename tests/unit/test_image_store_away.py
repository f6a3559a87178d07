"""An image store that is away, or is another one, is no empty store."""

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from builders.world import NOW, a_disk, a_fleet, a_machine, observed, ramdisk
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.chunk import digest_of, pack
from providers.imaging import store_identity
from providers.imaging.errors import NoSpaceError, OtherStoreError, StoreAwayError
from providers.imaging.http import routes
from providers.imaging.image_server import operations
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from providers.imaging.store_identity import FoundStore, found_at, found_in_time
from providers.imaging.transfer import export_image
from providers.imaging.verification import damages_of, missing_of, verify_images
from providers.imaging.verification import is_whole as is_chunk_whole
from reconciler.errors import ReconcilerError
from reconciler.planning.planner import plan
from reconciler.server.newest_write import NewestWrite
from reconciler.server.store_presence import StorePresence
from reconciler.state.database import Database, open_database
from reconciler.state.faults import Faults
from reconciler.state.image_events import ImageEvent, ImageEvents
from reconciler.state.image_store import ImageStores, Verdict, judge, present_store
from tests.unit.image_desk import Desk
from tests.unit.stored_images import chunks_of, is_whole, store_image

OTHER = "0" * 64


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "rackwright.db")
    yield opened
    opened.close()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- which store it is ----------------------------------------------------------------


@given(st.sampled_from(["", "a", "b"]), st.booleans(), st.sampled_from(["", "a"]), st.booleans())
def test_a_store_is_made_only_where_nothing_says_that_there_was_one(
    identity: str,
    has_content: bool,  # noqa: FBT001 - as hypothesis gives them
    known: str,
    had_images: bool,  # noqa: FBT001
) -> None:
    found = FoundStore(identity, has_content, is_read_only=False)
    verdict = judge(found, known, had_images=had_images)
    is_empty = not identity and not has_content
    assert (verdict is Verdict.NEW) == (is_empty and not known and not had_images)
    assert (verdict is Verdict.AWAY) == (is_empty and bool(known or had_images))
    if known and not is_empty:
        assert verdict is (Verdict.THERE if identity == known else Verdict.OTHER)


def test_an_empty_folder_where_a_store_was_stays_empty(tmp_path: Path, database: Database) -> None:
    root, stores = tmp_path / "store", ImageStores(database)
    first = present_store(root, stores, NOW).identity
    assert first == stores.known() == ChunkStore(root).identity
    root.rename(tmp_path / "mounted")
    for _ in range(2):
        with pytest.raises(StoreAwayError, match=r"RW444: .*its folder is empty or not there"):
            present_store(root, stores, NOW)
        root.mkdir(exist_ok=True)
    assert names(root) == []
    root.rmdir()
    (tmp_path / "mounted").rename(root)
    assert present_store(root, stores, NOW).identity == first


def test_another_store_in_its_place_is_noticed(tmp_path: Path, database: Database) -> None:
    root, stores = tmp_path / "store", ImageStores(database)
    present_store(root, stores, NOW)
    root.rename(tmp_path / "old")
    ChunkStore(root)
    with pytest.raises(OtherStoreError, match=r"RW445: .*another image store lies there.*accept"):
        present_store(root, stores, NOW)
    (root / "store.json").unlink()
    with pytest.raises(OtherStoreError, match="RW445"):
        present_store(root, stores, NOW)


def test_a_store_of_an_earlier_version_gets_its_identity(
    tmp_path: Path, database: Database
) -> None:
    root, stores = tmp_path / "store", ImageStores(database)
    digest = store_image(ChunkStore(root, reserve=0), tmp_path, 1, "golden")
    for name in ("store.json", ".lock", "tags/.lock"):
        (root / name).unlink()
    identity = present_store(root, stores, NOW).identity
    assert stores.known() == identity
    store = ChunkStore(root, identity=identity)
    assert store.missing(chunks_of(store, digest)) == frozenset()
    store.names.tag("other", digest)


def test_a_mount_that_is_away_at_the_first_start_of_this_version_is_noticed(
    tmp_path: Path, database: Database
) -> None:
    ImageEvents(database).record(ImageEvent("pin", OTHER, "", NOW, "ada", "evidence"))
    (tmp_path / "store").mkdir()
    with pytest.raises(StoreAwayError, match="RW444"):
        present_store(tmp_path / "store", ImageStores(database), NOW)
    assert names(tmp_path / "store") == []


def test_a_folder_that_does_not_answer_is_given_up_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found_in_time(tmp_path, 5) == found_at(tmp_path)
    answers = threading.Event()
    monkeypatch.setattr(store_identity, "found_at", lambda _: answers.wait())
    with pytest.raises(StoreAwayError, match=r"RW444: .*it does not answer within 0.01 s"):
        found_in_time(tmp_path, 0.01)
    answers.set()


# --- what vanishes under a running server ---------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    made = ChunkStore(tmp_path / "store", reserve=0)
    return ChunkStore(tmp_path / "store", reserve=0, identity=made.identity)


def test_nothing_counts_as_lost_and_nothing_is_made_where_the_store_vanished(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    manifest, chunk = store.get_manifest(digest), chunks_of(store, digest)[0]
    frame = store.get(chunk)
    mounted = store.root.rename(tmp_path / "mounted")
    store.root.mkdir()
    for call in (
        lambda: store.get(chunk),
        lambda: store.missing([chunk]),
        lambda: store.put(digest_of(b"new"), pack(b"new")),
        lambda: store.put(chunk, frame),
        lambda: store.get_manifest(digest),
        lambda: store.require_chunks(digest),
        lambda: store.record(digest),
        lambda: store.restore_test(digest),
        lambda: store.names.resolve("golden"),
        lambda: store.put_manifest(manifest),
        lambda: store.names.tag("other", digest),
        lambda: store.facts(digest),
        lambda: store.generations("golden"),
        lambda: store.renew_record(digest),
        lambda: store.set_aside(chunk),
        lambda: is_chunk_whole(store, chunk),
        lambda: damages_of(store, [chunk]),
        store.names.tags,
        store.image_digests,
        store.expected,
    ):
        with pytest.raises((StoreAwayError, FileNotFoundError)):
            call()
    assert names(store.root) == []
    store.root.rmdir()
    mounted.rename(store.root)
    assert store.usable(digest)
    assert is_whole(store, digest)


def test_a_verification_that_the_store_vanished_from_finds_no_damage(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    mounted = tmp_path / "mounted"

    def vanish(*_: int) -> None:
        if not mounted.exists():
            store.root.rename(mounted)
            store.root.mkdir()

    with pytest.raises(StoreAwayError):
        verify_images(store, [digest], vanish)
    with pytest.raises((StoreAwayError, FileNotFoundError)):
        tuple(missing_of(store, digest))
    store.root.rmdir()
    mounted.rename(store.root)
    assert store.usable(digest)


def test_who_reads_an_image_that_the_store_vanished_from_marks_nothing(
    store: ChunkStore, tmp_path: Path
) -> None:
    """It vanishes after a chunk was found missing, and before anybody looks again."""
    digest = store_image(store, tmp_path, 1, "golden")
    chunk, mounted = store.path(chunks_of(store, digest)[0]), tmp_path / "mounted"
    frame, lock = chunk.read_bytes(), threading.Lock()

    class Vanishing(ChunkStore):
        def get(self, digest: str, *, checked: bool = False) -> bytes:
            with lock:
                if mounted.exists():
                    return super().get(digest, checked=checked)
                chunk.unlink()
                try:
                    return super().get(chunk.name)
                finally:
                    chunk.write_bytes(frame)
                    self.root.rename(mounted)
                    self.root.mkdir()

    def back() -> None:
        assert names(store.root) == []
        store.root.rmdir()
        mounted.rename(store.root)
        assert store.usable(digest)
        assert not chunk.with_suffix(".corrupt").exists()

    vanishing = Vanishing(store.root, reserve=0, identity=store.identity)
    files = operations(vanishing, digest, folders=False)
    with pytest.raises(OSError, match="Input/output error"):
        files.read("/disk.raw", 4096, 0, 0)
    back()
    for read in (
        lambda: run_restore_test(vanishing, digest, tmp_path),
        lambda: export_image(vanishing, digest, tmp_path / "out", "raw", tmp_path),
    ):
        with pytest.raises(StoreAwayError):
            read()
        back()
    mounted.mkdir()  # it vanishes no more
    assert len(files.read("/disk.raw", 4096, 0, 0)) == 4096


def test_a_lock_that_was_not_copied_with_the_store_is_made_again(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    (store.root / ".lock").unlink()
    (store.root / "tags/.lock").unlink()
    assert store.missing(chunks_of(store, digest)) == frozenset()
    store.names.tag("other", digest)


def test_a_damaged_identity_is_no_damage_of_images(store: ChunkStore, tmp_path: Path) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    (store.root / "store.json").write_bytes(b"garbage")
    store.path(chunks_of(store, digest)[0]).unlink()
    with pytest.raises(StoreAwayError, match=r"store\.json"):
        verify_images(store, [digest], lambda *_: None)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EMFILE])
def test_what_a_file_server_that_is_away_answers_is_no_damage(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    digest = store_image(store, tmp_path, 1, "golden")
    chunk, real = chunks_of(store, digest)[0], os.open
    is_there = True

    def fail(path: Path, flags: int, *more: int) -> int:
        if Path(path).name == chunk:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more)

    def away(_: Path) -> FoundStore:
        if is_there:
            return found_at(store.root)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store_identity, "found_at", away)
    monkeypatch.setattr(os, "open", fail)
    is_there = False
    for call in (
        lambda: store.get(chunk),
        lambda: store.set_aside(chunk),
        lambda: verify_images(store, [digest], lambda *_: None),
        lambda: damages_of(store, [chunk]),
    ):
        with pytest.raises(StoreAwayError):
            call()
    is_there = True
    if number == errno.EIO:
        assert damages_of(store, [chunk])
        return
    for call in (lambda: store.set_aside(chunk), lambda: damages_of(store, [chunk])):
        with pytest.raises(OSError, match=os.strerror(number)):
            call()
    assert store.has(chunk)


async def test_agents_are_told_to_come_again_while_it_is_away(
    store: ChunkStore, tmp_path: Path
) -> None:
    heard: list[str] = []

    def served(_: web.Request, error: NoSpaceError | StoreAwayError | None) -> None:
        heard.append(error.code if error else "")

    digest = store_image(store, tmp_path, 1)
    chunk = chunks_of(store, digest)[0]
    application = web.Application()
    application.add_routes(routes(store, lambda *_: None, served))
    async with TestClient(TestServer(application)) as client:

        async def answers() -> list[tuple[int, str]]:
            found = [
                await client.get(f"/v1/chunks/{chunk}"),
                await client.get(f"/v1/manifests/{digest}"),
                await client.post("/v1/chunks/missing", json={"digests": [chunk]}),
                await client.put(f"/v1/chunks/{digest_of(b'new')}", data=pack(b"new")),
            ]
            json = [each.content_type == "application/json" and await each.json() for each in found]
            return [
                (each.status, said["code"] if isinstance(said, dict) and "code" in said else "")
                for each, said in zip(found, json, strict=True)
            ]

        mounted = store.root.rename(tmp_path / "mounted")
        store.root.mkdir()
        assert await answers() == [(503, "RW444")] * 4
        store.problem = StoreAwayError(store.root, "it does not answer within 10 s")
        assert await answers() == [(503, "RW444")] * 4
        assert set(heard) == {"RW444"}
        assert names(store.root) == []
        store.root.rmdir()
        mounted.rename(store.root)
        store.problem = None
        assert await answers() == [(200, ""), (200, ""), (200, ""), (201, "")]
        assert heard[-3:] == ["", "", ""]


# --- the server -----------------------------------------------------------------------


async def test_a_server_knows_within_seconds_that_it_is_away_and_that_it_is_back(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ChunkStore(tmp_path / "store", identity="")
    faults = Faults(database)
    stores = ImageStores(database)
    presence = StorePresence(store, stores, lambda: faults, lambda: NOW, 60.0)

    def said() -> list[tuple[str, str]]:
        return [(each.subject, each.code) for each in faults.present()]

    await presence.look()
    assert presence.is_there
    assert store.identity == ImageStores(database).known()
    store.root.rename(tmp_path / "mounted")
    await presence.look()
    await presence.look()
    assert not presence.is_there
    assert said() == [("disk/images", "RW444")]
    assert faults.present()[0].times == 1
    (tmp_path / "mounted").rename(store.root)
    await presence.look()
    assert presence.is_there
    assert said() == []

    presence = StorePresence(store, stores, lambda: faults, lambda: NOW, 0.05)
    looks, answers = [], threading.Event()

    def hangs(*arguments: object) -> object:
        looks.append(arguments)
        answers.wait()
        return present_store(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("reconciler.server.store_presence.present_store", hangs)
    for _ in range(3):
        await presence.look()
        assert store.problem is not None
        assert "it does not answer within 0.05 s" in store.problem.cause
    assert len(looks) == 1
    assert said() == [("disk/images", "RW444")]
    answers.set()
    for _ in range(1000):
        await presence.look()
        if presence.is_there:
            break
        await asyncio.sleep(0)
    assert presence.is_there
    assert said() == []


# --- plans and commands ---------------------------------------------------------------


def test_a_plan_says_that_the_image_is_not_known_and_not_that_there_is_none() -> None:
    machine = a_machine(1, "clone-golden")
    known = observed({machine.name: ramdisk(machine, a_disk())}, ())
    away = type(known)(
        **{
            **{name: getattr(known, name) for name in known.__slots__},
            "store_problem": "RW444: the image store /s cannot be used: it is not there",
        }
    )
    (item,) = plan(a_fleet(machine), away, NOW).items
    assert "has not been captured yet" not in item.reason
    assert "is not known: RW444: the image store /s cannot be used" in item.reason


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    _ = desk.database
    desk("ls")
    yield desk
    desk.close()


def test_commands_refuse_a_store_that_is_away_until_a_person_accepts_another(desk: Desk) -> None:
    desk.store_image(1, "golden")
    mounted = desk.store.root.rename(desk.folder / "mounted")
    for arguments in (("ls",), ("show", "golden"), ("gc",), ("prune",), ("pin", "golden")):
        more = ("--reason", "r") if arguments[0] == "pin" else ()
        assert desk.refusal(*arguments, *more).startswith("RW444: the image store")
    desk.store.root.mkdir()
    assert desk.refusal("ls").startswith("RW444")
    assert names(desk.store.root) == []
    with pytest.raises(ReconcilerError, match="reason"):
        accept(desk, "")
    assert "0 image(s)" in accept(desk, "the old one burnt")
    assert "no images yet" in desk("ls")
    desk.store.root.rename(desk.folder / "new")
    mounted.rename(desk.store.root)
    assert desk.refusal("ls").startswith("RW445")
    assert "1 image(s)" in accept(desk, "it did not")
    assert "golden" in desk("ls")


def accept(desk: Desk, reason: str) -> str:
    from click.testing import CliRunner  # noqa: PLC0415

    from reconciler.cli.image import image  # noqa: PLC0415

    options = ["accept-store", "--state", str(desk.state), "--reason", reason]
    result = CliRunner().invoke(image, options, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def test_files_of_a_server_whose_clock_is_behind_are_not_taken_for_old(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.lag().total_seconds() < 5
    ahead = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
    monkeypatch.setattr("providers.imaging.store_place.utc_now", lambda: ahead)
    assert store.lag().days >= 364


def test_of_writes_that_wait_only_the_newest_is_carried_out() -> None:
    begun, may_go_on, done = threading.Event(), threading.Event(), threading.Event()
    written: list[int] = []
    write = NewestWrite("a test")

    def first() -> None:
        begun.set()
        may_go_on.wait(5)
        written.append(1)
        raise OSError("the file server is gone")

    write(first)
    assert begun.wait(5)
    write(lambda: written.append(2))
    write(lambda: (written.append(3), done.set())[0])
    may_go_on.set()
    assert done.wait(5)
    assert written == [1, 3]
