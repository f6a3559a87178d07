"""What an installed system's agent proves, as text: plans of a whole fleet read nothing else."""

from json import dumps, loads

from agent.wire.report import InstalledSystem


def encode_installed(system: InstalledSystem | None) -> str | None:
    """Return the text that ``decode_installed`` reads; None for none."""
    if system is None:
        return None
    return dumps(
        [
            system.hostname,
            system.machine_id,
            system.addresses,
            system.ssh_host_keys,
            system.os,
            system.kernel,
            system.operation,
        ],
        separators=(",", ":"),
    )


def decode_installed(text: str) -> InstalledSystem:
    """Return the installed system that was recorded."""
    hostname, machine_id, addresses, keys, os, kernel, operation = loads(text)
    return InstalledSystem(
        hostname, machine_id, tuple(addresses), tuple(keys), os, kernel, operation
    )
