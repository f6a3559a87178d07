"""One image as a terminal shows it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.imaging.manifest import ImagedPartition, LogicalVolume, Manifest
from agent.wire.imaged_system import ImagedSystem
from providers.imaging.image_record import ImageEntry
from reconciler.state.image_events import ImageEvent
from reconciler.views.age import ago
from reconciler.views.image_details import CapturedWith, ImageDetails, Use
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted

_INDENT = 2
_NARROW = 100
_NAMED = 5
_LOSSES = 20


def image_parts(details: ImageDetails, now: datetime, width: int) -> Iterator[RenderableType]:
    """Yield the image's sections for a terminal of this width."""
    yield Text(f"image {details.digest}", style="bold")
    yield _pairs(_head(details, now))
    image = details.manifest
    yield from _section("Disk", [_pairs(_disk(image)), _partitions(image, width)])
    if image.volumes:
        volumes = ((f"{each.group}/{each.name}", *_kept(each)) for each in image.volumes)
        yield from _section("Volumes", [_table(("volume", "holds", "kept"), volumes)])
    if image.unreadable:
        yield from _section("Unreadable", list(_unreadable(details)))
    yield from _section("System", list(_system(image.system)))
    if details.restore_test is not None:
        lines = [_line(each) for each in details.restore_test.details]
        yield from _section("Restore test", lines)
    if details.generations:
        name = details.generations[0].name
        rows = (_generation(each, details.digest, now) for each in details.generations)
        yield from _section(f"Generations of {for_terminal(name)}", [_pairs(rows)])
    if details.uses is not None:
        yield from _section("Documents", [_pairs(map(_use, details.uses))])
    if details.events:
        acts = map(_act, details.events)
        yield from _section("Acts (UTC)", [_table(("at", "what", "who", "why"), acts)])


def _head(details: ImageDetails, now: datetime) -> Iterator[tuple[str, str]]:
    record, test, pin = details.record, details.restore_test, details.pin
    yield "names", ", ".join(each.reference for each in details.names) or "none"
    yield "captured", f"{_minute(record.created)} ({ago(_time(record.created), now)})"
    for each in details.captured:
        yield "from", f"{each.machine}, scenario {each.scenario}, operation {each.operation[:12]}"
    yield from _together(details.together)
    yield (
        "size",
        (
            f"disk {decimal(record.disk_size)} · used {decimal(record.used_bytes)} · stored "
            f"{decimal(record.stored_bytes)} · manifest {decimal(details.manifest_size)}"
        ),
    )
    if details.damage:
        yield "restorable", f"no, it is damaged: {details.damage}"
    elif test is None:
        yield "restorable", "no restore test was made of it yet"
    else:
        word = "proved" if test.ok else "no, its restore test failed"
        yield "restorable", f"{word} ({_minute(test.at)})"
    check = details.check
    if check is not None:
        word = "whole" if not check.damages else f"{counted(check.damages, 'chunk')} damaged"
        yield "verified", f"{word} ({check.at:%Y-%m-%d %H:%M} UTC, by {check.actor})"
    yield "signed", details.signature.said
    if pin is not None:
        yield "pinned", f"by {pin.by} at {_minute(pin.at)}: {pin.reason}"


def _together(members: Sequence[CapturedWith]) -> Iterator[tuple[str, str]]:
    """Yield what the newest set has besides, and how many older ones there are."""
    if not members:
        return
    newest = [each for each in members if each.run == members[0].run]
    for each in newest:
        now = ", ".join(name.reference for name in each.names) or "without a name"
        if not each.is_there:
            now = "deleted"
        yield "together with", f"{each.name} {each.digest[:12]} ({now}), set {each.run[:12]}"
    older = len({each.run for each in members}) - 1
    if older:
        yield "", f"and in {older:,} older set{'s' if older > 1 else ''}: this disk did not change"


