"""Whether a clone of the system on a disk can get an identity of its own.

Asked when the disk is captured, and again before a clone is changed. The answer is a property
of what is on the disk.
"""

import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from attrs import frozen

from agent.config import AgentConfig
from agent.identity.linux.agent_bundle import Bundle, collect_bundle
from agent.identity.linux.change import NewIdentity, change_tree
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.identity.linux.lvm_identity import require_usable_group
from agent.identity.linux.rehearsal import Rehearsal
from agent.identity.linux.root_filesystem import RootPlace, find_root, root_tree
from agent.identity.linux.ssh_host_keys import NO_KEYS
from agent.identity.linux.target_system import TargetSystem, examine_target
from agent.identity.linux.unsuitable import UnsuitableSystemError
from agent.identity.machine_identity import MachineIdentity
from agent.inspection.installed_system import named_in
from agent.plain_text import plain_text
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem, Obstacle

_log = logging.getLogger(__name__)

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# Everything that an identity may have, so that every file of it is tried.
_REHEARSED = NewIdentity(
    MachineIdentity(
        hostname="clone",
        mac="02:00:00:00:00:01",
        addresses=(IPv4Interface("192.0.2.2/24"),),
        gateways=(IPv4Address("192.0.2.1"),),
        nameservers=(IPv4Address("192.0.2.1"),),
        domain="example.net",
    ),
    machine_id="0" * 32,
    agent=AgentConfig(server="https://192.0.2.1", pin="0" * 64, token="", operation="", machine=""),
    host_keys=NO_KEYS,
)


@frozen
class SuitableSystem:
    """A system that can be given an identity. ``name`` is its PRETTY_NAME."""

    name: str
    place: RootPlace
    target: TargetSystem


@frozen
class UnsuitableSystem:
    """One that cannot, and why; ``name`` and ``root`` are empty where it was not found."""

    error: UnsuitableSystemError
    name: str = ""
    root: str = ""


def judge(
    sysfs: Path, disk: Disk, bundle: Bundle, others: Sequence[Disk] = ()
) -> SuitableSystem | UnsuitableSystem:
    """Return what a clone's identity depends on, or what stands in its way; changes nothing.

    ``bundle`` is the agent that would be installed; on ``others``, the disks that go with this
    one, parts of the system may be, but no root of it is looked for. CommandError RW565 where a
    program that looks at the disk fails.
    """
    name = root = ""
    try:
        place = find_root(sysfs, disk)
        root = place.part.place
        with root_tree(sysfs, disk, place, write=False, others=others) as tree:
            name = _name(tree)
            require_usable_group(tree, place.part.system_id)
            target = examine_target(
                tree, bundle_has_exceptiongroup="exceptiongroup/__init__.py" in bundle
            )
            change_tree(Rehearsal(tree.root), target, _REHEARSED, bundle)
    except UnsuitableSystemError as error:
        return UnsuitableSystem(error, name or error.system, root)
    return SuitableSystem(name, place, target)


def imaged_system(sysfs: Path, disk: Disk, others: Sequence[Disk] = ()) -> ImagedSystem | None:
    """Return the system as an image keeps it; None where it cannot be looked at here.

    ``others`` are the disks that are captured with it. Nothing that a disk may hold makes it
    fail: the disk is captured all the same.
    """
    try:
        bundle = collect_bundle()
        found = judge(sysfs, disk, bundle, others)
        # What is on the other disks is missing where this one is restored without them.
        alone = judge(sysfs, disk, bundle) if others and isinstance(found, SuitableSystem) else None
    except Exception as error:  # noqa: BLE001 - the disk is captured without it
        _log.warning("nobody knows whether a clone of %s can get an identity: %s", disk.node, error)
        return None
    if isinstance(found, UnsuitableSystem):
        _log.warning("a clone of %s would get no identity: %s", disk.node, found.error)
    return as_imaged(found, alone)


def as_imaged(
    found: SuitableSystem | UnsuitableSystem,
    alone: SuitableSystem | UnsuitableSystem | None = None,
) -> ImagedSystem:
    """Return what was found as an image keeps it, and what without its other disks."""
    name = plain_text(found.name)
    if isinstance(found, UnsuitableSystem):
        obstacles = (obstacle_of(found.error),)
        return ImagedSystem(name, found.root, init="", network="", obstacles=obstacles)
    root, network = found.place.part.place, found.target.network.kind
    missing = (obstacle_of(alone.error),) if isinstance(alone, UnsuitableSystem) else ()
    return ImagedSystem(name, root, "systemd", network, obstacles=(), alone=missing)


def obstacle_of(error: UnsuitableSystemError) -> Obstacle:
    """Return the error as an image keeps it: bounded and printable, whatever the disk holds."""
    return Obstacle(error.code, plain_text(error.cause), plain_text(error.action))


def _name(tree: ImageTree) -> str:
    for path in _OS_RELEASE:
        try:
            text = tree.read_text(path)
        except ImageTreeError:  # it is shown, and nothing depends on it
            return ""
        if text is not None:
            return named_in(text)
    return ""
