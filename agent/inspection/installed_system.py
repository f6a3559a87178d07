"""What the installed agent reads of the system that it runs in."""

import shlex
from pathlib import Path

from agent.commands.ip import global_addresses
from agent.errors import CodedError
from agent.inspection.host_keys import host_key_fingerprints
from agent.inspection.host_paths import HostPaths, read_line
from agent.wire.report import InstalledSystem


def inspect_installed_system(paths: HostPaths, problems: list[str]) -> InstalledSystem:
    """Return the system's identity; what cannot be read is added to ``problems``.

    Which operation installed it, the agent's configuration says.
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
        operation="",
    )


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file; malformed lines are passed over."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, quoted = line.strip().partition("=")
        if not equals or not name.isidentifier():
            continue
        try:
            values[name] = "".join(shlex.split(quoted)[:1])
        except ValueError:
            continue
    return values


def pretty_name(root: Path) -> str:
    """Return PRETTY_NAME of the system under ``root``; empty where it does not say."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / name).read_text("utf-8", errors="replace")
        except OSError:
            continue
        return named_in(text)
    return ""


def named_in(text: str) -> str:
    """Return the system's name in an os-release file; empty where it has none."""
    values = parse_os_release(text)
    return values.get("PRETTY_NAME") or values.get("NAME", "")
