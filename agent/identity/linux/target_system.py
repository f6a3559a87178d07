"""What the system in an image has that a clone's identity and its agent depend on.

Looked at when the image is captured, and again before a clone is changed.
"""

import re

from attrs import frozen

from agent.identity.linux.image_tree import ImageTree
from agent.identity.linux.network.detect import NetworkStack, detect_network
from agent.identity.linux.unsuitable import UnsuitableSystemError

# attrs and urllib3 would run on 3.9; the pinned cattrs and urllib3 want 3.10.
OLDEST_PYTHON = 10
_BINARY_DIRECTORIES = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
_LIBRARY_DIRECTORIES = ("/usr/lib", "/usr/lib64")
_PYTHON = re.compile(r"python3\.(\d{1,2})")
# Debian's python3-minimal leaves out most of the standard library.
_NEEDED_MODULES = ("http/client.py", "ssl.py", "json/__init__.py", "email/message.py")


@frozen
class TargetSystem:
    """A system that can be given an identity."""

    python: str
    """Path of the interpreter that runs the agent there."""
    network: NetworkStack
    has_sshd: bool
    has_cloud_init: bool
    selinux: bool


def examine_target(tree: ImageTree, *, bundle_has_exceptiongroup: bool) -> TargetSystem:
    """Return what the system has; UnsuitableSystemError RW462 naming all that it lacks.

    ``bundle_has_exceptiongroup``: whether that backport, which cattrs wants on Python
    3.10, is among the packages that will be installed.
    """
    oldest = OLDEST_PYTHON if bundle_has_exceptiongroup else OLDEST_PYTHON + 1
    python, missing = _find_python(tree, oldest)
    network = detect_network(tree)
    if not find_program(tree, "openssl"):
        missing.append("the command openssl")
    if not any(tree.exists(f"{path}/systemd/systemd") for path in ("/usr/lib", "/lib")):
        missing.append("systemd")
    if network is None:
        missing.append(
            "a network configuration (netplan, NetworkManager, systemd-networkd, ifupdown)"
        )
    if missing or network is None:
        raise UnsuitableSystemError(
            "RW462",
            f"the system in the image lacks {', '.join(missing)}",
            "Install it in the golden machine and take the image again",
        )
    return TargetSystem(
        python=python,
        network=network,
        has_sshd=bool(find_program(tree, "sshd")),
        has_cloud_init=tree.exists("/etc/cloud/cloud.cfg"),
        selinux=_selinux_labels(tree),
    )


def find_program(tree: ImageTree, name: str) -> str:
    """Return the program's path in the restored system, empty where it is absent."""
    paths = (f"{directory}/{name}" for directory in _BINARY_DIRECTORIES)
    return next((path for path in paths if tree.exists(path)), "")


def _find_python(tree: ImageTree, oldest: int) -> tuple[str, list[str]]:
    """Return the interpreter and what is missing.

    ``/usr/bin/python3`` is preferred: it survives the system's own upgrades.
    """
    found = {f"/usr/bin/{name}" for name in tree.list_names("/usr/bin", "python3.*")}
    candidates = ["/usr/bin/python3", *sorted(found, key=_minor, reverse=True)]
    versions = []
    for path in candidates:
        if not tree.exists(path):
            continue
        minor = _minor(tree.target(path))
        if minor >= oldest:
            return path, _missing_modules(tree, minor)
        versions.append(f"3.{minor}" if minor else f"{path} of unknown version")
    have = f" (it has {', '.join(dict.fromkeys(versions))})" if versions else ""
    return "", [f"python3 of version 3.{oldest} or newer{have}"]


def _minor(path: str) -> int:
    match = _PYTHON.fullmatch(path.rsplit("/", 1)[-1])
    return int(match.group(1)) if match else 0


def _missing_modules(tree: ImageTree, minor: int) -> list[str]:
    for directory in _LIBRARY_DIRECTORIES:
        library = f"{directory}/python3.{minor}"
        if all(tree.exists(f"{library}/{module}") for module in _NEEDED_MODULES):
            return []
    return [f"the standard library of python3.{minor} (a minimal Python is not enough)"]


def _selinux_labels(tree: ImageTree) -> bool:
    """Return whether files need SELinux labels, which cannot be given from outside."""
    text = tree.read_text("/etc/selinux/config") or ""
    match = re.search(r"^SELINUX=(\w+)", text, re.MULTILINE)
    return match is not None and match.group(1) in ("enforcing", "permissive")
