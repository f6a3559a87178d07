"""The manifest: what an image is. Pure.

Its canonical JSON's BLAKE3-256 is the image's identity, so nothing may enter it
that is not a property of the captured disk or of the firmware's boot entries for
it: no time, no name, no host. The form on the wire is described in
``docs/reference/image-format.md``, the reasons for it in
``docs/decisions/0003-chunk-format.md``.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, TypeVar, cast

import attrs
import blake3
from attrs import asdict, field, frozen

from agent.imaging import gpt
from agent.imaging.chunk import Chunk, count_spans, spans
from agent.imaging.errors import ManifestError
from agent.imaging.extent import Extent, merged, total, without
from agent.imaging.table import Region
from agent.wire.imaged_layout import ImagedLayout, PartitionPlace
from agent.wire.imaged_system import ImagedSystem, Obstacle

MAX_MANIFEST_SIZE = 256 << 20
"""Bytes of JSON: several million chunks. A larger document is refused unread."""

R = TypeVar("R", bound=attrs.AttrsInstance)

TABLES = ("gpt", "mbr", "none")
OMITTED = "omitted"
"""The method of a partition that was not chosen: nothing of it is in the image."""
METHODS = ("used-blocks", "full-sector", OMITTED)
REGION_KINDS = (
    "boot-sector",
    "gpt-header",
    "gpt-entries",
    "gpt-backup-entries",
    "gpt-backup-header",
    "ebr",
)

_DIGEST_BYTES = 32
_MAX_DISK_SIZE = 1 << 60
_MAX_TEXT = 500
_MAX_REGIONS = 1000
_MAX_PARTITIONS = 1000
_MAX_VOLUMES = 10_000
_VOLUMES_SINCE = 2
_OMITTED_SINCE = 3
_UNREADABLE_SINCE = 3
_SECTOR_SIZES = (512, 1024, 2048, 4096)


@frozen
class BootEntry:
    """A UEFI boot entry that started something on this disk."""

    label: str
    partition: int
    loader: str
    """Path on that partition, as firmware writes it: ``\\EFI\\debian\\shimx64.efi``."""


@frozen
class Firmware:
    """Which firmware the disk looks bootable for. Hints, not promises."""

    bios: bool
    uefi: bool
    entries: tuple[BootEntry, ...] = ()


@frozen
class ImagedPartition:
    """One partition, or the whole disk as number 0 where it has no table."""

    number: int
    start: int
    size: int
    type: str
    uuid: str
    filesystem: str
    """As blkid names it; empty where it recognised none."""
    label: str
    method: str
    """``used-blocks``, ``full-sector``, or ``omitted`` since version 3."""
    reason: str
    """Why every sector was kept; empty with ``used-blocks``."""

    @property
    def extent(self) -> Extent:
        """Where it lies."""
        return Extent(self.start, self.size)


@frozen
class LogicalVolume:
    """A volume of LVM whose extents lie on this disk. Bytes.

    What it holds lies in the partitions that are physical volumes, in the order of
    ``extents``.
    """

    group: str
    name: str
    uuid: str
    filesystem: str
    label: str
    method: str
    reason: str
    """As of an ``ImagedPartition``."""
    extents: tuple[Extent, ...] = field(repr=False)
    """Where its bytes lie on the disk, from its first to its last; they may go back and forth.

    Empty where they are not all on this disk, or the volume is built of other volumes.
    """


@frozen
class Manifest:
    """One image. Offsets and sizes are bytes of the disk."""

    VERSION: ClassVar[int] = 3
    disk_size: int
    sector_size: int
    table: str
    """``gpt``, ``mbr`` or ``none``."""
    firmware: Firmware
    regions: tuple[Region, ...] = field(repr=False)
    """The sectors of the partition table, in disk order, ``boot-sector`` first."""
    partitions: tuple[ImagedPartition, ...]
    used: tuple[Extent, ...] = field(repr=False)
    """Sorted and merged; the image promises these bytes and no others."""
    digests: bytes = field(repr=False)
    """32 bytes for every chunk with a used range, in disk order."""
    volumes: tuple[LogicalVolume, ...] = ()
    """Sorted by group and name. Since version 2."""
    system: ImagedSystem | None = None
    """None where it was not looked for. Since version 2."""
    unreadable: tuple[Extent, ...] = field(default=(), repr=False)
    """Sorted and merged parts of ``used`` that the disk did not give: zeros. Since version 3."""
    version: int = VERSION
    """Of the form: an older image keeps its own, which its digest depends on."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in disk order."""
        digests = self.digests
        for index, span in enumerate(spans(self.used, self.disk_size)):
            start = index * _DIGEST_BYTES
            yield Chunk(span, digests[start : start + _DIGEST_BYTES].hex())

    @property
    def chunk_count(self) -> int:
        """How many chunks ``chunks`` yields."""
        return len(self.digests) // _DIGEST_BYTES

    @property
    def used_bytes(self) -> int:
        """Bytes that the image promises."""
        return total(self.used)

    @property
    def layout(self) -> ImagedLayout:
        """What restores of single partitions compare with the disk."""
        places = [PartitionPlace(p.number, p.start, p.size, p.type) for p in self.partitions]
        omitted = tuple(part.number for part in self.partitions if part.method == OMITTED)
        return ImagedLayout(self.table, tuple(places), omitted)

    @property
    def unreadable_bytes(self) -> int:
        """Bytes of those that are zeros because the disk did not give them."""
        return total(self.unreadable)

    def region(self, kind: str) -> Region | None:
        """Return the first region of this kind."""
        return next((region for region in self.regions if region.kind == kind), None)


