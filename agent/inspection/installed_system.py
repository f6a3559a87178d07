"""What the installed agent can prove about the system that it runs in."""

from agent.commands.ip import global_addresses
from agent.errors import CodedError
from agent.inspection.host_keys import host_key_fingerprints
from agent.inspection.host_paths import HostPaths, read_line
from agent.inspection.os_release import pretty_name
from agent.wire.report import InstalledSystem


def inspect_installed_system(
    paths: HostPaths, operation: str, problems: list[str]
) -> InstalledSystem:
    """Return the system's identity; what cannot be read is added to ``problems``.

    ``operation`` is the op_id that the identity step left in the configuration.
    """
    try:
        addresses = global_addresses()
    except CodedError as error:
        addresses = ()
        problems.append(str(error))
    return InstalledSystem(
        hostname=read_line(paths.proc / "sys/kernel/hostname"),
        machine_id=read_line(paths.root / "etc/machine-id"),
        addresses=addresses,
        ssh_host_keys=host_key_fingerprints(paths.root),
        os=pretty_name(paths.root),
        kernel=read_line(paths.proc / "sys/kernel/osrelease"),
        operation=operation,
    )
