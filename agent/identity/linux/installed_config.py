"""The agent that is installed on a disk, looked at from the Deploy-OS."""

import logging
from collections.abc import Sequence
from pathlib import Path

from agent.config import AgentConfig
from agent.errors import CodedError
from agent.identity.linux.agent_bundle import CONFIG
from agent.identity.linux.image_tree import ImageTreeError
from agent.identity.linux.root_filesystem import find_root, root_tree
from agent.wire.codec import WireError, decode
from agent.wire.disk import Disk

_log = logging.getLogger(__name__)


def installed_config_on(sysfs: Path, disk: Disk, others: Sequence[Disk] = ()) -> AgentConfig | None:
    """Return the configuration of the agent on a disk; None where none can be read.

    ``others`` are the disks that go with it. They are mounted read-only and not changed. Systems
    inside LUKS or RAID are not looked into.
    """
    if not disk.partitions:
        return None
    try:
        place = find_root(sysfs, disk)
        with root_tree(sysfs, disk, place, write=False, others=others) as tree:
            text = tree.read_text(CONFIG)
        return decode(AgentConfig, text.encode()) if text else None
    except (CodedError, ImageTreeError, WireError) as error:
        _log.info("no agent is read from %s: %s", disk.node, error)
        return None
