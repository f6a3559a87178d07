"""``applyIdentity`` without mounting anything: the identity goes into a partition as JSON."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.config import AgentConfig
from agent.identity.linux.suitability import obstacle_of
from agent.identity.linux.unsuitable import NoRootFileSystemError
from agent.identity.machine_identity import checked_identity
from agent.inspection.host_keys import fingerprint
from agent.steps.disk_choice import describe, find_disk
from agent.steps.run import StepContext, installed_config
from agent.wire.codec import decode, encode
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem
from agent.wire.step import ApplyIdentity
from providers.lab.simulate.disk import NotBootableError, system_on, write_record
from providers.lab.simulate.host_tree import SYSTEM_NAME


@dataclass(frozen=True, slots=True)
class SimulatedIdentity:
    """What a restored system is, as it lies on the disk."""

    hostname: str
    machine_id: str
    addresses: tuple[str, ...]
    host_key: str
    """A public key's line of which there is no private part."""
    agent: str
    """``agent.config.AgentConfig`` as JSON."""

    def config(self) -> AgentConfig:
        """Return the configuration of the installed agent."""
        return decode(AgentConfig, self.agent.encode())


def apply_simulated_identity(
    step: ApplyIdentity, context: StepContext, machine_id: str, host_key: bytes
) -> dict[str, str]:
    """Check step and disk as the real step does, and write the identity to the disk.

    ``host_key`` are the 32 bytes of a public key. Raises as the real one does, and NotBootableError
    where the disk holds no simulated system.
    """
    context.require_ram_system(step.STEP_TYPE)
    identity = checked_identity(step)
    disk = find_disk(step.disk, context.machine.disks().disks)
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + host_key
    record = SimulatedIdentity(
        hostname=identity.hostname,
        machine_id=machine_id,
        addresses=tuple(str(address) for address in identity.addresses),
        host_key=f"ssh-ed25519 {base64.b64encode(blob).decode()} root@{identity.hostname}",
        agent=encode(installed_config(step, context)).decode(),
    )
    context.progress(0, 0)
    write_record(Path(disk.node), json.dumps(asdict(record)))
    return {
        "disk": describe(disk),
        "hostname": identity.hostname,
        "machine-id": record.machine_id,
        "ssh-host-keys": fingerprint(record.host_key),
        "network": "simulated",
        "root": "1",
    }


def simulated_system(disk: Disk, _others: Sequence[Disk] = ()) -> ImagedSystem:
    """Return the system on a disk as an image keeps it: what the step above would find."""
    try:
        system_on(Path(disk.node))
    except NotBootableError as error:
        obstacle = obstacle_of(NoRootFileSystemError(disk.holds, str(error)))
        return ImagedSystem(name="", root="", init="", network="", obstacles=(obstacle,))
    return ImagedSystem(SYSTEM_NAME, root="1", init="", network="simulated", obstacles=())


def read_identity(record: str) -> SimulatedIdentity:
    """Return the identity that a disk's record holds; ValueError where it holds none."""
    values = json.loads(record)
    try:
        return SimulatedIdentity(**{**values, "addresses": tuple(values["addresses"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"it is no simulated identity: {error}") from error
