"""What runs on a simulated machine once it has booted: the real agent, on files."""

import random
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path

from attrs import evolve

from agent.config import AgentConfig, load_config, save_config
from agent.deploy_os import RamSystem, run_deploy_os
from agent.imaging.errors import DiskFailureError
from agent.inspection.host_paths import HostPaths, read_line
from agent.log import LogMemory
from agent.service import RunningSystem, run_service
from agent.shutdown.blockers import Nobody
from agent.shutdown.pending import PoliteWays
from agent.steps.run import StepContext, run_step
from agent.wire.disk import Disk
from agent.wire.step import ApplyIdentity, Restore, Step
from providers.lab.simulate import nic
from providers.lab.simulate.disk import NotBootableError, system_on
from providers.lab.simulate.faults import SHARED_HOST_KEY, Faults
from providers.lab.simulate.host_tree import write_system
from providers.lab.simulate.identity_step import (
    SimulatedIdentity,
    apply_simulated_identity,
    read_identity,
    simulated_system,
)
from providers.lab.simulate.installed_steps import SimulatedSystemSteps
from providers.lab.simulate.keyboard import Keyboard
from providers.lab.simulate.power_state import PowerCutError, PowerState
from providers.lab.simulate.records import SimulatedRecords
from providers.lab.simulate.simulated_packages import SimulatedSoftware

CONFIG = Path("etc/rackwright/agent.json")
"""Below the folder of a system."""
_DISK = "/dev/vda"
_STALL_SECONDS = 0.2
_MIDDLE = 4
"""A step is cut off when the fourth part of its bytes is done: a restore still writes then."""


@dataclass(slots=True)
class SimulatedSteps:
    """Does steps as ``agent.steps.run.run_step``, but for the identity, and with faults."""

    faults: Callable[[], Faults]
    power: PowerState
    fail_power: Callable[[], None]
    pull_cable: Callable[[], None]
    source: random.Random
    installed_on: Callable[[Disk, Sequence[Disk]], AgentConfig | None]
    note: Callable[[str, str], None]
    """Is told the operation whose restore ``began`` to write to the disk, or ``ended``."""
    did: Callable[[str], None]
    """Is told the type of each step that was done."""

    def __call__(self, step: Step, context: StepContext) -> dict[str, str]:
        """Do a step; PowerCutError where the faults say so."""
        faults = self.faults()
        if faults.hang_in == step.STEP_TYPE:
            self.power.pause()
        context = evolve(context, installed_on=self.installed_on, system_on=simulated_system)
        if faults.fail_before == step.STEP_TYPE:
            raise DiskFailureError(_DISK, "read", 0, "it is told to fail")
        if faults.cut_power_before == step.STEP_TYPE:
            self._cut(1, 1)
        if faults.cut_power_in == step.STEP_TYPE:
            context = evolve(context, progress=self._cut)
        if faults.unplug_in == step.STEP_TYPE:
            context = evolve(context, progress=partial(self._unplug, context))
        if faults.fail_in == step.STEP_TYPE:
            context = evolve(context, progress=_fail)
        if faults.stalls_in == step.STEP_TYPE:
            context = evolve(context, progress=partial(self._stall, context))
        result = self._do(step, context)
        if faults.cut_power_in == step.STEP_TYPE:
            self._cut(1, 1)  # a step without progress
        if faults.fail_in == step.STEP_TYPE:
            _fail(1, 1)
        self.did(step.STEP_TYPE)
        return result

    def _do(self, step: Step, context: StepContext) -> dict[str, str]:
        if isinstance(step, ApplyIdentity):
            faults = self.faults()
            machine_id = faults.machine_id or self.source.randbytes(16).hex()
            host_key = SHARED_HOST_KEY if faults.shares_host_key else self.source.randbytes(32)
            return apply_simulated_identity(step, context, machine_id, host_key)
        if not isinstance(step, Restore):
            return run_step(step, context)
        self.note(context.operation, "began")
        result = run_step(step, context)
        self.note(context.operation, "ended")
        return result

    def _stall(self, context: StepContext, done: int, total: int) -> None:
        while True:
            self.power.pause(_STALL_SECONDS)
            context.progress(done, total)

    def _unplug(self, context: StepContext, done: int, total: int) -> None:
        if done * _MIDDLE >= total:
            self.pull_cable()
        context.progress(done, total)

    def _cut(self, done: int, total: int) -> None:
        if done * _MIDDLE >= total:
            self.fail_power()
            raise PowerCutError


def installed_config(systems: Path, disk: Path) -> AgentConfig | None:
    """Return the configuration of the agent on a disk; None where there is none.

    ``systems`` has a folder for each system, which is what it keeps beside its disk.
    """
    try:
        record = system_on(disk).record
        identity = read_identity(record) if record else None
    except (NotBootableError, ValueError):
        return None
    if identity is None:
        return None
    kept = systems / identity.machine_id / CONFIG
    return load_config(kept) if kept.exists() else identity.config()


def _fail(done: int, total: int) -> None:
    if done * _MIDDLE >= total:
        raise DiskFailureError(_DISK, "write", done, "it is told to fail")


def run_ram_system(
    command_line: str, folder: Path, paths: HostPaths, steps: SimulatedSteps, keyboard: Keyboard
) -> None:
    """Run the agent of the Deploy-OS to its end; ``folder`` is gone with the boot, as its RAM."""
    line = paths.proc / "cmdline"
    line.write_text(command_line, "utf-8")
    release = paths.root / "usr/lib/rackwright/release"
    release.parent.mkdir(parents=True)
    release.write_text("VERSION=simulated\n", "ascii")
    kernel = read_line(paths.proc / "sys/kernel/osrelease")
    mine = threading.current_thread().name
    system = RamSystem(
        paths,
        steps.power,
        steps.power.clock(),
        steps,
        SimulatedRecords(kernel, command_line),
        LogMemory(lambda thread: thread.split(" ")[0] == mine),
        keyboard,
    )
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
    config = folder / CONFIG
    if not config.exists():
        shutil.rmtree(folder, ignore_errors=True)
        config.parent.mkdir(parents=True)
        save_config(config, identity.config())
    polite = PoliteWays(Nobody(), folder / "run/shutdown.sock")
    steps = SimulatedSystemSteps(folder, paths)
    software = SimulatedSoftware(folder, paths)
    system = RunningSystem(
        paths, power, power.clock(), steps, polite, software=lambda _runs, _pause: software
    )
    run_service(config, folder / "var/lib/rackwright", system)
