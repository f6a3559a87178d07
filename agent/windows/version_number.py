"""Versions of Windows software in their order: numbers with dots between them. Pure."""

import re

_PARTS = re.compile(r"[0-9]{1,20}")


def parts(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without zeros at the end; words between them do not count."""
    numbers = [int(part) for part in _PARTS.findall(version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def is_at_least(found: str, wanted: str) -> bool:
    """Return whether a version is the wanted one or a higher one; nothing wanted: it is."""
    return parts(found) >= parts(wanted)