def _disk(image: Manifest) -> Iterator[tuple[str, str]]:
    yield "size", f"{image.disk_size:,} bytes, sectors of {image.sector_size:,}"
    yield (
        "table",
        "none: one file system on the whole disk" if image.table == "none" else image.table,
    )
    firmware = image.firmware
    boots = [name for name, is_so in (("BIOS", firmware.bios), ("UEFI", firmware.uefi)) if is_so]
    yield "boots by", " and ".join(boots) or "nothing that was recognised"
    for each in firmware.entries:
        yield "boot entry", f"{each.label}: partition {each.partition}, {each.loader}"


def _partitions(image: Manifest, width: int) -> RenderableType:
    is_wide = width >= _NARROW
    rows = (
        (
            str(each.number),
            decimal(each.start),
            decimal(each.size),
            *_kept(each),
            *([each.uuid] if is_wide else []),
        )
        for each in image.partitions
    )
    titles = ("#", "start", "size", "holds", "kept", *(["PARTUUID"] if is_wide else []))
    return _table(titles, rows)


def _kept(part: ImagedPartition | LogicalVolume) -> tuple[str, str]:
    """Return what a partition or volume holds, and how much of it was kept and why."""
    label = f" “{part.label}”" if part.label else ""
    holds = f"{part.filesystem or 'nothing that was recognised'}{label}"
    return holds, f"all of it: {part.reason}" if part.reason else part.method


def _unreadable(details: ImageDetails) -> Iterator[RenderableType]:
    image, test = details.manifest, details.restore_test
    yield _line(
        f"{image.unreadable_bytes:,} bytes in {len(image.unreadable):,} place(s) could not be read "
        "from the disk. They are zeros in the image, and on what it is restored to.",
        "yellow",
    )
    lines = test.losses if test is not None else ()
    yield from (_line(each) for each in lines[:_LOSSES])
    if len(lines) > _LOSSES:
        yield _line(f"and {len(lines) - _LOSSES:,} more; JSON has all")


def _system(system: ImagedSystem | None) -> Iterator[RenderableType]:
    if system is None:
        yield _line("not looked for")
        return
    rows = {
        "name": system.name or "no system was found",
        "root": system.root,
        "init": system.init,
        "network": system.network,
    }
    yield _pairs((name, value) for name, value in rows.items() if value)
    if not system.obstacles:
        yield _line("a clone can get an identity of its own")
    for each in system.obstacles:
        yield _line(f"{each.code}: {each.cause}. {each.action}.", "yellow")


def _generation(each: ImageEntry, shown: str, now: datetime) -> tuple[str, str]:
    word = {"proven": "proved", "failed": "cannot be restored"}.get(each.restore_test, "not tested")
    facts = [each.digest[:12], ago(_time(each.named_at), now), decimal(each.stored_bytes), word]
    facts += ["lossy"] if each.unreadable_bytes else []
    facts += ["pinned"] if each.pinned else []
    facts += ["this one"] if each.digest == shown else []
    name = f"{each.name}~{each.generation}" if each.generation else each.name
    return name, " · ".join(facts)


def _use(each: Use) -> tuple[str, str]:
    named = ", ".join(each.machines[:_NAMED])
    more = len(each.machines) - _NAMED
    rest = f" and {more:,} more" if more > 0 else ""
    verb = "restores" if each.action == "restore" else "writes"
    return (
        each.scenario,
        f"{verb} {each.image}; {f'{named}{rest}' if named else 'no machine has it'}",
    )


def _act(each: ImageEvent) -> tuple[str, ...]:
    what = f"{each.what} {each.name}" if each.name else each.what
    return f"{each.at:%Y-%m-%d %H:%M}", what, each.actor, each.reason


def _section(title: str, parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold")
    yield from parts


def _line(text: str, style: str = "") -> Padding:
    return Padding(Text(for_terminal(text), style=style), (0, 0, 0, _INDENT), expand=False)


def _pairs(rows: Iterable[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(for_terminal(name), Text(for_terminal(value)))
    return Padding(grid, (0, 0, 0, _INDENT), expand=False)


def _table(titles: Iterable[str], rows: Iterable[tuple[str, ...]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(for_terminal(value)) for value in row))
    return Padding(table, (0, 0, 0, _INDENT), expand=False)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _minute(text: str) -> str:
    return f"{_time(text):%Y-%m-%d %H:%M} UTC"
