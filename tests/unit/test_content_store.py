"""The content store: whole files, verified, resumable, swept."""

import hashlib
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.content.errors import (
    BadChecksumError,
    NoRoomError,
    TransferInUseError,
    UnknownContentError,
    WrongContentError,
)
from providers.content.store import ContentStore, total_missing

DATA = b"content" * 50_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def put(store: ContentStore, *pieces: bytes, sha256: str = SHA256) -> None:
    with store.transfer(sha256, 0) as transfer:
        assert transfer is not None
        for piece in pieces:
            transfer.append(piece)
        transfer.finish("here")


def test_a_file_has_its_name_only_once_it_is_whole(store: ContentStore) -> None:
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(DATA)
        assert not store.has(SHA256)
        transfer.finish("here")
    assert store.path(SHA256).read_bytes() == DATA
    assert store.read(SHA256, len(DATA)) == DATA
    assert store.size(SHA256) == len(DATA)
    assert [path.name for path in (store.root / "incoming").iterdir()] == []


def test_only_its_owner_may_read_the_store(store: ContentStore) -> None:
    put(store, DATA)
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path(SHA256).stat().st_mode) == 0o600


def test_what_arrived_is_gone_on_with_and_verified_as_a_whole(store: ContentStore) -> None:
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(DATA[:1000])
    assert store.arrived(SHA256) == 1000
    with ContentStore(store.root).transfer(SHA256, 0) as transfer:
        assert transfer is not None
        assert (transfer.size, transfer.is_resumed) == (1000, True)
        transfer.append(DATA[1000:])
        transfer.finish("here")
    assert store.path(SHA256).read_bytes() == DATA


def test_a_damaged_part_is_found_at_the_end_and_deleted(store: ContentStore) -> None:
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(b"\0" * 1000)
    with pytest.raises(WrongContentError) as caught:
        put(store, DATA[1000:])
    assert caught.value.code == "RW270"
    assert f"{SHA256} is wanted" in caught.value.cause
    assert store.arrived(SHA256) == 0


def test_a_file_that_is_there_is_not_transferred_again(store: ContentStore) -> None:
    put(store, DATA)
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is None


def test_of_one_file_one_transfers(store: ContentStore) -> None:
    with store.transfer(SHA256, 0), pytest.raises(TransferInUseError) as caught:  # noqa: SIM117
        with ContentStore(store.root).transfer(SHA256, 0):
            pass
    assert caught.value.failure == "in use"


def test_a_link_in_place_of_a_part_is_not_followed(store: ContentStore, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    (store.root / "incoming" / f"{SHA256}.part").symlink_to(target)
    with pytest.raises(Exception, match="RW572"), store.transfer(SHA256, 0):
        pass
    assert target.read_bytes() == b"mine"


def test_a_file_that_does_not_fit_beside_what_stays_free_is_refused(store: ContentStore) -> None:
    with pytest.raises(NoRoomError) as caught:
        store.require_room(10, 1 << 60)
    assert str(caught.value).startswith(f"RW260: {store.root} has ")
    assert f"10 are needed and {1 << 60:,} stay free" in caught.value.cause
    with store.transfer(SHA256, 1 << 60) as transfer:
        assert transfer is not None
        with pytest.raises(NoRoomError):
            transfer.append(DATA)


def test_a_damaged_file_is_not_handed_out(store: ContentStore) -> None:
    put(store, DATA)
    store.path(SHA256).write_bytes(DATA[:-1] + b"x")
    with pytest.raises(WrongContentError):
        store.read(SHA256, len(DATA))


@pytest.mark.parametrize("text", ["", "../x", "A" * 64, "0" * 63, "0" * 65, f"{'0' * 63}\n"])
def test_nothing_but_a_checksum_names_a_file(store: ContentStore, text: str) -> None:
    with pytest.raises(BadChecksumError) as caught:
        store.path(text)
    assert caught.value.code == "RW276"


def test_a_file_that_is_not_there_is_said_to_be_missing(store: ContentStore) -> None:
    with pytest.raises(UnknownContentError) as caught:
        store.read(SHA256, 1)
    assert caught.value.code == "RW275"


def test_the_sweep_takes_what_is_old_and_nothing_names(store: ContentStore) -> None:
    now = datetime.now(UTC)
    named, unnamed, young = (store.put(text, 0) for text in (b"named", b"unnamed", b"young"))
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(b"part")
    old = (now - timedelta(days=2)).timestamp()
    part = store.root / "incoming" / f"{SHA256}.part"
    for path in (store.path(named), store.path(unnamed), part):
        os.utime(path, (old, old))
    assert store.sweep({named}, now - timedelta(days=1)) == 2
    assert (store.has(named), store.has(unnamed), store.has(young)) == (True, False, True)
    assert not part.exists()


def test_what_is_missing_counts_each_file_once_and_without_what_arrived(
    store: ContentStore,
) -> None:
    there = store.put(b"there", 0)
    with store.transfer(SHA256, 0) as transfer:
        assert transfer is not None
        transfer.append(DATA[:1000])
    files = [(there, 5), (SHA256, len(DATA)), (SHA256, len(DATA)), ("0" * 64, 7)]
    assert total_missing(store, files) == len(DATA) - 1000 + 7