def digest(data: bytes) -> str:
    """Return the identity of the image that an encoded manifest describes."""
    return blake3.blake3(data).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """Return the canonical JSON: sorted keys, no spaces, ASCII, one line."""
    return json.dumps(_document(manifest), sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Manifest:
    """Return the manifest that ``data`` holds.

    Raises ManifestError for anything but the canonical encoding of a manifest
    whose sizes, bounds and order hold.
    """
    if len(data) > MAX_MANIFEST_SIZE:
        raise ManifestError(f"{len(data)} bytes, at most {MAX_MANIFEST_SIZE} are allowed")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError("it is no JSON") from error
    manifest = _manifest(_Fields("", document))
    check(manifest)
    if encode(manifest) != data:
        raise ManifestError("it is not in canonical form")
    return manifest


def check(manifest: Manifest) -> None:
    """Raise ManifestError where sizes, bounds, order or overlaps do not hold."""
    for problem in _problems(manifest):
        raise ManifestError(problem)


# --- the document -------------------------------------------------------------


def _document(manifest: Manifest) -> dict[str, object]:
    document: dict[str, object] = {
        "version": manifest.version,
        "disk": {"size": manifest.disk_size, "sectorSize": manifest.sector_size},
        "table": manifest.table,
        "firmware": asdict(manifest.firmware),
        "regions": [
            {
                "kind": region.kind,
                "offset": region.offset,
                "raw": base64.b64encode(region.raw).decode("ascii"),
            }
            for region in manifest.regions
        ],
        "partitions": [asdict(partition) for partition in manifest.partitions],
        "used": _flattened(manifest.used),
        "digests": base64.b64encode(manifest.digests).decode("ascii"),
    }
    if manifest.version >= _VOLUMES_SINCE:
        document["volumes"] = [_volume_document(volume) for volume in manifest.volumes]
        document["system"] = _system_document(manifest.system)
    if manifest.version >= _UNREADABLE_SINCE:
        document["unreadable"] = _flattened(manifest.unreadable)
    return document


def _system_document(system: ImagedSystem | None) -> dict[str, object] | None:
    """Return the system; without ``alone`` where nothing is on other disks."""
    if system is None:
        return None
    document = asdict(system)
    if not system.alone:
        del document["alone"]
    return document


def _volume_document(volume: LogicalVolume) -> dict[str, object]:
    extents = [number for extent in volume.extents for number in extent]
    return {**asdict(volume, recurse=False), "extents": extents}


def _flattened(extents: tuple[Extent, ...]) -> list[int]:
    """Return gap, length, gap, length …: a gap counts from the end of the extent before."""
    flat: list[int] = []
    position = 0
    for extent in extents:
        flat += (extent.offset - position, extent.length)
        position = extent.offset + extent.length
    return flat


def _unflattened(name: str, flat: list[int]) -> tuple[Extent, ...]:
    if len(flat) % 2:
        raise ManifestError(f"{name} holds an odd number of values")
    extents = []
    position = 0
    for index in range(0, len(flat), 2):
        gap, length = flat[index], flat[index + 1]
        if length <= 0 or gap < (1 if index else 0):
            raise ManifestError(f"{name}: gap {gap} and length {length} after offset {position}")
        extents.append(Extent(position + gap, length))
        position += gap + length
    return tuple(extents)


class _Fields:
    """A JSON object whose fields are taken with their types."""

    def __init__(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise ManifestError(f"{name or 'the document'} is no object")
        self._name = name
        self._value = cast("dict[str, object]", value)

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _take(self, key: str, kind: type) -> Any:  # noqa: ANN401 - the callers state the type
        value = self._value.get(key)
        if type(value) is not kind:  # bool is an int, but not here
            raise ManifestError(f"{self._path(key)} is no {kind.__name__}")
        return value

    def number(self, key: str) -> int:
        return cast("int", self._take(key, int))

    def text(self, key: str) -> str:
        value = cast("str", self._take(key, str))
        if len(value) > _MAX_TEXT:
            raise ManifestError(f"{self._path(key)} has {len(value)} characters")
        if not value.isprintable():  # it reaches terminals and logs
            raise ManifestError(f"{self._path(key)} holds unprintable characters")
        return value

    def flag(self, key: str) -> bool:
        return cast("bool", self._take(key, bool))

    def raw(self, key: str) -> bytes:
        try:
            return base64.b64decode(self._take(key, str), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ManifestError(f"{self._path(key)} is no base64") from error

    def numbers(self, key: str) -> list[int]:
        values = self._take(key, list)
        if not all(type(value) is int for value in values):
            raise ManifestError(f"{self._path(key)} holds something else than integers")
        return cast("list[int]", values)

    def object(self, key: str) -> "_Fields":
        return _Fields(self._path(key), self._value.get(key))

    def has(self, key: str) -> bool:
        return key in self._value

    def optional(self, key: str) -> "_Fields | None":
        return None if self._value.get(key) is None else self.object(key)

    def objects(self, key: str, limit: int) -> "list[_Fields]":
        values = self._take(key, list)
        if len(values) > limit:
            raise ManifestError(f"{self._path(key)} has {len(values)} elements")
        return [_Fields(f"{self._path(key)}[{i}]", value) for i, value in enumerate(values)]

    def record(self, kind: type[R]) -> R:
        """Return a record whose fields are numbers and texts under the same names here."""
        take = {int: self.number, str: self.text}
        return kind(**{each.name: take[each.type](each.name) for each in attrs.fields(kind)})


def _volume(fields: _Fields) -> LogicalVolume:
    numbers = fields.numbers("extents")
    if len(numbers) % 2:
        raise ManifestError("volumes: extents holds an odd number of values")
    return LogicalVolume(
        **{each.name: fields.text(each.name) for each in attrs.fields(LogicalVolume)[:-1]},
        extents=tuple(map(Extent, numbers[::2], numbers[1::2])),
    )


def _system(fields: _Fields | None) -> ImagedSystem | None:
    if fields is None:
        return None
    return ImagedSystem(
        **{each.name: fields.text(each.name) for each in attrs.fields(ImagedSystem)[:-2]},
        obstacles=tuple(each.record(Obstacle) for each in fields.objects("obstacles", _MAX_TEXT)),
        alone=tuple(
            each.record(Obstacle)
            for each in (fields.objects("alone", _MAX_TEXT) if fields.has("alone") else ())
        ),
    )


def _manifest(fields: _Fields) -> Manifest:
    version = fields.number("version")
    if not 1 <= version <= Manifest.VERSION:
        raise ManifestError(f"version {version}, this program reads 1 to {Manifest.VERSION}")
    newer = version >= _VOLUMES_SINCE
    disk = fields.object("disk")
    firmware = fields.object("firmware")
    return Manifest(
        disk_size=disk.number("size"),
        sector_size=disk.number("sectorSize"),
        table=fields.text("table"),
        firmware=Firmware(
            bios=firmware.flag("bios"),
            uefi=firmware.flag("uefi"),
            entries=tuple(
                entry.record(BootEntry) for entry in firmware.objects("entries", _MAX_PARTITIONS)
            ),
        ),
        regions=tuple(
            Region(region.text("kind"), region.number("offset"), region.raw("raw"))
            for region in fields.objects("regions", _MAX_REGIONS)
        ),
        partitions=tuple(
            partition.record(ImagedPartition)
            for partition in fields.objects("partitions", _MAX_PARTITIONS)
        ),
        used=_unflattened("used", fields.numbers("used")),
        digests=fields.raw("digests"),
        volumes=tuple(map(_volume, fields.objects("volumes", _MAX_VOLUMES))) if newer else (),
        system=_system(fields.optional("system")) if newer else None,
        unreadable=_unflattened("unreadable", fields.numbers("unreadable"))
        if version >= _UNREADABLE_SINCE
        else (),
        version=version,
    )


# --- the rules ----------------------------------------------------------------


def _problems(manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong; a later check may rely on the earlier ones having passed."""
    sector = manifest.sector_size
    if sector not in _SECTOR_SIZES:
        yield f"disk.sectorSize {sector} is none of {_SECTOR_SIZES}"
    if not sector <= manifest.disk_size <= _MAX_DISK_SIZE or manifest.disk_size % sector:
        yield f"disk.size {manifest.disk_size} is no size of a disk with {sector}-byte sectors"
    if manifest.table not in TABLES:
        yield f"table {manifest.table!r} is none of {TABLES}"
    yield from _used_problems(manifest)
    yield from _unreadable_problems(manifest)
    yield from _partition_problems(manifest)
    yield from _region_problems(manifest)
    yield from _volume_problems(manifest)
    if manifest.table == "gpt":
        yield from _gpt_problems(manifest)
    expected = count_spans(manifest.used)
    if len(manifest.digests) != expected * _DIGEST_BYTES:
        yield (
            f"digests holds {len(manifest.digests)} bytes, "
            f"{expected} used chunks need {expected * _DIGEST_BYTES}"
        )


def _used_problems(manifest: Manifest) -> Iterator[str]:
    used = manifest.used
    if not used or used[0].offset != 0:
        yield "used does not start with the disk's first sector"
    if used[-1].end > manifest.disk_size:
        yield f"used ends at {used[-1].end}, the disk at {manifest.disk_size}"
    yield from _order_problems("used", used, manifest.sector_size)


def _unreadable_problems(manifest: Manifest) -> Iterator[str]:
    yield from _order_problems("unreadable", manifest.unreadable, manifest.sector_size)
    if without(manifest.unreadable, manifest.used):
        yield "a part of unreadable lies outside used"


def _order_problems(name: str, extents: Iterable[Extent], sector: int) -> Iterator[str]:
    position = -1
    for extent in extents:
        if extent.offset % sector or extent.length % sector or extent.length <= 0:
            yield f"{name} extent {extent.offset}+{extent.length} is no whole number of sectors"
        if extent.offset <= position:
            yield f"{name} extent {extent.offset}+{extent.length} is out of order"
        position = extent.end


def _partition_problems(manifest: Manifest) -> Iterator[str]:
    numbers = [partition.number for partition in manifest.partitions]
    if len(set(numbers)) != len(numbers):
        yield "two partitions have the same number"
    end = 0
    for partition in manifest.partitions:
        name = f"partition {partition.number}"
        if partition.number < (0 if manifest.table == "none" else 1):
            yield f"{name} has an impossible number"
        if partition.start < end:
            yield f"{name} overlaps the one before it or is out of order"
        end = partition.extent.end
        if partition.size <= 0 or end > manifest.disk_size:
            yield f"{name} ends at {end}, the disk at {manifest.disk_size}"
        if partition.method not in METHODS:
            yield f"{name} has the method {partition.method!r}"
        if partition.method == OMITTED and manifest.version < _OMITTED_SINCE:
            yield f"{name} is omitted, which version {manifest.version} does not have"
        if (partition.method == "full-sector") != bool(partition.reason):
            yield f"{name} must state a reason exactly where every sector was kept"
        if partition.method == "full-sector" and without((partition.extent,), manifest.used):
            yield f"{name} was kept in full, but parts of it are not in used"


def _volume_problems(manifest: Manifest) -> Iterator[str]:
    names = [(volume.group, volume.name) for volume in manifest.volumes]
    if sorted(set(names)) != names:
        yield "two volumes have the same name, or they are out of order"
    for volume in manifest.volumes:
        name = f"volume {volume.group}/{volume.name}"
        if volume.method not in METHODS:
            yield f"{name} has the method {volume.method!r}"
        if (volume.method == "full-sector") != bool(volume.reason):
            yield f"{name} must state a reason exactly where every sector was kept"
        for extent in volume.extents:
            if extent.length <= 0 or extent.offset < 0 or extent.end > manifest.disk_size:
                yield f"{name} has the extent {extent.offset}+{extent.length}, not on the disk"
        if volume.method == "full-sector" and without(merged(volume.extents), manifest.used):
            yield f"{name} was kept in full, but parts of it are not in used"


def _region_problems(manifest: Manifest) -> Iterator[str]:
    if not manifest.regions or manifest.regions[0].kind != "boot-sector":
        yield "regions does not start with the boot sector"
    if manifest.regions[0].extent != Extent(0, manifest.sector_size):
        yield "the boot sector is not the first sector"
    end = 0
    for region in manifest.regions:
        name = f"region {region.kind} at {region.offset}"
        if region.kind not in REGION_KINDS:
            yield f"{name} is none of {REGION_KINDS}"
        if not region.raw or region.offset < end:
            yield f"{name} is empty, overlaps the one before it or is out of order"
        end = region.extent.end
    if without(merged(region.extent for region in manifest.regions), manifest.used):
        yield "a region lies outside used"


def _gpt_problems(manifest: Manifest) -> Iterator[str]:
    primary, array = manifest.region("gpt-header"), manifest.region("gpt-entries")
    if primary is None or array is None:
        yield "a GPT image without the regions gpt-header and gpt-entries"
        return
    try:
        header = gpt.parse_header(primary.raw, 1)
        gpt.parse_entries(header, array.raw)
    except gpt.GptError as error:
        yield str(error)
        return
    if primary.offset != manifest.sector_size:
        yield "the GPT header is not in the second sector"
    if array.offset != header.entries * manifest.sector_size:
        yield "the GPT entries are not where the header says"
