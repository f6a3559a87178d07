"""Processors and memory."""

import re
from pathlib import Path

from agent.inspection.host_paths import read_line

_MEMORY = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


def cpu_count(sysfs: Path) -> int:
    """Return the number of processors online."""
    return count_in_list(read_line(sysfs / "devices/system/cpu/online"))


def count_in_list(text: str) -> int:
    """Return how many numbers a kernel CPU list such as ``0-3,6`` holds; 0 for no list."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return 0
        count += int(last or first) - int(first) + 1
    return count


def memory_bytes(proc: Path) -> int:
    """Return the memory that the kernel manages; 0 where it does not say."""
    try:
        match = _MEMORY.search((proc / "meminfo").read_text("ascii"))
    except OSError:
        return 0
    return int(match.group(1)) * 1024 if match else 0
