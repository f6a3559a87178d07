"""LVM: where volumes lie on a disk, read from the metadata there without activating any. Pure.

Theory of operation. A physical volume (a partition or a whole disk) looks like this,
see LVM2's lib/label/label.h and lib/format_text/layout.h; numbers are little-endian::

    sectors 0 to 3     in one of them the label: "LABELONE", a CRC, and the header of the
                       physical volume with its UUID and two lists of places (offset, size):
                       data areas (one), and metadata areas (none, one or two)
    metadata area      512 bytes of header with a CRC, then a ring of text. The header's
                       first place says where in the ring the newest text begins, how long
                       it is and its CRC; a text may go on at the ring's beginning. A
                       second place is there only while the text is being exchanged
    pe_start           from here on, ``pe_count`` physical extents of ``extent_size``
    behind them        less than one extent, and maybe the second metadata area

The text (``lvm_text``) describes the whole volume group, which may have physical volumes
on several disks: each has a copy, and the highest ``seqno`` is the newest. It maps each
logical volume by segments. A segment of the type ``striped`` with one stripe is a run of
physical extents of one physical volume; with several, pieces of ``stripe_size`` are taken
from each in turn. Every other type (raid1, thin, cache-pool, snapshot …) is built of hidden
volumes, which in the end are striped, so that their segments say which physical extents are
allocated, whatever is built of them.

From this follows what must be kept of a physical volume:

- everything outside its physical extents, thus the label and the metadata areas;
- of the volumes that are shown to users, that consist of striped segments on this disk only
  and that nothing else is built of, what their content uses (these are returned as
  ``Volume`` without a reason, for the caller to look into);
- the allocated extents of all others, whole. A snapshot needs blocks that are free in the
  volume it was made of, and what is inside a pool only its own metadata knows.
- Physical extents that are allocated to nothing are not kept.

A forgotten allocated extent is lost data, so whatever contradicts itself, is being changed
or is not known here makes the physical volume one that is kept in full: ``Layout.problems``.
"""

import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeVar, cast

from attrs import frozen

from agent.imaging import lvm_text
from agent.imaging.extent import Extent, between, clipped, merged, without
from agent.imaging.lvm_text import Section
from agent.imaging.table import Reader

SIGNATURE = "LVM2_member"
"""What blkid calls a physical volume."""

_SECTOR = 512  # LVM counts in these, whatever the disk's sector size
_CRC_START = 0xF597A6CF

_LABEL_SECTORS = 4
_LABEL_MAGIC = b"LABELONE"
_LABEL_TYPE = b"LVM2 001"
_LABEL_CHECKED = 20  # the CRC covers from here to the sector's end
_HEADER_LISTS = 40  # where they begin in the header: behind UUID and size
_NEWEST_EXTENSION = 2
_EXTENSION_USED = 0x1

_AREA_HEADER = 512
_AREA_MAGIC = b" LVM2 x[5A%r0N*>"
_AREA_IGNORED = 0x1
_LONGEST_TEXT = 16 << 20

_MOST_PIECES = 1 << 16
"""A volume in more pieces, as by narrow stripes, would make the manifest huge."""

_NAME = re.compile(r"[A-Za-z0-9+_.-]{1,127}", re.ASCII)
_UUID = re.compile(r"[A-Za-z0-9!#-]{1,64}", re.ASCII)
_GROUP_FLAGS = frozenset(("RESIZEABLE", "READ", "WRITE", "NOAUTOACTIVATE"))
_GROUP_SECTIONS = frozenset(("physical_volumes", "logical_volumes", "historical_logical_volumes"))
_WRITE_LOCKED = "WRITE_LOCKED"
_VOLUME_FLAGS = frozenset(
    ("READ", "WRITE", "VISIBLE", "FIXED_MINOR", "ACTIVATION_SKIP", "NOAUTOACTIVATE")
)
_NO_NAMES = frozenset(("type", "tags"))  # texts of a segment that name no volume
_STRIPED = "striped"
_INHERIT, _CONTIGUOUS = "inherit", "contiguous"


class LvmError(ValueError):
    """A physical volume or its group is not to be relied on; the text says why, in one phrase."""


