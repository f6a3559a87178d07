"""Repairing file systems on a disk that were not left clean, before it is captured.

All of them are looked at first, and nothing is written while one of them cannot be repaired
here. Each is repaired by its own program, or, where its journal is enough, by the kernel that
plays it when the file system is mounted. What is not clean after that is an error.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from attrs import frozen

from agent.commands import e2fsck, fsck_exfat, fsck_f2fs, fsck_fat, losetup, ntfsfix
from agent.commands.mount import mounted
from agent.commands.partclone import MapRefusedError, UncleanError
from agent.commands.runner import search_path
from agent.errors import CommandError
from agent.imaging import btrfs, exfat, ext, f2fs, fat, ntfs, xfs
from agent.imaging.device import Device, open_device, seen
from agent.imaging.errors import DiskFailureError, RepairFailedError, UnrepairableError
from agent.imaging.extent import Extent, total
from agent.imaging.refusal import read_only, refuse_other_disk
from agent.imaging.scan import file_systems_on, read_inside, table_problem
from agent.imaging.table import Reader, TableError
from agent.plain_text import plain_text
from agent.wire.disk import Disk

_log = logging.getLogger(__name__)

OnLine = Callable[[str], None]
_LONGEST_WORDS = 300


@frozen
class _Way:
    """How file systems of one kind are repaired. ``by_hand`` is what is left where that fails."""

    repair: Callable[[Path, OnLine], str]
    programs: tuple[str, ...]
    by_hand: str


@frozen
class _Unclean:
    """A file system that was not left clean: one piece of the disk, and in which way."""

    place: str
    filesystem: str
    extent: Extent
    reason: str


def repair(
    disk: Disk,
    writing: Callable[[], None],
    check_on: Callable[[], None],
    partitions: Collection[int] = frozenset(),
) -> tuple[str, ...]:
    """Repair what was not left clean on a disk that nothing uses; return what was done, by line.

    ``partitions`` are the numbers of those that are looked at; all where it is empty.
    ``writing`` is called before the first write, ``check_on`` raises where the work has to stop.
    Raises RefusedDiskError, DiskFailureError, UnrepairableError and what the two raise before
    anything was written; after that RepairFailedError.
    """
    found = _look(disk, partitions)
    for each in found:
        _require_programs(each)
    if not found:
        return ()
    if disk.read_only:
        raise read_only(disk.node)
    writing()
    done = tuple(_repaired(disk, each, check_on) for each in found)
    for left in _look(disk, partitions):
        way = _WAYS[left.filesystem]
        raise RepairFailedError(left.place, "its repair", left.reason, way.by_hand)
    return done


def _look(disk: Disk, partitions: Collection[int]) -> list[_Unclean]:
    with open_device(disk.node, sector_size=disk.sector_size) as device:
        refuse_other_disk(disk, seen(device))
        try:
            if problem := table_problem(device):
                _log.warning("nothing on %s is repaired: %s", disk.node, problem)
                return []
            return list(_unclean_on(device, partitions))
        except TableError:  # the capture keeps such a disk whole, and says why
            return []
        except OSError as error:
            raise DiskFailureError(disk.node, "read", 0, error) from error


def _unclean_on(device: Device, partitions: Collection[int]) -> Iterator[_Unclean]:
    for part in file_systems_on(device, partitions):
        if part.filesystem not in _REASONS:
            continue
        if len(part.pieces) != 1:
            _log.info("%s lies in %d pieces: not looked at", part.title, len(part.pieces))
            continue
        read = partial(read_inside, device, part.pieces[0])
        reason, by_windows = _REASONS[part.filesystem](read, total(part.pieces))
        if by_windows:
            raise UnrepairableError(part.name, reason, _BY_WINDOWS)
        if reason:
            yield _Unclean(part.name, part.filesystem, part.pieces[0], reason)


def _require_programs(found: _Unclean) -> None:
    for program in _WAYS[found.filesystem].programs:
        if shutil.which(program, path=search_path({})) is None:
            raise UnrepairableError(
                found.place,
                f"{found.reason}; {program} is not in this system",
                "Build the Deploy-OS again with the recipe of this release, or repair it by hand",
            )


def _repaired(disk: Disk, found: _Unclean, check_on: Callable[[], None]) -> str:
    way = _WAYS[found.filesystem]
    said: list[str] = []

    def on_line(line: str) -> None:
        check_on()
        said.append(plain_text(line))
        _log.info("repair of %s: %s", found.place, said[-1])

    _log.warning("repairs %s: %s", found.place, found.reason)
    place = found.extent
    try:
        with losetup.attached(
            Path(disk.node), place.offset, place.length, disk.sector_size, write=True
        ) as node:
            command = way.repair(node, on_line)
    except CommandError as error:
        words = plain_text(error.words[-_LONGEST_WORDS:], _LONGEST_WORDS)
        raise RepairFailedError(found.place, error.program, words, way.by_hand) from error
    summary = next((line for line in reversed(said) if line), "")
    done = f"{found.place}: {command}, because {found.reason.partition(':')[0]}"
    return plain_text(f"{done}{f' ({summary})' if summary else ''}")


# --- each file system -------------------------------------------------------------


def _by_map(used: Callable[[Reader, int], object], read: Reader, size: int) -> tuple[str, bool]:
    try:
        used(read, size)
    except UncleanError as error:
        return str(error), False
    except MapRefusedError:
        pass
    return "", False


def _replayed(filesystem: str, options: tuple[str, ...], node: Path, on_line: OnLine) -> str:
    """Mount and unmount it: the kernel plays the journal."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mounted(node, Path(folder), filesystem, write=True, options=options),
    ):
        on_line(f"the kernel mounted the {filesystem} and played its journal")
    return f"mount -t {filesystem}"


