"""What people and retention did with images, in the order it happened."""

from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import insert, select

from reconciler.state import schema
from reconciler.state.database import Database

Act = Literal["tag", "pin", "unpin", "remove", "import", "shrink", "sign", "collect", "damaged"]


class ImageEvent(NamedTuple):
    """One act."""

    what: Act
    digest: str
    name: str
    """The name that it was about; empty where it was about the image itself."""
    at: datetime
    actor: str
    reason: str


_TABLE = schema.image_event
_COLUMNS = tuple(_TABLE.c[name] for name in ImageEvent._fields)


class ImageEvents:
    """Acts on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *events: ImageEvent) -> None:
        """Keep what was done, all or nothing."""
        if not events:
            return
        with self._database.writing() as connection:
            connection.execute(insert(_TABLE), [each._asdict() for each in events])

    def of_image(self, digest: str) -> tuple[ImageEvent, ...]:
        """Return what was done with an image, oldest first."""
        query = select(*_COLUMNS).where(_TABLE.c.digest == digest).order_by(_TABLE.c.sequence)
        with self._database.reading() as connection:
            return tuple(ImageEvent(*row) for row in connection.execute(query))
