"""partclone: which blocks of a file system are used.

Written against partclone 0.3.23 (Debian 12). What it does not check, although a
wrong answer would lose data, is checked before it is asked: see ``ext``, ``xfs``
and ``ntfs`` of ``agent.imaging``. Btrfs, FAT and exFAT are read there as well,
because its maps of them lack blocks.
"""

from pathlib import Path

from agent.commands.runner import run_command
from agent.errors import CommandError, MissingCommandError

_EXT = "partclone.extfs"
PROGRAMS = {
    "ext2": _EXT,
    "ext3": _EXT,
    "ext4": _EXT,
    "xfs": "partclone.xfs",
    "ntfs": "partclone.ntfs",
}
"""File systems, as blkid names them, to the program that maps them.

Only those for which it is known here how to tell that the map may be trusted.
"""

Range = tuple[int, int]
"""First byte and number of bytes."""

_TIMEOUT = 3600  # seconds; a map of tens of terabytes takes minutes
_LARGEST_MAP = 512 << 20  # bytes; a line of some 30 for each run of blocks
_DOMAIN_FIELDS = 3
_FAILURE_LINE = "Partclone fail"


class MapRefusedError(Exception):
    """There is no map of this file system; the text says why, in one line."""


class UncleanError(MapRefusedError):
    """There is none because the file system was not left clean: it can be repaired."""


def arguments(program: str, source: Path) -> list[str]:
    """Return the command that writes the domain map of ``source`` to standard output.

    ``--UI-fresh=0`` because the progress thread sleeps that many seconds after
    all work is done, even with ``--quiet``. ``--force`` because ext2/3/4 would be
    refused once they were mounted so many times, or for so long, that a check is due;
    whether they are clean is looked at in ``agent.imaging.ext``.
    """
    force = ["--force"] if program == _EXT else []
    return [
        *(program, "--domain", "--quiet", "--UI-fresh=0", "--offset_domain=0", *force),
        *("--source", str(source), "--output", "-", "--logfile", "/dev/null"),
    ]


def domain_map(filesystem: str, source: Path, size: int) -> tuple[Range, ...]:
    """Return the used ranges of the file system on ``source``, of ``size`` bytes.

    What lies behind the file system's end counts as used: nobody said that it is
    free. Raises MapRefusedError when partclone refuses or says nonsense.
    """
    program = PROGRAMS[filesystem]
    try:
        done = run_command(arguments(program, source), timeout=_TIMEOUT, most_output=_LARGEST_MAP)
    except MissingCommandError as error:
        raise MapRefusedError(f"{program} is not installed") from error
    except CommandError as error:
        words = error.words if error.status is None else parse_failure(error.words)
        raise MapRefusedError(f"{program}: {words}") from error
    return parse_map(done.stdout, size)


def parse_map(output: bytes, size: int) -> tuple[Range, ...]:
    """Return the used ranges of a domain map, which has the form of a ddrescue map.

    A block is free only where the map says ``?``. Raises MapRefusedError unless
    the map is gapless from 0 and inside ``size``.
    """
    used: list[Range] = []
    position = 0
    for line in output.splitlines():
        fields = line.split()
        if line.startswith(b"#") or len(fields) != _DOMAIN_FIELDS:
            continue  # a comment, or the line with the current position
        try:
            start, length = int(fields[0], 16), int(fields[1], 16)
        except ValueError as error:
            raise MapRefusedError(f"partclone wrote the line {line!r}") from error
        if start != position or length <= 0 or start + length > size:
            raise MapRefusedError(
                f"partclone maps {length} bytes at {start} after {position} of {size} bytes"
            )
        position = start + length
        if fields[2] != b"?":
            used.append((start, length))
    if not used:
        raise MapRefusedError("partclone found no used block")
    if position < size:
        used.append((position, size - position))
    return tuple(used)


def parse_failure(log: str) -> str:
    """Return partclone's reason: what it says last before it says that it failed.

    A message begins with the name of a source file and may go on in further lines.
    """
    lines = [line.strip() for line in log.splitlines()]
    lines = [line for line in lines if line and "Partclone v" not in line]
    for index, line in enumerate(lines):
        if line.startswith(_FAILURE_LINE) and index:
            lines = [text for text in lines[:index] if text != "error exit"]
            break
    for index, line in reversed(list(enumerate(lines))):
        _, separator, first = line.partition(".c: ")  # extfsclone.c: …
        if separator:
            return " ".join((first, *lines[index + 1 :]))
    return lines[-1] if lines else "it said nothing"
