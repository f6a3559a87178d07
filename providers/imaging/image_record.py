"""What the store knows of an image beside its manifest: attrs classes, kept as JSON."""

import json
from pathlib import Path
from typing import Literal, TypeVar

import cattrs
from attrs import AttrsInstance, frozen

from agent.imaging import outline
from agent.imaging.outline import Outline
from agent.wire.imaged_layout import ImagedLayout
from agent.wire.imaged_system import ImagedSystem
from providers.imaging.errors import DamagedRecordError

T = TypeVar("T")
_converter = cattrs.Converter(detailed_validation=False)


RestoreTestState = Literal["proven", "failed", "unproven"]


@frozen
class RestoreTest:
    """The outcome of replaying an image and checking its file systems."""

    ok: bool
    details: tuple[str, ...]
    """One line for each thing that was looked at."""
    at: str
    """ISO 8601, UTC."""


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
    layout: ImagedLayout | None = None
    """The partitions; None where the record is from before they were kept here."""
    outline: Outline | None = None
    """What of it can grow; None where nobody looked: the image is an older one."""

    @property
    def current_outline(self) -> Outline | None:
        """The outline as this version makes it; None where an earlier one did."""
        made = self.outline
        return made if made and made.version == outline.VERSION else None


@frozen
class Pin:
    """A person's word that an image is kept."""

    by: str
    at: str
    """ISO 8601, UTC."""
    reason: str


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
    layout: ImagedLayout | None = None
    outline: Outline | None = None
    """The current one of the record."""
    damaged: bool = False
    """Whether a file of it beside its chunks is gone or damaged; ``problem`` says which."""


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
