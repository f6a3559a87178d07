"""Where the kernel and the system show themselves."""

from pathlib import Path

from attrs import frozen


@frozen
class HostPaths:
    """The roots of what is inspected; the defaults are the running machine's."""

    sysfs: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    root: Path = Path("/")
    """Of the installed system's own files, ``etc`` first of all."""


def read_line(path: Path) -> str:
    """Return a small file's text without surrounding blanks, empty where it cannot be read."""
    try:
        return path.read_bytes()[:4096].decode("utf-8", "replace").strip().strip("\0").strip()
    except OSError:
        return ""


def read_number(path: Path) -> int:
    """Return the decimal number in a file, 0 where there is none."""
    text = read_line(path)
    return int(text) if text.isdecimal() else 0
