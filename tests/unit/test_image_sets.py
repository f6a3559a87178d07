"""Images that one run captured of several disks: named together, kept together, shown together."""

import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from builders.world import a_disk

from agent import failpoint
from agent.imaging import manifest as manifest_format
from agent.wire.imaged_system import ImagedSystem, Obstacle
from providers.imaging.errors import BadNameError, UnknownImageError
from providers.imaging.image_record import ImageSet, SetMember
from providers.imaging.store import ChunkStore
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError
from reconciler.planning.disk_sets import ImageToDisk, missing_members, set_warnings
from reconciler.planning.retention import Generation, keep
from reconciler.server.captured_names import image_of, name_captured
from reconciler.server.image_keeper import ImageKeeper
from reconciler.state.images import observed_images
from reconciler.state.observed import Capture
from specs.fleet import CompiledRetention
from tests.unit.stored_images import an_image, store_image
from tests.unit.test_image_commands import NOW, Desk

SYSTEM, DATA = "nightly-n1-system", "nightly-n1-data"
RUN = "e" * 32


def together(system, data, run=RUN, at=NOW):
    """Return the set of these images, as a run makes it."""
    members = (SetMember(DATA, data), SetMember(SYSTEM, system))
    return ImageSet(run, "n1", at.isoformat(timespec="seconds"), members)


def pointing(store):
    return {tag.name: [entry.digest for entry in tag.history] for tag in store.names.tags()}


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


@pytest.fixture
def store(tmp_path):
    return ChunkStore(tmp_path / "store", reserve=0)


# --- names are moved together ---------------------------------------------------------


def test_the_names_of_a_set_are_moved_together_and_each_image_knows_the_others(store, tmp_path):
    system, data = (store_image(store, tmp_path, number) for number in (1, 2))
    store.names.tag_together(together(system, data))
    store.names.tag_together(together(system, data))
    assert pointing(store) == {DATA: [data], SYSTEM: [system]}
    (known,) = store.names.sets_of(system)
    assert (known.run, known.machine) == (RUN, "n1")
    assert known.others(SYSTEM, system) == (SetMember(DATA, data),)
    assert [each.sets for each in store.images()] == [(known,), (known,)]


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("files", range(1, 6))
def test_a_crash_while_names_are_moved_leaves_all_of_them_moved_or_none(
    store, tmp_path, monkeypatch, files
):
    """Five files are written: what is going to be, what each image knows, and each name."""
    old = [store_image(store, tmp_path, number) for number in (1, 2)]
    new = [store_image(store, tmp_path, number) for number in (3, 4)]
    store.names.tag_together(together(*old, run="d" * 32))
    written = 0

    def crash(name, _what):
        nonlocal written
        written += name == "file.before"
        if written == files:
            raise Crash

    monkeypatch.setattr(failpoint, "watch", crash)
    with pytest.raises(Crash):
        store.names.tag_together(together(*new))
    monkeypatch.setattr(failpoint, "watch", None)
    moved = new if files > 1 else old
    again = ChunkStore(tmp_path / "store", reserve=0)
    assert (again.names.resolve(SYSTEM), again.names.resolve(DATA)) == tuple(moved)
    assert {each.name: each.digest for each in again.images()} == dict(
        zip((SYSTEM, DATA), moved, strict=True)
    )
    assert not again.unnamed() & set(moved)
    again.names.tag("other", old[0])
    assert (again.names.resolve(SYSTEM), again.names.resolve(DATA)) == tuple(moved)
    assert again.names.sets_of(moved[0])[0].run == (RUN if files > 1 else "d" * 32)
    assert not (tmp_path / "store/tags/.moving").exists()


def test_nothing_is_moved_where_an_image_or_a_name_is_wrong(store, tmp_path):
    system = store_image(store, tmp_path, 1)
    with pytest.raises(UnknownImageError):
        store.names.tag_together(together(system, "0" * 64))
    with pytest.raises(BadNameError):
        store.names.tag_together(
            attrs.evolve(together(system, system), members=(SetMember("/", "0"),))
        )
    assert (store.names.tags(), store.names.sets_of(system)) == ((), ())


