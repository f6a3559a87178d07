"""The server reads the image store by itself, and says what it found."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from providers.imaging.errors import StoreAwayError
from providers.imaging.image_record import RestoreTest
from providers.imaging.store import ChunkStore
from providers.imaging.verification import damaged_test
from reconciler.app.image_health import damaged_images, images_out_of_use, scrub_status
from reconciler.app.project import Project
from reconciler.server.image_scrub import ImageScrubbing, Pace
from reconciler.state.database import Database, open_database
from reconciler.state.image_checks import ImageChecks, ImageScrubs
from reconciler.state.image_events import ImageEvents
from reconciler.state.images import observed_images
from reconciler.state.observed import Fault, Observed
from reconciler.views.status_text import _scrub_line, scrub_document
from specs.fleet import CompiledScrub
from tests.unit.image_desk import Desk
from tests.unit.stored_images import PROVED, chunks_of, store_image

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
WEEKLY = CompiledScrub(every_seconds=7 * 86_400)


@dataclass
class Site:
    """A store with its state database, and a clock that stands."""

    folder: Path
    store: ChunkStore
    database: Database
    now: datetime = NOW
    settings: CompiledScrub = WEEKLY
    waited: list[float] = field(default_factory=list)
    after: int = 10**9
    """Chunks after which the server ends."""

    def image(self, number: int, name: str = "") -> str:
        return store_image(self.store, self.folder, number, name)

    def scrub(self) -> None:
        """Start a server, and let it look once whether a scrub is due."""
        left = self.after

        def wait(seconds: float) -> bool:
            nonlocal left
            self.waited.append(seconds)
            left -= 1
            return left < 0

        duty = ImageScrubbing(
            self.store,
            self.database,
            lambda: self.settings,
            lambda: self.now,
            Pace(lambda: 0.0, wait),
        )
        asyncio.run(duty.look())

    @property
    def scrubs(self) -> ImageScrubs:
        return ImageScrubs(self.database)

    @property
    def checks(self) -> ImageChecks:
        return ImageChecks(self.database)

    def lines(self, digest: str) -> list[str]:
        return [each.reason for each in ImageEvents(self.database).of_image(digest)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = open_database(tmp_path / "rackwright.db")
    store = ChunkStore(tmp_path / "store", reserve=0, now=lambda: NOW - WEEK)
    yield Site(tmp_path, store, database)
    database.close()


def own_chunk(site: Site, digest: str, other: str) -> Path:
    (own,) = set(chunks_of(site.store, digest)) - set(chunks_of(site.store, other))
    return site.store.path(own)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "said", "is_aside"),
    [
        (flip, "it is corrupt", True),
        (truncate, "it is corrupt", True),
        (Path.unlink, "it is missing", False),
    ],
)
def test_damage_is_found_without_anybody_asking(
    site: Site, damage: Callable[[Path], None], said: str, *, is_aside: bool
) -> None:
    damaged, whole = site.image(1, "golden"), site.image(2, "other")
    path = own_chunk(site, damaged, whole)
    damage(path)
    site.scrub()
    assert (site.store.usable(damaged), site.store.usable(whole)) == (False, True)
    assert path.with_suffix(".corrupt").exists() is is_aside
    (line,) = site.lines(damaged)
    place = f"chunk {path.name[:12]}, bytes 5,242,880 to 6,291,456 (partition 1, ext4): {said}"
    assert line.startswith(place)
    checks = site.checks.all()
    assert (checks[damaged].damages, checks[damaged].detail) == (1, line)
    assert (checks[whole].damages, checks[whole].actor) == (0, "scrub")
    found = site.scrubs.ended()
    assert found is not None
    assert (found.ended, found.damages) == (NOW, 1)


def test_a_healthy_store_is_said_to_be_healthy_and_read_again_when_it_is_due(site: Site) -> None:
    digest = site.image(1)
    site.scrub()
    first = site.scrubs.ended()
    assert first is not None
    assert (first.chunks, first.damages, first.percent) == (6, 0, 100)
    assert first.size == sum(
        site.store.path(each).stat().st_size for each in set(chunks_of(site.store, digest))
    )
    assert site.lines(digest) == []
    site.now += WEEK - timedelta(seconds=1)
    site.scrub()
    assert site.scrubs.newest() == first
    site.now += timedelta(seconds=1)
    site.scrub()
    second = site.scrubs.ended()
    assert second is not None
    assert second.started == NOW + WEEK
    check = site.checks.of_image(digest)
    assert check is not None
    assert check.at == NOW + WEEK


def test_one_that_was_broken_off_goes_on_where_it_was(site: Site) -> None:
    images = [site.image(number) for number in range(1, 6)]
    chunks = {each for image in images for each in chunks_of(site.store, image)}
    total = len(chunks)
    site.after = 1
    for number in range(1, total):  # a server that ends in the second chunk, hours apart
        site.now += timedelta(hours=1)
        site.scrub()
        newest = site.scrubs.newest()
        assert newest is not None
        assert newest.chunks == number
    site.after = 10**9
    site.scrub()
    ended = site.scrubs.ended()
    assert ended is not None
    assert len(site.waited) == 2 * (total - 1) + 1 + len(images)
    assert ended.started == NOW + timedelta(hours=1)
    assert ended.chunks == total
    assert ended.damages == 0
    assert set(site.checks.all()) == set(images)


def test_what_a_server_found_before_it_ended_is_not_lost(site: Site) -> None:
    images = [site.image(number) for number in range(1, 4)]
    owns = sorted(own_chunk(site, image, images[index - 1]) for index, image in enumerate(images))
    first, last = owns[0], owns[-1]
    flip(first)
    flip(last)
    everything = sorted({each for image in images for each in chunks_of(site.store, image)})
    site.after = everything.index(first.name)
    site.scrub()
    assert not first.exists()
    site.after = 10**9
    site.scrub()
    assert not last.exists()
    damaged = [digest for digest, check in site.checks.all().items() if check.damages]
    expected = {
        image for image in images if {first.name, last.name} & set(chunks_of(site.store, image))
    }
    assert set(damaged) == expected
    assert {image for image in images if site.store.usable(image)} == set(images) - expected
    for image in damaged:
        assert [line for line in site.lines(image) if "it is corrupt" in line]


def test_a_store_that_vanishes_when_damage_was_set_aside_is_no_reason_to_forget_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = site.image(1)
    path = site.store.path(chunks_of(site.store, digest)[1])
    flip(path)
    record, away = ChunkStore.record_restore_test, [True]

    def vanish(store: ChunkStore, *arguments: Any) -> None:
        if away and away.pop():
            raise StoreAwayError(store.root, "Stale file handle")
        record(store, *arguments)

    monkeypatch.setattr(ChunkStore, "record_restore_test", vanish)
    site.scrub()
    assert not path.exists()
    assert site.store.usable(digest)
    site.scrub()
    assert not site.store.usable(digest)
    (line,) = site.lines(digest)
    assert "it is corrupt and was set aside" in line
    assert site.checks.all()[digest].damages == 1


def test_an_image_that_came_meanwhile_counts_as_verified_only_by_the_next_scrub(
    site: Site,
) -> None:
    site.image(1)
    site.after = 2
    site.scrub()
    young = ChunkStore(site.store.root, reserve=0, now=lambda: NOW + timedelta(hours=1))
    late = store_image(young, site.folder, 2)
    site.after = 10**9
    site.scrub()
    assert late not in site.checks.all()
    site.now += WEEK
    site.scrub()
    assert site.checks.all()[late].damages == 0


@pytest.mark.parametrize("name", ["record.json", "proof.json", "manifest.json", ""])
def test_small_files_of_an_image_that_are_gone_or_damaged_are_found(site: Site, name: str) -> None:
    damaged, whole = site.image(1, "golden"), site.image(2, "other")
    path = site.store.root / "images" / damaged / name
    if not name:
        shutil.rmtree(path)
    elif name == "proof.json":
        path.write_bytes(b"garbage")
    else:
        path.unlink()
    for times in (1, 2):  # it is not forgotten at the end of a scrub
        site.scrub()
        assert (site.store.usable(damaged), site.store.usable(whole)) == (False, True)
        checks = site.checks.all()
        # In the place of a damaged restore test there is a failed one afterwards.
        is_found = times == 1 or name != "proof.json"
        assert len(site.lines(damaged)) == (times if is_found else 1)
        assert (checks[damaged].damages, checks[whole].damages) == (int(is_found), 0)
        ended = site.scrubs.ended()
        assert ended is not None
        assert ended.damages == int(is_found)
        site.now += WEEK


def test_places_of_chunks_in_which_something_else_is_are_damage_to_a_scrub(site: Site) -> None:
    digest = site.image(1)
    first, second, third = (
        site.store.path(each) for each in sorted(chunks_of(site.store, digest))[:3]
    )
    first.unlink()
    first.mkdir()
    second.unlink()
    second.symlink_to(second)
    shutil.rmtree(third.parent.parent)
    third.parent.parent.write_bytes(b"")
    site.scrub()
    said = " ".join(site.lines(digest))
    assert said.count("something else than a file has its place") == 2
    assert said.count("it is missing") == 1
    assert not first.exists()


def test_a_corrupt_chunk_that_no_image_needs_is_set_aside_too(site: Site) -> None:
    digest = site.image(1)
    image = site.store.root / "images" / digest
    image.rename(site.store.root / "incoming" / digest)
    site.image(2)
    gone = [each for each in site.store.folders() for _ in site.store.chunks_in(each)]
    assert len(gone) == 7
    for folder in site.store.folders():
        for chunk in site.store.chunks_in(folder):
            if chunk not in chunks_of(site.store, next(iter(site.store.image_digests()))):
                flip(site.store.path(chunk))
                unneeded = chunk
    site.scrub()
    assert site.store.missing([unneeded]) == {unneeded}
    newest = site.scrubs.newest()
    assert newest is not None
    assert newest.damages == 1
    assert [each.damages for each in site.checks.all().values()] == [0]


def test_it_reads_no_faster_than_the_fleet_says_and_is_off_where_it_says_so(site: Site) -> None:
    site.image(1)
    site.settings = CompiledScrub(enabled=False)
    site.scrub()
    assert site.scrubs.newest() is None
    site.settings = CompiledScrub(bytes_per_second=1 << 20)
    site.scrub()
    ended = site.scrubs.ended()
    assert ended is not None
    assert max(site.waited) == pytest.approx(ended.size / (1 << 20))


def test_reading_may_catch_up_a_second_and_no_more() -> None:
    time, waited = [0.0], []
    pace = Pace(lambda: time[0], lambda seconds: bool(waited.append(seconds)))
    pace.took(100, 100)
    time[0] = 10.0
    pace.took(300, 100)
    assert waited == [1.0, 2.0]


def test_an_empty_store_is_not_scrubbed(site: Site) -> None:
    site.scrub()
    assert site.scrubs.newest() is None


def test_a_store_that_is_away_is_no_damaged_one(site: Site) -> None:
    digest = site.image(1)
    site.after = 2
    site.scrub()
    away = site.store.root.rename(site.folder / "away")
    site.after = 10**9
    site.scrub()
    site.store.root.mkdir()
    site.scrub()
    assert list(site.store.root.iterdir()) == []
    site.store.root.rmdir()
    away.rename(site.store.root)
    assert site.store.usable(digest)
    assert site.checks.all() == {}
    site.scrub()
    assert site.checks.all()[digest].damages == 0


def shown(site: Site, project: Project) -> tuple[str, object, list[str]]:
    """Return what status says: the line of the scrub, its number in JSON, and the faults."""
    status = scrub_status(project)
    assert status is not None
    document = scrub_document(status)
    assert document is not None
    causes = [each.cause.partition(",")[0] for each in damaged_images(project, site.now)]
    return _scrub_line(status, site.now), document["damages"], causes


def spoil(desk: Desk, digest: str, count: int) -> dict[Path, bytes]:
    """Flip the last chunks of an image; return what they were."""
    paths = [desk.store.path(each) for each in sorted(set(chunks_of(desk.store, digest)))[-count:]]
    contents = {path: path.read_bytes() for path in paths}
    for path in paths:
        flip(path)
    return contents


@pytest.mark.parametrize("again", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 3])
def test_a_scrub_counts_at_its_end_what_others_found_meanwhile(
    desk: Desk, after: int, again: int
) -> None:
    digest = desk.store_image(1, "golden")
    project = Project(str(desk.repo), None, desk.state)
    site = Site(desk.folder, desk.store, desk.database, datetime.now(UTC), after=after)
    site.scrub()
    contents = spoil(desk, digest, 2)
    desk("verify", "golden", expect=1)
    for path in list(contents)[:again]:  # the next backup sent it, and nobody verified the image
        path.write_bytes(contents[path])
    site.after = 10**9
    with capture_logs() as logs:
        site.scrub()
    assert shown(site, project) == (
        "image store: scrubbed 0 s ago, 2 damages found",
        2,
        ["2 chunks damaged"],
    )
    (said,) = (each for each in logs if each["event"] == "image damaged")
    assert said["image"] == digest
    (ended,) = (each for each in logs if each["event"] == "scrub ended")
    assert ended["damages"] == 2
    assert len(site.lines(digest)) == 2


def test_a_scrub_counts_what_it_found_and_what_others_found_each_once(desk: Desk) -> None:
    digest, other = desk.store_image(1, "golden"), desk.store_image(2, "other")
    project = Project(str(desk.repo), None, desk.state)
    site = Site(desk.folder, desk.store, desk.database, datetime.now(UTC))
    first, *_, last = sorted({*chunks_of(desk.store, digest), *chunks_of(desk.store, other)})
    everyone = sorted({*chunks_of(desk.store, digest)} & {*chunks_of(desk.store, other)})
    for chunk in {first, last, *everyone[:1]}:
        flip(desk.store.path(chunk))
    count = len({first, last, *everyone[:1]})
    site.after = 2  # the first one is found by the scrub, the others by a person
    site.scrub()
    desk("verify", "--all", expect=1)
    site.after = 10**9
    with capture_logs() as logs:
        site.scrub()
    line, number, causes = shown(site, project)
    assert (line, number) == (f"image store: scrubbed 0 s ago, {count} damages found", count)
    assert len(causes) == 2
    damaged = [each["image"] for each in logs if each["event"] == "image damaged"]
    assert sorted(damaged) == sorted({digest, other})


def test_a_scrub_does_not_count_what_is_whole_again_at_its_end(desk: Desk) -> None:
    digest = desk.store_image(1, "golden")
    project = Project(str(desk.repo), None, desk.state)
    site = Site(desk.folder, desk.store, desk.database, datetime.now(UTC))
    contents = spoil(desk, digest, 2)
    site.after = 6
    site.scrub()
    for path, content in contents.items():
        assert not path.exists()
        path.write_bytes(content)
    desk("verify", "golden")
    site.after = 10**9
    site.scrub()
    assert shown(site, project) == ("image store: scrubbed 0 s ago, undamaged", 0, [])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    _ = desk.database
    yield desk
    desk.close()


def faults_of(desk: Desk, project: Project) -> list[Fault]:
    """Return what status says of images."""
    observed, now = Observed(images=observed_images(desk.store)), datetime.now(UTC)
    return [*damaged_images(project, now), *images_out_of_use(project, observed, now)]


def scrub_now(desk: Desk) -> None:
    Site(desk.folder, desk.store, desk.database, datetime.now(UTC)).scrub()


def own_chunk_of(desk: Desk, digest: str, other: str) -> Path:
    return own_chunk(Site(desk.folder, desk.store, desk.database), digest, other)


def test_what_a_reader_found_since_an_image_was_verified_is_not_called_whole(desk: Desk) -> None:
    digest = desk.store_image(1, "golden")
    project = Project(str(desk.repo), None, desk.state)
    for is_verified in (False, True):
        if is_verified:
            desk("verify", "golden")
        tested = damaged_test(["chunk 0123: it is missing"], (NOW + 99 * WEEK).isoformat())
        desk.store.record_restore_test(digest, tested)
        (fault,) = faults_of(desk, project)
        assert (fault.subject, fault.code, fault.cause) == (
            "image/golden",
            "RW995",
            (
                "damaged in the store: chunk 0123: it is missing; not verified since: "
                "`rackwright image verify --prove golden`"
            ),
        )
    desk.store.record_restore_test(digest, RestoreTest(ok=False, details=("bad",), at="x"))
    assert faults_of(desk, project) == []


def test_status_ls_and_show_say_what_was_found_until_it_is_whole_again(desk: Desk) -> None:
    digest = desk.store_image(1, "golden")
    site = Site(desk.folder, desk.store, desk.database, datetime.now(UTC) + timedelta(minutes=1))
    path = desk.store.path(chunks_of(desk.store, digest)[2])
    content = path.read_bytes()
    flip(path)
    site.scrub()
    project = Project(str(desk.repo), None, desk.state)
    (fault,) = damaged_images(project, site.now)
    assert (fault.subject, fault.code) == ("image/golden", "RW995")
    assert fault.cause.startswith("1 chunk damaged, found by scrub: chunk ")
    assert "found damaged" in desk("ls")
    assert "1 chunk damaged (" in desk("show", "golden")
    assert ", by scrub)" in desk("show", "golden")
    path.write_bytes(content)
    assert "is whole again" in desk("verify", "golden")
    assert list(damaged_images(project, site.now)) == []
    assert "verified" in desk("ls")
    assert "whole (" in desk("show", "golden")
    path.unlink()
    desk("verify", "golden", expect=1)
    (fault,) = damaged_images(project, site.now)
    assert "it is corrupt and was set aside" in fault.cause


def test_an_image_that_a_restore_test_mended_is_complained_about_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = desk.store_image(1, "golden")
    (desk.store.root / "images" / digest / "record.json").unlink()
    project = Project(str(desk.repo), None, desk.state)
    desk("verify", "golden", expect=1)
    (fault,) = damaged_images(project, NOW)
    assert "record: the image store's file" in fault.cause

    def test(store: ChunkStore, tested: str, _: Path) -> RestoreTest:  # of file systems: none here
        store.record_restore_test(tested, PROVED)
        return PROVED

    monkeypatch.setattr("reconciler.app.images.run_restore_test", test)
    desk("verify", "--prove", "golden")
    assert list(damaged_images(project, NOW)) == []


def test_an_image_that_is_whole_again_is_spoken_of_until_it_is_proved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = desk.store_image(1, "golden")
    older = desk.store_image(2, "other")
    desk.store_image(3, "other")
    project = Project(str(desk.repo), None, desk.state)
    faults = partial(faults_of, desk, project)
    paths = [own_chunk_of(desk, digest, older), own_chunk_of(desk, older, digest)]
    contents = [path.read_bytes() for path in paths]
    assert faults() == []
    for path in paths:
        flip(path)
    assert "was damaged" not in desk("verify", "golden", "other~1", expect=1)
    assert [each.subject for each in faults()] == ["image/golden", "image/other~1"]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    line = (
        "it is whole again, and is restored only after a restore test: "
        "`rackwright image verify --prove golden`"
    )
    said = f"image {digest[:12]} (golden) was damaged; {line}"
    for _ in range(2):  # however often it is found whole
        assert desk("verify", "golden").splitlines()[0] == said
    assert "--prove other~1`" in desk("verify", "other~1")
    document = json.loads(desk("verify", "golden", "--format", "json"))
    assert document["wholeAgain"] == [digest]
    # Nobody restores the older generation without naming it.
    (fault,) = faults()
    assert (fault.subject, fault.code, fault.cause) == ("image/golden", "RW995", line)
    scrub_now(desk)
    assert [each.cause for each in faults()] == [line]

    def test(store: ChunkStore, tested: str, _: Path) -> RestoreTest:  # of file systems: none here
        store.record_restore_test(tested, PROVED)
        return PROVED

    monkeypatch.setattr("reconciler.app.images.run_restore_test", test)
    assert "was damaged" not in desk("verify", "--prove", "golden")
    assert faults() == []
    assert "was damaged" not in desk("verify", "golden")


def test_the_line_of_status_says_how_far_it_is_and_how_the_last_one_ended(desk: Desk) -> None:
    project = Project(str(desk.repo), None, desk.state)
    assert scrub_status(project) is None
    digest = desk.store_image(1, "golden")
    site = Site(desk.folder, desk.store, desk.database, datetime.now(UTC) + timedelta(minutes=1))

    def line() -> str:
        status = scrub_status(project)
        assert status is not None
        screen = Console(file=StringIO(), width=200)
        screen.print(_scrub_line(status, site.now))
        return screen.file.getvalue().strip()

    site.after = 3
    site.scrub()
    site.now += timedelta(hours=2)
    folder = int(sorted(set(chunks_of(desk.store, digest)))[2][:4], 16) + 1
    assert line() == f"image store: scrub at {folder * 100 >> 16} %, for 2 h"
    site.after = 10**9
    site.scrub()
    assert line() == "image store: scrubbed 0 s ago, undamaged"
    site.now += WEEK
    site.after = 0
    site.scrub()
    assert line() == "image store: scrub at 0 %, for 0 s · scrubbed 7 d ago"
