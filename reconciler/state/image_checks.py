"""How the image store was found: its scrubs, and each image when it was verified last."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from providers.imaging.verification import Damage
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.image_events import ImageEvent, ImageEvents

SCRUB = "scrub"
"""Who verified an image that no person did."""
DAMAGED_IMAGE = "RW995"
"""The fault of an image that was found damaged, until it can be restored again or is gone."""
WHOLE_AGAIN = "it is whole again, and is restored only after a restore test"
"""The cause of that fault once a damaged image was verified whole."""
_MOST_EVENTS = 20
"""Damages of one image that its history keeps of one finding."""


class ImageCheck(NamedTuple):
    """What an image was like when it was verified last."""

    digest: str
    at: datetime
    actor: str
    damages: int
    """How many chunks of it are damaged, its manifest included; 0: it is whole."""
    detail: str
    """Image, chunk and range of the first damage, as a line for people."""


class ImageScrub(NamedTuple):
    """One reading of the whole store."""

    sequence: int
    started: datetime
    ended: datetime | None
    """None: it is under way, or goes on when the server starts."""
    folder: int
    """Chunks whose digests begin with a smaller number, in four hex digits, were read."""
    chunks: int
    size: int
    """Bytes that were read."""
    damages: int

    @property
    def percent(self) -> int:
        """Return how far it is: digests are spread evenly."""
        return 100 if self.ended else min(99, self.folder * 100 >> 16)


_CHECK = schema.image_check
_CHECK_COLUMNS = tuple(_CHECK.c[name] for name in ImageCheck._fields)
_SCRUB = schema.image_scrub
_SCRUB_COLUMNS = tuple(_SCRUB.c[name] for name in ImageScrub._fields)


class ImageChecks:
    """Verifications of single images on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events = ImageEvents(database)

    def record(self, checks: Iterable[ImageCheck]) -> None:
        """Keep what images were like; the last word on each counts."""
        with self._database.writing() as connection:
            for each in checks:
                values = each._asdict()
                connection.execute(
                    upsert(_CHECK)
                    .values(values)
                    .on_conflict_do_update(index_elements=["digest"], set_=values)
                )

    def record_damages(
        self, damages: Collection[Damage], news: Iterable[Damage], actor: str, at: datetime
    ) -> None:
        """Keep all that is wrong with some images; ``news`` of it goes into their history."""
        events: dict[str, list[ImageEvent]] = {}
        for each in news:
            of_image = events.setdefault(each.image, [])
            if len(of_image) < _MOST_EVENTS:
                of_image.append(ImageEvent("damaged", each.image, "", at, actor, each.line))
        self._events.record(*(each for of_image in events.values() for each in of_image))
        chunks: dict[str, dict[str, str]] = {}
        for each in damages:
            chunks.setdefault(each.image, {}).setdefault(each.chunk, each.line)
        self.record(
            ImageCheck(image, at, actor, len(lines), next(iter(lines.values())))
            for image, lines in chunks.items()
        )

    def all(self) -> dict[str, ImageCheck]:
        """Return by digest how each image was."""
        with self._database.reading() as connection:
            rows = connection.execute(select(*_CHECK_COLUMNS))
            return {row.digest: ImageCheck(*row) for row in rows}

    def of_image(self, digest: str) -> ImageCheck | None:
        """Return how an image was; None where it was never verified."""
        query = select(*_CHECK_COLUMNS).where(_CHECK.c.digest == digest)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else ImageCheck(*row)

    def damaged(self) -> tuple[ImageCheck, ...]:
        """Return the images that were damaged, the oldest finding first."""
        query = select(*_CHECK_COLUMNS).where(_CHECK.c.damages > 0)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_CHECK.c.at, _CHECK.c.digest))
            return tuple(ImageCheck(*row) for row in rows)

    def keep(self, digests: Collection[str]) -> None:
        """Forget the images that the store has no more."""
        gone = [{"gone": each} for each in self.all().keys() - frozenset(digests)]
        if gone:
            with self._database.writing() as connection:
                connection.execute(delete(_CHECK).where(_CHECK.c.digest == bindparam("gone")), gone)


class ImageScrubs:
    """Scrubs on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> ImageScrub | None:
        """Return the scrub that is under way, or ended last."""
        return self._first(select(*_SCRUB_COLUMNS))

    def ended(self) -> ImageScrub | None:
        """Return the scrub that ended last."""
        return self._first(select(*_SCRUB_COLUMNS).where(_SCRUB.c.ended.is_not(None)))

    def begin(self, at: datetime) -> ImageScrub:
        """Note that a scrub begins."""
        first = {"folder": 0, "chunks": 0, "size": 0, "damages": 0}
        with self._database.writing() as connection:
            connection.execute(insert(_SCRUB).values(started=at, **first))
        begun = self.newest()
        assert begun is not None  # noqa: S101 - it was just written
        return begun

    def record(self, scrub: ImageScrub) -> None:
        """Note how far a scrub is."""
        values = scrub._asdict()
        statement = update(_SCRUB).where(_SCRUB.c.sequence == values.pop("sequence"))
        with self._database.writing() as connection:
            connection.execute(statement.values(**values))

    def _first(self, query: Select[Any]) -> ImageScrub | None:
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(_SCRUB.c.sequence.desc()).limit(1)).first()
        return None if row is None else ImageScrub(*row)
