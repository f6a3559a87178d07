"""What the machine itself has noted: the kernel's log, and its disks' health."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

from agent.commands import smartctl
from agent.errors import CommandError, MissingCommandError
from agent.inspection.host_paths import HostPaths, read_line
from agent.wire.disk import Disk

# syslog(2), which glibc calls klogctl(3).
_READ_ALL = 3
_SIZE_BUFFER = 10
_COUNTERS = ("state", "timeout", "iorequest_cnt", "iodone_cnt", "ioerr_cnt", "iotmo_cnt")


class MachineRecords(Protocol):
    """Where a machine's own records are read."""

    def kernel_log(self) -> str:
        """Return the kernel's log as far as it is kept; why there is none where there is none."""

    def disk_health(self, disks: Sequence[Disk]) -> str:
        """Return what these disks say of their health."""


@frozen
class KernelRecords:
    """The records of the machine that the agent runs on."""

    paths: HostPaths = field(factory=HostPaths)

    def kernel_log(self) -> str:
        """Return what ``dmesg`` shows."""
        library = ctypes.CDLL(None, use_errno=True)
        size = library.klogctl(_SIZE_BUFFER, None, 0)
        buffer = ctypes.create_string_buffer(max(size, 0) + 1)
        length = library.klogctl(_READ_ALL, buffer, len(buffer))
        if size < 0 or length < 0:
            return f"the kernel's log cannot be read: {os.strerror(ctypes.get_errno())}\n"
        return buffer.raw[:length].decode("utf-8", "replace")

    def disk_health(self, disks: Sequence[Disk]) -> str:
        """Return SMART where smartctl is there, and the counters of the kernel in any case."""
        return "".join(f"{disk.node}\n{self._health(disk)}\n" for disk in disks)

    def _health(self, disk: Disk) -> str:
        block = self.paths.sysfs / "block" / Path(disk.node).name
        lines = [f"  {name}: {value}" for name in _COUNTERS if (value := _counter(block, name))]
        lines += [f"  {path.name}: {read_line(path)}" for path in _temperatures(block)]
        try:
            lines.append(smartctl.read_health(Path(disk.node)))
        except MissingCommandError:
            lines.append("  SMART: not read, this Deploy-OS has no smartctl")
        except CommandError as error:
            lines.append(f"  SMART: not read, {error.cause}")
        return "\n".join(lines)


def _counter(block: Path, name: str) -> str:
    return read_line(block / "device" / name)


def _temperatures(block: Path) -> list[Path]:
    """Return the files of the disk's temperature in thousandths of a degree (drivetemp, NVMe)."""
    return sorted((block / "device").glob("hwmon*/temp*_input")) + sorted(
        (block / "device").glob("hwmon/hwmon*/temp*_input")
    )
