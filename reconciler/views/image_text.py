"""Images as a terminal shows them."""

from collections.abc import Iterable
from datetime import datetime

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from providers.imaging.image_record import ImageEntry
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal


def image_table(images: Iterable[ImageEntry], now: datetime) -> Table:
    """Return one row per image."""
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
            Text(for_terminal(image.name)),
            Text(for_terminal(image.digest[:12])),
            ago(datetime.fromisoformat(image.created), now),
            decimal(image.disk_size),
            decimal(image.used_bytes),
            decimal(image.stored_bytes),
            Text(for_terminal(image.problem), style="red")
            if image.problem
            else Text("proved", style="green"),
        )
    return table
