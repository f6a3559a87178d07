"""What the store knows of an image beside its manifest: attrs classes, kept as JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

import cattrs
from attrs import AttrsInstance, frozen

from agent.imaging import growable
from agent.imaging.growable import Growable
from agent.wire.imaged_layout import ImagedLayout
from agent.wire.imaged_system import ImagedSystem
from providers.imaging.errors import DamagedRecordError
from providers.imaging.image_signature import ImageSignature

T = TypeVar("T")
_converter = cattrs.Converter(detailed_validation=False)


RestoreTestState = Literal["proven", "failed", "unproven"]


DAMAGED = "damaged in the store"
"""The first detail of a restore test that failed because the store lost some of the image."""


@frozen
class RestoreTest:
    """The outcome of replaying an image and checking its file systems."""

    ok: bool
    details: tuple[str, ...]
    """One line for each thing that was looked at."""
    at: str
    """ISO 8601, UTC."""
    losses: tuple[str, ...] = ()
    """One line for each place that the captured disk did not give, and whose it was."""

    @property
    def found_damage(self) -> bool:
        """Whether the store had lost some of the image, which it may have again by now."""
        return not self.ok and self.details[:1] == (DAMAGED,)


@frozen
class ImageRecord:
    """Facts of one image that do not change. Bytes."""

    created: str
    """When the store first had it; ISO 8601, UTC."""
    disk_size: int
    sector_size: int
    used_bytes: int
    stored_bytes: int
    """Frames of all its different chunks, those shared with other images included."""
    system: ImagedSystem | None = None
    """As the manifest has it; None where it was not looked for."""
    unreadable_bytes: int = 0
    """Zeros in it because the captured disk did not give them."""
    layout: ImagedLayout | None = None
    """The partitions; None where the record is from before they were kept here."""
    growable: Growable | None = None
    """What of it can grow; None where nobody looked: the image is an older one."""

    @property
    def current_growable(self) -> Growable | None:
        """What can grow, as this version finds it; None where another one looked."""
        made = self.growable
        return made if made and made.version == growable.VERSION else None


@frozen
class Pin:
    """A person's word that an image is kept."""

    by: str
    at: str
    """ISO 8601, UTC."""
    reason: str


@frozen
class SetMember:
    """One image of a set, and the name that it was captured for."""

    name: str
    digest: str


@frozen
class ImageSet:
    """Images of several disks of a machine that one run captured: they belong together."""

    run: str
    """The operation's id."""
    machine: str
    at: str
    """When the names of all were moved to them; ISO 8601, UTC."""
    members: tuple[SetMember, ...]

    @property
    def moves(self) -> "tuple[TagMove, ...]":
        """Return where the members' names point from now on."""
        return tuple(TagMove(each.name, each.digest, self.at) for each in self.members)

    def member(self, name: str, digest: str) -> SetMember | None:
        """Return which member an image is under a name; by its digest alone where none is both."""
        own = SetMember(name, digest)
        if own in self.members:
            return own
        return next((each for each in self.members if each.digest == digest), None)

    def others(self, name: str, digest: str) -> tuple[SetMember, ...]:
        """Return the members besides an image under a name."""
        return self.besides([(name, digest)])

    def besides(self, images: Iterable[tuple[str, str]]) -> tuple[SetMember, ...]:
        """Return the members that none of these images is, which are names with their digests.

        Each is one member: two equal disks have the same image. One of another name is that of
        its digest which is left. What has the name of one counts as there, too.
        """
        named = tuple(SetMember(*each) for each in images)
        left = [each for each in self.members if each not in named]
        for image in named:
            if image not in self.members:
                own = next((each for each in left if each.digest == image.digest), None)
                left = [each for each in left if each is not own]
        names = {each.name for each in named}
        return tuple(each for each in left if each.name not in names)


@frozen
class TagMove:
    """Where a name points once the move is done."""

    name: str
    digest: str
    at: str


@frozen
class ImageSets:
    """The sets that an image belongs to, the newest last: an unchanged disk has the same image."""

    sets: tuple[ImageSet, ...]

    def under(self, name: str, digest: str) -> tuple[ImageSet, ...]:
        """Return those that an image belongs to under a name, the newest first.

        Equal disks of several machines have the same image: it is the set's that has it as that of
        the name. Where no set has the name, these are all.
        """
        newest_first = self.sets[::-1]
        if all(member.name != name for each in newest_first for member in each.members):
            return newest_first
        return tuple(each for each in newest_first if SetMember(name, digest) in each.members)


@frozen
class TagEntry:
    """One image that a name has pointed to."""

    digest: str
    at: str


@frozen
class Tag:
    """A name and everything it has pointed to, the current image last."""

    name: str
    history: tuple[TagEntry, ...]

    @property
    def digest(self) -> str:
        """The image that it points to now."""
        return self.history[-1].digest

    @property
    def generations(self) -> tuple[TagEntry, ...]:
        """The images that it points to and pointed to, each once, the newest first.

        An image that it came back to stands where it is newest.
        """
        newest: dict[str, TagEntry] = {}
        for entry in reversed(self.history):
            newest.setdefault(entry.digest, entry)
        return tuple(newest.values())

    def moved_to(self, digest: str, at: str) -> "Tag":
        """Return the name once it points to an image, which it may do already."""
        if self.history and self.history[-1].digest == digest:
            return self
        return Tag(self.name, (*self.history, TagEntry(digest, at)))


@frozen
class ImageEntry:
    """One line of the list of images."""

    name: str
    digest: str
    created: str
    used_bytes: int
    stored_bytes: int
    disk_size: int
    sector_size: int
    restore_test: RestoreTestState
    problem: str
    """Why it cannot be restored; empty when its restore test passed."""
    generation: int = 0
    """How many generations of the name are newer."""
    generations: int = 1
    """How many the name has."""
    pinned: bool = False
    named_at: str = ""
    """When the name pointed to it last; ISO 8601, UTC."""
    system: ImagedSystem | None = None
    unreadable_bytes: int = 0
    layout: ImagedLayout | None = None
    growable: Growable | None = None
    """The current one of the record."""
    damaged: bool = False
    """Whether a file of it beside its chunks is gone or damaged; ``problem`` says which."""
    sets: tuple[ImageSet, ...] = ()
    """Those that the image belongs to under this name, the newest first."""
    signature: ImageSignature | None = None
    """As it lies there: whoever has the keys says what it is worth."""


def encode(record: AttrsInstance) -> bytes:
    """Return the record as JSON for people to read."""
    return json.dumps(_converter.unstructure(record), indent=1, sort_keys=True).encode()


def read(kind: type[T], path: Path) -> T:
    """Return the record that a file holds; DamagedRecordError, and OSError where there is none."""
    try:
        data = path.read_bytes()
    except (IsADirectoryError, NotADirectoryError) as error:
        raise DamagedRecordError(path) from error
    try:
        return _converter.structure(json.loads(data), kind)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise DamagedRecordError(path) from error
