"""Where formats keep the signatures by which they are recognised. Pure.

What an image does not cover is left as it lies on the target, and with it signatures of
earlier uses: a RAID's label at the end of a larger disk, a Btrfs beneath a swap area. The
restored disk would be taken for what it was. ``MAGICS`` has the places where that can happen,
from libblkid's probes (util-linux 2.38 to 2.41, ``libblkid/src/superblocks``), without those in
the first 64 KiB: of every disk and partition that an image has, these are covered by the image
or become zeros with the boot block.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from agent.imaging.extent import Extent, aligned, clipped, merged

_KIB = 1 << 10
_MIB = 1 << 20
_GIB = 1 << 30

_ZFS_LABEL = 256 * _KIB
_ZFS_PAIRS = 16 * _KIB
_ZFS_UBERBLOCKS = 128 * _KIB


@frozen
class Magic:
    """The place of one format's magic in what has the format: a whole disk or a partition.

    ``superblock`` is where the structure starts that has ``magic`` at ``inside``. A negative one
    counts from the end, rounded down to a multiple of ``unit``. Bytes.
    """

    format: str
    """As wipefs names it."""
    magic: bytes
    superblock: int
    inside: int = 0
    unit: int = 512

    def extent(self, window: Extent) -> Extent:
        """Return where it lies if ``window`` has the format; it may be outside a small one."""
        end = 0 if self.superblock >= 0 else window.length // self.unit * self.unit
        return Extent(window.offset + end + self.superblock + self.inside, len(self.magic))


@frozen
class Place:
    """A place on a disk where ``format`` would have ``magic``, in ``sectors`` of it."""

    format: str
    magic: bytes
    offset: int
    sectors: Extent


def _each(name: str, magics: Iterable[bytes], places: Iterable[int], inside: int) -> list[Magic]:
    return [Magic(name, magic, place, inside) for place in places for magic in magics]


def _both_orders(*numbers: int, size: int = 4) -> list[bytes]:
    """Return each number as a machine of either byte order writes it."""
    return [number.to_bytes(size, order) for number in numbers for order in ("little", "big")]


def _zfs() -> Iterator[Magic]:
    """Yield ZFS's four labels: two at the start, two at the end (OpenZFS, ``vdev_impl.h``).

    A label is known by the header of its list of names and values, which is in XDR, and by
    up to 128 uberblocks.
    """
    headers = [bytes((1, order, 0, 0)) + bytes(4) + b"\0\0\0\1" for order in (0, 1)]
    uberblocks = _both_orders(0x00BAB10C, size=8)
    for label in (0, _ZFS_LABEL, -2 * _ZFS_LABEL, -_ZFS_LABEL):
        for magic in headers:
            yield Magic("zfs_member", magic, label, _ZFS_PAIRS, _ZFS_LABEL)
        for place in range(_ZFS_UBERBLOCKS, _ZFS_LABEL, _KIB):
            for magic in uberblocks:
                yield Magic("zfs_member", magic, label, place, _ZFS_LABEL)


_MD = _both_orders(0xA92B4EFC)
_UFS = _both_orders(0x00011954, 0x19540119, 0x00195612, 0x00095014, 0x00612195, 0x05231994)
_BCACHEFS = bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")
_LUKS_COPIES = [1 << power for power in range(16, 23)]
_PROMISE_SECTORS = (63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087)

MAGICS: tuple[Magic, ...] = (
    # At the start, and copies behind it.
    Magic("btrfs", b"_BHRfS_M", 64 * _KIB, 0x40),
    Magic("btrfs", b"_BHRfS_M", 64 * _MIB, 0x40),
    Magic("btrfs", b"_BHRfS_M", 256 * _GIB, 0x40),
    *_each("reiserfs", [b"ReIsErFs", b"ReIsEr2Fs", b"ReIsEr3Fs"], [64 * _KIB], 0x34),
    Magic("reiser4", b"ReIsEr4", 64 * _KIB),
    Magic("gfs2", bytes.fromhex("01161970"), 64 * _KIB),
    Magic("scoutfs", bytes.fromhex("8b423c10"), 64 * _KIB, 4),
    *_each("ufs", _UFS, [64 * _KIB, 256 * _KIB], 0x55C),
    *_each("crypto_LUKS", [b"SKUL\xba\xbe"], _LUKS_COPIES, 0),
    *_each("xfs_external_log", [b"\xfe\xed\xba\xbe"], range(64 * _KIB, 256 * _KIB, 512), 0),
    Magic("VMFS_volume_member", bytes.fromhex("0dd001c0"), _MIB),
    Magic("VMFS", bytes.fromhex("5ef1ab2f"), 2 * _MIB),
    Magic("bcachefs", _BCACHEFS, 2 * _MIB, 24),
    *_zfs(),
    # At the end.
    Magic("bcachefs", _BCACHEFS, -_MIB, 24),
    *(Magic("linux_raid_member", magic, -64 * _KIB, unit=64 * _KIB) for magic in _MD),  # 0.90
    Magic("linux_raid_member", _MD[0], -8 * _KIB, unit=4 * _KIB),  # 1.0
    *_each("ddf_raid_member", _both_orders(0xDE11DE11), [-512, -257 * 512], 0),
    *_each("isw_raid_member", [b"Intel Raid ISM Cfg Sig. "], [-2 * 512, -2 * 4096], 0),
    Magic("lsi_mega_raid_member", b"$XIDE$", -512),
    Magic("adaptec_raid_member", bytes.fromhex("37fc4d1e"), -512),
    Magic("silicon_medley_raid_member", bytes.fromhex("0000002f"), -512, 0x60),
    Magic("jmicron_raid_member", b"JM", -512),
    Magic("via_raid_member", b"\x55\xaa", -512),
    Magic("nvidia_raid_member", b"NVIDIA  ", -2 * 512),
    *_each(
        "promise_fasttrack_raid_member",
        [b"Promise Technology, Inc."],
        [-512 * sectors for sectors in _PROMISE_SECTORS],
        0,
    ),
    *_each("hpt45x_raid_member", [b"\xf3\x16\x78\x5a", b"\xfd\x16\x78\x5a"], [-11 * 512], 0),
    *_each("drbd", [b"\x83\x74\x02" + last for last in (b"\x6b", b"\x6c", b"\x6d")], [-4096], 60),
    Magic("nilfs2", b"\2\0\0\0\0\0\x34\x34", -8 * 512),
    *_each("gpt", [b"EFI PART"], [-512, -4096], 0),
)


def free_places(
    windows: Iterable[Extent], covered: Sequence[Extent], sector_size: int
) -> Iterator[tuple[Extent, list[Place]]]:
    """Yield areas to read, in order, each with the places of formats inside it.

    ``windows`` are the disk and its partitions; ``covered``, of which nothing is looked at, is
    merged and has whole sectors.
    """
    places = sorted(_places(windows, covered, sector_size), key=lambda place: place.offset)
    offsets = [place.offset for place in places]
    for area in merged(place.sectors for place in places):
        first, end = bisect_left(offsets, area.offset), bisect_left(offsets, area.end)
        yield area, places[first:end]


def _places(
    windows: Iterable[Extent], covered: Sequence[Extent], sector_size: int
) -> frozenset[Place]:
    found = set()
    for window in windows:
        for each in MAGICS:
            extent = each.extent(window)
            (sectors,) = aligned((extent,), sector_size, extent.end + sector_size)
            inside = window.offset <= sectors.offset and sectors.end <= window.end
            if inside and not any(clipped(covered, sectors)):
                found.add(Place(each.format, each.magic, extent.offset, sectors))
    return frozenset(found)
