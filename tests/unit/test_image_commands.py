"""What `rackwright image` says and does, on a state directory as a server leaves it."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from rich.console import Console, Group

from agent.imaging.extent import Extent
from providers.imaging.image_record import encode
from reconciler.app.images import image_details
from reconciler.app.lossy_images import lossy_images
from reconciler.app.project import Project
from reconciler.cli.image import image
from reconciler.errors import ReconcilerError
from reconciler.state.captures import Captures
from reconciler.state.image_events import ImageEvents
from reconciler.state.images import observed_images
from reconciler.state.observed import Observed
from reconciler.state.operation_states import OperationState
from reconciler.views.image_details_text import image_parts
from reconciler.views.image_text import image_table
from tests.unit.image_desk import FAILED, NOW, Desk
from tests.unit.imaging_images import MIB
from tests.unit.stored_images import PROVED, chunks_of, is_whole, store_image


@pytest.fixture
def desk(tmp_path: Path) -> "Desk":
    desk = Desk(tmp_path)
    assert desk.database
    yield desk
    desk.close()


def test_the_list_has_generations_and_pins(desk: Desk) -> None:
    first, second = desk.store_image(1, "golden"), desk.store_image(2, "golden")
    desk("pin", "golden~1", "--reason", "evidence")
    lines = desk("ls").splitlines()
    assert lines[1].split() == (
        ["image", "digest", "captured", "disk", "used", "stored", "kept", "restorable"]
    )
    assert lines[3].split()[:2] == ["golden", second[:12]]
    assert lines[3].split()[-2:] == ["2", "proved"]
    lines = desk("ls", "--all").splitlines()
    assert lines[4].strip() == "not signed"
    assert lines[5].split()[:2] == ["golden~1", first[:12]]
    assert lines[5].endswith("proved · pinned")
    listed = json.loads(desk("ls", "--all", "--format", "json"))
    assert [(each["generation"], each["pinned"]) for each in listed] == [(0, False), (1, True)]


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("hours", [1, -1])
def test_the_list_fits_its_terminal_whatever_the_clock_says(
    desk: Desk, width: int, hours: int
) -> None:
    desk.store_image(1, "nightly-db-01")
    screen = Console(width=width, file=StringIO())
    now = datetime.now(UTC) + timedelta(hours=hours)
    screen.print(image_table(desk.store.images(), now, {}, width))
    text = screen.file.getvalue()
    assert "nightly-db-01" in text
    assert "proved" in text
    assert ("60 min ago" in text) == (hours > 0)
    assert max(map(len, text.splitlines())) <= width


def test_show_tells_everything_about_an_image(desk: Desk) -> None:
    desk.store_image(1, "golden")
    digest = desk.store_image(2, "golden")
    desk("pin", "golden", "--reason", "evidence")
    text = desk("show", "golden")
    for said in (
        f"image {digest}",
        "names       golden",
        "size      8,388,608 bytes, sectors of 512",
        "boots by  BIOS",
        "1  1.0 MB  6.3 MB  ext4 “root”  used-blocks",
        "not looked for",
        "6 chunks: intact",
        "golden~1",
        "this one",
        "clone  restores golden; node-01",
        "evidence",
    ):
        assert said in text
    document = json.loads(desk("show", digest[:10], "--format", "json"))
    assert document["names"] == [{"name": "golden", "generation": 0}]
    assert document["uses"] == [
        {"scenario": "clone", "action": "restore", "image": "golden", "machines": ["node-01"]}
    ]
    assert [each["what"] for each in document["acts"]] == ["pin"]
    assert document["chunks"] == 6


def test_show_tells_which_work_brought_an_image_in_and_who_writes_it(desk: Desk) -> None:
    digest = desk.store_image(1, "backup-node-01")
    op_id = desk.work("capture-golden", digest, OperationState.PLANNED)
    Captures(desk.database).record(op_id, "backup-node-01", digest)
    text = desk("show", "backup-node-01")
    assert f"node-01, scenario capture-golden, operation {op_id[:12]}" in text
    assert "nightly  writes backup-node-01; node-01" in text


def test_verify_ends_with_1_where_a_chunk_is_damaged_and_names_it(desk: Desk) -> None:
    digest = desk.store_image(1, "golden")
    assert desk("verify", "golden") == "1 image(s), 6 chunks of 6.3 MB: undamaged; 1 not signed\n"
    chunk = chunks_of(desk.store, digest)[4]
    desk.store.path(chunk).write_bytes(b"rot")
    lines = desk("verify", "--all", expect=1).splitlines()
    assert lines[0] == f"image {digest[:12]} (golden) is damaged and is not restored any more:"
    assert lines[1].startswith(f"  chunk {chunk[:12]}, bytes 5,242,880 to 6,291,456 (partition 1,")
    assert lines[2] == "1 image(s), 6 chunks of 6.3 MB: 1 image(s) are damaged; 1 not signed"
    assert "damaged in the store" in desk("ls")
    document = json.loads(desk("verify", "--all", "--format", "json", expect=1))
    assert document["damages"][0]["problem"].startswith("it is corrupt and was set aside: no zstd")
    assert document["notWrittenDown"] == ""


def test_an_image_that_lacks_what_its_disk_did_not_give_says_so_everywhere(desk: Desk) -> None:
    line = "512 bytes at byte 1,048,576: partition 1, ext4: the file /etc/passwd"
    test = attrs.evolve(PROVED, losses=(line, "\x1b[2J"))
    lost = (Extent(MIB, 512), Extent(2 * MIB, 1024))
    digest = store_image(desk.store, desk.folder, 1, "golden", test, lost)
    assert "1,536 bytes were unreadable" in desk("ls")
    (entry,) = json.loads(desk("ls", "--format", "json"))
    assert (entry["unreadableBytes"], entry["proof"]) == (1536, "proven")
    shown = " ".join(desk("show", "golden").split())
    assert (
        "Unreadable 1,536 bytes in 2 place(s) could not be read from the disk. They are zeros in "
        f"the image, and on what it is restored to. {line}" in shown
    )
    assert "\x1b" not in shown
    document = json.loads(desk("show", "golden", "--format", "json"))
    assert document["unreadable"] == [
        {"offset": MIB, "length": 512},
        {"offset": 2 * MIB, "length": 1024},
    ]
    assert desk("verify", "golden").splitlines()[0] == (
        f"image {digest[:12]} (golden) is as it was captured: 1,536 bytes of it could not be read "
        "from the disk and are zeros"
    )
    fault = lossy_images(Observed(images=observed_images(desk.store)), NOW)[0]
    assert (fault.subject, fault.code, fault.cause) == (
        "image/golden",
        "RW996",
        "1,536 bytes of the newest backup could not be read from the disk and are zeros",
    )


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--to", "4MiB")])
def test_what_its_disk_did_not_give_is_not_shrunk_away(
    desk: Desk, options: tuple[str, ...]
) -> None:
    lost = (Extent(MIB, 512), Extent(2 * MIB, 1024))
    digest = store_image(desk.store, desk.folder, 1, "golden", PROVED, lost)
    for chunk in chunks_of(desk.store, digest):
        desk.store.path(chunk).unlink(missing_ok=True)  # whoever read one would say so
    assert desk.refusal("shrink", "golden", "small", *options) == (
        "RW448: the image cannot be shrunk: its disk did not give 1,536 bytes, which are zeros, "
        "and the new image would not say so. Capture the disk again, repaired or copied to a good "
        "one, or restore the image as it is."
    )
    assert [each.name for each in desk.store.images()] == ["golden"]
    assert desk.store.image_digests() == {digest}


def test_verify_asks_which_images_are_meant(desk: Desk) -> None:
    said = "RW993: no image is named, or some are and --all is said. Name images, or say --all."
    assert desk.refusal("verify") == said
    assert desk.refusal("verify", "golden", "--all") == said


def test_a_name_moves_to_an_older_generation_and_that_is_kept_with_who_and_why(desk: Desk) -> None:
    first = desk.store_image(1, "golden")
    desk.store_image(2, "golden")
    text = desk("tag", "golden~1", "golden", "--reason", "the new one does not boot")
    assert text == f"golden is image {first[:12]} from now on\n"
    assert desk.store.names.resolve("golden") == first
    (event,) = ImageEvents(desk.database).of_image(first)
    assert (event.what, event.name, event.reason) == ("tag", "golden", "the new one does not boot")
    assert event.actor


def test_naming_an_image_that_cannot_be_restored_is_remarked(desk: Desk) -> None:
    desk.store_image(1, "golden", FAILED)
    assert "note: it cannot be restored until a restore test" in desk("tag", "golden", "other")


def test_a_pin_needs_a_reason_and_keeps_an_image(desk: Desk) -> None:
    digest = desk.store_image(1, "old")
    assert desk.refusal("pin", "old").startswith("RW941: no reason is given")
    desk("pin", "old", "--reason", "evidence")
    said = desk.refusal("rm", "old", "--force")
    assert said.startswith(f"RW439: image {digest[:12]} is pinned by ")
    assert said.endswith(
        f": evidence. If it is not needed any more, `rackwright image unpin {digest[:12]}`."
    )
    assert desk("unpin", digest[:12]) == f"image {digest[:12]} is pinned no more\n"
    assert desk.refusal("unpin", "old") == (
        f"RW989: image {digest[:12]} is not pinned. See with `rackwright image ls --all` which "
        "images are."
    )
    assert desk("rm", "old", "--force") == f"removed from old: {digest[:12]}; the name is gone\n"
    acts = [each.what for each in ImageEvents(desk.database).of_image(digest)]
    assert acts == ["pin", "unpin", "remove"]


def test_an_older_generation_goes_and_the_newest_stays(desk: Desk) -> None:
    first, second = desk.store_image(1, "golden"), desk.store_image(2, "golden")
    assert desk("rm", "golden~1") == f"removed from golden: {first[:12]}; 1 generation(s) left\n"
    assert [each.digest for each in desk.store.names.history("golden")] == [second]


def test_the_newest_image_that_can_be_restored_goes_only_by_force(desk: Desk) -> None:
    good = desk.store_image(1, "old")
    desk.store_image(2, "old", FAILED)
    said = (
        f"RW992: {good[:12]} is the newest image of old that can be restored. With --force it is "
        "removed all the same."
    )
    assert desk.refusal("rm", "old~1") == said
    assert desk.refusal("rm", "old", "--all") == said
    desk("rm", "old")  # the one that failed
    desk("rm", "old", "--all", "--force")
    assert desk.store.images() == ()


def test_the_newest_image_without_losses_goes_only_by_force(desk: Desk) -> None:
    _, whole = desk.store_image(1, "old"), desk.store_image(2, "old")
    lost = (Extent(MIB, 512),)
    lossy = [store_image(desk.store, desk.folder, n, "old", PROVED, lost) for n in (3, 4)]
    assert desk.refusal("rm", "old~2") == (
        f"RW992: {whole[:12]} is the newest image of old that can be restored, with all that its "
        "disk had. With --force it is removed all the same."
    )
    assert desk.refusal("rm", "old").startswith(f"RW992: {lossy[1][:12]} is the newest image of ")
    desk("rm", "old~3")
    desk("rm", "old~1")
    desk("rm", "old~1", "--force")
    assert [each.digest for each in desk.store.names.history("old")] == [lossy[1]]


@pytest.mark.parametrize("width", [80, 140])
def test_generations_with_losses_are_marked(desk: Desk, width: int) -> None:
    name = "nightly-db-01"
    desk.store_image(1, name)
    lost = (Extent(MIB, 512), Extent(2 * MIB, 1024))
    digest = store_image(desk.store, desk.folder, 2, name, PROVED, lost)
    desk.store_image(3, name)
    details = image_details(Project("", None, desk.state), digest, None)
    screen = Console(width=width, file=StringIO())
    screen.print(Group(*image_parts(details, NOW, width)))
    text = screen.file.getvalue()
    marks = [line.split(" · proved")[1].strip() for line in text.splitlines() if " · pro" in line]
    assert marks == ["", "· lossy · this one", ""]
    screen.print(image_table(desk.store.generations(name), NOW, {}, width))
    text = screen.file.getvalue()
    assert "1,536 bytes" in text.split("restorable")[-1]
    assert max(map(len, text.splitlines())) <= width
    document = json.loads(desk("show", name, "--format", "json"))
    assert [each["unreadableBytes"] for each in document["generations"]] == [0, 1536, 0]


def test_what_documents_restore_from_does_not_go_even_by_force(desk: Desk) -> None:
    desk.store_image(1, "golden")
    desk.store_image(2, "golden")
    said = desk.refusal("rm", "golden", "--force")
    assert said.startswith("RW991: at commit worktree:")
    assert said.endswith(
        "documents restore from golden: scenario clone, 1 machine(s). Take the restore step out of "
        "the documents first, and have that commit accepted."
    )
    assert "RW991" in desk.refusal("rm", "golden", "--all", "--force")
    assert len(desk.store.names.history("golden")) == 2


@pytest.mark.parametrize(
    "state",
    [
        OperationState.APPROVED,
        OperationState.ARMED,
        OperationState.STARTED,
        OperationState.INDETERMINATE,
    ],
)
def test_what_work_under_way_restores_does_not_go(desk: Desk, state: OperationState) -> None:
    first = desk.store_image(1, "other")
    desk.store_image(2, "other")
    op_id = desk.work("clone-golden", first, state)
    assert desk.refusal("rm", "other~1", "--force") == (
        f"RW990: 1 operation(s) that have not ended restore from other: {op_id[:12]} of node-01 "
        f"({state}). Wait until they have ended, or cancel them with `rackwright cancel`."
    )
    desk.store.names.forget(
        "other", [first]
    )  # as another process may have done before the approval
    _a_month_ago(desk, first, *chunks_of(desk.store, first))
    desk("gc")
    assert is_whole(desk.store, first)


def test_a_digest_goes_from_all_names(desk: Desk) -> None:
    digest = desk.store_image(1, "one")
    desk.store.names.tag("two", digest)
    text = desk("rm", digest[:12], "--force")
    assert text.splitlines() == [
        f"removed from one: {digest[:12]}; the name is gone",
        f"removed from two: {digest[:12]}; the name is gone",
    ]
    assert desk("rm", digest) == "it has no name: `rackwright image gc` deletes it\n"
    said = desk.refusal("rm", digest, "--all")
    assert said.startswith(f"RW993: {digest} is one image, and --all removes a name with all its")


def test_nothing_goes_while_the_repository_cannot_be_read(desk: Desk) -> None:
    desk.store_image(1, "old")
    (desk.repo / "fleet.yaml").write_text("kind: [")
    with pytest.raises(ReconcilerError, match="RW901"):
        desk("rm", "old", "--force")
    assert desk.store.images()


def test_what_was_removed_is_collected_and_the_sizes_are_told(desk: Desk) -> None:
    kept, old = desk.store_image(1, "golden"), desk.store_image(2, "old")
    (own,) = set(chunks_of(desk.store, old)) - set(chunks_of(desk.store, kept))
    desk("rm", "old", "--force")
    text = desk("gc", "--dry-run")
    assert text.startswith("would be deleted: 0 image(s), 0 chunks")  # it is a moment old
    _a_month_ago(desk, old, own)
    assert desk("gc", "--dry-run") == (
        "would be deleted: 1 image(s), 1 chunks, 0 that had been set aside; 1.0 MB\n"
    )
    assert desk("tag", old[:12], "old")  # it can still be brought back
    desk("rm", "old", "--force")
    document = json.loads(desk("gc", "--format", "json"))
    assert (document["images"], document["chunks"]) == ([old], 1)
    assert not desk.store.has(own)
    assert is_whole(desk.store, kept)


@pytest.mark.parametrize("state", [OperationState.STARTED, OperationState.FAILED])
def test_an_image_is_kept_for_its_restore_test_while_its_capture_is_under_way(
    desk: Desk, state: OperationState
) -> None:
    digest = desk.store_image(1, test=FAILED)
    _a_month_ago(desk, digest, *chunks_of(desk.store, digest))
    op_id = desk.work("capture-golden", digest, state)
    Captures(desk.database).record(op_id, "golden", digest)
    desk("gc")
    assert (digest in desk.store.image_digests()) == (state is OperationState.STARTED)


def test_chunks_that_a_capture_under_way_may_count_on_are_left_for_later(desk: Desk) -> None:
    old = desk.store_image(2)
    _a_month_ago(desk, old, *chunks_of(desk.store, old))
    desk.store.remove_unnamed([old])
    desk.work("capture-golden", old, OperationState.STARTED, NOW - timedelta(days=40))
    assert "\nleft for later: 6 chunks that a capture may count on\n" in desk("gc")


def _a_month_ago(desk: Desk, digest: str, *chunks: str) -> None:
    at = NOW - timedelta(days=30)
    record = desk.store.record(digest)
    path = desk.store.manifest_path(digest).with_name("record.json")
    path.write_bytes(encode(attrs.evolve(record, created=at.isoformat(timespec="seconds"))))
    for chunk in chunks:
        os.utime(desk.store.path(chunk), (at.timestamp(), at.timestamp()))


ON_IMAGES = [
    ("export", "golden", "{folder}/disk"),
    ("gc", "--repo", "{repo}"),
    ("ls",),
    ("mount", "golden", "{repo}", "--no-files"),
    ("pin", "golden", "--reason", "evidence", "--repo", "{repo}"),
    ("prune", "--repo", "{repo}"),
    ("rm", "golden", "--force", "--repo", "{repo}"),
    ("show", "golden"),
    ("shrink", "golden", "small"),
    ("sign", "--all"),
    ("tag", "golden", "other", "--repo", "{repo}"),
    ("unpin", "golden", "--repo", "{repo}"),
    ("verify", "--all"),
]


@pytest.mark.parametrize("words", ON_IMAGES, ids=lambda words: words[0])
def test_a_directory_without_a_store_is_named_and_none_is_made(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    state, repo = tmp_path / "nowhere", tmp_path / "repo"
    repo.mkdir()
    given = [word.format(repo=repo, folder=tmp_path) for word in words]
    for exists in (False, True):
        if exists:
            state.mkdir()
        result = CliRunner().invoke(image, [*given, "--state", str(state)], standalone_mode=False)
        said = f"RW972: there is no image store in {state}. Name with"
        assert str(result.exception).startswith(said)
        assert set(tmp_path.rglob("*")) == ({repo, state} if exists else {repo})


def test_these_are_all_commands_that_use_images_and_mount_nothing() -> None:
    stores_or_mounts = {"accept-store", "import", "diff", "sbom"}
    assert {words[0] for words in ON_IMAGES} == set(image.list_commands(None)) - stores_or_mounts


@pytest.mark.parametrize("content", [b"", b"garbage", b'{"a": 1}', b"[]", b"\xff"])
def test_a_damaged_name_is_an_error(desk: Desk, content: bytes) -> None:
    desk.store_image(1, "golden")
    path = desk.state / "store" / "tags" / "golden"
    path.write_bytes(content)
    result = CliRunner().invoke(image, ["ls", "--state", str(desk.state)], standalone_mode=False)
    assert str(result.exception).startswith(f"RW443: the image store's file {path} is damaged. ")
