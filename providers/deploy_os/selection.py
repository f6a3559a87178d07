"""Which paths a list of patterns keeps. Pure."""

import re
from collections.abc import Iterable
from fnmatch import translate


def select(paths: Iterable[str], patterns: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the paths that ``patterns`` keep, and the patterns that matched nothing.

    Patterns are read in order: a plain one adds, one with ``!`` takes away, ``*`` also
    crosses directory borders. A pattern that takes nothing away has matched nothing.
    """
    everything = list(paths)
    kept: set[str] = set()
    idle: list[str] = []
    for pattern in patterns:
        matches = re.compile(translate(pattern.removeprefix("!"))).match
        if pattern.startswith("!"):
            hit = {path for path in kept if matches(path)}
            kept -= hit
        else:
            hit = {path for path in everything if matches(path)}
            kept |= hit
        if not hit:
            idle.append(pattern)
    return kept, idle
