"""blkid: what a range of a device holds."""

import re
from pathlib import Path

from attrs import frozen

from agent.commands.runner import run_command

_NOTHING = 2
_AMBIVALENT = 8
_LONGEST_LABEL = 200
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


@frozen
class Signature:
    """What was recognised; all empty where nothing was.

    ``filesystem`` is blkid's name of the format, also of swap, LVM and the like.
    ``ambivalent`` means that signatures of more than one format were found, for example
    an old RAID's under a new ext4.
    """

    filesystem: str = ""
    label: str = ""
    uuid: str = ""
    ambivalent: bool = False


def probe(device: Path, start: int, size: int) -> Signature:
    """Return what that range of the device holds; CommandError where it cannot be read."""
    place = ["--offset", str(start), "--size", str(size), str(device)]
    command = ["blkid", "--probe", "--output", "udev", *place]
    done = run_command(command, accept=(0, _NOTHING, _AMBIVALENT))
    if done.status == _AMBIVALENT:
        return Signature(ambivalent=True)
    return parse_signature(done.stdout)


def parse_signature(output: bytes) -> Signature:
    """Return what ``blkid --output udev`` printed. Unprintable characters become ``?``."""
    lines = output.decode("utf-8", "replace").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    label = udev_decoded(values.get("ID_FS_LABEL_ENC", ""))[:_LONGEST_LABEL]
    return Signature(
        filesystem=values.get("ID_FS_TYPE", ""),
        label="".join(char if char.isprintable() else "?" for char in label),
        uuid=values.get("ID_FS_UUID", ""),
    )


def udev_decoded(text: str) -> str:
    """Undo udev's escapes (backslash, ``x``, two digits), which carry the bytes of UTF-8."""
    raw = _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return raw
