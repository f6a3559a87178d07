"""The list of images as a terminal shows it, and as programs read it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from attrs import asdict
from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from agent.wire.imaged_system import ImagedSystem
from providers.imaging.image_record import ImageEntry
from providers.imaging.image_signature import CheckedSignature
from reconciler.state.image_checks import ImageCheck
from reconciler.views.age import ago
from reconciler.views.image_details import check_document
from reconciler.views.untrusted import for_terminal
from specs.fleet import CompiledImage
from specs.types.display_name import named

WIDE = 100
"""Columns from which all of the table fits."""


def image_table(  # noqa: PLR0913, PLR0917 - all that the list has beside the store
    images: Iterable[ImageEntry],
    now: datetime,
    declared: Mapping[str, CompiledImage],
    width: int = WIDE,
    checks: Mapping[str, ImageCheck] = MappingProxyType({}),
    signatures: Mapping[str, CheckedSignature] = MappingProxyType({}),
) -> Table:
    """Return one row per image; ``declared`` is what the repository says of some, by name.

    ``checks`` is how images were when they were verified last, by digest,
    ``signatures`` what theirs are worth.
    Below ``WIDE`` columns, two of them and some digits of digests are left out.
    """
    is_wide = width >= WIDE
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=not is_wide)
    table.add_column("image", overflow="fold", min_width=12)
    table.add_column("digest", no_wrap=True)
    table.add_column("captured", no_wrap=is_wide, min_width=8)
    if is_wide:
        table.add_column("disk", justify="right", no_wrap=True)
        table.add_column("used", justify="right", no_wrap=True)
    table.add_column("stored", justify="right", no_wrap=True)
    table.add_column("kept", justify="right", no_wrap=True)
    table.add_column("restorable", overflow="fold", min_width=11)
    for image in images:
        sizes = [decimal(image.disk_size), decimal(image.used_bytes)] if is_wide else []
        table.add_row(
            _name(image, declared.get(image.name)),
            for_terminal(image.digest[: 12 if is_wide else 8]),
            ago(datetime.fromisoformat(image.created), now),
            *sizes,
            decimal(image.stored_bytes),
            "" if image.generation else f"{image.generations:,}",
            _restorable(image, checks.get(image.digest), signatures.get(image.digest), now),
        )
    return table


def image_entry(
    image: ImageEntry,
    declared: CompiledImage | None,
    check: ImageCheck | None = None,
    signature: CheckedSignature | None = None,
) -> dict[str, object]:
    """Return an image as JSON has it."""
    return {
        "name": image.name,
        "displayName": declared.display_name if declared else "",
        "description": declared.description if declared else "",
        "generation": image.generation,
        "generations": image.generations,
        "pinned": image.pinned,
        "damaged": image.damaged,
        "digest": image.digest,
        "created": image.created,
        "namedAt": image.named_at,
        "diskSize": image.disk_size,
        "usedBytes": image.used_bytes,
        "unreadableBytes": image.unreadable_bytes,
        "storedBytes": image.stored_bytes,
        "proof": image.restore_test,
        "problem": image.problem,
        "verified": check_document(check),
        "signature": asdict(signature) if signature else None,
        "system": asdict(image.system) if image.system else None,
        "sets": [asdict(each) for each in image.sets],
    }


def _name(image: ImageEntry, declared: CompiledImage | None) -> Text:
    if image.generation:
        return Text(for_terminal(f"{image.name}~{image.generation}"))
    shown = Text(for_terminal(named(declared.display_name if declared else "", image.name)))
    if declared and declared.description:
        shown.append(f"\n{for_terminal(declared.description)}", style="dim")
    if image.system and image.system.name:
        shown.append(f"\n{for_terminal(image.system.name)}", style="dim")
    if image.sets:
        others = ", ".join(each.name for each in image.sets[0].others(image.name, image.digest))
        shown.append(f"\nwith {for_terminal(others)}", style="dim")
    return shown


def _restorable(
    image: ImageEntry,
    check: ImageCheck | None,
    signature: CheckedSignature | None,
    now: datetime,
) -> Text:
    if image.problem:
        shown = Text(for_terminal(image.problem), style="red")
    else:
        shown = Text("proved", style="green")
    if image.unreadable_bytes:
        shown.append(f"\n{image.unreadable_bytes:,} bytes were unreadable", style="yellow")
    if image.pinned:
        shown.append(" · pinned", style="default")
    if check is not None:
        word = "verified" if not check.damages else "found damaged"
        shown.append(f"\n{word} {ago(check.at, now)}", style="red" if check.damages else "dim")
    if signature is not None and signature.state != "good":
        style = "red" if signature.state == "bad" else "yellow"
        shown.append(f"\n{for_terminal(signature.said)}", style=style)
    for each in image.system.obstacles if image.system else ():
        why = for_terminal(f"{each.code}: {each.cause}")
        shown.append(f"\nno identity for clones: {why}", style="yellow")
    return shown


def identity_line(system: ImagedSystem | None, problem: str) -> str:
    """Return whether clones of an image can get an identity; ``problem`` is why nobody knows."""
    if system is None:
        return f"whether a clone of it can get an identity of its own is unknown: {problem}"
    name = f" of {system.name}" if system.name else ""
    if not system.obstacles:
        return f"a clone{name} can get an identity of its own"
    why = "; ".join(f"{each.code}: {each.cause}" for each in system.obstacles)
    return f"no clone{name} can get an identity of its own: {why}"
