"""The firmware's boot entries as Linux shows them: files in efivarfs.

A file has the variable's attributes in four bytes and then its data, and is written whole with
one write (Linux, ``Documentation/filesystems/efivarfs.rst``).
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from agent.imaging.device import open_device
from agent.imaging.efi import BootChanges, WantedEntry, parse_load_option, planned_changes
from agent.imaging.errors import RefusedDiskError
from agent.imaging.manifest import BootEntry, Manifest
from agent.imaging.table import TableError, read_table
from agent.wire.disk import Disk

_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_ATTRIBUTES = struct.pack("<I", 0x7)  # non-volatile, for boot services, at run time
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
_FS_IMMUTABLE_FL = 0x10


@frozen
class EfiVariables:
    """The global variables of a mounted efivarfs."""

    folder: Path = Path("/sys/firmware/efi/efivars")
    open_flags: int = os.O_WRONLY | os.O_CREAT
    """To write with: what is written takes the place of all that was there."""

    @property
    def present(self) -> bool:
        """Whether there are any; not where it is not mounted or the firmware is a BIOS."""
        try:
            return any(self.folder.iterdir())
        except OSError:
            return False

    def read(self, name: str) -> bytes:
        """Return a variable's data; empty where there is no such variable."""
        try:
            return self._path(name).read_bytes()[len(_ATTRIBUTES) :]
        except OSError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Set a variable; OSError where the firmware does not take it."""
        path = self._path(name)
        _make_mutable(path)
        descriptor = os.open(path, self.open_flags | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, _ATTRIBUTES + data)
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Remove a variable; OSError where the firmware does not let it go."""
        _make_mutable(self._path(name))
        self._path(name).unlink()

    def entries(self) -> dict[int, bytes]:
        """Return the load options of all boot entries by their number."""
        found = {}
        for path in self.folder.glob(f"Boot????-{_GLOBAL}"):
            try:
                number = int(path.name[4:8], 16)
            except ValueError:
                continue
            found[number] = self.read(_entry(number))
        return found

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the entries that ``BootOrder`` or ``BootCurrent`` names."""
        data = self.read(name)
        return tuple(number for (number,) in struct.iter_unpack("<H", data[: len(data) & ~1]))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}-{_GLOBAL}"


def read_entries(
    partitions: Iterable[tuple[int, str]], variables: EfiVariables | None = None
) -> tuple[BootEntry, ...]:
    """Return this machine's entries that start something on the given partitions.

    ``partitions`` are numbers and GUIDs; the entries come in boot order. Empty
    where the machine was not booted by UEFI.
    """
    variables = variables or EfiVariables()
    numbers = {guid: number for number, guid in partitions}
    found = []
    for each in variables.numbers("BootOrder"):
        option = parse_load_option(variables.read(_entry(each)))
        if option and option.active and option.loader and option.partition in numbers:
            partition = numbers[option.partition]
            found.append(BootEntry(_plain(option.label), partition, _plain(option.loader)))
    return tuple(found)


def partition_guids(disk: Disk) -> frozenset[str]:
    """Return the GUIDs of a disk's partitions; empty where it has no valid GPT."""
    try:
        with open_device(disk.node, exclusive=False, sector_size=disk.sector_size) as device:
            table = read_table(device.read, device.size, device.sector_size)
    except (RefusedDiskError, TableError):
        return frozenset()
    return frozenset(slot.uuid for slot in table.slots if table.kind == "gpt")


def write_entries(
    manifest: Manifest, before: frozenset[str], variables: EfiVariables | None = None
) -> str:
    """Write the image's boot entries for the restored disk; return what was done, in words.

    ``before`` are the GUIDs of the partitions that the disk had. Empty where nothing was to do. A
    firmware that takes none is no error: it may start the disk by its default loader.
    """
    variables = variables or EfiVariables()
    wanted = _wanted(manifest)
    if not variables.present:
        return f"not written: no variables in {variables.folder}" if wanted else ""
    changes = planned_changes(
        variables.entries(),
        variables.numbers("BootOrder"),
        next(iter(variables.numbers("BootCurrent")), None),
        wanted,
        before - {partition.uuid for partition in manifest.partitions},
    )
    try:
        _apply(changes, variables)
    except OSError as error:
        return f"not written: the firmware refused: {error.strerror or error}"
    if changes.empty:
        return "as they should be" if wanted else ""
    return f"{len(changes.writes)} written, {len(changes.removals)} removed"


def _wanted(manifest: Manifest) -> list[WantedEntry]:
    sector = manifest.sector_size
    partitions = {partition.number: partition for partition in manifest.partitions}
    return [
        WantedEntry(
            label=entry.label,
            number=partition.number,
            start=partition.start // sector,
            size=partition.size // sector,
            partition=partition.uuid,
            loader=entry.loader,
        )
        for entry in manifest.firmware.entries
        if manifest.table == "gpt" and (partition := partitions.get(entry.partition))
    ]


def _apply(changes: BootChanges, variables: EfiVariables) -> None:
    """Write entries before the order that names them, and remove after it."""
    for number, data in changes.writes.items():
        variables.write(_entry(number), data)
    if changes.order is not None:
        variables.write("BootOrder", struct.pack(f"<{len(changes.order)}H", *changes.order))
    for number in changes.removals:
        variables.remove(_entry(number))


def _entry(number: int) -> str:
    return f"Boot{number:04X}"


def _make_mutable(path: Path) -> None:
    """Take the immutable attribute from a file, which efivarfs gives to some variables."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        raw = fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8))
        (flags,) = struct.unpack_from("<I", raw)
        if flags & _FS_IMMUTABLE_FL:
            fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("<Q", flags & ~_FS_IMMUTABLE_FL))
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):  # a file system without attributes
            raise
    finally:
        os.close(descriptor)


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