@frozen
class Volume:
    """A logical volume that is shown to users."""

    group: str
    name: str
    uuid: str
    extents: tuple[Extent, ...]
    """Where its bytes lie on the disk, first to last; empty where there is a reason."""
    reason: str
    """Why it can only be kept whole; empty where its content can be read on this disk."""
    striped: bool = False
    """Whether its bytes alternate between several runs of physical extents."""
    contiguous: bool = False
    """Whether LVM may only make it larger in one piece."""


@frozen
class PhysicalVolume:
    """A physical volume of a group on this disk."""

    place: Extent
    """The partition, or the whole disk."""
    extents: Extent
    """All its physical extents, on the disk."""
    tail: int
    """Bytes of the metadata area that lies behind them; 0 where there is none."""


@frozen
class VolumeGroup:
    """A volume group, as far as it lies on this disk."""

    name: str
    extent_size: int
    """Bytes."""
    physical: tuple[PhysicalVolume, ...]
    """In disk order."""
    elsewhere: int
    """Physical volumes that are not on this disk."""
    free: tuple[Extent, ...]
    """Physical extents that belong to no volume, on the disk; merged."""
    system: str
    """The system ID of the machine that it belongs to; empty where any may use it."""
    problem: str
    """Why LVM does not let its volumes grow, in one phrase; empty where it does."""


@frozen
class Layout:
    """What lies in the physical volumes of a disk. Both mappings have their places as keys."""

    kept: Mapping[Extent, tuple[Extent, ...]]
    """Where on the disk all lies that must be kept, except for volumes without a reason."""
    problems: Mapping[Extent, str]
    """Why a physical volume must be kept in full."""
    volumes: tuple[Volume, ...]
    """Sorted by group and name. None lies in a physical volume that has a problem."""
    groups: tuple[VolumeGroup, ...] = ()
    """Sorted by name. None has a physical volume that has a problem."""


@frozen
class _Physical:
    """A physical volume as it describes itself, with the newest text that it has of its group."""

    place: Extent
    uuid: str
    pe_start: int
    areas: tuple[Extent, ...]
    """Of metadata, on the disk."""
    name: str
    """The group's."""
    group: Section

    @property
    def group_id(self) -> str:
        """The group's UUID."""
        return _text(self.group, "id")


@frozen
class _Run:
    """Physical extents that a volume has of a physical volume. Counted in extents."""

    physical: str
    start: int
    count: int

    @property
    def end(self) -> int:
        """The first extent after it."""
        return self.start + self.count


@frozen
class _Segment:
    type: str
    stripes: tuple[_Run, ...]
    """Empty unless it is striped; then a run may also lie in another logical volume."""
    stripe_size: int
    """Bytes; of no meaning for one stripe."""
    named: frozenset[str]
    """All texts in it that could be names of logical volumes."""


@frozen
class _Logical:
    name: str
    uuid: str
    flags: frozenset[str]
    segments: tuple[_Segment, ...]
    policy: str
    """How LVM chooses physical extents for it: ``inherit``, ``contiguous`` and others."""


@frozen
class _Member:
    """A physical volume of a group, by what the group says of it."""

    count: int
    """Its physical extents."""
    physical: _Physical | None
    """None where it is not on this disk."""
    start: int = 0
    """Of the first physical extent, on the disk."""
    allocatable: bool = True
    """Whether LVM gives its free extents away."""


@frozen
class _Group:
    name: str
    extent_size: int
    """Bytes."""
    members: Mapping[str, _Member]
    """By their names in the group."""
    volumes: tuple[_Logical, ...]
    built_of: Mapping[str, str]
    """Names of logical volumes, to what is built of them, for people."""
    flags: frozenset[str]
    system: str
    policy: str
    """As that of a volume, for volumes that inherit it."""

    def place(self, run: _Run) -> Extent | None:
        """Return where on the disk physical extents lie; None where they do not."""
        member = self.members.get(run.physical)
        if member is None or member.physical is None:
            return None
        size = self.extent_size
        return Extent(member.start + run.start * size, run.count * size)


