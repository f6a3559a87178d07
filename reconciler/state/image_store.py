"""Which image store belongs to a state directory, and whether it is there.

The store's folder may be where a file system is mounted. Its identity is in the database, so that
an empty folder below a mount that is away is not taken for an empty store, nor another store for
this one.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import insert, select

from agent.errors import CodedError, UnwritableFileError
from providers.imaging.errors import OtherStoreError, StoreAwayError
from providers.imaging.store import ChunkStore
from providers.imaging.store_identity import FoundStore, found_at
from providers.imaging.store_place import NOT_THERE, OTHER_STORE
from reconciler.errors import StateError
from reconciler.state import schema
from reconciler.state.database import Database

ACTOR = "server"
"""Who decided where no person did."""


class Verdict(Enum):
    """What the folder of the store is."""

    THERE = "there"
    NEW = "new"
    """There never was one: it is made."""
    UNMARKED = "unmarked"
    """It was made by a version that gave stores no identity: it gets one."""
    AWAY = "away"
    OTHER = "other"


def judge(found: FoundStore, known: str, *, had_images: bool) -> Verdict:
    """Return what a folder is, by what lies there and the identity that is known. Pure.

    ``known`` is empty where none is; ``had_images`` says whether the database knows of images.
    """
    if found.identity:
        return Verdict.THERE if known in {"", found.identity} else Verdict.OTHER
    if found.has_content:
        return Verdict.OTHER if known else Verdict.UNMARKED
    return Verdict.AWAY if known or had_images else Verdict.NEW


class ImageStores:
    """Identities of image stores on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self) -> str:
        """Return the identity of the store that is used; empty where none was yet."""
        table = schema.image_store
        query = select(table.c.identity).order_by(table.c.sequence.desc()).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def had_images(self) -> bool:
        """Return whether images were ever taken in."""
        with self._database.reading() as connection:
            return any(
                connection.execute(select(table).limit(1)).first() is not None
                for table in (schema.capture, schema.image_event)
            )

    def record(self, identity: str, actor: str, reason: str, at: datetime) -> None:
        """Note that the store of this identity is used from now on."""
        values = {"identity": identity, "actor": actor, "reason": reason, "at": at}
        with self._database.writing() as connection:
            connection.execute(insert(schema.image_store).values(**values))


class PresentStore(NamedTuple):
    """The store is there."""

    identity: str
    is_read_only: bool


def present_store(
    root: Path,
    stores: ImageStores | None,
    at: datetime,
    look: Callable[[Path], FoundStore] = found_at,
) -> PresentStore:
    """Return the store that lies in a folder; it is made where there never was one.

    Without ``stores``, nothing is known. Raises StoreAwayError (RW444), OtherStoreError (RW445)
    and StateError.
    """
    known = stores.known() if stores else ""
    try:
        found = look(root)
    except StoreAwayError:
        raise
    except OSError as error:
        raise StoreAwayError(root, error.strerror or str(error)) from error
    except CodedError as error:
        raise StoreAwayError(root, error.cause) from error
    verdict = judge(found, known, had_images=stores is not None and stores.had_images())
    if verdict is Verdict.AWAY:
        raise StoreAwayError(root, NOT_THERE)
    if verdict is Verdict.OTHER:
        raise OtherStoreError(root, OTHER_STORE)
    identity = found.identity
    if verdict is Verdict.NEW or (verdict is Verdict.UNMARKED and not found.is_read_only):
        identity = made_store(root)
    if stores and identity != known:
        with suppress(StateError):  # it can be read alone: whoever writes hears of it
            stores.record(identity, ACTOR, f"the first one in {root}", at)
    return PresentStore(identity, found.is_read_only)


def made_store(root: Path) -> str:
    """Make a store, or give one its identity, and return that; StoreAwayError."""
    try:
        return ChunkStore(root).identity
    except UnwritableFileError as error:
        raise StoreAwayError(root, error.cause) from error
    except OSError as error:
        raise StoreAwayError(root, error.strerror or str(error)) from error
