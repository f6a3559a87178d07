"""One simulated machine: off, or a thread that boots and runs what it booted."""

import logging
import random
import shutil
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.errors import CodedError
from agent.imaging.sparse import copy_range
from agent.inspection.host_paths import HostPaths
from providers.lab.network import bridge_mac
from providers.lab.simulate import nic
from providers.lab.simulate.bridge import Bridge
from providers.lab.simulate.disk import NotBootableError, make_blank, make_golden, system_on
from providers.lab.simulate.faults import Faults
from providers.lab.simulate.firmware import NextDevice, network_boot
from providers.lab.simulate.host_tree import BootIdentity, write_host
from providers.lab.simulate.identity_step import read_identity
from providers.lab.simulate.keyboard import Keyboard
from providers.lab.simulate.machine_list import SERVER, MachineSettings
from providers.lab.simulate.machine_state import MachineState, Stage
from providers.lab.simulate.power_state import PowerCutError, PowerState
from providers.lab.simulate.system import (
    SimulatedSteps,
    installed_config,
    run_installed_system,
    run_ram_system,
)

_KERNEL = "6.1.0-simulated"
_NOTHING_SECONDS = 15.0
"""How long a firmware that found nothing to boot shows that before it starts over."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """From switching on to off."""

    power: PowerState
    disk: Path
    second: Path | None
    """The file of a second disk, where the machine has one."""
    started: threading.Event = field(default_factory=threading.Event)
    """Set once the NIC is there, or cannot be."""
    plugged: bool = False
    steps_done: set[str] = field(default_factory=set)
    """The types of the steps that were done since."""


class SimulatedMachine:
    """Its files are below ``folder``; all public methods are called from one thread.

    ``source`` is where its boot ids, DHCP transactions and waiting times come from.
    """

    def __init__(
        self, settings: MachineSettings, folder: Path, bridge: Bridge, source: random.Random
    ) -> None:
        self.settings = settings
        self._folder = folder
        self._systems = folder / "systems"
        self._bridge = bridge
        self._source = source
        self._run: _Run | None = None
        self._lock = threading.Lock()
        self._faults = Faults()
        self._keyboard = Keyboard()
        self._stage: Stage = "off"
        self._boots: list[str] = []
        self._boot_count = 0

    def prepare(self, seed: int) -> None:
        """Make the disk that a new machine has: the golden one's has a system. RW801, RW809."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for stale in self._folder.glob("boot-*"):
            shutil.rmtree(stale)
        if self._disk() is not None:
            return
        disk = self._folder / "new.raw"
        disk.unlink(missing_ok=True)
        if self.settings.is_golden:
            make_golden(disk, self.settings.disk_size, seed)
        else:
            make_blank(disk, self.settings.disk_size)
        disk.rename(self._folder / "disk-1.raw")

    def state(self) -> MachineState:
        """Return what the machine does now."""
        return MachineState(self.settings.name, self._stage, tuple(self._boots))

    def set_faults(self, faults: Faults) -> None:
        """Let the machine go wrong, or right, from its next boot or step on."""
        self._faults = faults

    def press_key(self, key: str) -> None:
        """Press a key at the machine."""
        self._keyboard.press(key)

    def power_on(self) -> None:
        """Switch the machine on; nothing happens when it is on."""
        with self._lock:
            disk = self._disk()
            if self._run is not None or disk is None:
                return
            run = self._run = _Run(PowerState(self._source.random), disk, self._disk("second"))
            self._stage = "firmware"
        name = self.settings.name
        threading.Thread(target=self._live, args=(run,), name=name, daemon=True).start()

    def power_off(self) -> None:
        """Cut the power, whatever runs; nothing happens when it is off.

        What still runs of the agent for a moment reaches neither the network nor the disk: its
        NIC is gone, and the disks are copies from now on.
        """
        run = self._run
        if run is not None:
            self._cut(run)

    def connect(self, *, connected: bool) -> None:
        """Pull the network cable or put it in; a machine that is off has none."""
        with self._lock:
            run = self._run
            if run is not None and run.started.wait() and run.plugged:
                self._bridge.connect(self.settings, connected=connected)

    def _disk(self, name: str = "disk") -> Path | None:
        return max(self._folder.glob(f"{name}-*.raw"), key=_generation, default=None)

    def _cut(self, run: _Run) -> None:
        """Let the machine be off from now on, and take NIC and disk from what still runs."""
        with self._lock:
            if self._run is not run:
                return
            self._run = None
            self._stage = "off"
            run.power.cut.set()
            run.started.wait()
            self._unplug(run)
            for disk in filter(None, (run.disk, run.second)):
                copy = self._folder / "copy.raw"
                copy.unlink(missing_ok=True)
                copy_range(disk, 0, disk.stat().st_size, copy)
                name = disk.stem.partition("-")[0]
                copy.rename(self._folder / f"{name}-{_generation(disk) + 1}.raw")
                disk.unlink()

    def _unplug(self, run: _Run) -> None:
        if run.plugged:
            run.plugged = False
            self._bridge.unplug(self.settings)

    # --- the machine's own thread ------------------------------------------------

    def _live(self, run: _Run) -> None:
        try:
            self._plug(run)
            while True:
                run.power.restarts = False
                self._boot(run)
                if not run.power.restarts:
                    break
        except PowerCutError:
            _log.info("the power is gone")
        except Exception:  # noqa: BLE001 - the other machines go on
            _log.exception("the machine has stopped")
            self._show(run, "stopped")
            return
        self._went_off(run)

    def _plug(self, run: _Run) -> None:
        try:
            nic.leave_network()
            self._bridge.plug(self.settings, threading.get_native_id())
            run.plugged = True
            nic.switch_on()
            nic.learn(SERVER.ip, bridge_mac(SERVER))
        finally:
            run.started.set()

    def _went_off(self, run: _Run) -> None:
        with self._lock:
            if self._run is run:
                self._run = None
                self._stage = "off"
                self._unplug(run)

    def _fail_power(self, run: _Run) -> None:
        """Cut the power from inside: no connection is closed in good order any more."""
        self._faults = Faults()
        self._cut(run)

    def _lose_cable(self, run: _Run) -> None:
        """Lose the network from inside, once."""
        with self._lock:
            if self._faults.unplug_in and self._run is run:
                self._faults = replace(self._faults, unplug_in="")
                self._bridge.connect(self.settings, connected=False)

    def _boot(self, run: _Run) -> None:
        self._show(run, "firmware")
        power = run.power
        if not self._faults.boots or self._faults.lost_after in run.steps_done:
            power.pause()
        power.pause(self._faults.start_seconds)
        clock = power.clock()
        self._boot_count += 1
        folder = self._folder / f"boot-{self._boot_count}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        boot_id = str(uuid.UUID(bytes=self._source.randbytes(16)))
        try:
            disks = tuple(filter(None, (run.disk, run.second)))
            paths = write_host(folder, self.settings, disks, BootIdentity(boot_id, _KERNEL))
            found = NextDevice("the disk comes first in the boot order")
            if self._faults.boots_network:
                answer = network_boot(self.settings, clock)
                power.check()
                if not isinstance(answer, NextDevice):
                    self._note(run, "Deploy-OS")
                    self._run_deploy_os(answer.command_line, folder, paths, run)
                    return
                found = answer
            self._boot_disk(run, paths, found.reason)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_deploy_os(self, command_line: str, folder: Path, paths: HostPaths, run: _Run) -> None:
        self._show(run, "deploy-os")
        steps = SimulatedSteps(
            lambda: self._faults,
            run.power,
            lambda: self._fail_power(run),
            lambda: self._lose_cable(run),
            self._source,
            lambda disk, _others: installed_config(self._systems, Path(disk.node)),
            self._note_restore,
            run.steps_done.add,
        )
        run_ram_system(command_line, folder, paths, steps, self._keyboard)

    def _boot_disk(self, run: _Run, paths: HostPaths, reason: str) -> None:
        self._note(run, f"local disk: {reason}")
        try:
            system = system_on(run.disk)
        except NotBootableError as error:
            self._show(run, "nothing to boot")
            _log.info("nothing to boot: %s", error)
            run.power.pause(_NOTHING_SECONDS)
            run.power.reboot()
            return
        if not system.record:
            self._show(run, "system without agent")
            run.power.pause()
        if self._faults.late_seconds:
            self._show(run, "system without agent")
            run.power.pause(self._faults.late_seconds)
        self._show(run, "installed")
        identity = read_identity(system.record)
        kept = self._systems / identity.machine_id
        try:
            run_installed_system(identity, kept, paths, run.power)
        except CodedError as error:
            # The system goes on without its agent, as under systemd.
            _log.error("the agent ended: %s", error)
            self._show(run, "system without agent")
            run.power.pause()

    def _note_restore(self, operation: str, what: str) -> None:
        with (self._folder / "restores.log").open("a", encoding="ascii") as file:
            file.write(f"{time.time():.6f} {operation} {what}\n")

    def _show(self, run: _Run, stage: Stage) -> None:
        with self._lock:
            if self._run is run:
                self._stage = stage

    def _note(self, run: _Run, what: str) -> None:
        _log.info("boots %s", what)
        with self._lock:
            if self._run is run:
                self._boots.append(what)


def _generation(disk: Path) -> int:
    return int(disk.stem.partition("-")[2])
