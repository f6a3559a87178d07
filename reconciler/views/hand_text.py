"""What came of work by hand, for people and as JSON."""

import stat
import textwrap
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from agent.wire.listing import ListedEntry, Listing
from reconciler.state.hand_results import Folded, MachineResult
from reconciler.views.untrusted import for_terminal

FORMAT = "rackwright-results/1"
_INDENT = "  "
_MOST_NAMES = 12
_TAB = 8
_TYPES = {
    "file": stat.S_IFREG,
    "folder": stat.S_IFDIR,
    "link": stat.S_IFLNK,
    "pipe": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "block": stat.S_IFBLK,
    "character": stat.S_IFCHR,
}


def result_lines(found: Iterable[Folded], width: int) -> Iterator[str]:
    """Yield results, each once for all machines that have it; lines of output are not broken."""
    for index, each in enumerate(found):
        if index:
            yield ""
        number = len(each.machines)
        title = each.machines[0] if number == 1 else f"{number:,} machines"
        yield from _wrapped(f"{title}: {each.result.said}", "", width)
        if number > 1:
            yield from _wrapped(_names(each.machines), _INDENT, width)
        if each.result.is_cut:
            yield f"{2 * _INDENT}(only the end of the output is kept)"
        for line in each.result.output.splitlines():
            yield 2 * _INDENT + for_terminal(line.expandtabs(_TAB))


def _names(machines: tuple[str, ...]) -> str:
    more = len(machines) - _MOST_NAMES
    said = ", ".join(machines[:_MOST_NAMES])
    return f"{said} and {more:,} more" if more > 0 else said


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    shown = for_terminal(text)
    return textwrap.wrap(
        shown,
        max(width, 20),
        initial_indent=indent,
        subsequent_indent=indent + _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def result_document(result: MachineResult) -> dict[str, Any]:
    """Return one result as data; ``status``, ``output`` and ``shown`` where there are such."""
    document: dict[str, Any] = {
        "machine": result.machine,
        "operation": result.operation,
        "state": result.state.value,
        "said": result.said,
        "status": result.status,
        "output": result.output,
        "outputCut": result.is_cut,
        "shown": list(result.shown),
    }
    if result.sha256:
        document |= {"sha256": result.sha256, "size": result.size}
    return document


def listing_lines(listing: Listing) -> Iterator[str]:
    """Yield a listing as ls(1) lays it out: mode, owner, group, size, time in UTC, name."""
    entries = listing.entries
    widths = [
        max((len(text(each)) for each in entries), default=0) for text in (_owner, _group, _size)
    ]
    for each in entries:
        owner, group, size = widths
        target = f" -> {shown_name(each.target_bytes)}" if each.kind == "link" else ""
        yield (
            f"{_mode(each)} {_owner(each):<{owner}} {_group(each):<{group}} {_size(each):>{size}} "
            f"{_time(each.modified)} {shown_name(each.name_bytes)}{target}"
        )
    if listing.total > len(entries):
        yield f"… the first {len(entries):,} of {listing.total:,}"


def shown_name(name: bytes) -> str:
    """Return a name of any bytes on one line, so that no two names look alike.

    Bytes that are no UTF-8, control characters and backslashes are shown as codes.
    """
    text = name.decode("utf-8", "surrogateescape").replace("\\", "\\\\")
    shown = []
    for character in text:
        code = ord(character)
        is_byte = 0xDC80 <= code <= 0xDCFF  # noqa: PLR2004 - what surrogateescape makes of a byte
        if is_byte:
            shown.append(f"\\x{code - 0xDC00:02x}")
        elif character in {"\\", " "}:
            shown.append(character)
        else:
            shown.append(f"\\u{code:04x}" if character.isspace() else for_terminal(character))
    return "".join(shown)


def listing_document(listing: Listing) -> dict[str, Any]:
    """Return a listing as data: names as text where they are UTF-8, as hexadecimal in any case."""
    return {
        "isFolder": listing.is_folder,
        "total": listing.total,
        "entries": [_entry_document(each) for each in listing.entries],
    }


def _entry_document(entry: ListedEntry) -> dict[str, Any]:
    return {
        "name": shown_name(entry.name_bytes),
        "nameHex": entry.name,
        "type": entry.kind,
        "mode": f"{entry.mode:04o}",
        "owner": entry.owner,
        "group": entry.group,
        "size": entry.size,
        "modified": _time(entry.modified),
        "target": shown_name(entry.target_bytes),
    }


def _mode(entry: ListedEntry) -> str:
    return stat.filemode(_TYPES.get(entry.kind, 0) | (entry.mode & 0o7777))


def _owner(entry: ListedEntry) -> str:
    return for_terminal(entry.owner)


def _group(entry: ListedEntry) -> str:
    return for_terminal(entry.group)


def _size(entry: ListedEntry) -> str:
    return f"{entry.size:,}"


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"@{seconds}"
