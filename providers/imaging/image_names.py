"""The names of images: what each points to and has pointed to, sets of them, and pins.

::

    tags/<name>                     where a name points, and where it pointed before
    tags/.moving                    names that were moved together: said before each file says so
    images/<digest>/sets.json       the sets that an image belongs to
    images/<digest>/pin.json        why it is kept, whatever becomes of its names
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from agent.whole_file import sync_folder
from providers.imaging.errors import BadNameError, PinnedImageError, UnknownImageError
from providers.imaging.image_folder import MANIFEST, PIN
from providers.imaging.image_record import (
    ImageSet,
    ImageSets,
    Pin,
    Tag,
    TagEntry,
    TagMove,
    encode,
    read,
)
from providers.imaging.store_place import StorePlace

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_MAX_NAME = 120
_SETS = "sets.json"


class ImageNames:
    """The names and pins of a store's images. They change under one lock, for all processes."""

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._moving = place.tag_folder / ".moving"

    def tag(self, name: str, digest: str) -> None:
        """Let ``name`` point to an image from now on; what it pointed to before is kept.

        Raises BadNameError, and UnknownImageError where there is no such image.
        """
        path = self._tag_path(name)
        with self.locked():
            self._require_image(digest)
            tag = self._read_tag(path, name, ()) or Tag(name, ())
            moved = tag.moved_to(digest, self._place.stamp())
            if moved is not tag:
                self._place.write_whole(path, encode(moved))

    def tag_together(self, captured: ImageSet) -> None:
        """Let the names of a set's members point to them from now on: all of them or none.

        It is done once ``tags/.moving`` says so, whatever happens then: readers go by it, and
        whoever changes names next finishes what a crash left. Doing it twice changes nothing.
        Raises BadNameError, and UnknownImageError where there is no such image.
        """
        for member in captured.members:
            self.require_name(member.name)
        with self.locked():
            for member in captured.members:
                self._require_image(member.digest)
            self._place.write_whole(self._moving, encode(captured))
            self._finish_moving()

    def forget(self, name: str, digests: Collection[str]) -> None:
        """Take images out of a name's generations; a name without any is gone.

        Raises PinnedImageError where one of them is pinned; nothing is changed then. The
        images themselves stay until they are collected.
        """
        path = self._tag_path(name)
        with self.locked():
            for digest in digests:
                pin = self.pin_of(digest)
                if pin is not None:
                    raise PinnedImageError(digest, pin.by, pin.at, pin.reason)
            left = tuple(each for each in self.history(name) if each.digest not in digests)
            if left:
                self._place.write_whole(path, encode(Tag(name, left)))
            else:
                path.unlink()
                sync_folder(self._place.tag_folder)

    def resolve(self, name: str) -> str:
        """Return the digest that a name points to; UnknownImageError where none does."""
        return self.history(name)[-1].digest

    def history(self, name: str) -> tuple[TagEntry, ...]:
        """Return everything a name has pointed to, the current image last."""
        return self.tag_of(name).history

    def tag_of(self, name: str) -> Tag:
        """Return a name with everything it has pointed to; UnknownImageError as ``resolve``."""
        tag = self._read_tag(self._tag_path(name), name, self._being_moved())
        if tag is None:
            self._place.require_there()
            raise UnknownImageError(name)
        return tag

    def tags(self) -> tuple[Tag, ...]:
        """Return all names with everything they pointed to, sorted by name."""
        moving = self._being_moved()
        files = self._place.listed(self._place.tag_folder)
        names = {unquote(path.name) for path in files if path.name[0] != "."}
        names.update(each.name for each in moving)
        found = [self._read_tag(self._tag_path(name), name, moving) for name in sorted(names)]
        if None in found:  # a name was removed meanwhile
            self._place.require_there()
        return tuple(tag for tag in found if tag is not None)

    def named(self) -> frozenset[str]:
        """Return all images that a name leads to."""
        return frozenset(entry.digest for tag in self.tags() for entry in tag.history)

    def is_named(self, name: str, digest: str) -> bool:
        """Return whether a name leads to an image."""
        with suppress(UnknownImageError):
            return any(each.digest == digest for each in self.history(name))
        return False

    def require_name(self, name: str) -> None:
        """Raise BadNameError for what cannot be the name of an image."""
        self._tag_path(name)

    def sets_of(self, digest: str, name: str = "") -> tuple[ImageSet, ...]:
        """Return the sets that an image belongs to, under a name or any, the newest first."""
        try:
            return read(ImageSets, self._place.image(digest) / _SETS).under(name, digest)
        except FileNotFoundError:
            self._place.require_there()
            return ()

    @contextmanager
    def locked(self, *, finish: bool = True) -> Iterator[None]:
        """Hold the names as they are; what a crash left of moving some is done first."""
        with self._place.names_locked():
            if finish:
                self._finish_moving()
            yield

    # --- pins -----------------------------------------------------------------

    def pin(self, digest: str, pin: Pin) -> None:
        """Keep an image, whatever becomes of its names; UnknownImageError where there is none."""
        with self.locked():
            self._require_image(digest)
            self._place.write_whole(self._place.image(digest) / PIN, encode(pin))

    def unpin(self, digest: str) -> bool:
        """End a pin; return whether there was one."""
        with self.locked():
            path = self._place.image(digest) / PIN
            if not path.exists():
                return False
            path.unlink()
            sync_folder(path.parent)
            return True

    def pin_of(self, digest: str) -> Pin | None:
        """Return why an image is pinned, None where it is not."""
        try:
            return read(Pin, self._place.image(digest) / PIN)
        except FileNotFoundError:
            return None

    def is_pinned(self, digest: str) -> bool:
        """Return whether an image is pinned; a pin that cannot be read keeps it all the same."""
        return (self._place.image(digest) / PIN).exists()

    # --- inside ---------------------------------------------------------------

    def _require_image(self, digest: str) -> None:
        if not (self._place.image(digest) / MANIFEST).exists():
            self._place.require_there()
            raise UnknownImageError(digest)

    def _tag_path(self, name: str) -> Path:
        if len(name) > _MAX_NAME:
            problem = f"it has {len(name):,} characters"
            raise BadNameError(name, problem, f"Use {_MAX_NAME} characters or fewer")
        if not _NAME.fullmatch(name):
            raise BadNameError(name)
        return self._place.tag_folder / quote(name, safe="")

    def _read_tag(self, path: Path, name: str, moving: Collection[TagMove]) -> Tag | None:
        """Return a name as it is with what is being moved; None where there is no such name."""
        try:
            tag = read(Tag, path)
        except FileNotFoundError:
            tag = Tag(name, ())
        for each in moving:
            if each.name == name:
                tag = tag.moved_to(each.digest, each.at)
        return tag if tag.history else None

    def _being_moved(self) -> tuple[TagMove, ...]:
        try:
            captured = read(ImageSet, self._moving)
        except FileNotFoundError:
            return ()
        return captured.moves

    def _finish_moving(self) -> None:
        """Write what ``tags/.moving`` says; the lock of names is held."""
        if not self._moving.exists():
            return
        captured = read(ImageSet, self._moving)
        for member in captured.members:
            known = [each for each in self.sets_of(member.digest)[::-1] if self._all_there(each)]
            known = [each for each in known if each.run != captured.run]
            path = self._place.image(member.digest) / _SETS
            self._place.write_whole(path, encode(ImageSets((*known, captured))))
        for each in self._being_moved():
            path = self._tag_path(each.name)
            moved = self._read_tag(path, each.name, [each])
            assert moved is not None  # noqa: S101 - it has what it is moved to
            self._place.write_whole(path, encode(moved))
        self._moving.unlink()
        sync_folder(self._place.tag_folder)

    def _all_there(self, captured: ImageSet) -> bool:
        return all(self._place.image(each.digest).exists() for each in captured.members)
