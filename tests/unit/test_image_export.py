"""Exports to a file system that has neither hard links nor modes of files, as FAT and exFAT."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.image_desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.store_image(1, "golden")
    yield desk
    desk.close()


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    place = tmp_path / "stick"
    place.mkdir()
    return place


def lack(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let links and modes be refused with an errno."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("link", "chmod"):
        patch.setattr(os, name, refuse)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_an_export_needs_no_links(desk: Desk, stick: Path, number: int) -> None:
    plain = desk.folder / "plain"
    desk("export", "golden", str(plain))
    with pytest.MonkeyPatch.context() as patch:
        lack(patch, number)
        assert desk("export", "golden", str(stick / "disk")).startswith("written: ")
    assert [each.name for each in stick.iterdir()] == ["disk"]
    assert (stick / "disk").read_bytes() == plain.read_bytes()


def test_without_links_it_replaces_nothing_that_somebody_made_meanwhile(
    desk: Desk, stick: Path
) -> None:
    target = stick / "disk"

    def somebody_is_faster(*_arguments: object, **_options: object) -> None:
        target.write_bytes(b"mine")
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", somebody_is_faster)
        said = desk.refusal("export", "golden", str(target))
    assert said == (
        f"RW442: {target} cannot be written: it is there already. Name another file, or remove it."
    )
    assert target.read_bytes() == b"mine"
    assert [each.name for each in stick.iterdir()] == ["disk"]


def test_without_links_it_leaves_nothing_where_it_fails(desk: Desk, stick: Path) -> None:
    target = stick / "disk"

    def is_full(_source: object, place: object) -> None:
        assert place == target
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        lack(patch, errno.EPERM)
        patch.setattr(os, "replace", is_full)
        said = desk.refusal("export", "golden", str(target))
    assert said.startswith(f"RW442: {target} cannot be written: No space left on device. ")
    assert list(stick.iterdir()) == []


def test_what_else_a_link_meets_is_an_error(desk: Desk, stick: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lack(patch, errno.EIO)
        said = desk.refusal("export", "golden", str(stick / "disk"))
    assert said.startswith(f"RW442: {stick}/disk cannot be written: Input/output error. ")
    assert list(stick.iterdir()) == []
