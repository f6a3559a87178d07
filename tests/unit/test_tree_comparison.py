"""Two trees of files compared by name, content and rights."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.imaging.file_extents import file_extents
from providers.imaging.tree_comparison import (
    ADDED,
    CHANGED,
    MOST_LEVELS,
    REMOVED,
    UNREADABLE,
    FileChange,
    compare_trees,
)


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees."""
    for name in ("one", "two"):
        root = tmp_path / name
        (root / "etc/deep/deeper").mkdir(parents=True)
        (root / "etc/file").write_text("content")
        (root / "etc/deep/other").write_text("other")
        (root / "link").symlink_to("etc/file")
        os.utime(root / "etc/file", ns=(1, 1))
    return tmp_path / "one", tmp_path / "two"


def found(trees: tuple[Path, Path]) -> set[FileChange]:
    changes = list(compare_trees(*trees))
    assert len(set(changes)) == len(changes)
    return set(changes)


def test_equal_trees_do_not_differ(trees: tuple[Path, Path]) -> None:
    os.utime(trees[1] / "etc/deep/other", ns=(5, 5))  # times do not count
    assert found(trees) == set()


def test_content_of_the_same_length_and_time_is_compared(trees: tuple[Path, Path]) -> None:
    (trees[1] / "etc/file").write_text("CONTENT")
    os.utime(trees[1] / "etc/file", ns=(1, 1))
    assert found(trees) == {FileChange("/etc/file", CHANGED, ("content",))}


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def relinked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/elsewhere")


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("etc/file", lambda path: path.chmod(0o4600), {(CHANGED, ("mode 0644 -> 4600",))}),
        ("etc/deep/other", Path.unlink, {(REMOVED, ())}),
        ("etc/deep/deeper", lambda path: path.rmdir(), {(REMOVED, ())}),
        ("etc/new", lambda path: path.touch(), {(ADDED, ())}),
        ("link", relinked, {(CHANGED, ("target etc/file -> /elsewhere",))}),
        (
            "etc/file",
            replaced_by_folder,
            {(CHANGED, ("file -> directory",)), ("/etc/file/inside", ADDED)},
        ),
    ],
)
def test_each_kind_of_change_is_named(
    trees: tuple[Path, Path], path: str, change: Callable[[Path], None], expected: set[object]
) -> None:
    (trees[0] / "etc/file").chmod(0o644)
    (trees[1] / "etc/file").chmod(0o644)
    change(trees[1] / path)
    assert {
        (each.kind, each.details) if each.path == f"/{path}" else (each.path, each.kind)
        for each in found(trees)
    } == expected


def test_a_new_folder_brings_all_that_is_in_it(trees: tuple[Path, Path]) -> None:
    (trees[1] / "srv/data").mkdir(parents=True)
    (trees[1] / "srv/data/file").touch()
    added = {FileChange(each, ADDED) for each in ("/srv", "/srv/data", "/srv/data/file")}
    assert found(trees) == added
    assert {each.kind for each in compare_trees(trees[1], trees[0])} == {REMOVED}


def test_links_out_of_the_tree_are_not_followed_and_pipes_not_opened(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    for root in trees:
        (root / "way-out").symlink_to(outside)
        os.mkfifo(root / "pipe")
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(root / "socket"))
    (trees[0] / "etc/deep/deeper").rmdir()
    (trees[0] / "etc/deep/deeper").symlink_to(outside)
    assert found(trees) == {
        FileChange("/etc/deep/deeper", CHANGED, ("symbolic link -> directory",))
    }


def test_holes_are_equal_to_zeros_and_not_read(trees: tuple[Path, Path]) -> None:
    size = 1 << 40
    for root in trees:
        with (root / "sparse").open("wb") as file:
            file.truncate(size)
    with (trees[0] / "sparse").open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(8192))
    assert found(trees) == set()
    with (trees[1] / "sparse").open("r+b") as file:
        file.seek(size - 1)
        file.write(b"x")
    assert found(trees) == {FileChange("/sparse", CHANGED, ("content",))}


def test_trees_that_are_too_deep_are_not_wholly_compared(trees: tuple[Path, Path]) -> None:
    for root in trees:
        folder = root
        for _ in range(MOST_LEVELS + 5):
            folder /= "d"
        folder.mkdir(parents=True)
    (change,) = found(trees)
    assert change.kind == UNREADABLE
    assert change.path.count("/d") == MOST_LEVELS + 1


def test_names_of_any_bytes_are_compared(trees: tuple[Path, Path]) -> None:
    (trees[1] / os.fsdecode(b"\xff\x1b[2J")).touch()
    assert found(trees) == {FileChange("/\udcff\x1b[2J", ADDED)}


def test_the_extents_of_a_file_say_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes([1]) * 100_000)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        extents = file_extents(file.fileno())
    if extents is not None:  # the file system of the tests may have no such map
        assert sum(each.length for each in extents) >= 100_000
        assert extents[0].logical == 0