def read_layout(read: Reader, places: Sequence[Extent]) -> Layout:
    """Return what lies in the physical volumes at ``places`` of a disk.

    ``places`` are those that carry LVM's label. Raises what ``read`` raises and nothing else.
    """
    problems: dict[Extent, str] = {}
    found = []
    for place in places:
        try:
            found.append(_physical(read, place))
        except LvmError as error:
            problems[place] = str(error)
    kept: dict[Extent, tuple[Extent, ...]] = {}
    volumes: list[Volume] = []
    groups: list[VolumeGroup] = []
    for members in _by_group(found):
        try:
            _check_alone(members, found)
            group = _group(members)
            kept.update(_kept(group))
            volumes += _volumes(group)
            groups.append(_on_disk(group))
        except LvmError as error:
            problems |= {member.place: str(error) for member in members}
    volumes.sort(key=lambda volume: (volume.group, volume.name))
    groups.sort(key=lambda group: group.name)
    return Layout(kept, problems, tuple(volumes), tuple(groups))


def device_name(group: str, volume: str) -> str:
    """Return a volume's name below ``/dev/mapper`` (dm_build_dm_name of libdevmapper)."""
    return "-".join(each.replace("-", "--") for each in (group, volume))


def device_paths(group: str, volume: str) -> tuple[str, ...]:
    """Return the paths by names by which a running system may call a volume."""
    name = device_name(group, volume)
    return (f"/dev/mapper/{name}", f"/dev/{group}/{volume}", f"/dev/disk/by-id/dm-name-{name}")


# --- the structures on the disk -------------------------------------------------


