"""Attacks on a package repository (chapter 1.5.2 of the specification), against real ones.

Each attack changes what the web server shows; the mirror has seen an earlier state. Time stands
still unless a test moves it.
"""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders.package_world import NOW, PackageWorld, a_key, a_source, offered
from builders.web_server import Behaviour, WebServer, web_server
from tuf.api.metadata import MetaFile, Snapshot, Timestamp

from providers.package_source.mirror import mirror

DAY = timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path) -> PackageWorld:
    made = PackageWorld(tmp_path)
    made.publish("agent", "1.0")
    return made


@pytest.fixture
def web(world: PackageWorld) -> Iterator[WebServer]:
    with web_server(world.path) as server:
        assert offered(world.mirror(server.url)) == ["agent 1.0"]
        yield server


def refused(world: PackageWorld, web: WebServer, code: str, **changes: object) -> str:
    """Mirror; return the cause of the refusal, which has this code. What was mirrored stays."""
    result = world.mirror(web.url, **changes)
    assert result.error is not None
    assert result.error.code == code, result.error
    assert result.packages is None
    return result.error.cause


def copied(world: PackageWorld, name: str) -> Path:
    place = world.folder / name
    shutil.copytree(world.metadata, place)
    return place


def replaced(world: PackageWorld, place: Path) -> None:
    shutil.rmtree(world.metadata)
    shutil.copytree(place, world.metadata)


def test_a_rolled_back_timestamp_is_refused(world: PackageWorld, web: WebServer) -> None:
    old = copied(world, "old")
    world.publish("agent", "2.0")
    assert offered(world.mirror(web.url)) == ["agent 1.0", "agent 2.0"]
    replaced(world, old)
    cause = refused(world, web, "RW267")
    assert cause == (
        "timestamp.json of lab is older than what was seen before: New timestamp version 2 must "
        "be >= 3"
    )


def test_a_rolled_back_snapshot_is_refused_though_the_timestamp_is_new(
    world: PackageWorld, web: WebServer
) -> None:
    world.publish("agent", "2.0")
    world.mirror(web.url)
    timestamp = world.read("timestamp.json")
    assert isinstance(timestamp.signed, Timestamp)
    timestamp.signed.version += 1
    timestamp.signed.snapshot_meta = MetaFile(1)
    world.write("timestamp.json", timestamp, world.keys["timestamp"])
    cause = refused(world, web, "RW267")
    assert "New snapshot version must be >= 3, got version 1" in cause


def test_a_snapshot_that_names_an_older_list_is_refused(
    world: PackageWorld, web: WebServer
) -> None:
    snapshot = world.read("2.snapshot.json")
    assert isinstance(snapshot.signed, Snapshot)
    snapshot.signed.version = 3
    snapshot.signed.meta["targets.json"] = MetaFile(1)
    world.write("3.snapshot.json", snapshot, world.keys["snapshot"])
    show(world, 3)
    cause = refused(world, web, "RW267")
    assert cause.startswith("3.snapshot.json of lab is older than what was seen before: ")


def show(world: PackageWorld, snapshot: int) -> None:
    """Let the timestamp name a snapshot, as whoever has its key can."""
    timestamp = world.read("timestamp.json")
    assert isinstance(timestamp.signed, Timestamp)
    timestamp.signed.version += 1
    timestamp.signed.snapshot_meta = MetaFile(snapshot)
    world.write("timestamp.json", timestamp, world.keys["timestamp"])


@pytest.mark.parametrize(
    ("days", "file", "code"),
    [
        (3, "timestamp.json", "RW266"),
        (15, "timestamp.json", "RW266"),
        (366, "root", "RW274"),
    ],
)
def test_a_frozen_list_is_refused_once_it_has_expired(
    world: PackageWorld, web: WebServer, days: int, file: str, code: str
) -> None:
    assert file in refused(world, web, code, now=NOW + days * DAY)


@pytest.mark.parametrize(
    ("days", "renewed", "file"), [(15, "3", "snapshot.json"), (91, "3", "targets")]
)
def test_a_fresh_timestamp_saves_no_list_that_has_expired(
    world: PackageWorld, web: WebServer, days: int, renewed: str, file: str
) -> None:
    timestamp = world.read("timestamp.json")
    timestamp.signed.version += 1
    timestamp.signed.expires = NOW + 400 * DAY
    if file == "targets":
        snapshot = world.read("2.snapshot.json")
        snapshot.signed.version = int(renewed)
        snapshot.signed.expires = NOW + 400 * DAY
        world.write(f"{renewed}.snapshot.json", snapshot, world.keys["snapshot"])
        assert isinstance(timestamp.signed, Timestamp)
        timestamp.signed.snapshot_meta = MetaFile(int(renewed))
    world.write("timestamp.json", timestamp, world.keys["timestamp"])
    assert file in refused(world, web, "RW266", now=NOW + days * DAY)