def test_an_unchanged_disk_is_one_image_in_every_set_that_is_there(store, tmp_path):
    system = store_image(store, tmp_path, 1)
    datas = [store_image(store, tmp_path, number) for number in (2, 3, 4)]
    for number, data in enumerate(datas):
        store.names.tag_together(together(system, data, run=f"{number}" * 32))
    assert [each.run[0] for each in store.names.sets_of(system)] == ["2", "1", "0"]
    store.names.forget(DATA, datas[:2])
    store.remove_unnamed(datas[:2])
    store.names.tag_together(together(system, store_image(store, tmp_path, 5)))
    assert [each.run[0] for each in store.names.sets_of(system)] == ["e", "2"]


class Captured:
    """The captures of an operation, as the ledger's database returns them; a stand-in for it."""

    def __init__(self, *captures):
        self._captures = captures

    def captures(self, _op_ids):
        return self._captures


@pytest.mark.parametrize(
    ("proof", "named"), [(None, False), ("partition 1: bad", False), ("", True)]
)
def test_no_name_is_moved_before_all_images_of_the_run_passed_their_restore_test(
    store, tmp_path, proof, named
):
    old, system, data = (store_image(store, tmp_path, number) for number in (1, 2, 3))
    store.names.tag(SYSTEM, old)
    own, other = Capture(RUN, DATA, data, None), Capture(RUN, SYSTEM, system, proof)
    signed = []
    sign = lambda digest, at: signed.append((digest, at))  # noqa: E731
    assert name_captured(store, Captured(own, other), own, "n1", NOW, sign) is named
    assert signed == [(data, NOW)]
    moved = {DATA: [data], SYSTEM: [old, system]}
    assert pointing(store) == (moved if named else {SYSTEM: [old]})


def test_a_manifest_is_of_the_image_that_the_agent_names():
    assert image_of([SYSTEM, DATA], DATA) == DATA
    assert image_of([SYSTEM], None) == SYSTEM


@pytest.mark.parametrize(
    ("named", "cause"),
    [
        (None, "the operation captures 2 images, and the agent did not say which it is"),
        ("golden", f"the operation captures {SYSTEM}, {DATA}, and no image golden"),
    ],
)
def test_no_manifest_is_taken_for_that_of_another_disk(named, cause):
    with pytest.raises(ReconcilerError) as caught:
        image_of([SYSTEM, DATA], named)
    assert (caught.value.code, caught.value.cause) == ("RW539", cause)


def test_the_only_image_of_a_run_belongs_to_no_set(store, tmp_path):
    digest = store_image(store, tmp_path, 1)
    own = Capture(RUN, SYSTEM, digest, None)
    assert name_captured(store, Captured(own), own, "n1", NOW, lambda *_: None)
    assert (pointing(store), store.names.sets_of(digest)) == ({SYSTEM: [digest]}, ())


# --- what keeps one, keeps the others -------------------------------------------------


def nights(desk, count, *, unchanged=False):
    """Let a set be captured in each of the last nights; return their digests, the oldest first."""
    found = []
    system = desk.store_image(90)
    for number in range(count):
        if not unchanged:
            system = desk.store_image(100 + number)
        data = desk.store_image(number)
        at = NOW - timedelta(days=count - number)
        desk.store.names.tag_together(together(system, data, run=f"{number:032x}", at=at))
        found.append((system, data))
    return found


def declare(desk, **retention):
    for name, policy in retention.items():
        with (desk.repo / "fleet.yaml").open("a") as file:
            file.write(
                "---\napiVersion: rackwright/v1alpha1\nkind: Image\n"
                f"metadata: {{name: nightly-n1-{name}}}\nspec: {{retention: {policy}}}\n"
            )


def prune(desk):
    project = Project(str(desk.repo), None, desk.state)
    keeper = ImageKeeper(desk.store, desk.database, lambda: NOW)
    keeper.prune(project.fleet, dry_run=False)
    return {tag.name: [each.digest for each in tag.generations] for tag in desk.store.names.tags()}


