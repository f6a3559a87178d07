"""What is said of a disk on which nothing is recognised."""

from pathlib import Path

import pytest

from agent.inspection.sampling import PLACE_SIZE, PLACES, Budget, content_of

GIB = 1 << 30
DATA = "data without a known signature"


def disk(folder: Path, size: int, *data: int) -> Path:
    """Return a disk of zeros but for one byte at each place of ``data``."""
    path = folder / "disk"
    with path.open("wb") as file:
        file.truncate(size)
        for place in data:
            file.seek(place)
            file.write(b"x")
    return path


def said(path: Path, budget: Budget | None = None) -> str:
    return content_of(path, path.stat().st_size, 512, budget or Budget.of(60))


@pytest.mark.parametrize("size", [512, PLACE_SIZE + 512, PLACES * PLACE_SIZE])
def test_a_small_disk_is_read_whole(tmp_path: Path, size: int) -> None:
    assert said(disk(tmp_path, size)) == "blank (whole disk read)"
    assert said(disk(tmp_path, size, size - 1)) == DATA
    assert said(disk(tmp_path, size, size // 2)) == DATA


def test_a_large_disk_is_sampled_and_that_is_said(tmp_path: Path) -> None:
    assert said(disk(tmp_path, 8 * GIB)) == "blank (sampled: 256 places of 256 KiB)"


@pytest.mark.parametrize(
    "place",
    [0, PLACE_SIZE, 2 << 20, 4 * GIB, 8 * GIB - 1],
    ids=["start", "-", "-", "middle", "end"],
)
def test_data_behind_a_zeroed_start_is_data(tmp_path: Path, place: int) -> None:
    step = (8 * GIB - PLACE_SIZE) // (PLACES - 1)
    nearest = place if place == 8 * GIB - 1 else place // step * step
    assert said(disk(tmp_path, 8 * GIB, nearest)) == DATA


def test_when_time_is_over_what_was_read_is_spread_and_counted(tmp_path: Path) -> None:
    spent = Budget(0, lambda: 1)
    assert said(disk(tmp_path, 8 * GIB), spent) == "blank (sampled: 16 places of 256 KiB)"
    assert said(disk(tmp_path, 8 * GIB, 8 * GIB - 1), spent) == DATA
    assert said(disk(tmp_path, 32 * PLACE_SIZE), spent) == "blank (sampled: 16 places of 256 KiB)"
