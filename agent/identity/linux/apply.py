"""A restored Linux system becomes this machine's.

First everything is looked at and tried, with the file systems mounted read-only; only a system
that can be finished is changed. Applying the same identity again is harmless.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from agent.identity.linux.agent_bundle import collect_bundle
from agent.identity.linux.change import NewIdentity, change_tree
from agent.identity.linux.root_filesystem import root_tree
from agent.identity.linux.ssh_host_keys import make_host_keys
from agent.identity.linux.suitability import UnsuitableSystem, judge
from agent.wire.disk import Disk


def apply_identity(
    sysfs: Path,
    disk: Disk,
    new: NewIdentity,
    progress: Callable[[int, int], None],
    others: Sequence[Disk] = (),
) -> dict[str, str]:
    """Give the system on ``disk`` its identity, SSH host keys and the agent; return what was given.

    ``others`` are the disks that were restored with it, where parts of the system may be.
    The result has ``machine-id``, ``ssh-host-keys`` (fingerprints, separated by blanks),
    ``network`` (the stack) and ``root`` (the partition's number, or the volume's group and
    name). UnsuitableSystemError for
    what stands in the way (nothing is changed then), RW565 where a command fails, RW469 where
    the agent that runs here cannot be installed.
    """
    bundle = collect_bundle()
    found = judge(sysfs, disk, bundle, others)
    if isinstance(found, UnsuitableSystem):
        raise found.error
    new = evolve(new, host_keys=make_host_keys(new.identity.hostname))
    progress(0, 0)  # raises where the operation was taken over meanwhile
    with root_tree(sysfs, disk, found.place, write=True, others=others) as tree:
        prints = change_tree(tree, found.target, new, bundle)
        os.sync()
    return {
        "machine-id": new.machine_id,
        "ssh-host-keys": " ".join(prints),
        "network": found.target.network.kind,
        "root": found.place.part.place,
    }