def test_parts_of_two_lists_are_refused(world: PackageWorld, web: WebServer) -> None:
    """Mix and match: each part is signed, and they were never one list."""
    world.publish("agent", "2.0")
    shutil.copy(world.metadata / "2.snapshot.json", world.metadata / "3.snapshot.json")
    cause = refused(world, web, "RW268")
    assert cause.startswith("3.snapshot.json of lab does not belong to the rest of the list: ")


def test_an_older_list_under_a_new_name_is_refused(world: PackageWorld, web: WebServer) -> None:
    world.publish("agent", "2.0")
    shutil.copy(world.metadata / "2.targets.json", world.metadata / "3.targets.json")
    cause = refused(world, web, "RW268")
    assert cause == (
        "3.targets.json of lab does not belong to the rest of the list: Expected targets v3, got v2"
    )


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_what_a_strangers_key_signed_is_refused(
    world: PackageWorld, web: WebServer, role: str
) -> None:
    world.publish("agent", "2.0")
    file = {"timestamp": "timestamp.json"}.get(role, f"3.{role}.json")
    world.write(file, world.read(file), a_key())
    if role == "snapshot":
        show(world, 3)
    cause = refused(world, web, "RW265")
    assert cause == (f"{file} of lab is not signed as it has to be: {role} was signed by 0/1 keys")


def test_a_root_that_the_one_before_did_not_sign_is_refused(
    world: PackageWorld, web: WebServer
) -> None:
    thief = a_key()
    root = world.read("1.root.json")
    root.signed.version = 2
    root.signed.revoke_key(world.keys["root"].public_key.keyid, "root")
    root.signed.add_key(thief.public_key, "root")
    world.write("2.root.json", root, thief)
    assert "2.root.json of lab is not signed" in refused(world, web, "RW265")


def test_a_root_with_another_version_is_refused(world: PackageWorld, web: WebServer) -> None:
    shutil.copy(world.metadata / "1.root.json", world.metadata / "2.root.json")
    assert "Expected root version 2 instead got version 1" in refused(world, web, "RW267")


def test_a_list_far_ahead_is_overcome_by_new_keys(world: PackageWorld, web: WebServer) -> None:
    """Fast forward: with stolen keys, versions are set so high that the next true one is older."""
    mine = copied(world, "mine")
    snapshot = world.read("2.snapshot.json")
    snapshot.signed.version = 2_000_000_000
    world.write("2000000000.snapshot.json", snapshot, world.keys["snapshot"])
    timestamp = world.read("timestamp.json")
    assert isinstance(timestamp.signed, Timestamp)
    timestamp.signed.version = 2_000_000_000
    timestamp.signed.snapshot_meta = MetaFile(2_000_000_000)
    world.write("timestamp.json", timestamp, world.keys["timestamp"])
    assert offered(world.mirror(web.url)) == ["agent 1.0"]

    replaced(world, mine)
    assert "must be >= 2000000000" in refused(world, web, "RW267")
    for role in ("timestamp", "snapshot"):
        world.keys[role] = a_key(role)
    new_keys = {role: world.keys[role].public_key for role in ("timestamp", "snapshot")}
    world.repository().refresh(rotate=tuple(new_keys), new_keys=new_keys)
    assert offered(world.mirror(web.url)) == ["agent 1.0"]


@pytest.mark.parametrize(
    ("file", "most"),
    [("timestamp.json", 16_384), ("2.root.json", 512_000), ("snapshot.json", 2_000_000)],
)
def test_endless_metadata_ends(world: PackageWorld, web: WebServer, file: str, most: int) -> None:
    world.publish("agent", "2.0")
    web.behaviours[file] = Behaviour(body=b" " * (most + 10_000_000), no_length=True)
    before = web.sent
    cause = refused(world, web, "RW269")
    assert cause.endswith(f"has more than the {most:,} bytes that it may have")
    assert web.sent - before < most + 20_000_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"signed": {}}', b"\xff\xfe", b"[" * 9000])
def test_metadata_that_is_none_is_refused(world: PackageWorld, web: WebServer, body: bytes) -> None:
    web.behaviours["timestamp.json"] = Behaviour(body=body)
    assert (
        refused(world, web, "RW272") == "timestamp.json of lab is not understood: it is no metadata"
    )


def test_a_file_that_was_exchanged_is_refused_and_the_others_are_mirrored(
    world: PackageWorld, web: WebServer
) -> None:
    world.publish("good", "1.0", {"good.deb": b"good" * 100})
    bad = world.publish("bad", "1.0", {"bad.deb": b"right" * 100})
    (sha256,) = (each.sha256 for each in bad.package.files)
    web.behaviours[f"{sha256}.bad.deb"] = Behaviour(body=b"wrong" * 100)
    result = world.mirror(web.url)
    assert offered(result) == ["agent 1.0", "good 1.0"]
    assert result.error is not None
    assert result.error.code == "RW270"
    assert not world.store.has(sha256)
    assert [each.problem[:7] for each in result.packages or [] if each.name == "bad"] == ["RW270: "]


