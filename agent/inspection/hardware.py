"""SMBIOS, network and capacity of the machine, as a report carries them."""

from agent.inspection.capacity import cpu_count, memory_bytes
from agent.inspection.firmware import firmware_kind, secure_boot_enabled
from agent.inspection.host_paths import HostPaths
from agent.inspection.network_interfaces import physical_macs
from agent.inspection.smbios import read_smbios
from agent.wire.report import Hardware


def inspect_hardware(paths: HostPaths, boot_mac: str = "") -> Hardware:
    """Return the machine's hardware; ``boot_mac`` is the NIC it booted from, where known."""
    smbios = read_smbios(paths.sysfs)
    return Hardware(
        macs=physical_macs(paths.sysfs, boot_mac),
        uuid=smbios.uuid,
        serial=smbios.serial,
        vendor=smbios.vendor,
        product=smbios.product,
        cpus=cpu_count(paths.sysfs),
        memory=memory_bytes(paths.proc),
        firmware=firmware_kind(paths.sysfs),
        secure_boot=secure_boot_enabled(paths.sysfs),
    )
