"""What a simulated machine has noted itself: a kernel's log of this boot, and a healthy disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.wire.disk import Disk


@dataclass(frozen=True, slots=True)
class SimulatedRecords:
    """The records of one boot, in the words that a kernel and smartctl would have."""

    kernel: str
    command_line: str

    def kernel_log(self) -> str:
        """Return the kernel's log. As the real one it has the command line, secrets and all."""
        lines = (
            f"Linux version {self.kernel}",
            f"Kernel command line: {self.command_line}",
            "virtio_blk virtio1: [vda]",
        )
        return "".join(f"[    {number}.000000] {line}\n" for number, line in enumerate(lines))

    def disk_health(self, disks: Sequence[Disk]) -> str:
        """Return that the disks are well."""
        return "".join(
            f"{disk.node}\nSerial Number: {disk.identity.serial}\n"
            "SMART overall-health self-assessment test result: PASSED\n"
            for disk in disks
        )
