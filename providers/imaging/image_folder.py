"""The folder of one image: what is known of it, also where a file in it is gone or damaged.

All raise StoreAwayError where the store is away.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from agent.errors import CodedError
from agent.imaging import manifest as manifest_format
from agent.imaging.errors import ManifestError
from agent.imaging.growable import Growable
from agent.imaging.manifest import Manifest
from providers.imaging.errors import DamagedRecordError, StoreAwayError, UnknownImageError
from providers.imaging.image_record import ImageRecord, RestoreTest, read
from providers.imaging.image_signature import ImageSignature

MANIFEST, RECORD, RESTORE_TEST, PIN = "manifest.json", "record.json", "proof.json", "pin.json"
SIGNATURE = "signature.json"
RequireThere = Callable[[], None]
"""Raises StoreAwayError where the store is away: what is not found is not gone then."""


@frozen
class ImageFacts:
    """What is known of an image, as far as it can be read."""

    record: ImageRecord | None
    """The manifest's facts where the record is gone or damaged; None without both."""
    restore_test: RestoreTest | None
    damage: str
    """Which of its files is gone or damaged, as a clause; empty where none is."""


def image_facts(
    folder: Path,
    digest: str,
    size_of_chunks: Callable[[Manifest], int],
    require_there: RequireThere,
) -> ImageFacts:
    """Return what is known of the image with this folder; raises nothing of damage.

    The manifest is read only where there is no record: it may be large.
    """
    damages = []
    record, tested = None, None
    try:
        record = read_record(folder, digest, require_there)
        if not (folder / MANIFEST).is_file():
            require_there()
            damages.append("its manifest is gone")
    except UnknownImageError as error:
        return ImageFacts(None, None, error.cause)
    except DamagedRecordError as error:
        damages.append(error.cause)
        try:
            record = record_again(folder, digest, size_of_chunks, require_there)
        except StoreAwayError:
            raise
        except CodedError as worse:
            damages.append(worse.cause)
    try:
        tested = read_restore_test(folder, require_there)
    except DamagedRecordError as error:
        damages.append(error.cause)
    return ImageFacts(record, tested, "; ".join(damages))


def read_record(folder: Path, digest: str, require_there: RequireThere) -> ImageRecord:
    """Return the record; UnknownImageError without the folder, else DamagedRecordError."""
    path = folder / RECORD
    try:
        return read(ImageRecord, path)
    except FileNotFoundError as error:
        require_there()
        if folder.exists():
            raise DamagedRecordError(path, "is gone") from error
        raise UnknownImageError(digest) from error


def read_restore_test(folder: Path, require_there: RequireThere) -> RestoreTest | None:
    """Return the newest restore test, None where there was none; DamagedRecordError."""
    try:
        return read(RestoreTest, folder / RESTORE_TEST)
    except FileNotFoundError:
        require_there()
        return None


def read_signature(folder: Path, require_there: RequireThere) -> ImageSignature | None:
    """Return the signature, None where there is none; an empty one where its file is damaged."""
    try:
        return read(ImageSignature, folder / SIGNATURE)
    except FileNotFoundError:
        require_there()
        return None
    except DamagedRecordError:
        return ImageSignature("", "", "")


def read_manifest(folder: Path, digest: str, require_there: RequireThere) -> bytes:
    """Return the encoded manifest; UnknownImageError where there is none, ManifestError."""
    try:
        return (folder / MANIFEST).read_bytes()
    except IsADirectoryError as error:
        raise ManifestError("a directory has its place") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        require_there()
        raise UnknownImageError(digest) from error


def record_again(
    folder: Path,
    digest: str,
    size_of_chunks: Callable[[Manifest], int],
    require_there: RequireThere,
) -> ImageRecord:
    """Return the record that the manifest gives; it was stored when that file was written.

    UnknownImageError, ManifestError where there is no good manifest.
    """
    data = read_manifest(folder, digest, require_there)
    if manifest_format.digest(data) != digest:
        raise ManifestError("its content has another digest")
    image = manifest_format.decode(data)
    written = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
    return record_of(image, written.isoformat(timespec="seconds"), size_of_chunks(image))


def record_of(
    image: Manifest, created: str, stored_bytes: int, growable: Growable | None = None
) -> ImageRecord:
    """Return the facts of an image; ``created`` is ISO 8601."""
    return ImageRecord(
        created=created,
        disk_size=image.disk_size,
        sector_size=image.sector_size,
        used_bytes=image.used_bytes,
        stored_bytes=stored_bytes,
        system=image.system,
        unreadable_bytes=image.unreadable_bytes,
        layout=image.layout,
        growable=growable,
    )
