"""The machine that the agent runs on, as its session and steps see it."""

from attrs import evolve, field, frozen

from agent.inspection.disks import DiskInspection, inspect_disks
from agent.inspection.hardware import inspect_hardware
from agent.inspection.host_paths import HostPaths, read_line
from agent.inspection.installed_system import inspect_installed_system
from agent.installed import InstalledOperation
from agent.version import AGENT_VERSION
from agent.wire.report import Hardware, InstalledSystem, Report


@frozen
class LocalMachine:
    """What can be asked of this machine. Each call looks again.

    ``operation`` is what installed it, in an installed system only.
    """

    environment: str
    paths: HostPaths = field(factory=HostPaths)
    boot_mac: str = ""
    operation: InstalledOperation | None = None

    def hardware(self) -> Hardware:
        """Return SMBIOS and network identity."""
        return inspect_hardware(self.paths, self.boot_mac)

    def disks(self) -> DiskInspection:
        """Return all disks with what they hold."""
        return inspect_disks(self.paths)

    def system(self, problems: list[str]) -> InstalledSystem:
        """Return the installed system; what cannot be read is added to ``problems``."""
        return inspect_installed_system(self.paths, problems)

    def report(self, problems: tuple[str, ...]) -> Report:
        """Return one observation; ``problems`` are added to those found while looking."""
        inspection = self.disks()
        found = [*problems, *inspection.problems]
        installed = None
        if self.environment == "installed":
            installed = self.system(found)
            if self.operation is not None:
                known = self.operation
                installed = evolve(installed, operation=known.op_id, finished=known.finished)
        return Report(
            environment=self.environment,
            boot_id=read_line(self.paths.proc / "sys/kernel/random/boot_id"),
            uptime=uptime_seconds(read_line(self.paths.proc / "uptime")),
            agent_version=AGENT_VERSION,
            hardware=self.hardware(),
            disks=inspection.disks,
            installed=installed,
            problems=tuple(found),
        )


def uptime_seconds(text: str) -> int:
    """Return the whole seconds of ``/proc/uptime``; 0 where it holds no number."""
    whole = text.partition(".")[0]
    return int(whole) if whole.isdecimal() else 0
