"""os-release(5): what an operating system calls itself."""

import shlex
from pathlib import Path


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file; malformed lines are passed over."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, quoted = line.strip().partition("=")
        if not equals or not name.isidentifier():
            continue
        try:
            values[name] = "".join(shlex.split(quoted)[:1])
        except ValueError:
            continue
    return values


def pretty_name(root: Path) -> str:
    """Return PRETTY_NAME of the system under ``root``; empty where it does not say."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / name).read_text("utf-8", errors="replace")
        except OSError:
            continue
        values = parse_os_release(text)
        return values.get("PRETTY_NAME") or values.get("NAME", "")
    return ""
