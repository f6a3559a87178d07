"""The way from a document's root to one of its values."""

import re

from specs.diagnostics.quote import quoted

Path = tuple[str | int, ...]
"""Keys of mappings and indexes of lists: ``("spec", "hardware", "macs", 0)``."""


_is_simple = re.compile(r"[A-Za-z0-9_/-]{1,63}").fullmatch


def dotted(path: Path) -> str:
    """Return the path as people write it: ``spec.hardware.macs[0]``, ``labels["a b"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _is_simple(part):
            text += f"[{quoted(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def is_within(path: Path, outer: Path) -> bool:
    """Return whether ``path`` is ``outer`` or lies below it."""
    return path[: len(outer)] == outer
