"""The disks of one machine as an SVG picture: partitions to scale, with a legend that reads.

Colours carry nothing that the legend does not say in words; the picture has a title and a
description for those who do not see it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import cycle

from rich.cells import cell_len
from rich.filesize import decimal

from agent.wire.disk import Disk, Partition
from reconciler.planning.item import is_blank
from reconciler.views.disk_layout import Segment, describe, segments, table_of, widths
from reconciler.views.untrusted import for_html, for_terminal

_WIDTH = 960
_MARGIN = 24
_BAR = _WIDTH - 2 * _MARGIN
_BAR_HEIGHT = 48
_LINE = 22
_HEAD = 76
_NARROWEST = 6
"""A segment that is narrower could not be seen."""
_CHARACTER = 9
"""About how wide a character of the bold labels is, in the units of the picture."""
_COLOURS = ("#1f6fb2", "#b3541e", "#2d7d46", "#7a4fa3", "#8a6d00", "#a8324a", "#28757a")
_STYLE = """\
text { font: 14px "DejaVu Sans", Verdana, sans-serif; fill: #1b1f24 }
.title { font-size: 20px; font-weight: bold }
.disk { font-size: 16px; font-weight: bold }
.note { fill: #57606a }
.on { fill: #ffffff; font-weight: bold }
.paper { fill: #ffffff }
.free { fill: #eaeef2; stroke: #8c959f }
.part { stroke: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .note { fill: #9198a1 } .paper { fill: #0d1117 }
.free { fill: #30363d } .part { stroke: #0d1117 }
}"""


def disks_svg(machine: str, disks: Sequence[Disk], at: datetime | None) -> str:
    """Return the picture; ``at`` is when the disks were looked at, None where they never were."""
    height = _HEAD
    parts: list[str] = []
    for disk in disks:
        drawn, height = _disk(disk, height)
        parts += drawn
    seen = f"seen {at:%Y-%m-%d %H:%M} UTC" if at is not None else "its disks were never seen"
    title = for_html(f"Disks of {machine}")
    size = f'width="{_WIDTH}" height="{height + _MARGIN}"'
    box = f'viewBox="0 0 {_WIDTH} {height + _MARGIN}"'
    named = 'role="img" aria-labelledby="title description"'
    described = "; ".join(map(_in_words, disks)) or "no disk"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} {size} {named}>',
            f'<title id="title">{title}</title>',
            f'<desc id="description">{for_html(f"{described}; {seen}")}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" {size}/>',
            f'<text class="title" x="{_MARGIN}" y="38">{title}</text>',
            f'<text class="note" x="{_MARGIN}" y="60">{for_html(seen)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def _in_words(disk: Disk) -> str:
    found = [
        f"partition {part.partition.number}, {describe(part.partition)}, {decimal(part.size)}"
        if part.partition
        else f"{_rest(disk)}, {decimal(part.size)}"
        for part in segments(disk)
    ]
    return f"{_name(disk)}, {decimal(disk.identity.size)}: {', '.join(found)}"


def _rest(disk: Disk) -> str:
    """Return what is outside of partitions: free, or what a disk without a table holds."""
    return "free" if disk.table or is_blank(disk.holds) else disk.holds or "unknown"


def _name(disk: Disk) -> str:
    identity = disk.identity
    return " ".join(filter(None, (disk.model, identity.serial or identity.wwn or identity.path)))


def _disk(disk: Disk, top: int) -> tuple[list[str], int]:
    """Return the drawing of a disk below ``top``, and where it ends."""
    facts = f"{table_of(disk)} · {disk.sector_size}-byte sectors"
    name = for_html(_cut(f"{_name(disk)} · {decimal(disk.identity.size)}", 90))
    facts = for_html(_cut(f"{facts} · {disk.holds}", 110))
    lines = [
        f'<text class="disk" x="{_MARGIN}" y="{top + 22}">{name}</text>',
        f'<text class="note" x="{_MARGIN}" y="{top + 42}">{facts}</text>',
    ]
    parts = segments(disk)
    lines += _bar(parts, _rest(disk), top + 52)
    y = top + 52 + _BAR_HEIGHT + _LINE
    partitions = (part.partition for part in parts if part.partition is not None)
    for partition, colour in zip(partitions, cycle(_COLOURS), strict=False):
        lines += _legend(partition, colour, y)
        y += _LINE
    return lines, y + _MARGIN // 2


def _bar(parts: Sequence[Segment], rest: str, top: int) -> Iterator[str]:
    x = _MARGIN
    colours = cycle(_COLOURS)
    for part, width in zip(parts, widths(parts, _BAR, _NARROWEST), strict=True):
        partition = part.partition
        look = 'class="free"' if partition is None else f'class="part" fill="{next(colours)}"'
        yield f'<rect {look} x="{x}" y="{top}" width="{width}" height="{_BAR_HEIGHT}"/>'
        label, style = (rest, "note") if partition is None else (str(partition.number), "on")
        if partition is not None and _fits(f"{label} {describe(partition)}", width):
            label = f"{label} {describe(partition)}"
        if _fits(label, width):
            yield (
                f'<text class="{style}" x="{x + width / 2:g}" y="{top + 29}" '
                f'text-anchor="middle">{for_html(label)}</text>'
            )
        x += width


def _legend(partition: Partition, colour: str, y: int) -> Iterator[str]:
    text = (
        f"{partition.number} · {describe(partition)} · {decimal(partition.size)} "
        f"from {decimal(partition.start)} · {partition.type}"
    )
    yield f'<rect fill="{colour}" x="{_MARGIN}" y="{y - 12}" width="14" height="14"/>'
    yield f'<text x="{_MARGIN + 24}" y="{y}">{for_html(_cut(text, 110))}</text>'


def _fits(text: str, width: int) -> bool:
    return cell_len(for_terminal(text)) * _CHARACTER + 4 <= width


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