def test_retention_keeps_a_set_as_long_as_it_keeps_one_of_its_images(desk):
    found = nights(desk, 5)
    declare(desk, system="{last: 1}", data="{last: 3}")
    assert prune(desk) == {
        SYSTEM: [system for system, _ in found[:1:-1]],
        DATA: [data for _, data in found[:1:-1]],
    }


def test_a_pin_keeps_the_whole_set(desk):
    found = nights(desk, 5)
    declare(desk, system="{last: 1}", data="{last: 1}")
    desk("pin", f"{DATA}~3", "--reason", "evidence")
    assert prune(desk) == {
        SYSTEM: [found[4][0], found[1][0]],
        DATA: [found[4][1], found[1][1]],
    }


def test_an_unchanged_disk_does_not_keep_all_that_was_captured_with_it(desk):
    found = nights(desk, 4, unchanged=True)
    declare(desk, system="{last: 3}", data="{last: 2}")
    assert prune(desk) == {SYSTEM: [found[0][0]], DATA: [found[3][1], found[2][1]]}


def test_images_without_a_set_are_kept_by_their_policy_alone(desk):
    digests = [desk.store_image(number, SYSTEM) for number in range(3)]
    desk.store.names.tag("keepsake", digests[0])
    declare(desk, system="{last: 1}")
    assert prune(desk) == {SYSTEM: [digests[2]], "keepsake": [digests[0]]}
    at = datetime(2026, 11, 1, tzinfo=UTC)
    lone = [Generation(each, at, "proven", pinned=False) for each in reversed(digests)]
    assert keep(lone, CompiledRetention(1, 0, 0, 0)) == {digests[2]}


# --- shown ----------------------------------------------------------------------------


def shown_by(desk, reference):
    return " ".join(desk("show", reference).split())


def test_the_list_and_an_image_name_what_was_captured_with_it(desk):
    (system, data), *_ = nights(desk, 2)
    listed = desk("ls")
    first = " ".join(line.split()[0] for line in listed.splitlines()[3:] if line.strip())
    assert first == f"{DATA} with {SYSTEM} with"
    entries = {each["name"]: each for each in json.loads(desk("ls", "--format", "json"))}
    assert [each["run"] for each in entries[SYSTEM]["sets"]] == [f"{1:032x}"]
    shown = shown_by(desk, f"{SYSTEM}~1")
    assert f"together with {DATA} {data[:12]} ({DATA}~1), set 000000000000" in shown
    (found,) = json.loads(desk("show", f"{SYSTEM}~1", "--format", "json"))["capturedWith"]
    assert (found["digest"], found["names"]) == (data, [{"name": DATA, "generation": 1}])
    assert desk.store.names.resolve(SYSTEM) != system


def test_an_image_of_several_sets_says_so_and_one_that_is_gone_is_said_too(desk):
    nights(desk, 3, unchanged=True)
    shown = shown_by(desk, SYSTEM)
    assert "and in 2 older sets: this disk did not change" in shown
    data = desk.store.names.resolve(DATA)
    desk.store.names.forget(DATA, [data])
    assert f"together with {DATA} {data[:12]} (without a name)" in shown_by(desk, SYSTEM)
    desk.store.remove_unnamed([data])
    assert f"together with {DATA} {data[:12]} (deleted)" in shown_by(desk, SYSTEM)


def test_removing_one_image_of_a_set_names_those_that_stay(desk):
    nights(desk, 2)
    said = desk("rm", f"{SYSTEM}~1")
    assert said.splitlines()[1:] == [f"  captured together with it, and still there: {DATA}~1"]
    assert len(desk("rm", DATA, "--all", "--force").splitlines()) == 2
    assert len(desk("rm", SYSTEM, "--force").splitlines()) == 1


# --- equal disks ----------------------------------------------------------------------


