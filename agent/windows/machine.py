r"""A Windows machine as its agent's session sees it.

Hardware comes from the registry: SMBIOS from ``mssmbios``, processors from ``HARDWARE``, the
kind of firmware from PEFirmwareType (1 BIOS, 2 UEFI). Disks are not looked at.
"""

from ipaddress import IPv4Interface

from attrs import evolve, field, frozen

from agent.commands.windows import ipconfig, wmic
from agent.commands.windows.host import Windows
from agent.errors import CodedError
from agent.inspection.disks import DiskInspection
from agent.inspection.hardware import usable_text, usable_uuid
from agent.machine import LocalMachine
from agent.version import AGENT_VERSION
from agent.windows.live_registry import read_key, read_keys
from agent.windows.operating_system import read_operating_system
from agent.windows.registry import RegistryKey, children
from agent.windows.smbios import SystemInformation, system_information
from agent.windows.system import WindowsSystem
from agent.wire.report import Hardware, InstalledSystem, Report

_CONTROL = r"HKLM\SYSTEM\CurrentControlSet\Control"
_SMBIOS = r"HKLM\SYSTEM\CurrentControlSet\Services\mssmbios\Data"
_PROCESSORS = r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor"
_INTERFACES = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
_UEFI = 2


@frozen
class WindowsMachine(LocalMachine):
    """What can be asked of a Windows machine. Each call looks again."""

    windows: Windows = field(kw_only=True)

    def hardware(self) -> Hardware:
        """Return SMBIOS and network identity. TerminalError RW237."""
        system = self._smbios()
        control = read_key(self.windows, rf"{_CONTROL}\SecureBoot\State")
        memory = wmic.properties(self.windows, "Win32_ComputerSystem", "TotalPhysicalMemory")
        return Hardware(
            macs=ipconfig.macs(self.windows),
            uuid=usable_uuid(system.uuid),
            serial=usable_text(system.serial),
            vendor=usable_text(system.vendor),
            product=usable_text(system.product),
            cpus=len(children(read_keys(self.windows, _PROCESSORS), _PROCESSORS)),
            memory=int(memory[0]) if memory and memory[0].isdecimal() else 0,
            firmware="uefi" if self._firmware() == _UEFI else "bios",
            secure_boot=control is not None and control.number("UEFISecureBootEnabled") == 1,
        )

    def disks(self) -> DiskInspection:
        """Return none: disks of a running Windows are not looked at."""
        return DiskInspection((), ())

    def report(self, problems: tuple[str, ...]) -> Report:
        """Return one observation; ``problems`` are added to those found while looking."""
        found = [*problems]
        installed = self._installed(found)
        if self.operation is not None:
            known = self.operation
            installed = evolve(installed, operation=known.op_id, finished=known.finished)
        return Report(
            environment=self.environment,
            boot_id=WindowsSystem(self.windows).boot(),
            uptime=0,
            agent_version=AGENT_VERSION,
            hardware=self.hardware(),
            installed=installed,
            problems=tuple(found),
        )

    def _installed(self, problems: list[str]) -> InstalledSystem:
        system = read_operating_system(self.windows)
        try:
            keys = children(read_keys(self.windows, _INTERFACES), _INTERFACES)
        except CodedError as error:
            keys = ()
            problems.append(str(error))
        return InstalledSystem(
            hostname=system.host_name,
            machine_id=system.machine_id,
            addresses=tuple(sorted(each for key in keys for each in addresses_of(key))),
            ssh_host_keys=(),
            os=f"{system.name} {system.release}".strip(),
            kernel=system.version,
            operation="",
        )

    def _smbios(self) -> SystemInformation:
        key = read_key(self.windows, _SMBIOS)
        table = key.values.get("smbiosdata") if key is not None else None
        if table is not None and isinstance(table.data, bytes):
            return system_information(table.data)
        uuids = wmic.properties(self.windows, "Win32_ComputerSystemProduct", "UUID")
        return SystemInformation(uuid=uuids[0].lower() if uuids else "")

    def _firmware(self) -> int:
        control = read_key(self.windows, _CONTROL)
        return control.number("PEFirmwareType") if control is not None else 0


def addresses_of(key: RegistryKey) -> tuple[str, ...]:
    """Return the IPv4 addresses of an interface's key, in CIDR form."""
    pairs = [(key.text("DhcpIPAddress"), key.text("DhcpSubnetMask"))]
    pairs += zip(
        key.text("IPAddress").split("\n"), key.text("SubnetMask").split("\n"), strict=False
    )
    found = []
    for address, mask in pairs:
        try:
            interface = IPv4Interface(f"{address}/{mask}")
        except ValueError:
            continue
        if not interface.ip.is_unspecified and not interface.ip.is_loopback:
            found.append(str(interface))
    return tuple(dict.fromkeys(found))
