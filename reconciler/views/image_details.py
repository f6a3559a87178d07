"""Everything about one image, and how programs read it."""

from typing import NamedTuple

from attrs import asdict

from agent.imaging.manifest import Manifest
from providers.imaging.image_record import ImageEntry, ImageRecord, Pin, RestoreTest
from providers.imaging.image_signature import CheckedSignature
from reconciler.state.captures import CapturedFrom
from reconciler.state.image_checks import ImageCheck
from reconciler.state.image_events import ImageEvent


class Use(NamedTuple):
    """A step of a scenario that restores or writes an image."""

    scenario: str
    action: str
    """``restore`` or ``backup``."""
    image: str
    """The name by which it is restored, which means its newest generation, or written."""
    machines: tuple[str, ...]
    """Those that the scenario is assigned to, or scheduled for, sorted."""


class ImageName(NamedTuple):
    """A name that leads to an image."""

    name: str
    generation: int
    """How many generations are newer."""

    @property
    def reference(self) -> str:
        """Return it as people write it."""
        return f"{self.name}~{self.generation}" if self.generation else self.name


class CapturedWith(NamedTuple):
    """An image of another disk that one run captured together with this one."""

    run: str
    """The operation's id."""
    machine: str
    at: str
    """ISO 8601, UTC."""
    name: str
    digest: str
    names: tuple[ImageName, ...]
    """Those that lead to it now; without any, it is deleted by the next collection, or was."""
    is_there: bool
    """Whether the store has it."""


class ImageDetails(NamedTuple):
    """Everything about one image."""

    digest: str
    manifest: Manifest
    manifest_size: int
    record: ImageRecord
    restore_test: RestoreTest | None
    damage: str
    """Which of its files beside its chunks is gone or damaged; empty where none is."""
    signature: CheckedSignature
    pin: Pin | None
    names: tuple[ImageName, ...]
    generations: tuple[ImageEntry, ...]
    """Of the name by which it was asked for, else of its first name; the newest first."""
    captured: tuple[CapturedFrom, ...]
    together: tuple[CapturedWith, ...]
    """By set, the newest first: an unchanged disk has the same image in several."""
    events: tuple[ImageEvent, ...]
    check: ImageCheck | None
    """None where it was never verified."""
    uses: tuple[Use, ...] | None
    """None where no repository was named."""


def image_document(details: ImageDetails) -> dict[str, object]:
    """Return the image as JSON has it."""
    image, test, pin = details.manifest, details.restore_test, details.pin
    return {
        "digest": details.digest,
        "names": [each._asdict() for each in details.names],
        "record": asdict(details.record),
        "restoreTest": None if test is None else asdict(test),
        "damage": details.damage,
        "signature": asdict(details.signature),
        "verified": check_document(details.check),
        "pin": None if pin is None else asdict(pin),
        "disk": {"size": image.disk_size, "sectorSize": image.sector_size, "table": image.table},
        "firmware": asdict(image.firmware),
        "partitions": [asdict(each) for each in image.partitions],
        "volumes": [
            asdict(each, filter=lambda field, _: field.name != "extents") for each in image.volumes
        ],
        "unreadable": [each._asdict() for each in image.unreadable],
        "system": None if image.system is None else asdict(image.system),
        "chunks": image.chunk_count,
        "generations": [
            {
                "digest": each.digest,
                "at": each.named_at,
                "proof": each.restore_test,
                "unreadableBytes": each.unreadable_bytes,
            }
            for each in details.generations
        ],
        "captured": [each._asdict() for each in details.captured],
        "capturedWith": [
            {**each._asdict(), "names": [name._asdict() for name in each.names]}
            for each in details.together
        ],
        "acts": [{**each._asdict(), "at": each.at.isoformat()} for each in details.events],
        "uses": None if details.uses is None else [each._asdict() for each in details.uses],
    }


def check_document(check: ImageCheck | None) -> dict[str, object] | None:
    """Return how an image was when it was verified last; None where it never was."""
    if check is None:
        return None
    return {
        "at": check.at.isoformat(),
        "by": check.actor,
        "damages": check.damages,
        "detail": check.detail,
    }