def set_of(machine, at, run, **members):
    """Return a set of one machine; ``members`` are its names without the machine, with digests."""
    listed = (SetMember(f"{machine}-{name}", digest) for name, digest in sorted(members.items()))
    return ImageSet(run * 32, machine, at.isoformat(timespec="seconds"), tuple(listed))


@pytest.fixture
def equal(desk):
    """A machine with two blank disks beside its system, and later another one with one of them."""
    system, other, blank = (desk.store_image(number) for number in (1, 2, 3))
    first, second = NOW - timedelta(days=2), NOW - timedelta(days=1)
    desk.store.names.tag_together(set_of("m", first, "a", sys=system, d1=blank, d2=blank))
    desk.store.names.tag_together(set_of("n", second, "b", sys=other, data=blank))
    return system, other, blank


def with_each(desk):
    """Return what the list says that each name was captured with."""
    return {
        entry.name: [each.name for each in entry.sets[0].others(entry.name, entry.digest)]
        for entry in desk.store.images()
        if entry.sets
    }


def shown_with(desk, reference):
    """Return what an image shown was captured with, by name, and what leads to that now."""
    members = json.loads(desk("show", reference, "--format", "json"))["capturedWith"]
    return {
        each["name"]: [
            f"{name['name']}~{name['generation']}" if name["generation"] else name["name"]
            for name in each["names"]
        ]
        for each in members
    }


@pytest.mark.usefixtures("equal")
def test_an_image_of_equal_disks_belongs_to_the_set_of_the_name_that_it_is_looked_at_by(desk):
    assert with_each(desk) == {
        "m-d1": ["m-d2", "m-sys"],
        "m-d2": ["m-d1", "m-sys"],
        "m-sys": ["m-d1", "m-d2"],
        "n-data": ["n-sys"],
        "n-sys": ["n-data"],
    }
    assert shown_with(desk, "m-d2") == {"m-d1": ["m-d1"], "m-sys": ["m-sys"]}
    assert shown_with(desk, "m-sys") == {"m-d1": ["m-d1"], "m-d2": ["m-d2"]}
    assert shown_with(desk, "n-data") == {"n-sys": ["n-sys"]}
    lines = [line.split()[0:2] for line in desk("ls").splitlines()]
    assert [line[1] for line in lines if line[:1] == ["with"]] == [
        "m-d2,",
        "m-d1,",
        "m-d1,",
        "n-sys",
        "n-data",
    ]


def test_a_name_that_belongs_to_no_set_has_those_of_its_image(desk, equal):
    system, _, blank = equal
    desk.store.names.tag("keepsake", system)
    desk.store.names.tag("blank", blank)
    found = with_each(desk)
    assert (found["keepsake"], found["blank"]) == (["m-d1", "m-d2"], ["n-sys"])
    assert found["m-sys"] == ["m-d1", "m-d2"]
    assert shown_with(desk, "m-d1") == {"m-d2": ["m-d2"], "m-sys": ["keepsake", "m-sys"]}


def test_a_name_is_never_captured_together_with_itself(desk, equal):
    _, other, blank = equal
    desk("tag", "n-data", "n-sys")
    assert "n-sys" not in with_each(desk)
    assert "together with" not in desk("show", "n-sys")
    assert shown_with(desk, "n-sys") == {}
    assert shown_with(desk, "n-data") == {"n-sys": ["n-sys~1"]}
    listed = [line.split() for line in desk("ls").splitlines()]
    place = next(number for number, line in enumerate(listed) if line[:1] == ["n-sys"])
    assert ["with"] not in [line[:1] for line in listed[place:]]  # n-sys is the last one
    images = observed_images(desk.store)
    assert missing_members(images["n-sys"], [images["n-sys"]]) == ()
    assert desk.store.names.resolve("n-sys") == blank != other


