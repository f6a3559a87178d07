"""qemu-img: files of virtual machines' disks. Written against 7.2 (Debian 12).

A file may come from anybody: its format is always said, since qemu-img would find a raw disk's
first bytes to be whatever format they claim, and each run has bounds of memory, of processor
time and of what it writes (prlimit(1)). It ends with whoever started it, also where that is killed
(setpriv(1)). Whether a file refers to others is for the caller to check first.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from agent.commands.runner import run_command
from agent.errors import CommandError, MissingCommandError

_MEMORY = 2 << 30
_INFO_SECONDS = 30
_CHECK_SECONDS = 3600
_CONVERT_SECONDS = 12 * 3600
_CHECK_LEAKS, _CHECK_UNSUPPORTED = 3, 63
"""How `qemu-img check` ends where clusters belong to nothing, and for formats without a check."""
_NOT_FOUND = 127
"""How prlimit ends where there is no such program."""
_LARGEST_MAP = 256 << 20
"""Bytes of JSON: some 100 for each run of clusters."""


class DiskFileInfo(NamedTuple):
    """What a file says of itself."""

    size: int
    """Of the disk, in bytes."""
    others: tuple[str, ...]
    """Files that it refers to."""


def info(file: Path, file_format: str) -> DiskFileInfo:
    """Return what a file says of itself, without a look at files that it refers to.

    CommandError where qemu-img refuses it.
    """
    found = _json(["info", "--output", "json", "-f", file_format, str(file)], 64 << 20)
    specific = found.get("format-specific", {}).get("data", {})
    others = [found.get(name) for name in ("backing-filename", "full-backing-filename")]
    others += [specific.get("data-file")]
    others += [each.get("filename") for each in specific.get("extents", [])]
    named = {str(each) for each in others if each} - {str(file)}
    return DiskFileInfo(int(found["virtual-size"]), tuple(sorted(named)))


def data_size(file: Path, file_format: str) -> int:
    """Return how many bytes of the disk the file has data for, which is what a raw file takes."""
    found = _json(["map", "--output", "json", "-f", file_format, str(file)], _LARGEST_MAP)
    return sum(each["length"] for each in found if each["data"])


def check(file: Path, file_format: str) -> None:
    """Compare the file's own lists of its clusters with one another and with its end.

    Reads no data. CommandError where they contradict each other, or name a cluster behind the
    file's end: `convert` reads zeros there and says nothing.
    """
    argv = ["check", "-f", file_format, str(file)]
    accept = (0, _CHECK_LEAKS, _CHECK_UNSUPPORTED)
    _run(argv, _CHECK_SECONDS, "--fsize=0", accept=accept)


def convert(source: Path, source_format: str, target: Path, target_format: str, most: int) -> None:
    """Write a disk into a new file, sparse where it is raw, of at most ``most`` bytes.

    CommandError where qemu-img refuses or fails.
    """
    argv = [*("convert", "-f", source_format, "-O", target_format), str(source), str(target)]
    _run(argv, _CONVERT_SECONDS, f"--fsize={most}")


def _json(arguments: list[str], most_output: int) -> Any:  # noqa: ANN401 - of qemu's forms
    return json.loads(_run(arguments, _INFO_SECONDS, "--fsize=0", most_output))


def _run(
    arguments: list[str],
    seconds: int,
    limit: str,
    most_output: int = 1 << 20,
    accept: tuple[int, ...] = (0,),
) -> bytes:
    limits = [f"--as={_MEMORY}", f"--cpu={seconds}", limit]
    bound = ["setpriv", "--pdeathsig", "KILL", "--", "prlimit", *limits, "--"]
    argv = [*bound, "qemu-img", *arguments]
    try:
        return run_command(argv, accept=accept, timeout=seconds, most_output=most_output).stdout
    except CommandError as error:
        if error.status == _NOT_FOUND:
            raise MissingCommandError("qemu-img") from error
        raise