def test_a_longer_file_than_listed_is_cut_off(world: PackageWorld, web: WebServer) -> None:
    made = world.publish("big", "1.0", {"big.deb": b"x" * 1000})
    (sha256,) = (each.sha256 for each in made.package.files)
    web.behaviours[f"{sha256}.big.deb"] = Behaviour(body=b"x" * 50_000_000, no_length=True)
    result = world.mirror(web.url)
    assert result.error is not None
    assert result.error.code == "RW269"
    assert world.store.arrived(sha256) == 0


def test_a_description_that_disagrees_with_the_list_is_refused(
    world: PackageWorld, web: WebServer
) -> None:
    targets = world.read("2.targets.json")
    path = "agent/1.0/files/agent.deb"
    targets.signed.targets[path].length += 1
    targets.signed.version = 3
    world.write("3.targets.json", targets, world.keys["targets"])
    snapshot = world.read("2.snapshot.json")
    assert isinstance(snapshot.signed, Snapshot)
    snapshot.signed.version = 3
    snapshot.signed.meta["targets.json"] = MetaFile(3)
    world.write("3.snapshot.json", snapshot, world.keys["snapshot"])
    show(world, 3)
    result = world.mirror(web.url)
    assert result.error is not None
    assert str(result.error).startswith(
        "RW272: agent/1.0/package.json of lab is not understood: the list has another agent.deb"
    )
    assert offered(result) == []


# --- whom one trusts -------------------------------------------------------------------------


def test_a_repository_of_other_signers_is_not_trusted(world: PackageWorld, web: WebServer) -> None:
    source = a_source(web.url, a_key())
    result = mirror(source, world.store, world.folder / "other", NOW)
    assert str(result.error) == (
        "RW271: none of the 1 root metadata of lab is signed by all signers that the document "
        "names. Compare spec.signers with what `rackwright package init` printed."
    )


def test_all_signers_of_the_document_must_have_signed(world: PackageWorld, web: WebServer) -> None:
    source = a_source(web.url, world.keys["root"], a_key())
    result = mirror(source, world.store, world.folder / "other", NOW)
    assert result.error is not None
    assert result.error.code == "RW271"


def test_trust_may_begin_at_the_key_of_a_later_root(world: PackageWorld, web: WebServer) -> None:
    old, new = world.keys["root"], a_key("root")
    repository = world.repository()
    repository.add_signer(new)
    repository.refresh(rotate=["root"], new_keys={"root": new.public_key})
    for number, signer in enumerate((old, new)):
        folder = world.folder / f"seen-{number}"
        result = mirror(a_source(web.url, signer), world.store, folder, NOW)
        assert result.error is None
        assert offered(result) == ["agent 1.0"]


def test_other_signers_in_the_document_end_the_trust_in_what_was_seen(
    world: PackageWorld, web: WebServer
) -> None:
    folder = world.folder / "seen" / "lab"
    result = mirror(a_source(web.url, a_key()), world.store, folder, NOW)
    assert result.error is not None
    assert result.error.code == "RW271"


def test_what_was_seen_before_counts_under_new_signers_too(
    world: PackageWorld, web: WebServer
) -> None:
    """Whoever changes the document's signers opens no door to an older list."""
    old = copied(world, "old")
    world.publish("agent", "2.0")
    world.mirror(web.url)
    replaced(world, old)
    new = a_key("root")
    repository = world.repository()
    repository.add_signer(new)
    root = world.read("1.root.json")
    root.signed.version = 2
    root.signed.add_key(new.public_key, "root")
    world.write("2.root.json", root, world.keys["root"], new)
    folder = world.folder / "seen" / "lab"
    result = mirror(a_source(web.url, new), world.store, folder, NOW)
    assert result.error is not None
    assert result.error.code == "RW267"


def test_a_damaged_copy_of_what_was_seen_is_read_anew(world: PackageWorld, web: WebServer) -> None:
    seen = world.folder / "seen" / "lab"
    for name in ("timestamp.json", "snapshot.json", "targets.json", "anchor.json"):
        (seen / name).write_bytes(b"damaged")
    assert offered(world.mirror(web.url)) == ["agent 1.0"]


def test_a_folder_that_cannot_be_written_is_said_to_be_one(
    world: PackageWorld, web: WebServer
) -> None:
    seen = world.folder / "seen" / "lab"
    (seen / "timestamp.json").unlink()
    (seen / "timestamp.json").mkdir()
    result = world.mirror(web.url)
    assert result.error is not None
    assert str(result.error).startswith(f"RW572: {seen} cannot be written: ")
