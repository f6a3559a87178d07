"""Programs that look at a file system without changing it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.commands.runner import follow_command
from agent.errors import CommandError, MissingCommandError

_TIMEOUT = 6 * 3600  # seconds; a check of tens of terabytes takes hours
_MOST_OUTPUT = 2000

_FAT_REMARKS = re.compile(
    r"fsck\.fat \d"
    r"|Leaving filesystem unchanged\.$"
    r"|.*: \d+ files, \d+/\d+ clusters$"
    r"|There are differences between boot sector and its backup\.$"
    r"|This is mostly harmless\. Differences:"
    r"|There is no backup boot sector\.$"
    r"|Warning: Filesystem is FAT32 according to fat_length and fat32_length fields,$"
    r"|Dirty bit is set\."
    r"|Label "
    r"|Volume label "
    r"|There is no label in boot sector"
    r"|FSINFO sector has bad magic"
    r"|Free cluster summary "
    r"|Reclaimed \d+ unused clusters? "
    r"|FATs differ but appear to be intact\.$"
    r"|Orphaned long file name part "
    r"|Wrong checksum for long file name "
)
"""First lines of what fsck.fat 4.2 says about a volume of which every file can be read.

Labels, hints for drivers, copies of the boot sector, clusters that no file has, and
long names whose file was renamed or deleted without them. What belongs to a remark
follows in lines that begin with a space. A file's path as the first line means that
something is wrong with the file, but for the name that it has.
"""

_BAD_NAME = re.compile(r"  (Bad short file name|Auto-renaming it\.|Renamed to )")
_MISMATCHES = re.compile(r"Totally (\d+) cluster accounting mismatches")
_SURPLUS = re.compile(r"^Cluster accounting failed at .*: extra cluster in \$Bitmap$", re.MULTILINE)


def ended_well(status: int, words: str) -> bool:  # noqa: ARG001 - others read the words
    """Return whether a program found nothing wrong, by its exit status."""
    return status == 0


def is_intact_fat(status: int, words: str) -> bool:
    """Return whether fsck.fat found nothing, or nothing but harmless remarks.

    It ends with 1 for a label that differs as for a file that lost its content. The
    words have to be complete, from the program's version on.
    """
    if status == 0:
        return True
    lines = [line for line in words.splitlines() if line.strip()]
    if status != 1 or not any(line.startswith("fsck.fat ") for line in lines):
        return False
    path = False
    for line in lines:
        if line.startswith(" "):
            if path and not _BAD_NAME.match(line):
                return False
        else:
            path = line.startswith("/")
            if not path and not _FAT_REMARKS.match(line):
                return False
    return True


def is_intact_ntfs(status: int, words: str) -> bool:
    """Return whether ntfsresize found every cluster of every file in the bitmap.

    It calls a volume inconsistent, too, where the bitmap has clusters that no file
    has. Of many mismatches it lists the first ones only.
    """
    found = _MISMATCHES.search(words)
    return status == 0 or (found is not None and int(found[1]) == len(_SURPLUS.findall(words)))


EXT = frozenset(("ext2", "ext3", "ext4"))
_OF_CONTENTS = frozenset(("--check-data-csum",))
_Judge = Callable[[int, str], bool]

_VOLUME_CHECKS: Mapping[str, tuple[tuple[_Judge, tuple[str, ...]], ...]] = {
    "exfat": ((ended_well, ("fsck.exfat", "-n")),),
    "f2fs": ((ended_well, ("fsck.f2fs", "--dry-run")),),
    "vfat": ((is_intact_fat, ("fsck.fat", "-n")),),
    "xfs": ((ended_well, ("xfs_repair", "-n", "-f")),),
    "btrfs": ((ended_well, ("btrfs", "check", "--readonly", "--check-data-csum")),),
    "ntfs": (
        # 0 means that the volume mounts and its mirrors agree (ntfsfix(8)).
        (ended_well, ("ntfsfix", "--no-action")),
        # Compares the clusters of all files with the bitmap; 0 means that they agree.
        (
            is_intact_ntfs,
            ("ntfsresize", "--info", "--force", "--bad-sectors", "--no-progress-bar"),
        ),
    ),
}
"""File system -> the commands that check it, and who judges what they say.

The file that holds the file system follows.
"""


def has_checker(filesystem: str) -> bool:
    """Return whether a file system can be checked, in a file of its own or as an ext2 to ext4."""
    return filesystem in _VOLUME_CHECKS or filesystem in EXT


def check_volume(filesystem: str, volume: Path, *, contents: bool = True) -> str:
    """Return what is wrong with the file system in a file of its own, empty if nothing.

    Without ``contents``, that of files is not looked at where it has checksums.
    """
    if filesystem not in _VOLUME_CHECKS:
        return f"there is no checker for {filesystem}"
    left_out = frozenset() if contents else _OF_CONTENTS
    problems = (
        run([*(word for word in command if word not in left_out), str(volume)], is_good)
        for is_good, command in _VOLUME_CHECKS[filesystem]
    )
    return next(filter(None, problems), "")


def check_ext(disk: Path, offset: int) -> str:
    """Return what is wrong with the ext2/3/4 at ``offset`` of ``disk``, empty if nothing.

    ``?offset=`` is libext2fs' syntax for a part of a file.
    """
    return run(["e2fsck", "-f", "-n", f"{disk}?offset={offset}"])


def run(argv: list[str], is_good: _Judge = ended_well) -> str:
    """Run a checker and return what is wrong, empty where nothing is.

    ``is_good`` is given exit status and output. A checker that cannot run has found
    something wrong: nothing is verified then.
    """
    try:
        done = follow_command(argv, timeout=_TIMEOUT)
    except MissingCommandError:
        return f"{argv[0]} is not installed on the server"
    except CommandError as error:
        return f"{argv[0]} {error.words}"
    return "" if is_good(done.status, done.words) else summary(argv[0], done.status, done.words)


def summary(program: str, status: int, words: str) -> str:
    """Return the exit status and the end of the output on one line."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return f"{program} ended with {status}: {' / '.join(lines)[-_MOST_OUTPUT:]}"
