"""What runs on a simulated machine once it has booted: the real agent, on files."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from attrs import evolve

from agent.config import save_config
from agent.deploy_os import RamSystem, run_deploy_os
from agent.inspection.host_paths import HostPaths
from agent.service import RunningSystem, run_service
from agent.steps.run import StepContext, run_step
from agent.wire.step import ApplyIdentity, Restore, Step
from providers.lab.simulate import nic
from providers.lab.simulate.faults import Faults
from providers.lab.simulate.host_tree import write_system
from providers.lab.simulate.identity_step import SimulatedIdentity, apply_simulated_identity
from providers.lab.simulate.power_state import PowerCutError, PowerState

_MIDDLE = 4
"""A step is cut off when the fourth part of its bytes is done: a restore still writes then."""


@dataclass(slots=True)
class SimulatedSteps:
    """Does steps as ``agent.steps.run.run_step``, but for the identity, and with faults."""

    faults: Callable[[], Faults]
    power: PowerState
    fail_power: Callable[[], None]
    source: random.Random
    note: Callable[[str, str], None]
    """Is told the operation whose restore ``began`` to write to the disk, or ``ended``."""

    def __call__(self, step: Step, context: StepContext) -> dict[str, str]:
        """Do a step; PowerCutError where the faults say so."""
        faults = self.faults()
        if faults.hang_in == step.STEP_TYPE:
            self.power.pause()
        if faults.cut_power_in == step.STEP_TYPE:
            context = evolve(context, progress=self._cut)
        if isinstance(step, ApplyIdentity):
            return apply_simulated_identity(step, context, self.source)
        if isinstance(step, Restore):
            self.note(context.operation, "began")
        result = run_step(step, context)
        if isinstance(step, Restore):
            self.note(context.operation, "ended")
        if faults.cut_power_in == step.STEP_TYPE:
            self._cut(1, 1)  # a step without progress
        return result

    def _cut(self, done: int, total: int) -> None:
        if done * _MIDDLE >= total:
            self.fail_power()
            raise PowerCutError


def run_ram_system(
    command_line: str, folder: Path, paths: HostPaths, power: PowerState, steps: SimulatedSteps
) -> None:
    """Run the agent of the Deploy-OS to its end; ``folder`` is gone with the boot, as its RAM."""
    line = paths.proc / "cmdline"
    line.write_text(command_line, "utf-8")
    system = RamSystem(paths, power, power.clock(), steps)
    run_deploy_os(line, folder / "run/rackwright", system)


def run_installed_system(
    identity: SimulatedIdentity, folder: Path, paths: HostPaths, power: PowerState
) -> None:
    """Run the agent of an installed system to its end, which may be never.

    ``folder`` has what the system keeps beside its disk from boot to boot: the agent's
    configuration and credentials. CodedError where its agent ends with one.
    """
    write_system(paths, identity.hostname, identity.machine_id, identity.host_key)
    if identity.addresses:  # else the lease of the firmware stays
        nic.set_address(IPv4Interface(identity.addresses[0]))
    config = folder / "etc/rackwright/agent.json"
    if not config.exists():
        shutil.rmtree(folder, ignore_errors=True)
        config.parent.mkdir(parents=True)
        save_config(config, identity.config())
    run_service(config, folder / "var/lib/rackwright", RunningSystem(paths, power, power.clock()))
