"""The ``blkid`` command: what a range of a device holds."""

import re
from pathlib import Path

from attrs import frozen

from agent.command import run_command

_NOTHING = 2
_AMBIVALENT = 8  # signatures of several formats, for example an old RAID's under a new ext4
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


@frozen
class Content:
    """What was found; all empty where blkid knows nothing there."""

    filesystem: str = ""
    label: str = ""
    uuid: str = ""
    ambivalent: bool = False


def probe_arguments(device: Path, start: int, size: int) -> list[str]:
    """Return the command that looks at ``size`` bytes from ``start`` without a cache."""
    place = ["--offset", str(start), "--size", str(size)]
    return ["blkid", "--probe", "--output", "udev", *place, str(device)]


def probe(device: Path, start: int, size: int) -> Content:
    """Return what that range of the device holds; CommandError where it cannot be read."""
    done = run_command(probe_arguments(device, start, size), accept=(0, _NOTHING, _AMBIVALENT))
    if done.status == _AMBIVALENT:
        return Content(ambivalent=True)
    return parse_content(done.stdout)


def parse_content(output: bytes) -> Content:
    """Return what ``blkid --output udev`` printed."""
    lines = output.decode("utf-8", "replace").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return Content(
        filesystem=values.get("ID_FS_TYPE", ""),
        label=_decoded(values.get("ID_FS_LABEL_ENC", "")),
        uuid=values.get("ID_FS_UUID", ""),
    )


def _decoded(text: str) -> str:
    """Undo udev's escapes (backslash, ``x``, two digits), which carry the bytes of UTF-8."""
    raw = _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return raw