def test_of_equal_disks_the_one_that_is_not_restored_is_missing(desk, equal):
    images = observed_images(desk.store)
    restored = [images["m-sys"], images["m-d1"]]
    assert missing_members(images["m-sys"], restored) == ("m-d2",)
    assert missing_members(images["m-d1"], restored) == ("m-d2",)
    assert missing_members(images["m-d1"], [images["m-d1"]]) == ("m-d2", "m-sys")
    assert missing_members(images["m-d2"], [*restored, images["m-d2"]]) == ()
    desk.store.names.tag("blank", equal[2])
    images = observed_images(desk.store)
    assert missing_members(images["m-d1"], [*restored, images["blank"]]) == ()


@pytest.mark.usefixtures("equal")
def test_an_equal_disk_of_another_machine_was_not_captured_together(desk):
    images, disk = observed_images(desk.store), a_disk()
    mixed = [ImageToDisk(images[name], disk) for name in ("m-sys", "n-data")]
    first, *_ = set_warnings(mixed)
    assert first.startswith("not captured together: m-sys (set aaaaaaaaaaaa of m, ")
    whole = [ImageToDisk(images[name], disk) for name in ("m-sys", "m-d1", "m-d2")]
    assert set_warnings(whole) == ()


def test_retention_keeps_equal_disks_with_the_set_of_their_name(desk, equal):
    system, _, blank = equal
    newer = [desk.store_image(number) for number in range(10, 15)]
    now = NOW - timedelta(hours=1)
    moved = set_of("m", now, "c", sys=newer[0], d1=newer[1], d2=newer[2])
    desk.store.names.tag_together(moved)
    desk.store.names.tag_together(set_of("n", now, "d", sys=newer[3], data=newer[4]))
    with (desk.repo / "fleet.yaml").open("a") as file:
        for name in ("m-sys", "m-d2", "n-sys", "n-data"):
            file.write(
                "---\napiVersion: rackwright/v1alpha1\nkind: Image\n"
                f"metadata: {{name: {name}}}\nspec: {{retention: {{last: 1}}}}\n"
            )
    # m-d1 keeps all its generations: the other members of its set stay, and n's set does not.
    assert prune(desk) == {
        "m-d1": [newer[1], blank],
        "m-d2": [newer[2], blank],
        "m-sys": [newer[0], system],
        "n-data": [newer[4]],
        "n-sys": [newer[3]],
    }


def test_removing_one_of_equal_disks_names_the_other_one(desk, equal):
    said = desk("rm", "m-d1", "--force")
    assert said.splitlines()[1:] == [
        "  captured together with it, and still there: m-d2, m-sys",
    ]
    assert shown_with(desk, "m-d2") == {"m-d1": [], "m-sys": ["m-sys"]}
    said = desk("rm", equal[2][:12], "--force")
    assert "still there: m-sys\n" in said
    assert "m-d2, " not in said


# --- what an image knows --------------------------------------------------------------


def test_a_store_keeps_where_partitions_lie_and_an_older_record_says_nothing(store, tmp_path):
    digest = store_image(store, tmp_path, 1, SYSTEM)
    (entry,) = store.images()
    (part,) = an_image(tmp_path, 1)[0].partitions
    assert [(each.number, each.start, each.size) for each in entry.layout.partitions] == [
        (part.number, part.start, part.size)
    ]
    path = tmp_path / "store/images" / digest / "record.json"
    record = json.loads(path.read_text())
    del record["layout"]
    path.write_text(json.dumps(record))
    (entry,) = store.images()
    assert entry.layout is None


def test_what_is_missing_without_the_other_disks_is_in_the_manifest_only_where_something_is(
    tmp_path,
):
    image, _ = an_image(tmp_path, 1)
    system = ImagedSystem("Debian", "1", "systemd", "ifupdown", ())
    plain = manifest_format.encode(attrs.evolve(image, system=system))
    assert b'"alone"' not in plain
    alone = (Obstacle("RW468", "/var is elsewhere", "Restore both"),)
    missing = attrs.evolve(image, system=attrs.evolve(system, alone=alone))
    assert manifest_format.decode(manifest_format.encode(missing)).system == missing.system
    said_empty = plain.replace(b'"system":{', b'"system":{"alone":[],')
    with pytest.raises(manifest_format.ManifestError, match="canonical"):
        manifest_format.decode(said_empty)