def _crc(data: bytes) -> int:
    """Return LVM's checksum: CRC-32 with another start and without the last inversion."""
    return zlib.crc32(data, _CRC_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _physical(read: Reader, place: Extent) -> _Physical:
    inside = partial(_read_inside, read, place)
    header = _header(inside)
    uuid, size = struct.unpack_from("<32sQ", header)
    if size > place.length:
        raise LvmError(f"its LVM header says {size} bytes, but it has {place.length}")
    data, position = _places(header, _HEADER_LISTS)
    areas, position = _places(header, position)
    if len(data) != 1:
        raise LvmError(f"its LVM header lists {len(data)} data areas")
    if any(area.end > place.length for area in areas):
        raise LvmError("its LVM metadata points outside of it")
    _check_extension(header[position : position + 8])
    texts = [text for area in areas if (text := _metadata(inside, area))]
    if not texts:
        raise LvmError("the metadata of its LVM volume group is not on it")
    name, group = _newest(map(_parsed, texts))
    on_disk = tuple(Extent(place.offset + area.offset, area.length) for area in areas)
    return _Physical(place, uuid.decode("latin-1"), data[0].offset, on_disk, name, group)


def _read_inside(read: Reader, place: Extent, offset: int, length: int) -> bytes:
    if offset < 0 or length < 0 or offset + length > place.length:
        raise LvmError("its LVM metadata points outside of it")
    return read(place.offset + offset, length) if length else b""


def _header(inside: Reader) -> bytes:
    """Return the header of a physical volume, to the end of its sector; the CRC is right."""
    head = inside(0, _LABEL_SECTORS * _SECTOR)
    sectors = [head[start : start + _SECTOR] for start in range(0, len(head), _SECTOR)]
    labels = [index for index, raw in enumerate(sectors) if raw.startswith(_LABEL_MAGIC)]
    if len(labels) != 1:
        raise LvmError(f"it has {len(labels)} LVM labels")
    raw = sectors[labels[0]]
    number, checksum, start, kind = struct.unpack_from("<QII8s", raw, 8)
    if checksum != _crc(raw[_LABEL_CHECKED:]):
        raise LvmError("the checksum of its LVM label is wrong")
    if number != labels[0] or kind != _LABEL_TYPE or start + _HEADER_LISTS > _SECTOR:
        raise LvmError("its LVM label is of an unknown kind")
    return raw[start:]


def _places(header: bytes, position: int) -> tuple[list[Extent], int]:
    """Return a list of places, which one at 0 ends, and the position behind it."""
    found: list[Extent] = []
    while position + 16 <= len(header):
        place = Extent(*struct.unpack_from("<QQ", header, position))
        position += 16
        if place.offset == 0:
            return found, position
        found.append(place)
    raise LvmError("the lists in its LVM header have no end")


def _check_extension(raw: bytes) -> None:
    """Raise LvmError for an extension of the header that is newer than known."""
    version, flags = struct.unpack("<II", raw.ljust(8, b"\0"))
    if version > _NEWEST_EXTENSION or (version and flags & ~_EXTENSION_USED):
        raise LvmError(f"its LVM header has an unknown extension ({version}, {flags:#x})")


def _metadata(inside: Reader, area: Extent) -> bytes:
    """Return the text that is valid in a metadata area; empty where there is none."""
    header = inside(area.offset, _AREA_HEADER)
    checksum, magic, version, start, size = struct.unpack_from("<I16sIQQ", header)
    if checksum != _crc(header[4:]):
        raise LvmError("the checksum of an LVM metadata area is wrong")
    if (magic, version) != (_AREA_MAGIC, 1) or Extent(start, size) != area:
        raise LvmError("an LVM metadata area is of an unknown kind")
    if area.length <= _AREA_HEADER:
        raise LvmError("an LVM metadata area has no room for metadata")
    offset, length, checksum, flags = struct.unpack_from("<QQII", header, 40)
    (exchanged,) = struct.unpack_from("<Q", header, 64)
    if flags & ~_AREA_IGNORED:
        raise LvmError(f"an LVM metadata area has unknown flags ({flags:#x})")
    if exchanged:
        raise LvmError("a change of its LVM volume group was interrupted")
    if not offset or flags & _AREA_IGNORED:
        return b""
    if not (
        _AREA_HEADER <= offset < size and 0 < length <= min(size - _AREA_HEADER, _LONGEST_TEXT)
    ):
        raise LvmError("its LVM metadata points outside of it")
    first = min(length, size - offset)
    raw = inside(start + offset, first) + inside(start + _AREA_HEADER, length - first)
    if checksum != _crc(raw):
        raise LvmError("the checksum of its LVM metadata is wrong")
    return raw


def _parsed(raw: bytes) -> tuple[str, Section]:
    """Return the name of the group that a text describes, and its description."""
    try:
        text = lvm_text.parse(raw.rstrip(b"\0").decode("utf-8", "replace"))
    except lvm_text.TextError as error:
        raise LvmError(f"its LVM metadata cannot be read: {error}") from error
    groups = [name for name, value in text.items() if isinstance(value, dict)]
    if len(groups) != 1 or text.get("version") != 1:
        raise LvmError("its LVM metadata is of an unknown kind")
    return _name(groups[0]), _section(text, groups[0])


def _newest(texts: Iterable[tuple[str, Section]]) -> tuple[str, Section]:
    """Return the text with the highest seqno; LvmError where they contradict each other."""
    found = sorted(texts, key=lambda text: _number(text[1], "seqno"))
    if len({_text(group, "id") for _, group in found}) != 1:
        raise LvmError("its copies of LVM metadata are of different volume groups")
    newest = found[-1]
    for other in found:
        if _number(other[1], "seqno") == _number(newest[1], "seqno") and other != newest:
            raise LvmError("its copies of LVM metadata contradict each other")
    return newest


# --- the group ------------------------------------------------------------------


def _by_group(found: Sequence[_Physical]) -> list[list[_Physical]]:
    groups: dict[str, list[_Physical]] = {}
    for physical in found:
        groups.setdefault(physical.group_id, []).append(physical)
    return list(groups.values())


def _check_alone(members: Sequence[_Physical], found: Sequence[_Physical]) -> None:
    """Raise LvmError where another physical volume or group goes by the same UUID or name."""
    uuids = Counter(physical.uuid for physical in found)
    names = {member.name for member in members}
    if any(uuids[member.uuid] > 1 for member in members):
        raise LvmError("two LVM physical volumes on this disk have the same UUID")
    if any(other.name in names and other.group_id != members[0].group_id for other in found):
        raise LvmError("two LVM volume groups on this disk have the same name")


def _group(members: Sequence[_Physical]) -> _Group:
    name, section = _newest((member.name, member.group) for member in members)
    system = _optional(section, "system_id")
    flags = _unlocked(section, system)
    if "EXPORTED" in flags:
        raise LvmError(f"its LVM volume group {name} is exported")
    if flags & {"CLUSTERED", "SHARED"} or section.get("lock_type", "none") != "none":
        raise LvmError(f"its LVM volume group {name} is shared with other machines")
    if flags & {"PARTIAL", "PVMOVE"}:
        raise LvmError(f"its LVM volume group {name} is incomplete or being moved")
    if unknown := flags - _GROUP_FLAGS:
        raise LvmError(f"its LVM volume group {name} has the unknown status {_listed(unknown)}")
    sections = {key for key, value in section.items() if isinstance(value, dict)}
    if parts := sections - _GROUP_SECTIONS:
        raise LvmError(f"its LVM volume group {name} has the unknown part {_listed(parts)}")
    extent_size = _number(section, "extent_size", 1) * _SECTOR
    listed = _section(section, "physical_volumes")
    here = {physical.uuid: physical for physical in members}
    known = {_name(key): _member(name, _section(listed, key), extent_size, here) for key in listed}
    if sum(member.physical is not None for member in known.values()) != len(members):
        raise LvmError(f"its LVM volume group {name} does not know it")
    logical = _section(section, "logical_volumes") if "logical_volumes" in section else {}
    volumes = tuple(_logical(_name(key), _section(logical, key), known, system) for key in logical)
    built_of = {
        used: f"{volume.name} ({segment.type})"
        for volume in volumes
        for segment in volume.segments
        for used in segment.named
    }
    policy = _optional(section, "allocation_policy")
    group = _Group(name, extent_size, known, volumes, built_of, flags, system, policy)
    _check_allocation(group)
    return group


def _unlocked(section: Section, system: str) -> frozenset[str]:
    """Return the flags of a group with this system ID, or of a volume in it.

    Where there is one, LVM writes ``WRITE_LOCKED`` for ``WRITE``, against versions that know none.
    """
    flags = _flags(section)
    return flags - {_WRITE_LOCKED} | {"WRITE"} if system and _WRITE_LOCKED in flags else flags


def _member(group: str, entry: Section, extent_size: int, here: Mapping[str, _Physical]) -> _Member:
    flags = _flags(entry)
    if "MISSING" in flags:
        raise LvmError(f"a physical volume of its LVM volume group {group} is missing")
    if "EXPORTED" in flags:
        raise LvmError(f"its LVM volume group {group} is exported")
    if unknown := flags - {"ALLOCATABLE"}:
        raise LvmError(f"an LVM physical volume has the unknown status {_listed(unknown)}")
    count = _number(entry, "pe_count")
    physical = here.get(_text(entry, "id").replace("-", ""))
    if physical is None:
        return _Member(count, None)
    start = _number(entry, "pe_start") * _SECTOR
    if start != physical.pe_start:
        raise LvmError("its LVM header and its volume group disagree where its extents begin")
    size = max(_number(entry, "dev_size") * _SECTOR, start + count * extent_size)
    if size > physical.place.length:
        raise LvmError("its LVM volume group says that it is larger than it is")
    return _Member(count, physical, physical.place.offset + start, "ALLOCATABLE" in flags)


def _logical(name: str, section: Section, members: Mapping[str, _Member], system: str) -> _Logical:
    flags = _unlocked(section, system)
    if "PVMOVE" in flags:
        raise LvmError("data of its LVM volume group is being moved (pvmove)")
    segments, position = [], 0
    for index in range(_number(section, "segment_count")):
        part = _section(section, f"segment{index + 1}")
        if _number(part, "start_extent") != position:
            raise LvmError(f"the LVM volume {name} has a gap or an overlap")
        position += _number(part, "extent_count", 1)
        segments.append(_segment(name, part, members))
    if sum(isinstance(value, dict) for value in section.values()) != len(segments):
        raise LvmError(f"the LVM volume {name} has another number of segments than it says")
    uuid = _text(section, "id")
    if not _UUID.fullmatch(uuid):
        raise LvmError(f"the LVM volume {name} has an impossible UUID")
    policy = _optional(section, "allocation_policy") or _INHERIT
    return _Logical(name, uuid, flags, tuple(segments), policy)


def _segment(volume: str, part: Section, members: Mapping[str, _Member]) -> _Segment:
    kind = _name(_text(part, "type"))
    if kind != _STRIPED:
        named = frozenset(_texts({key: part[key] for key in part.keys() - _NO_NAMES}))
        if named & members.keys():
            raise LvmError(f"the LVM volume {volume} has physical extents of the type {kind}")
        return _Segment(kind, (), 0, named)
    count, extents = _number(part, "stripe_count", 1), _number(part, "extent_count", 1)
    size = _number(part, "stripe_size", 1) * _SECTOR if count > 1 else 0
    flat = part.get("stripes")
    contradiction = LvmError(f"the LVM volume {volume} has stripes that contradict each other")
    if not isinstance(flat, list) or len(flat) != 2 * count or extents % count:
        raise contradiction
    runs = []
    for where, start in zip(flat[::2], flat[1::2], strict=True):
        if not isinstance(where, str) or not isinstance(start, int) or start < 0:
            raise contradiction
        runs.append(_Run(_name(where), start, extents // count))
    named = frozenset(run.physical for run in runs if run.physical not in members)
    return _Segment(kind, tuple(runs), size, named)


def _check_allocation(group: _Group) -> None:
    """Raise LvmError unless each physical extent exists and belongs to one volume at most."""
    _check_stripes(group)
    runs: dict[str, list[_Run]] = {}
    names = {volume.name for volume in group.volumes}
    for volume in group.volumes:
        for run in _runs(volume):
            if run.physical not in group.members and run.physical not in names:
                raise LvmError(f"the LVM volume {volume.name} lies on the unknown {run.physical}")
            runs.setdefault(run.physical, []).append(run)
    for physical, member in group.members.items():
        taken = sorted(runs.get(physical, []), key=lambda run: run.start)
        if any(run.end > member.count for run in taken):
            raise LvmError("an LVM volume lies behind the end of its physical volume")
        if any(run.end > after.start for run, after in pairwise(taken)):
            raise LvmError("two LVM volumes claim the same physical extent")


def _check_stripes(group: _Group) -> None:
    for volume in group.volumes:
        for segment in volume.segments:
            if segment.stripe_size and segment.stripes[0].count * group.extent_size % (
                segment.stripe_size
            ):
                raise LvmError(f"the LVM volume {volume.name} ends within a stripe")


def _runs(volume: _Logical) -> Iterator[_Run]:
    for segment in volume.segments:
        yield from segment.stripes


# --- what is kept ---------------------------------------------------------------


def _kept(group: _Group) -> Iterator[tuple[Extent, tuple[Extent, ...]]]:
    """Yield each physical volume of a group and what is kept of it, whatever volumes hold."""
    whole = [
        place
        for volume in group.volumes
        if "VISIBLE" not in volume.flags or _reason(group, volume)
        for run in _runs(volume)
        if (place := group.place(run))
    ]
    for member in group.members.values():
        if physical := member.physical:
            place, end = physical.place, member.start + member.count * group.extent_size
            outside = (between(place.offset, member.start), between(end, place.end))
            inside = clipped(merged(whole), place)
            yield place, merged((*outside, *physical.areas, *inside))


def _volumes(group: _Group) -> Iterator[Volume]:
    for volume in group.volumes:
        if "VISIBLE" not in volume.flags or _is_link(volume):
            continue
        reason = _reason(group, volume)
        extents = () if reason else _joined(_pieces(group, volume))
        policy = group.policy if volume.policy == _INHERIT else volume.policy
        yield Volume(
            group=group.name,
            name=volume.name,
            uuid=volume.uuid,
            extents=extents,
            reason=reason,
            striped=any(len(segment.stripes) > 1 for segment in volume.segments),
            contiguous=policy == _CONTIGUOUS,
        )


def _on_disk(group: _Group) -> VolumeGroup:
    taken = [run for volume in group.volumes for run in _runs(volume)]
    here = [member for member in group.members.values() if member.physical]
    physical = [
        PhysicalVolume(member.physical.place, inside, _tail(member.physical, inside.end))
        for member in here
        if member.physical
        for inside in [Extent(member.start, member.count * group.extent_size)]
    ]
    used = merged(place for run in taken if (place := group.place(run)))
    return VolumeGroup(
        name=group.name,
        extent_size=group.extent_size,
        physical=tuple(sorted(physical, key=lambda each: each.place)),
        elsewhere=len(group.members) - len(here),
        free=without(merged(each.extents for each in physical), used),
        system=group.system,
        problem=_fixed_reason(group, here),
    )


def _tail(physical: _Physical, end: int) -> int:
    """Return how many bytes of metadata lie behind the physical extents, which end there."""
    return sum(area.length for area in physical.areas if area.offset >= end)


def _fixed_reason(group: _Group, here: Sequence[_Member]) -> str:
    """Return why LVM does not let volumes of a group grow on this disk, empty where it does."""
    if "RESIZEABLE" not in group.flags:
        return "it is not resizeable (vgchange --resizeable n)"
    if "WRITE" not in group.flags:
        return "it is read-only"
    if not all(member.allocatable for member in here):
        return "a physical volume of it gives away no extents (pvchange --allocatable n)"
    return ""


def _is_link(volume: _Logical) -> bool:
    """Whether it only ties a snapshot to what it was made of, which users never see."""
    return any(segment.type == "snapshot" for segment in volume.segments)


def _reason(group: _Group, volume: _Logical) -> str:
    """Return why a volume is kept whole, empty where its content can be read on this disk."""
    if unknown := volume.flags - _VOLUME_FLAGS:
        return f"it has the status {_listed(unknown)}, which is not known to be safe"
    for segment in volume.segments:
        if segment.type != _STRIPED:
            return f"there is no map of used blocks for LVM volumes of the type {segment.type}"
    if other := group.built_of.get(volume.name):
        return f"the LVM volume {other} is built of it"
    for run in _runs(volume):
        if run.physical not in group.members:
            return f"it is built of the LVM volume {run.physical}"
        if group.place(run) is None:
            return "a part of it lies in an LVM physical volume that is not on this disk"
    pieces = sum(_piece_count(group, segment) for segment in volume.segments)
    if not 0 < pieces <= _MOST_PIECES:
        return f"it lies in {pieces} pieces"
    return ""


def _piece_count(group: _Group, segment: _Segment) -> int:
    if len(segment.stripes) == 1:
        return 1
    length = segment.stripes[0].count * group.extent_size
    return len(segment.stripes) * (length // segment.stripe_size)


def _pieces(group: _Group, volume: _Logical) -> Iterator[Extent]:
    """Yield where the volume's bytes lie on the disk, from its first to its last."""
    for segment in volume.segments:
        stripes = [place for run in segment.stripes if (place := group.place(run))]
        step = segment.stripe_size or stripes[0].length
        for position in range(0, stripes[0].length, step):
            for stripe in stripes:
                yield Extent(stripe.offset + position, step)


def _joined(pieces: Iterable[Extent]) -> tuple[Extent, ...]:
    """Return the pieces in their order, those as one that follow each other on the disk too."""
    result: list[Extent] = []
    for piece in pieces:
        if result and result[-1].end == piece.offset:
            result[-1] = between(result[-1].offset, piece.end)
        else:
            result.append(piece)
    return tuple(result)


# --- fields of the text ---------------------------------------------------------

_T = TypeVar("_T", int, str)


def _field(section: Section, key: str, kind: type[_T]) -> _T:
    value = section.get(key)
    if not isinstance(value, kind):
        raise LvmError(f"its LVM metadata has no {key}, or another kind of it")
    return value


def _number(section: Section, key: str, least: int = 0) -> int:
    value = _field(section, key, int)
    if not least <= value < 1 << 48:
        raise LvmError(f"its LVM metadata has an impossible {key}")
    return value


def _text(section: Section, key: str) -> str:
    return _field(section, key, str)


def _optional(section: Section, key: str) -> str:
    return _text(section, key) if key in section else ""


def _section(section: Section, key: str) -> Section:
    value = section.get(key)
    if not isinstance(value, dict):
        raise LvmError(f"its LVM metadata has no section {key}")
    return value


def _flags(section: Section) -> frozenset[str]:
    """Return status and flags, which only differ in what older versions do with unknown ones."""
    words = [section.get("status", []), section.get("flags", [])]
    if not all(isinstance(each, list) for each in words):
        raise LvmError("its LVM metadata has a status that is no list")
    return frozenset(_name(str(word)) for each in words for word in cast("list[object]", each))


def _texts(value: object) -> Iterator[str]:
    """Yield all texts in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise LvmError(f"its LVM metadata has the impossible name {text[:40]!r}")
    return text


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)[:3])
