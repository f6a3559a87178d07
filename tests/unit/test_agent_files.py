"""Files that are brought to a system and removed from it, on a real file system."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from agent.errors import TerminalError
from agent.files.kept import KEPT_OPERATIONS, KeptFiles
from agent.files.place import place, remove, require_removable
from agent.files.program import FilesAnswer, FilesOrder, answer_in, carry_out
from agent.steps.files import FilesContext, place_files_step
from agent.wire.files import PlacedFile
from agent.wire.step import PlaceFiles

CONTENT = b"a new day\n"


@pytest.fixture
def store(tmp_path):
    """Return what brings files, with the SHA-256 and size of one."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return lambda _sha256, _size: path


def wanted(target, kind="file", mode=0o640, **changes):
    digest = hashlib.sha256(CONTENT).hexdigest() if kind == "file" else ""
    size = len(CONTENT) if kind == "file" else 0
    return PlacedFile(str(target), kind, mode, sha256=digest, size=size, **changes)


def kept_in(tmp_path, operation="op"):
    return KeptFiles(tmp_path / "state", operation)


def test_a_file_is_made_with_its_folders_and_is_left_alone_once_it_is_right(tmp_path, store):
    target = tmp_path / "etc/motd.d/day"
    kept = kept_in(tmp_path)
    assert place(wanted(target), store, kept)
    assert target.read_bytes() == CONTENT
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    before = target.stat()
    assert not place(wanted(target), store, kept)
    assert target.stat().st_ino == before.st_ino
    assert not kept.folder.exists()