_Judge = Callable[[Reader, int], tuple[str, bool]]
_BY_WINDOWS = "Start Windows on the machine and shut it down fully, then back up again"

_REASONS: dict[str, _Judge] = {
    **dict.fromkeys(("ext2", "ext3", "ext4"), lambda read, _: (ext.unclean_reason(read), False)),
    "xfs": lambda read, _: (xfs.unclean_reason(read), False),
    "ntfs": lambda read, _: ntfs.unclean_reason(read),
    "btrfs": partial(_by_map, btrfs.used),
    "exfat": partial(_by_map, exfat.used),
    "f2fs": partial(_by_map, f2fs.used),
    "vfat": partial(_by_map, fat.used),
}
"""File system -> in what way it was not left clean, and whether Windows alone can mend that."""

_WAYS = {
    **dict.fromkeys(
        ("ext2", "ext3", "ext4"),
        _Way(e2fsck.repair, ("e2fsck",), "Look at it with e2fsck, and restore an older backup"),
    ),
    "xfs": _Way(
        partial(_replayed, "xfs", ("nouuid",)),
        (),
        "Look at it with xfs_repair by hand; `xfs_repair -L` drops what is in its log, and is "
        "never done here",
    ),
    "btrfs": _Way(
        partial(_replayed, "btrfs", ()),
        (),
        "Look at it with `btrfs check` by hand; `btrfs rescue zero-log` drops what is in its log",
    ),
    "vfat": _Way(fsck_fat.repair, ("fsck.fat",), "Look at it with fsck.fat, or chkdsk in Windows"),
    "exfat": _Way(
        fsck_exfat.repair, ("fsck.exfat",), "Look at it with fsck.exfat, or chkdsk in Windows"
    ),
    "f2fs": _Way(
        fsck_f2fs.repair, ("fsck.f2fs",), "Mount it once, and unmount it, on a system with F2FS"
    ),
    "ntfs": _Way(ntfsfix.repair, ("ntfsresize", "ntfsfix"), f"Run chkdsk /f there. {_BY_WINDOWS}"),
}
