"""Images as a terminal shows them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from providers.imaging.image_record import ImageEntry
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal
from specs.fleet import CompiledImage
from specs.types.display_name import named


def image_table(
    images: Iterable[ImageEntry], now: datetime, declared: Mapping[str, CompiledImage]
) -> Table:
    """Return one row per image; ``declared`` is what the repository says of some, by name."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("image", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    table.add_column("captured", no_wrap=True)
    table.add_column("disk", justify="right", no_wrap=True)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("stored", justify="right", no_wrap=True)
    table.add_column("restorable", overflow="fold")
    for image in images:
        table.add_row(
            _name(image, declared.get(image.name)),
            Text(for_terminal(image.digest[:12])),
            ago(datetime.fromisoformat(image.created), now),
            decimal(image.disk_size),
            decimal(image.used_bytes),
            decimal(image.stored_bytes),
            _restorable(image),
        )
    return table


def _name(image: ImageEntry, declared: CompiledImage | None) -> Text:
    shown = Text(for_terminal(named(declared.display_name if declared else "", image.name)))
    if declared and declared.description:
        shown.append(f"\n{for_terminal(declared.description)}", style="dim")
    if image.system and image.system.name:
        shown.append(f"\n{for_terminal(image.system.name)}", style="dim")
    return shown


def _restorable(image: ImageEntry) -> Text:
    if image.problem:
        shown = Text(for_terminal(image.problem), style="red")
    else:
        shown = Text("proved", style="green")
    for each in image.system.obstacles if image.system else ():
        why = for_terminal(f"{each.code}: {each.cause}")
        shown.append(f"\nno identity for clones: {why}", style="yellow")
    return shown