@pytest.mark.parametrize("spoil", ["content", "mode", "size"])
def test_a_file_that_is_otherwise_is_replaced_and_kept_as_it_was(tmp_path, store, spoil):
    target = tmp_path / "motd"
    target.write_bytes({"content": CONTENT[::-1], "mode": CONTENT, "size": b""}[spoil])
    target.chmod(0o600 if spoil == "mode" else 0o640)
    old = target.read_bytes(), stat.S_IMODE(target.stat().st_mode)
    kept = kept_in(tmp_path)
    assert place(wanted(target), store, kept)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (CONTENT, 0o640)
    copy = kept.folder / target.relative_to("/")
    assert (copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == old


def test_what_was_there_before_is_kept_once_although_the_step_is_done_again(tmp_path, store):
    target = tmp_path / "motd"
    target.write_bytes(b"the first")
    place(wanted(target), store, kept_in(tmp_path))
    target.write_bytes(b"half of our own work")
    place(wanted(target), store, kept_in(tmp_path))
    copy = kept_in(tmp_path).folder / target.relative_to("/")
    assert copy.read_bytes() == b"the first"


@pytest.mark.needs_root
def test_owner_group_and_special_permissions_are_what_is_wanted(tmp_path, store):
    target = tmp_path / "tool"
    assert place(wanted(target, mode=0o4750, owner="daemon", group="adm"), store, kept_in(tmp_path))
    status = target.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (1, 0o4750)
    assert status.st_gid == 4


def test_an_owner_that_the_system_does_not_know_is_refused_before_anything_is_written(
    tmp_path, store
):
    target = tmp_path / "motd"
    with pytest.raises(TerminalError, match=r"RW594: .* shall belong to nobody-here, and this"):
        place(wanted(target, owner="nobody-here"), store, kept_in(tmp_path))
    assert not target.exists()


def test_a_link_or_a_folder_is_not_replaced_by_a_file_nor_followed(tmp_path, store):
    victim = tmp_path / "victim"
    victim.write_bytes(b"somebody's")
    link = tmp_path / "link"
    link.symlink_to(victim)
    for target in (link, tmp_path):
        with pytest.raises(TerminalError, match=r"RW595: .* is no file, and is not replaced"):
            place(wanted(target), store, kept_in(tmp_path))
    assert victim.read_bytes() == b"somebody's"


def test_a_tree_is_removed_and_kept_and_a_link_goes_without_its_target(tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep/file").write_bytes(CONTENT)
    (tree / "link").symlink_to("/etc/hostname")
    kept = kept_in(tmp_path)
    assert remove(str(tree), kept)
    assert not os.path.lexists(tree)
    copy = kept.folder / tree.relative_to("/")
    assert (copy / "deep/file").read_bytes() == CONTENT
    assert (copy / "link").readlink() == Path("/etc/hostname")
    assert Path("/etc/hostname").exists()
    assert not remove(str(tree), kept)


@pytest.mark.parametrize("target", ["/", "/etc", "/usr/lib", "/proc", "/etc/../etc", "//usr//bin"])
def test_folders_of_the_system_itself_are_not_removed(target):
    # Asked, and not tried: where this fails, nothing has happened.
    with pytest.raises(TerminalError, match=r"RW596: .* it is not removed"):
        require_removable(Path(target))


def order_of(tmp_path, *files, remove=(), operation="op"):
    content = tmp_path / "fetched"
    content.mkdir(exist_ok=True)
    (content / hashlib.sha256(CONTENT).hexdigest()).write_bytes(CONTENT)
    return FilesOrder(str(tmp_path / "state"), operation, str(content), files, remove)


def test_only_the_last_operations_are_kept(tmp_path):
    target = tmp_path / "motd"
    for number in range(KEPT_OPERATIONS + 3):
        target.write_bytes(f"day {number}".encode())
        order = order_of(tmp_path, wanted(target), operation=f"op-{number}")
        assert carry_out(order) == FilesAnswer(1, 0)
        folder = tmp_path / "state/files" / f"op-{number}"
        os.utime(folder, (number, number))
    names = {path.name for path in (tmp_path / "state/files").iterdir()}
    assert names == {f"op-{number}" for number in range(3, KEPT_OPERATIONS + 3)}


def test_what_was_done_before_an_error_is_said(tmp_path):
    files = (wanted(tmp_path / "one"), wanted(tmp_path / "two", owner="nobody-here"))
    answer = carry_out(order_of(tmp_path, *files))
    assert (answer.placed, answer.code) == (1, "RW594")
    with pytest.raises(TerminalError, match=r"RW594: .* has no such"):
        answer.require_done()


def test_the_step_has_it_done_by_a_program_of_its_own(tmp_path, store):
    target, gone = tmp_path / "etc/motd", tmp_path / "gone"
    gone.write_bytes(b"x")
    state = tmp_path / "state"
    context = FilesContext(state, "op", store, lambda: None)
    step = PlaceFiles(files=(wanted(target),), remove=(str(gone),))
    result = place_files_step(step, context)
    assert (result["placed"], result["unchanged"], result["removed"]) == ("1", "0", "1")
    assert target.read_bytes() == CONTENT
    assert not gone.exists()
    assert place_files_step(step, context)["unchanged"] == "1"
    assert not (state / "files-order.json").exists()
    bad = PlaceFiles(files=(wanted(tmp_path),))
    with pytest.raises(TerminalError, match=r"RW595: .* is no file"):
        place_files_step(bad, context)


@pytest.mark.parametrize("output", ["", "Killed", '{"placed": 1}', "{}\nTraceback"])
def test_a_program_that_says_nothing_sensible_has_not_answered(output):
    assert answer_in(output) is None


@pytest.mark.parametrize(
    "step",
    [
        PlaceFiles(files=(wanted("/etc/motd"), wanted(r"C:\motd"))),
        PlaceFiles(files=(wanted("/etc/motd"),), remove=("c:/motd",)),
    ],
)
def test_a_path_of_windows_is_refused_before_anything_is_brought(tmp_path, step):
    context = FilesContext(tmp_path, "op", None, None)
    with pytest.raises(TerminalError) as error:
        place_files_step(step, context)
    path = next(
        each for each in (*(file.target for file in step.files), *step.remove) if ":" in each
    )
    assert str(error.value) == (
        f"RW228: {path} is no path of this system, which is linux. "
        "Write a step for each system, in scenarios of their own."
    )
    assert list(tmp_path.iterdir()) == []
